"""A plan proves itself before it is shown or sent: its calls run on a model of the API, under every reading.

The model is `effects`. This module shares no code and no reasoning with the search for calls, on purpose.

No call makes rows depend on each other, so the proof follows one row at a time, and one of each kind only: rows that
were read alike, must end alike and are named by the same calls have the same fate. What is left of 100,000 devices
is a handful of fates.

Calls may go in every order that `after` permits. Where some order lets a row go astray, one call moves the row and
another one then takes it further; so it is enough to follow, for each call, the order in which it goes as early as
it may and all that need not precede it comes after.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple, NoReturn

from reconciler.errors import PlanUnsound, Problem
from reconciler.model.changes import Change
from reconciler.model.plan import PlannedCall
from reconciler.model.requests import Release, RemoveDevice, RemoveFlow, RemoveRow, Replace, named_rows, outcome
from reconciler.model.state import NOTHING, DeviceId, Entry, FlowId, Live, LiveDevice, Row, Version
from reconciler.planner.calls.effects import Reading, as_read

_NO_RECORD = LiveDevice(flows={})
MOST_NAMED = 1000  # device ids in one release, by the API's schema


def prove(changes: Sequence[Change], calls: Sequence[PlannedCall], live: Live) -> None:
    """Check that the calls bring each change to its `to` and move no other row, whatever the API does.

    Raises:
        PlanUnsound: they do not. That is a bug of ours, and nothing may be sent.
    """
    _check_form(changes, calls, live)
    board = _Board(calls)
    for kind, row in _kinds(changes, board, live).items():
        for order in _orders(kind, board):
            in_turn = [calls[number] for number in order]
            # Only what a replace does depends on the reading.
            replaces = any(isinstance(call.request, Replace) for call in in_turn)
            for reading in Reading if replaces else (Reading.RELEASED,):
                _follow(kind, row, in_turn, reading)


class _Kind(NamedTuple):
    """What decides a row's fate: how it was read, where it must end, and the calls that name it or its device."""

    flow_id: FlowId
    entry: Entry
    unknown_bundle: bool
    end: Version | None
    calls: tuple[int, ...]


class _Board:
    """Calls by what they could touch, and for each call those that precede it in every order."""

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
                case RemoveDevice():
                    device_id = call.request.device_id
                    self.clearing[device_id] = (*self.clearing.get(device_id, ()), call.id)
                case Release() | RemoveRow():
                    naming = self.naming[call.request.flow_id]
                    for device_id, _ in named_rows(call.request):
                        naming[device_id] = (*naming.get(device_id, ()), call.id)

    def cleared_flows(self, live: Live) -> set[FlowId]:
        """Every flow of a device that is cleared."""
        return {
            flow for device_id in self.clearing if device_id in live.devices for flow in live.devices[device_id].flows
        }

    def touching(self, kind: _Kind) -> list[int]:
        """Every call that could touch a row of this kind, at first or after other calls; in sending order."""
        touching = set(kind.calls)
        versions = {*kind.entry, *(outcome(self.calls[number].request) for number in kind.calls)}
        waiting = list(self.flow_wide.get(kind.flow_id, ()))
        while hits := [number for number in waiting if self._could_hit(number, versions, kind)]:
            touching.update(hits)
            versions.update(outcome(self.calls[number].request) for number in hits)
            waiting = [number for number in waiting if number not in touching]
        return sorted(touching)

    def _could_hit(self, number: int, versions: set[Version | None], kind: _Kind) -> bool:
        request = self.calls[number].request
        return kind.unknown_bundle or not isinstance(request, Replace) or request.old in versions


def _check_form(changes: Sequence[Change], calls: Sequence[PlannedCall], live: Live) -> None:
    """What must hold of any list of calls, before its effects are worth looking at."""
    carried = [row for call in calls for row in call.rows]
    if len(carried) != len(changes) or set(carried) != {change.row for change in changes}:
        _fail("its calls do not carry each change once")
    for number, call in enumerate(calls):
        if call.id != number or any(not 0 <= other < number for other in call.after):
            _fail(f"call {call.id} is out of order")
        match call.request:
            case Release() | RemoveRow():
                named = named_rows(call.request)
                if sorted(named) != sorted(call.rows) or not 1 <= len(named) <= MOST_NAMED:
                    _fail(f"call {number} names other rows than it carries, none, or more than {MOST_NAMED}")
            case RemoveDevice() | Replace():
                # Restricted to a flow, a read shows neither a whole device nor the devices with an unknown bundle.
                if live.only_flow is not None:
                    _fail(f"call {number} reaches further than what was read")
            case RemoveFlow():
                if live.only_flow not in (None, call.request.flow_id):
                    _fail(f"call {number} reaches further than what was read")


def _kinds(changes: Sequence[Change], board: _Board, live: Live) -> dict[_Kind, Row]:
    """Each kind of row that a change is about or a call could touch, with one row of it."""
    moves: dict[FlowId, dict[DeviceId, Version | None]] = defaultdict(dict)
    for change in changes:
        moves[change.flow_id][change.device_id] = change.to_version
    kinds: dict[_Kind, Row] = {}
    for flow_id in {*moves, *board.naming, *board.flow_wide, *board.cleared_flows(live)}:
        for kind, device_id in _flow_kinds(flow_id, moves[flow_id], board, live).items():
            kinds[_Kind(flow_id, *kind)] = (device_id, flow_id)
    return kinds


def _flow_kinds(
    flow_id: FlowId, moves: Mapping[DeviceId, Version | None], board: _Board, live: Live
) -> dict[tuple[Entry, bool, Version | None, tuple[int, ...]], DeviceId]:
    """The kinds of one flow's rows, without the flow."""
    naming, clearing, records = board.naming[flow_id], board.clearing, live.devices
    devices = moves.keys() | naming.keys() | clearing.keys()
    if flow_id in board.flow_wide:
        devices |= records.keys()
    kinds = {}
    for device_id in devices:
        device = records.get(device_id, _NO_RECORD)
        entry = device.flows.get(flow_id, NOTHING)
        calls = naming.get(device_id, ()) + clearing.get(device_id, ())
        kinds[entry, device.unknown_bundle, moves.get(device_id, entry.released), calls] = device_id
    return kinds


def _orders(kind: _Kind, board: _Board) -> set[tuple[int, ...]]:
    """For each call that could touch the row, the order in which it goes as early as it may."""
    touching = board.touching(kind)
    orders = set()
    for number in touching:
        first = [other for other in touching if other in board.before[number]]
        orders.add((*first, number, *(other for other in touching if other != number and other not in first)))
    return orders or {()}


def _follow(kind: _Kind, row: Row, calls: Sequence[PlannedCall], reading: Reading) -> None:
    """Run calls over one row, which may only stay where it is or be where it must end."""
    fate = as_read(kind.entry, unknown_bundle=kind.unknown_bundle)
    for call in calls:
        fate = fate.after(call.request, reading)
        if not fate.released <= {kind.entry.released, kind.end}:
            _fail(f"call {call.id} could move {_told(kind, row)} elsewhere ({_circumstances(calls, reading)})")
    if fate.released != {kind.end}:
        _fail(f"its calls might not move {_told(kind, row)} ({_circumstances(calls, reading)})")


def _told(kind: _Kind, row: Row) -> str:
    """A row in words that a bug report can start from."""
    entry, unknown = kind.entry, ", unknown bundle" if kind.unknown_bundle else ""
    read = f"released {entry.released}, reported {entry.reported}{unknown}"
    return f"device {row[0]}, flow {row[1]} ({read}), which must end at {kind.end},"


def _circumstances(calls: Sequence[PlannedCall], reading: Reading) -> str:
    order = ", ".join(f"{call.id} {call.request.action} {call.request.body}" for call in calls)
    return f"if replace matches {reading}; calls: {order[:1000] or 'none'}"


def _fail(message: str) -> NoReturn:
    hint = "nothing was sent; this is a bug of reconciler, please report it with this text"
    raise PlanUnsound([Problem(f"the plan failed its own proof: {message}", hint=hint)])
