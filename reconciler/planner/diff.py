"""Compares desired with live: which rows change, which are pending, and which no manifest declares.

Only the released version is compared; the reported one just distinguishes pending rows from converged ones, so an
offline device is never a change.

A fleet holds few distinct devices: the same rules decide thousands of them, and they run the same versions. So the
work is done once for all that are alike.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from operator import itemgetter
from typing import NamedTuple

from reconciler.model.changes import Changes, Difference, Move, PendingRow, UnmanagedRow
from reconciler.model.log import history_of
from reconciler.model.state import (
    NO_RECORD,
    NOTHING,
    Decision,
    Desired,
    DeviceId,
    Entry,
    FlowId,
    Live,
    LiveDevice,
    are_same,
    values_of,
)
from reconciler.model.world import World
from reconciler.planner.numbers import entries_of, numbers


class _Compared(NamedTuple):
    """What comparing devices that are alike gave for each of them."""

    moves: tuple[Move, ...]
    pending: tuple[tuple[FlowId, Entry], ...]
    unmanaged: tuple[tuple[FlowId, Entry], ...]
    rows: int
    released: int


_ROW = itemgetter(0, 1)
_NO_DECISIONS: Mapping[FlowId, Decision] = {}


def difference_of(world: World) -> Difference:
    """The comparison of a world; that which was made while it was read, if that was of these very rows and records."""
    known = world.compared
    if known and known.desired is world.desired and known.live is world.live:
        return known.difference
    return compare(world.desired, world.live)


def compare(desired: Desired, live: Live) -> Difference:
    """Compare row by row.

    A row that the live read did not cover (`Live.only_flow`) is unknown and left out. Flows that a device holds as
    unmanageable are never changed: they count as unmanaged, declared or not.
    """
    cohorts: dict[tuple[Move, ...], list[DeviceId]] = defaultdict(list)
    pending: list[PendingRow] = []
    unmanaged: list[UnmanagedRow] = []
    rows = released = devices = 0
    for device_ids in _alike(desired, live):
        example = device_ids[0]
        decisions = desired.devices.get(example, _NO_DECISIONS)
        verdict = _judge(decisions, live.devices.get(example, NO_RECORD), live.only_flow)
        rows += verdict.rows * len(device_ids)
        released += verdict.released * len(device_ids)
        devices += len(device_ids) if verdict.rows else 0
        if verdict.moves:
            cohorts[verdict.moves] += device_ids
        for device_id in device_ids if verdict.pending else ():
            device = live.devices[device_id]
            pending += [
                PendingRow(device_id, flow_id, *entry, device.connected, _last_error(device, flow_id))
                for flow_id, entry in verdict.pending
            ]
        unmanaged += [UnmanagedRow(one, flow_id, *entry) for flow_id, entry in verdict.unmanaged for one in device_ids]
    pending.sort(key=_ROW)
    unmanaged.sort(key=_ROW)
    changes = Changes(cohorts, desired.devices)
    return Difference(changes, tuple(pending), tuple(unmanaged), rows, released, devices)


def _last_error(device: LiveDevice, flow_id: FlowId) -> str | None:
    error = history_of(device.logs, flow_id).error
    return error.error if error else None


def _alike(desired: Desired, live: Live) -> Iterable[list[DeviceId]]:
    """The devices that are declared or live, those together that have the same entries and are to run the same."""
    decided, records = desired.devices, live.devices
    wanted = numbers([*decided.values(), _NO_DECISIONS], _versions_of)
    seen = numbers([device.flows for device in records.values()], entries_of)
    found: dict[tuple[int, int, frozenset[FlowId]], list[DeviceId]] = defaultdict(list)
    beside = values_of(decided, records, _NO_DECISIONS)
    for (device_id, device), decisions in zip(records.items(), beside, strict=True):
        found[wanted[id(decisions)], seen[id(device.flows)], device.unmanageable].append(device_id)
    for device_id in () if are_same(decided, records) else decided.keys() - records.keys():
        found[wanted[id(decided[device_id])], -1, NO_RECORD.unmanageable].append(device_id)
    return found.values()


def _versions_of(decisions: Mapping[FlowId, Decision]) -> Hashable:
    return tuple([(flow_id, decision.version) for flow_id, decision in decisions.items()])


def _judge(decisions: Mapping[FlowId, Decision], device: LiveDevice, only_flow: FlowId | None) -> _Compared:
    """Compare one device."""
    flows, unmanageable = device.flows, device.unmanageable
    moves: list[Move] = []
    pending: list[tuple[FlowId, Entry]] = []
    rows = released = 0
    for flow_id, decision in decisions.items():
        if flow_id in unmanageable or only_flow not in (None, flow_id):
            continue
        entry = flows.get(flow_id, NOTHING)
        rows += 1
        released += entry.released is not None
        if entry.released != decision.version:
            moves.append(Move(flow_id, entry.released, decision.version, entry.reported))
        elif entry.reported != entry.released:
            pending.append((flow_id, entry))
    others = flows.keys() - decisions.keys() | unmanageable
    unmanaged = [item for item in flows.items() if item[0] in others and item[1] != NOTHING] if others else []
    moves.sort(key=itemgetter(0))
    return _Compared(tuple(moves), tuple(pending), tuple(unmanaged), rows, released)
