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
from typing import NamedTuple, TypeAlias

from reconciler.model.changes import Change, Changes, Move
from reconciler.model.requests import RemoveDevice, RemoveFlow, Replace, Request, Wildcard, named_rows, outcome
from reconciler.model.state import NO_EVIDENCE, NOTHING, DeviceId, Entry, FlowId, Live, Row, Version, values_of
from reconciler.planner.numbers import entries_of, numbers

Moves: TypeAlias = Mapping[FlowId, Mapping[DeviceId, Version | None]]  # changes: flow -> device -> new version
Ends: TypeAlias = dict[Version | None, list[DeviceId]]  # where rows end -> the devices


def moves_of(changes: Iterable[Change]) -> Moves:
    """Changes by flow and device."""
    moves: dict[FlowId, dict[DeviceId, Version | None]] = defaultdict(dict)
    for move, device_ids in Changes.of(changes).by_move.items():
        moves[move.flow_id].update(dict.fromkeys(device_ids, move.to_version))
    return dict(moves)


class Alike(NamedTuple):
    """Devices with the same entries and the same changes. `targets`: flow -> new version."""

    flows: Mapping[FlowId, Entry]
    unknown_bundle: bool
    targets: Mapping[FlowId, Version | None]
    device_ids: Sequence[DeviceId]


def alike(changes: Changes, live: Live) -> list[Alike]:
    """The devices of a read, those together that are alike."""
    entries = numbers([device.flows for device in live.devices.values()], entries_of)
    found: dict[tuple[int, bool, tuple[Move, ...]], list[DeviceId]] = defaultdict(list)
    beside = values_of(changes.devices, live.devices, ())
    for (device_id, device), moves in zip(live.devices.items(), beside, strict=True):
        found[entries[id(device.flows)], device.unknown_bundle, moves].append(device_id)
    return [
        Alike(live.devices[ids[0]].flows, unknown_bundle, {move.flow_id: move.to_version for move in moves}, ids)
        for (_, unknown_bundle, moves), ids in found.items()
    ]


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

    ends: Ends = field(default_factory=lambda: defaultdict(list))
    sure: list[DeviceId] = field(default_factory=list)


class FlowRows(NamedTuple):
    """A flow's rows by version and, separately, where the rows of devices with an unknown bundle end."""

    flow_id: FlowId
    cohorts: Mapping[Version, Cohort]
    unknown_ends: Ends
    live: Live

    def may_replace(self, old: Version, new: Version | None) -> bool:
        """Whether the rule allows that `replace`."""
        ends = self.cohorts[old].ends.keys() | self.unknown_ends.keys()
        return ends <= {new} and was_read(Replace(self.flow_id, old, new), self.live)

    def reached(self, old: Version) -> int:
        """How many rows a `replace` could move."""
        reached = [*self.cohorts[old].ends.values(), *self.unknown_ends.values()]
        return len(reached[0]) if len(reached) == 1 else len(set().union(*reached))

    def blockers(self, old: Version, new: Version | None) -> tuple[int, DeviceId, Version | None] | None:
        """How many rows a `replace` could move and must not, and the first device, with where its row ends."""
        parts = (self.cohorts[old].ends, self.unknown_ends)
        found = [(end, devices) for ends in parts for end, devices in ends.items() if end != new and devices]
        if not found:
            return None
        number = len(set().union(*(devices for _, devices in found)))
        return number, *min((min(devices), end) for end, devices in found)


def flow_rows(flow_id: FlowId, fleet: Iterable[Alike], live: Live) -> FlowRows:
    """Sort the rows of a flow, with its changes, by version."""
    cohorts: dict[Version, Cohort] = defaultdict(Cohort)
    unknown_ends: Ends = defaultdict(list)
    for flows, unknown_bundle, targets, device_ids in fleet:
        released, reported = flows.get(flow_id, NOTHING)
        end = targets.get(flow_id, released)
        if unknown_bundle:
            unknown_ends[end] += device_ids
        elif released is not None and released == reported and flow_id in targets:
            cohorts[released].sure += device_ids
        for version in filter(None, {released, reported}):
            cohorts[version].ends[end] += device_ids
    return FlowRows(flow_id, dict(cohorts), unknown_ends, live)


def overlay(whole: Live, fresh: Live) -> Live:
    """A whole read, updated with a newer read of one flow.

    The rows of that flow are those of `fresh`, absent where it has none; everything else stays as it was, but for
    the devices that `fresh` shows: what it says about them is newer. Evidence is never older than the rows beside it:
    a device whose rows changed has that of `fresh`, none if `fresh` has none.
    """
    flow_id = fresh.only_flow
    if flow_id is None:
        return fresh
    devices = dict(whole.devices)
    for device_id, device in whole.devices.items():
        if flow_id in device.flows:
            others = {one: entry for one, entry in device.flows.items() if one != flow_id}
            devices[device_id] = device._replace(flows=others, evidence=NO_EVIDENCE)
    for device_id, device in fresh.devices.items():
        flows = devices[device_id].flows if device_id in devices else {}
        devices[device_id] = device._replace(flows={**flows, **device.flows})
    return Live(devices, {**whole.flow_names, **fresh.flow_names})
