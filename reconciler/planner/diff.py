"""Compares desired with live: which rows change, which are pending, and which no manifest declares.

Only the released version is compared; the reported one just distinguishes pending rows from converged ones, so an
offline device is never a change.

A fleet has few distinct devices: the same rules decide thousands of them, and they run the same versions. So each
distinct pair of (decisions, entries) is compared once and the result is shared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import NamedTuple

from reconciler.model.changes import Change, PendingRow, UnmanagedRow
from reconciler.model.log import history_of
from reconciler.model.state import NO_RECORD, NOTHING, Decision, Desired, DeviceId, Entry, FlowId, Live, LiveDevice


@dataclass(frozen=True, slots=True)
class Difference:
    """The result of a comparison. Lists are sorted by device, then flow.

    `rows` counts the managed rows, `released` those of them with a released version, `devices` the distinct devices
    that have a managed row.
    """

    changes: tuple[Change, ...]
    pending: tuple[PendingRow, ...]
    unmanaged: tuple[UnmanagedRow, ...]
    rows: int
    released: int
    devices: int

    @property
    def kept(self) -> int:
        """Managed rows that need no change, the pending ones included."""
        return self.rows - len(self.changes)


class _Compared(NamedTuple):
    """The result of comparing one device, without the device itself."""

    changes: tuple[tuple[FlowId, Entry, Decision], ...]
    pending: tuple[tuple[FlowId, Entry], ...]
    unmanaged: tuple[tuple[FlowId, Entry], ...]
    rows: int
    released: int
    quiet: bool
    decisions: Mapping[FlowId, Decision]  # referenced so that its id() stays unique while the memo exists


_ROW = itemgetter(0, 1)
_NO_DECISIONS: Mapping[FlowId, Decision] = {}


def compare(desired: Desired, live: Live) -> Difference:
    """Compare row by row.

    Rows that the live read did not cover (`Live.only_flow`) are unknown and skipped. Flows that a device lists as
    unmanageable never change: they count as unmanaged, declared or not.
    """
    changes: list[Change] = []
    pending: list[PendingRow] = []
    unmanaged: list[UnmanagedRow] = []
    rows = released = devices = 0
    for device_id, device, verdict in _compared(desired, live):
        rows += verdict.rows
        released += verdict.released
        devices += verdict.rows > 0
        if verdict.quiet:
            continue
        changes += [
            Change(device_id, flow_id, entry.released, decision.version, entry.reported, decision.place)
            for flow_id, entry, decision in verdict.changes
        ]
        pending += [
            PendingRow(device_id, flow_id, *entry, device.connected, _last_error(device, flow_id))
            for flow_id, entry in verdict.pending
        ]
        unmanaged += [UnmanagedRow(device_id, flow_id, *entry) for flow_id, entry in verdict.unmanaged]
    for rows_found in (changes, pending, unmanaged):
        rows_found.sort(key=_ROW)
    return Difference(tuple(changes), tuple(pending), tuple(unmanaged), rows, released, devices)


def _last_error(device: LiveDevice, flow_id: FlowId) -> str | None:
    error = history_of(device.logs, flow_id).error
    return error.error if error else None


def _compared(desired: Desired, live: Live) -> Iterable[tuple[DeviceId, LiveDevice, _Compared]]:
    """Every device that is declared or live, with its record and the result of comparing it."""
    memo: dict[tuple[object, ...], _Compared] = {}
    decided, records, only_flow = desired.devices, live.devices, live.only_flow
    unrecorded = ((device_id, NO_RECORD) for device_id in decided if device_id not in records)
    for device_id, device in chain(records.items(), unrecorded):
        decisions, flows = decided.get(device_id, _NO_DECISIONS), device.flows
        key = (id(decisions), device.unmanageable, *flows, *flows.values())
        verdict = memo.get(key)
        if verdict is None:
            verdict = memo[key] = _judge(decisions, device, only_flow)
        yield device_id, device, verdict


def _judge(decisions: Mapping[FlowId, Decision], device: LiveDevice, only_flow: FlowId | None) -> _Compared:
    """Compare one device."""
    flows, unmanageable = device.flows, device.unmanageable
    changes: list[tuple[FlowId, Entry, Decision]] = []
    pending: list[tuple[FlowId, Entry]] = []
    rows = released = 0
    for flow_id, decision in decisions.items():
        if flow_id in unmanageable or only_flow not in (None, flow_id):
            continue
        entry = flows.get(flow_id, NOTHING)
        rows += 1
        released += entry.released is not None
        if entry.released != decision.version:
            changes.append((flow_id, entry, decision))
        elif entry.reported != entry.released:
            pending.append((flow_id, entry))
    others = flows.keys() - decisions.keys() | unmanageable
    unmanaged = [item for item in flows.items() if item[0] in others and item[1] != NOTHING] if others else []
    quiet = not (changes or pending or unmanaged)
    return _Compared(tuple(changes), tuple(pending), tuple(unmanaged), rows, released, quiet, decisions)
