"""Which devices to clear with one call each, where removals span several flows.

`remove` of a whole device saves a call whenever that spares more than one. What a flow's removals cost goes down in
steps (a release names up to a chunk of rows), so devices pay off together or not at all, and the exact minimum is
out of reach in general. The search adds the best devices one kind after the other, also while that does not pay yet,
and keeps the cheapest stage of all; no device at all is the first stage, so it is never worse than none.

Devices are alike when they lose the same flows from the same cohorts; the search counts alike ones only.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from reconciler.planner.cohorts import Moves
from reconciler.planner.group import Group, Mix, best_mix
from reconciler.planner.reach import was_read
from reconciler.planner.requests import RemoveDevice
from reconciler.planner.state import DeviceId, FlowId, Live, Version

Kind: TypeAlias = tuple[tuple[FlowId, Version | None], ...]  # flows lost, with the cohort where a replace may do it


def devices_to_clear(groups: Sequence[Group], moves: Mapping[FlowId, Moves], live: Live, chunk: int) -> list[DeviceId]:
    """Devices whose removal as a whole saves calls, sorted.

    Args:
        groups: the removals, a group for each flow.
        moves: every change, by flow and device.
        live: what was read.
        chunk: how many rows one release names at most.
    """
    kinds = _kinds(groups, moves, live)
    if not kinds:
        return []
    bill = {group.flow_id: _Bill(group, chunk) for group in groups}
    taken = _search(kinds, bill)
    return sorted(device_id for kind, number in taken.items() for device_id in kinds[kind][:number])


def _kinds(groups: Sequence[Group], moves: Mapping[FlowId, Moves], live: Live) -> dict[Kind, list[DeviceId]]:
    """Devices that may be cleared and lose at least two flows (a single one saves nothing), by kind, sorted."""
    losses: dict[DeviceId, list[tuple[FlowId, Version | None]]] = defaultdict(list)
    for group in sorted(groups, key=lambda group: group.flow_id):
        cohort_of = {device_id: old for old, ids in group.cohorts.items() for device_id in ids}
        for device_id in group.device_ids:
            losses[device_id].append((group.flow_id, cohort_of.get(device_id)))
    kinds: dict[Kind, list[DeviceId]] = defaultdict(list)
    for device_id in sorted(losses):
        if len(losses[device_id]) > 1 and _may_clear(device_id, moves, live):
            kinds[tuple(losses[device_id])].append(device_id)
    return kinds


def _may_clear(device_id: DeviceId, moves: Mapping[FlowId, Moves], live: Live) -> bool:
    """The rule of `reach` for clearing a device: every row of it, this plan's adds included, ends at nothing."""
    record = live.devices.get(device_id)
    released = {flow_id: entry.released for flow_id, entry in record.flows.items()} if record else {}
    planned = {flow_id: targets[device_id] for flow_id, targets in moves.items() if device_id in targets}
    return not any((released | planned).values()) and was_read(RemoveDevice(device_id), live)


class _Bill:
    """What the removals of one flow cost, and would cost with some devices cleared."""

    def __init__(self, group: Group, chunk: int) -> None:
        self._chunk = chunk
        self._flow_wide = group.flow_wide
        self._rows = Counter[Version | None]({old: len(ids) for old, ids in group.cohorts.items()})
        self._rows[None] = len(group.device_ids) - self._rows.total()

    def price(self, old: Version | None = None, cleared: int = 0) -> int:
        """Calls, if `cleared` more rows of the cohort of `old` (None: of no cohort) were gone."""
        rows = self._rows.copy()
        rows[old] -= cleared
        calls = self._mix(rows).calls
        return min(calls, 1) if self._flow_wide else calls

    def steps(self, old: Version | None) -> set[int]:
        """Numbers of rows of that cohort whose going could spare a call."""
        replaces = self._mix(self._rows).replaces
        named = self._rows.total() - sum(_sizes(self._rows)[:replaces])
        return {self._rows[old], named % self._chunk or self._chunk}

    def clear(self, old: Version | None, number: int) -> None:
        self._rows[old] -= number

    def _mix(self, rows: Counter[Version | None]) -> Mix:
        return best_mix(rows.total(), _sizes(rows), self._chunk)


def _sizes(rows: Mapping[Version | None, int]) -> list[int]:
    return sorted((number for old, number in rows.items() if old is not None), reverse=True)


def _search(kinds: Mapping[Kind, Sequence[DeviceId]], bills: Mapping[FlowId, _Bill]) -> Counter[Kind]:
    """How many devices of each kind to clear."""
    left = Counter({kind: len(devices) for kind, devices in kinds.items()})
    taken: Counter[Kind] = Counter()
    best, best_cost = taken.copy(), sum(bill.price() for bill in bills.values())
    cost, limit = best_cost, best_cost
    while left.total() and taken.total() < limit:
        gain, number, kind = min(_options(left, bills), key=_preference)
        cost += gain
        for flow_id, old in kind:
            bills[flow_id].clear(old, number)
        taken[kind] += number
        left = left - Counter({kind: number})
        if cost < best_cost:
            best, best_cost = taken.copy(), cost
    return best


def _preference(option: tuple[int, int, Kind]) -> tuple[int, int, list[tuple[FlowId, Version]]]:
    """The fewest calls first, then the fewest devices, then anything definite."""
    gain, number, kind = option
    return gain, number, [(flow_id, old or "") for flow_id, old in kind]


def _options(left: Mapping[Kind, int], bills: Mapping[FlowId, _Bill]) -> Iterator[tuple[int, int, Kind]]:
    """What clearing some more devices of a kind would add to the calls, the number of devices, and the kind."""
    for kind, most in left.items():
        now = sum(bills[flow_id].price() for flow_id, _ in kind)
        for number in {most, *(step for flow_id, old in kind for step in bills[flow_id].steps(old) if 0 < step < most)}:
            then = sum(bills[flow_id].price(old, number) for flow_id, old in kind)
            yield number + then - now, number, kind
