"""Which devices to clear with one call each, where removals span several flows.

`remove` of a whole device saves a call whenever that spares more than one. What a flow's removals cost goes down in
steps (a release names up to a chunk of rows), so devices pay off together or not at all, and the exact minimum is
out of reach in general. Where there are few ways to choose devices all of them are tried, which is exact. Beyond, the
search adds the best devices one kind after the other, also while that does not pay yet, and keeps the cheapest stage of
all; no device at all is the first stage, so it is never worse than none.

Devices are alike when they lose the same flows from the same cohorts; the search counts alike ones only. Flows that
too few devices could spare a call for are set aside before, and among thousands of kinds the search gives up early.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from reconciler.model.requests import RemoveDevice
from reconciler.model.state import DeviceId, FlowId, Live, Version
from reconciler.planner.calls.cohorts import Moves
from reconciler.planner.calls.flow_calls import Group, best_mix
from reconciler.planner.calls.reach import was_read

MOST_PRICES = 20_000  # worked out to try all ways of choosing devices: a fraction of a second
MOST_LOOKS = 300_000  # at kinds, in one search: a few seconds
Kind: TypeAlias = tuple[tuple[FlowId, Version | None], ...]  # flows lost, with the cohort where a replace may do it


def devices_to_clear(groups: Sequence[Group], moves: Mapping[FlowId, Moves], live: Live, chunk: int) -> list[DeviceId]:
    """Devices whose removal as a whole saves calls.

    Args:
        groups: the removals, a group for each flow.
        moves: every change, by flow and device.
        live: what was read.
        chunk: how many rows one release names at most.
    """
    bills = {group.flow_id: _Bill(group, chunk) for group in groups}
    kinds = _worthwhile(_kinds(groups, moves, live), bills)
    prices = len(bills) * math.prod(len(devices) + 1 for devices in kinds.values())
    taken = _try_all(kinds, bills) if prices <= MOST_PRICES else _search(kinds, bills)
    return [device_id for kind, number in taken.items() for device_id in kinds[kind][:number]]


def _kinds(groups: Sequence[Group], moves: Mapping[FlowId, Moves], live: Live) -> dict[Kind, list[DeviceId]]:
    """Devices that may be cleared, by kind."""
    losses: dict[DeviceId, list[tuple[FlowId, Version | None]]] = defaultdict(list)
    for group in sorted(groups, key=lambda group: group.flow_id):
        cohort_of = {device_id: old for old, ids in group.cohorts.items() for device_id in ids}
        for device_id in group.device_ids:
            losses[device_id].append((group.flow_id, cohort_of.get(device_id)))
    kinds: dict[Kind, list[DeviceId]] = defaultdict(list)
    for device_id, lost in losses.items():
        if _may_clear(device_id, moves, live):
            kinds[tuple(lost)].append(device_id)
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
        self._prices: dict[tuple[Version | None, int], int] = {}

    def price(self, old: Version | None = None, cleared: int = 0) -> int:
        """Calls, if `cleared` more rows of the cohort of `old` (None: of no cohort) were gone."""
        if (old, cleared) not in self._prices:
            self._prices[old, cleared] = self.price_without({old: cleared})
        return self._prices[old, cleared]

    def price_without(self, cleared: Mapping[Version | None, int]) -> int:
        """Calls, if so many more rows of each cohort were gone."""
        rows = self._rows.copy()
        rows.subtract(cleared)
        calls = best_mix(rows.total(), _sizes(rows), self._chunk).calls
        return min(calls, 1) if self._flow_wide else calls

    def steps(self) -> list[int]:
        """How many rows must go, at least, before a mix with so many replaces is a call cheaper."""
        total, calls = self._rows.total(), self.price()
        if self._flow_wide:
            return [total]
        sizes = _sizes(self._rows)
        return [
            total - sum(sizes[:replaces]) - self._chunk * (calls - 1 - replaces) for replaces in range(len(sizes) + 1)
        ]

    def clear(self, old: Version | None, number: int) -> None:
        """Let rows of a cohort be gone."""
        self._rows[old] -= number
        self._prices.clear()


def _sizes(rows: Mapping[Version | None, int]) -> list[int]:
    return sorted((number for old, number in rows.items() if old is not None), reverse=True)


def _worthwhile(kinds: Mapping[Kind, list[DeviceId]], bills: Mapping[FlowId, _Bill]) -> Mapping[Kind, list[DeviceId]]:
    """Kinds less the flows where clearing devices cannot spare a call, and less those left with one flow or none.

    A flow is out of the question if fewer of its rows can go than its first step needs: clearing more devices than
    there are calls to spare never pays. One flow alone spares a call at most, which clearing the device costs.
    """
    most = sum(bill.price() for bill in bills.values()) - 1
    losing = Counter[FlowId]()
    for kind, devices in kinds.items():
        losing.update({flow_id: len(devices) for flow_id, _ in kind})
    kept: dict[Kind, list[DeviceId]] = defaultdict(list)
    for kind, devices in kinds.items():
        flows = tuple(loss for loss in kind if min(bills[loss[0]].steps()) <= min(most, losing[loss[0]]))
        if len(flows) > 1:
            kept[flows] += devices
    return kinds if kept == kinds else _worthwhile(kept, bills)


def _try_all(kinds: Mapping[Kind, Sequence[DeviceId]], bills: Mapping[FlowId, _Bill]) -> Counter[Kind]:
    """How many devices of each kind to clear: the fewest calls, then the fewest devices, then anything definite."""
    ordered = sorted(kinds, key=_definite)
    flows = {flow_id for kind in ordered for flow_id, _ in kind}

    def cost(numbers: tuple[int, ...]) -> tuple[int, int, tuple[int, ...]]:
        cleared = {flow_id: Counter[Version | None]() for flow_id in flows}
        for kind, number in zip(ordered, numbers, strict=True):
            for flow_id, old in kind:
                cleared[flow_id][old] += number
        calls = sum(bills[flow_id].price_without(cleared[flow_id]) for flow_id in flows)
        return sum(numbers) + calls, sum(numbers), numbers

    best = min(itertools.product(*(range(len(kinds[kind]) + 1) for kind in ordered)), key=cost)
    return Counter(dict(zip(ordered, best, strict=True)))


def _search(kinds: Mapping[Kind, Sequence[DeviceId]], bills: Mapping[FlowId, _Bill]) -> Counter[Kind]:
    """How many devices of each kind to clear."""
    left = Counter({kind: len(devices) for kind, devices in kinds.items()})
    taken: Counter[Kind] = Counter()
    best, best_cost = taken.copy(), sum(bill.price() for bill in bills.values())
    cost, looks = best_cost, 0
    while left.total() and taken.total() < best_cost and (looks := looks + len(left)) <= MOST_LOOKS:
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
    return gain, number, _definite(kind)


def _definite(kind: Kind) -> list[tuple[FlowId, Version]]:
    """An order of kinds that is the same in every run."""
    return [(flow_id, old or "") for flow_id, old in kind]


def _options(left: Mapping[Kind, int], bills: Mapping[FlowId, _Bill]) -> Iterator[tuple[int, int, Kind]]:
    """What clearing some more devices of a kind would add to the calls, the number of devices, and the kind."""
    for kind, most in left.items():
        now = sum(bills[flow_id].price() for flow_id, _ in kind)
        for number in {most, *(min(step, most) for flow_id, _ in kind for step in bills[flow_id].steps())}:
            then = sum(bills[flow_id].price(old, number) for flow_id, old in kind)
            yield number + then - now, number, kind
