"""The one rule for wildcards, and the rows that it is about.

A wildcard is allowed only if every row that it could reach under any reading of the API was read, and ends at the
wildcard's own outcome: its change's `to`; without a change, its present released version. Targets, protection,
pruning and pending rows need no rule of their own: a row that must stay has no change, so it ends where it is.

Here the rule is applied to one request, as the executor needs it; `cohorts` applies it to a whole flow at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reconciler.model.changes import Change
from reconciler.model.requests import (
    Release,
    RemoveDevice,
    RemoveFlow,
    RemoveRow,
    Replace,
    Request,
    Wildcard,
    named_rows,
    outcome,
)
from reconciler.model.state import FlowId, Live, LiveDevice, Row


def reach(request: Request, live: Live) -> frozenset[Row]:
    """Every row that a request could move under any reading, by what was read.

    A device with an unknown bundle may run anything, so each `replace` of a flow reaches its row of that flow, also
    where nothing is released: a missing entry and an empty one are the same.
    """
    match request:
        case Release() | RemoveRow():
            return frozenset(named_rows(request))
        case Replace():
            return frozenset(_reach_of_replace(request, live))
        case RemoveDevice():
            record = live.devices.get(request.device_id)
            return frozenset((request.device_id, flow_id) for flow_id in (record.flows if record else ()))
        case RemoveFlow():
            return frozenset(
                (device, request.flow_id) for device, one in live.devices.items() if request.flow_id in one.flows
            )


def _reach_of_replace(request: Replace, live: Live) -> Iterator[Row]:
    for device_id, device in live.devices.items():
        if device.unknown_bundle or request.old in device.flows.get(request.flow_id, ()):
            yield device_id, request.flow_id


def was_read(request: Wildcard, live: Live) -> bool:
    """Whether the read covers all that the wildcard could reach.

    A listing restricted to one flow leaves out devices without it, and so those with an unknown bundle that a
    `replace` reaches; see `overlay`.
    """
    return live.only_flow is None or (isinstance(request, RemoveFlow) and request.flow_id == live.only_flow)


def still_sound(request: Wildcard, changes: Iterable[Change], live: Live) -> bool:
    """Whether a wildcard is allowed by what `live` shows now.

    Args:
        request: the wildcard.
        changes: every change of the plan, those that are done already included.
        live: a read of its reach, which must be whole for a `replace`: see `overlay`.
    """
    if not was_read(request, live):
        return False
    ends = {change.row: change.to_version for change in changes}
    rows = set(reach(request, live))
    if isinstance(request, RemoveDevice):
        rows.update(row for row in ends if row[0] == request.device_id)
    elif isinstance(request, RemoveFlow):
        rows.update(row for row in ends if row[1] == request.flow_id)
    target = outcome(request)
    return all(ends.get(row, live.entry(*row).released) == target for row in rows)


def overlay(whole: Live, fresh: Live) -> Live:
    """A whole read with a newer one, restricted to one flow, laid over it.

    The rows of that flow are those of `fresh`, absent where it has none; everything else stays as it was, but for
    the devices that `fresh` shows: what it says about them is newer.
    """
    if fresh.only_flow is None:
        return fresh
    flow_id = fresh.only_flow
    devices = {device_id: _without(device, flow_id) for device_id, device in whole.devices.items()}
    for device_id, device in fresh.devices.items():
        flows = devices[device_id].flows if device_id in devices else {}
        devices[device_id] = device._replace(flows={**flows, **device.flows})
    return Live(devices, {**whole.flow_names, **fresh.flow_names})


def _without(device: LiveDevice, flow_id: FlowId) -> LiveDevice:
    if flow_id not in device.flows:
        return device
    return device._replace(flows={one: entry for one, entry in device.flows.items() if one != flow_id})
