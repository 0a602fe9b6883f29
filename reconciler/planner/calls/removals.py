"""Which devices to clear with one call each, where removals span several flows.

Removing a whole device with one call pays off when it saves more than one call for its flows. Since one release names
up to a chunk of rows, devices often pay off only together. So a greedy search adds devices one by one, those that lose
the most flows first, and keeps the cheapest stage, where the first stage clears none. The count is therefore never
higher than without clearing any device, though it is not always minimal.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from reconciler.model.requests import RemoveDevice
from reconciler.model.state import DeviceId, FlowId, Live, Version
from reconciler.planner.calls.flow_calls import FlowCalls, best_mix
from reconciler.planner.calls.reach import Moves, still_sound


def devices_to_clear(removals: Sequence[FlowCalls], moves: Moves, live: Live) -> list[DeviceId]:
    """Devices whose removal as a whole saves calls, given the removals by flow and every change of the plan."""
    costs = {part.flow_id: _Cost(part) for part in removals}
    lost: dict[DeviceId, list[FlowId]] = defaultdict(list)
    for part in sorted(removals, key=lambda part: part.flow_id):
        for device_id in part.device_ids:
            lost[device_id].append(part.flow_id)
    several = [device_id for device_id, flow_ids in lost.items() if len(flow_ids) > 1]
    candidates = [device_id for device_id in several if still_sound(RemoveDevice(device_id), live, moves)]
    candidates.sort(key=lambda one: (-len(lost[one]), lost[one], one))
    best, calls = 0, sum(cost.calls for cost in costs.values())
    fewest = calls
    taken = candidates[: fewest - 1]  # clearing as many devices as there are calls cannot pay off
    for number, device_id in enumerate(taken, 1):
        calls += 1 + sum(costs[flow_id].add(device_id, -1) for flow_id in lost[device_id])
        if calls < fewest:
            best, fewest = number, calls
    cleared = []
    for number, device_id in reversed(list(enumerate(taken))):
        spared = sum(costs[flow_id].add(device_id, 1) for flow_id in lost[device_id])
        if number < best and spared > 1:  # otherwise naming its rows is just as cheap
            cleared.append(device_id)
            for flow_id in lost[device_id]:
                costs[flow_id].add(device_id, -1)
    return cleared


class _Cost:
    """The number of calls for the removals of one flow, updated as devices are added and removed."""

    def __init__(self, removals: FlowCalls) -> None:
        self._removals = removals
        self._cohort_of = {device_id: old for old, ids in removals.cohorts.items() for device_id in ids}
        self._rows = Counter[Version | None](map(self._cohort_of.get, removals.device_ids))
        self.calls = self._count()

    def add(self, device_id: DeviceId, rows: int) -> int:
        """Add the row of a device, or take it away (-1). Returns the change in the number of calls."""
        before = self.calls
        self._rows[self._cohort_of.get(device_id)] += rows
        self.calls = self._count()
        return self.calls - before

    def _count(self) -> int:
        sizes = sorted((number for old, number in self._rows.items() if old is not None), reverse=True)
        calls = best_mix(self._rows.total(), sizes, self._removals.chunk).calls
        return min(calls, 1) if self._removals.flow_wide else calls
