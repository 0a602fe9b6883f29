"""Proves a plan before it is shown or sent: its calls are run on a model of the API, under every reading.

The model is `effects`. On purpose, this module shares no reasoning with the search for calls, and no code beyond the
values of `model/`.

Calls do not make rows depend on each other, so the proof follows one row at a time, and only one per profile: rows
that were read alike, must end alike and are named by the same calls end alike. 100,000 devices are thus reduced to a
handful of rows.

Calls may be sent in every order that `after` permits. If some order moves a row to a wrong version, one call moves it
and another moves it further; so it is enough to follow, for each call, the order in which it is sent as early as
possible and every call that need not precede it comes later.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple, NoReturn, TypeAlias

from reconciler.errors import PlanUnsound, Problem
from reconciler.model.changes import Change, Changes, FlowDevices, Move
from reconciler.model.plan import PlannedCall
from reconciler.model.requests import Release, RemoveDevice, RemoveFlow, RemoveRow, Replace, outcome
from reconciler.model.state import (
    NO_RECORD,
    NOTHING,
    DeviceId,
    Entry,
    FlowId,
    Live,
    Row,
    Version,
    are_same,
    values_of,
)
from reconciler.planner.calls.effects import Reading, as_read
from reconciler.planner.numbers import entries_of, numbers

MOST_NAMED = 1000  # device ids in one release, by the API's schema


def prove(changes: Sequence[Change], calls: Sequence[PlannedCall], live: Live) -> None:
    """Check that the calls bring each change to its `to` and move no other row, whatever the API does.

    Raises:
        PlanUnsound: they do not. That is a bug in reconciler, and nothing may be sent.
    """
    changes = Changes.of(changes)
    _check_form(changes, calls, live)
    index = _CallIndex(calls)
    for profile, row in _profiles(changes, index, live).items():
        for order in index.orders(profile):
            in_turn = [calls[number] for number in order]
            # Only the effect of a replace depends on the reading.
            replaces = any(isinstance(call.request, Replace) for call in in_turn)
            for reading in Reading if replaces else (Reading.RELEASED,):
                _follow(profile, row, in_turn, reading)


class _Profile(NamedTuple):
    """Everything that determines where a row ends: its state when read, its target, and the calls that name it."""

    flow_id: FlowId
    entry: Entry
    unknown_bundle: bool
    end: Version | None
    calls: tuple[int, ...]


class _CallIndex:
    """Calls indexed by what they could touch, and for each call those that precede it in every order."""

    def __init__(self, calls: Sequence[PlannedCall]) -> None:
        self.calls = calls
        self.naming: dict[FlowId, dict[DeviceId, tuple[int, ...]]] = defaultdict(dict)
        self.clearing: dict[DeviceId, tuple[int, ...]] = {}
        self.flow_wide: dict[FlowId, list[int]] = defaultdict(list)
        self.before: list[frozenset[int]] = []
        for call in calls:
            self.before.append(frozenset(call.after).union(*(self.before[other] for other in call.after)))
            match call.request:
                case Replace() | RemoveFlow():
                    self.flow_wide[call.request.flow_id].append(call.id)
                case RemoveDevice(device_id):
                    self.clearing[device_id] = (*self.clearing.get(device_id, ()), call.id)
                case Release() | RemoveRow():
                    naming = self.naming[call.request.flow_id]
                    named = dict.fromkeys(_named(call.request), (call.id,))
                    again = {device_id: naming[device_id] + named[device_id] for device_id in naming.keys() & named}
                    naming.update(named | again)

    def touching(self, profile: _Profile) -> list[int]:
        """Every call that could touch such a row, directly or after other calls; in sending order."""
        touching = set(profile.calls)
        versions = {*profile.entry, *(outcome(self.calls[number].request) for number in profile.calls)}
        waiting = list(self.flow_wide.get(profile.flow_id, ()))
        while hits := [number for number in waiting if self._could_hit(number, versions, profile)]:
            touching.update(hits)
            versions.update(outcome(self.calls[number].request) for number in hits)
            waiting = [number for number in waiting if number not in touching]
        return sorted(touching)

    def _could_hit(self, number: int, versions: set[Version | None], profile: _Profile) -> bool:
        request = self.calls[number].request
        return profile.unknown_bundle or not isinstance(request, Replace) or request.old in versions

    def orders(self, profile: _Profile) -> set[tuple[int, ...]]:
        """For each call that could touch the row, the order in which it is sent as early as possible."""
        touching = self.touching(profile)
        orders = set()
        for number in touching:
            before = self.before[number]
            orders.add(tuple(sorted(touching, key=lambda one: (one not in before, one != number))))
        return orders or {()}


def _check_form(changes: Changes, calls: Sequence[PlannedCall], live: Live) -> None:
    """What must be true of any list of calls, before its effects are worth looking at."""
    carried = _by_flow(call.rows for call in calls)
    moving = _by_flow(FlowDevices(move.flow_id, ids) for move, ids in changes.by_move.items())
    if carried != moving:
        _fail("its calls do not carry each change exactly once")
    for number, call in enumerate(calls):
        if call.id != number or any(not 0 <= other < number for other in call.after):
            _fail(f"call {call.id} is out of order")
        match call.request:
            case Release() | RemoveRow():
                rows = FlowDevices(call.request.flow_id, sorted(_named(call.request)))
                if rows != sorted(call.rows) or not 1 <= len(rows) <= MOST_NAMED:
                    _fail(f"call {number} does not name exactly its rows, 1 to {MOST_NAMED} of them")
            case RemoveFlow(flow_id) if flow_id == live.only_flow:
                pass
            case _ if live.only_flow is not None:
                # A read of one flow shows neither whole devices nor the devices with an unknown bundle.
                _fail(f"call {number} reaches beyond what was read")


def _named(request: Release | RemoveRow) -> Sequence[DeviceId]:
    return request.device_ids if isinstance(request, Release) else (request.device_id,)


def _by_flow(parts: Iterable[Sequence[Row]]) -> dict[FlowId, list[DeviceId]]:
    """The devices of all rows by flow, sorted."""
    found: dict[FlowId, list[DeviceId]] = defaultdict(list)
    for rows in parts:
        if isinstance(rows, FlowDevices):
            found[rows.flow_id] += rows.device_ids
        else:
            for device_id, flow_id in rows:
                found[flow_id].append(device_id)
    return {flow_id: sorted(device_ids) for flow_id, device_ids in found.items()}


def _profiles(changes: Changes, index: _CallIndex, live: Live) -> dict[_Profile, Row]:
    """The profile of each row that a change is about or a call could touch, with one such row."""
    records, clearing = live.devices, index.clearing
    changing = {move.flow_id for move in changes.by_move}
    cleared_flows = {flow_id for device_id in clearing.keys() & records.keys() for flow_id in records[device_id].flows}
    flow_ids = sorted({*changing, *index.naming, *index.flow_wide, *cleared_flows})
    profiles: dict[_Profile, Row] = {}
    for (_, unknown_bundle, moves, cleared), device_ids in _alike(changes, index, live).items():
        flows = records.get(device_ids[0], NO_RECORD).flows
        targets = {move.flow_id: move.to_version for move in moves}
        for flow_id in flow_ids:
            entry = flows.get(flow_id, NOTHING)
            naming = index.naming[flow_id]
            examples = (
                dict(zip(map(naming.get, device_ids), device_ids, strict=True)) if naming else {None: device_ids[0]}
            )
            for named, device_id in examples.items():
                calls = (named or ()) + cleared
                if calls or flow_id in targets or flow_id in index.flow_wide:
                    end = targets.get(flow_id, entry.released)
                    profiles[_Profile(flow_id, entry, unknown_bundle, end, calls)] = (device_id, flow_id)
    return profiles


_Likeness: TypeAlias = tuple[int, bool, tuple[Move, ...], tuple[int, ...]]


def _alike(changes: Changes, index: _CallIndex, live: Live) -> dict[_Likeness, list[DeviceId]]:
    """The devices that were read, are to change or are named; those with the same entries and changes together."""
    records, changing, cleared_by = live.devices, changes.devices, index.clearing.get
    found: dict[_Likeness, list[DeviceId]] = defaultdict(list)
    others = chain(() if are_same(changing, records) else changing, index.clearing, *index.naming.values())
    unread = {one for one in others if one not in records}
    read = records
    if not index.flow_wide:
        named = {*changing, *index.clearing}.union(*index.naming.values())
        read = {one: records[one] for one in sorted(records.keys() & named)}
    entries = numbers([device.flows for device in read.values()], entries_of)
    for (device_id, device), moves in zip(read.items(), values_of(changing, read, ()), strict=True):
        cleared = cleared_by(device_id, ()) if index.clearing else ()
        found[entries[id(device.flows)], device.unknown_bundle, moves, cleared].append(device_id)
    for device_id in sorted(unread):
        found[-1, False, changing.get(device_id, ()), cleared_by(device_id, ())].append(device_id)
    return found


def _follow(profile: _Profile, row: Row, calls: Sequence[PlannedCall], reading: Reading) -> None:
    """Run calls over one row, which may only stay where it is or move to its target."""
    state = as_read(profile.entry, unknown_bundle=profile.unknown_bundle)
    for call in calls:
        state = state.after(call.request, reading)
        if not state.released <= {profile.entry.released, profile.end}:
            _fail(f"call {call.id} could move {_described(profile, row)} elsewhere ({_circumstances(calls, reading)})")
    if state.released != {profile.end}:
        _fail(f"its calls might not move {_described(profile, row)} ({_circumstances(calls, reading)})")


def _described(profile: _Profile, row: Row) -> str:
    """A row described with the details that a bug report needs."""
    entry, unknown = profile.entry, ", unknown bundle" if profile.unknown_bundle else ""
    read = f"released {entry.released}, reported {entry.reported}{unknown}"
    return f"device {row[0]}, flow {row[1]} ({read}), which must end at {profile.end},"


def _circumstances(calls: Sequence[PlannedCall], reading: Reading) -> str:
    order = ", ".join(f"{call.id} {call.action} {call.body}" for call in calls)
    return f"if replace matches {reading}; calls: {order[:1000] or 'none'}"


def _fail(message: str) -> NoReturn:
    hint = "nothing was sent; this is a bug in reconciler, please report it with this text"
    raise PlanUnsound([Problem(f"the plan failed its own proof: {message}", hint=hint)])
