"""The one rule for wildcards, and the rows that it applies to.

A wildcard is allowed only if every row that it could reach under any reading of the API was read, and ends at the
wildcard's own outcome. A row ends at its change's `to` or, without a change, at its current released version. Targets,
protection, pruning and pending rows need no rules of their own: a row that must stay has no change.

`still_sound` applies the rule to one request; `FlowRows` applies it to every `replace` of a flow, in one pass over the
devices.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from reconciler.model.changes import Change
from reconciler.model.requests import RemoveDevice, RemoveFlow, Replace, Request, Wildcard, named_rows, outcome
from reconciler.model.state import NOTHING, DeviceId, FlowId, Live, Row, Version

Moves: TypeAlias = Mapping[FlowId, Mapping[DeviceId, Version | None]]  # changes: flow -> device -> new version
Ends: TypeAlias = dict[Version | None, list[DeviceId]]  # where rows end -> the devices


def moves_of(changes: Iterable[Change]) -> Moves:
    """Changes by flow and device."""
    moves: dict[FlowId, dict[DeviceId, Version | None]] = defaultdict(dict)
    for change in changes:
        moves[change.flow_id][change.device_id] = change.to_version
    return dict(moves)


def reach(request: Request, live: Live, moves: Moves) -> frozenset[Row]:
    """Every row that a request could move under any reading: by what was read, and by what the plan adds.

    A device with an unknown bundle may run anything, so every `replace` of a flow reaches its row of that flow, even
    where nothing is released: a missing entry and an empty one are equivalent.
    """
    match request:
        case Replace(flow_id, old):
            return frozenset(
                (device_id, flow_id)
                for device_id, device in live.devices.items()
                if device.unknown_bundle or old in device.flows.get(flow_id, ())
            )
        case RemoveDevice(device_id):
            record = live.devices.get(device_id)
            planned = {flow_id for flow_id, targets in moves.items() if device_id in targets}
            return frozenset((device_id, flow_id) for flow_id in planned.union(record.flows if record else ()))
        case RemoveFlow(flow_id):
            having = {device_id for device_id, device in live.devices.items() if flow_id in device.flows}
            return frozenset((device_id, flow_id) for device_id in having.union(moves.get(flow_id, ())))
        case _:
            return frozenset(named_rows(request))


def was_read(request: Wildcard, live: Live) -> bool:
    """Whether the read covers all that the wildcard could reach.

    A listing restricted to one flow omits devices without it, including those with an unknown bundle that a
    `replace` reaches; see `overlay`.
    """
    return live.only_flow is None or (isinstance(request, RemoveFlow) and request.flow_id == live.only_flow)


def still_sound(request: Wildcard, live: Live, moves: Moves) -> bool:
    """Whether a wildcard is still allowed, given the current `live`.

    For a `replace`, `live` must be whole: see `overlay`. `moves` are all changes of the plan, including those done.
    """
    end = outcome(request)
    return was_read(request, live) and all(
        moves.get(flow_id, {}).get(device_id, live.entry(device_id, flow_id).released) == end
        for device_id, flow_id in reach(request, live, moves)
    )


@dataclass(slots=True)
class Cohort:
    """The rows that a `replace` of one old version could reach, except on devices with an unknown bundle.

    `sure`: rows with a change that move under every reading, because released and reported are both the old version.
    """

    ends: Ends = field(default_factory=dict)
    sure: list[DeviceId] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class FlowRows:
    """A flow's rows by version and, separately, where the rows of devices with an unknown bundle end."""

    flow_id: FlowId
    cohorts: Mapping[Version, Cohort]
    unknown_ends: Ends
    live: Live

    def may_replace(self, old: Version, new: Version | None) -> bool:
        """Whether the rule allows that `replace`."""
        ends = self.cohorts[old].ends.keys() | self.unknown_ends.keys()
        return ends <= {new} and was_read(Replace(self.flow_id, old, new), self.live)

    def ends(self, old: Version) -> dict[DeviceId, Version | None]:
        """Where each row that a `replace` could move ends."""
        parts = (self.cohorts[old].ends, self.unknown_ends)
        return {device_id: end for ends in parts for end, devices in ends.items() for device_id in devices}

    def blockers(self, old: Version, new: Version | None) -> Sequence[tuple[DeviceId, Version | None]]:
        """Devices whose row a `replace` could move but must not, and where that row ends; sorted."""
        return sorted((device_id, end) for device_id, end in self.ends(old).items() if end != new)


def flow_rows(flow_id: FlowId, moves: Moves, live: Live) -> FlowRows:
    """Group the rows of a flow, and its changes, by version."""
    cohorts: dict[Version, Cohort] = defaultdict(Cohort)
    unknown_ends: Ends = {}
    targets = moves[flow_id]
    for device_id, device in live.devices.items():
        released, reported = device.flows.get(flow_id, NOTHING)
        end = targets.get(device_id, released)
        if device.unknown_bundle:
            unknown_ends.setdefault(end, []).append(device_id)
        elif released is not None and released == reported and device_id in targets:
            cohorts[released].sure.append(device_id)
        for version in filter(None, {released, reported}):
            cohorts[version].ends.setdefault(end, []).append(device_id)
    return FlowRows(flow_id, dict(cohorts), unknown_ends, live)


def overlay(whole: Live, fresh: Live) -> Live:
    """A whole read, updated with a newer read of one flow.

    The rows of that flow are those of `fresh`, absent where it has none; everything else stays as it was, but for
    the devices that `fresh` shows: what it says about them is newer.
    """
    flow_id = fresh.only_flow
    if flow_id is None:
        return fresh
    devices = dict(whole.devices)
    for device_id, device in whole.devices.items():
        if flow_id in device.flows:
            others = {one: entry for one, entry in device.flows.items() if one != flow_id}
            devices[device_id] = device._replace(flows=others)
    for device_id, device in fresh.devices.items():
        flows = devices[device_id].flows if device_id in devices else {}
        devices[device_id] = device._replace(flows={**flows, **device.flows})
    return Live(devices, {**whole.flow_names, **fresh.flow_names})
