"""Which changes are sent now: those of open waves, and those that go back; the others are withheld.

Going back means that a row returns to what the device reports, or to what its log shows that it ran for the soak. No
wave, stop, window or budget holds that.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from reconciler.model.changes import Changes, Move
from reconciler.model.rollout import NO_HOLD, Hold, Withheld
from reconciler.model.state import NO_RECORD, Decision, DeviceId, FlowId, LiveDevice, Read
from reconciler.planner.resolution.prune import PRUNE
from reconciler.planner.resolution.selector import hashes_of
from reconciler.planner.rollout.budget import Room, Rooms, turns
from reconciler.planner.rollout.position import Position

Holds: TypeAlias = tuple[Hold, ...]  # one for each move of a device


class _Follower(NamedTuple):
    """A row that only `prune` moves, on a device of a rollout."""

    position: Position


_Parts: TypeAlias = tuple[Position | _Follower | None, ...]  # who decides each move: a rollout or nobody of interest


class Step(NamedTuple):
    """What is sent now.

    `sent`: the changes. `holds`: for each device with changes, what a rollout says of each, in the order of its moves;
    devices that no rollout concerns are left out. `counts`: changes by group, wave, and why they are withheld (None:
    sent). `full`: by group, the sets of its budget without room.
    """

    sent: Changes
    holds: Mapping[DeviceId, Holds]
    counts: Mapping[tuple[str, int, Withheld | None], int]
    full: Mapping[str, tuple[Room, ...]]


def withhold(changes: Changes, positions: Iterable[Position], read: Read) -> Step:
    """Divide changes into those that are sent now and those that are withheld."""
    by_group = {position.rollout.group: position for position in positions}
    if not by_group:
        return Step(changes, {}, {}, {})
    held = _Withholding(changes, by_group, read)
    held.waves()
    full = {group: rooms for group, position in sorted(by_group.items()) if (rooms := held.budget(position))}
    held.follow()
    return held.step(full)


class _Withholding:
    def __init__(self, changes: Changes, by_group: Mapping[str, Position], read: Read) -> None:
        self._changes, self._by_group, self._read = changes, by_group, read
        self._holds: dict[DeviceId, list[Hold]] = {}
        self._parts_of: dict[DeviceId, _Parts] = {}  # those with a rollout
        self._going: set[DeviceId] = set()  # devices that this step sends something
        self._candidates: dict[str, list[DeviceId]] = defaultdict(list)  # by group: those that ask its budget

    def waves(self) -> None:
        """Ask the waves of each device with changes."""
        decided, devices = self._changes.decided, self._read.live.devices
        parts_of: dict[tuple[int, tuple[Move, ...]], _Parts] = {}
        for moves, device_ids in self._changes.cohorts.items():
            for device_id in device_ids:
                key = (id(decided[device_id]), moves)
                if (parts := parts_of.get(key)) is None:
                    parts = parts_of[key] = self._parts(decided[device_id], moves)
                if any(parts):
                    self._ask(device_id, devices.get(device_id, NO_RECORD), moves, parts)
                else:
                    self._going.add(device_id)

    def _parts(self, decisions: Mapping[FlowId, Decision], moves: Iterable[Move]) -> _Parts:
        mine = [position for one in decisions.values() if (position := self._by_group.get(one.group or ""))]
        follower = _Follower(mine[0]) if mine else None
        found = [decisions[move.flow_id] for move in moves]
        return tuple(follower if one.rule == PRUNE else self._by_group.get(one.group or "") for one in found)

    def _ask(self, device_id: DeviceId, device: LiveDevice, moves: Sequence[Move], parts: _Parts) -> None:
        holds = [_hold(part, device_id, device, move) for part, move in zip(parts, moves, strict=True)]
        self._holds[device_id], self._parts_of[device_id] = holds, parts
        asking = {
            part.rollout.group
            for part, hold in zip(parts, holds, strict=True)
            if isinstance(part, Position) and part.rollout.policy.budget and hold == Hold(hold.wave)
        }
        for group in asking:
            self._candidates[group].append(device_id)
        if any(_goes_anyway(part, hold) for part, hold in zip(parts, holds, strict=True)) or not any(
            isinstance(part, Position) for part in parts
        ):
            self._going.add(device_id)

    def budget(self, position: Position) -> tuple[Room, ...]:
        """Withhold what a group's budget has no room for. Returns the sets without room."""
        group, rollout = position.rollout.group, position.rollout
        asking = self._candidates.get(group)
        if not asking:
            return ()
        rooms = Rooms(rollout, self._read.live, position.judge.now)
        for device_id in self._going:
            rooms.take(device_id)
        left = []
        for device_id in turns(rollout, hashes_of(asking, rollout.policy.salt), asking):
            if rooms.has_room(device_id):
                rooms.take(device_id)
                self._going.add(device_id)
            else:
                left.append(device_id)
                self._withhold(device_id, group)
        return rooms.without_room(left)

    def _withhold(self, device_id: DeviceId, group: str) -> None:
        decisions, holds = self._changes.decided[device_id], self._holds[device_id]
        for index, move in enumerate(self._changes.devices[device_id]):
            if decisions[move.flow_id].group == group and holds[index] == Hold(holds[index].wave):
                holds[index] = holds[index]._replace(withheld=Withheld.BUDGET)

    def follow(self) -> None:
        """A row that only `prune` moves waits for the other rows of its device, or they would leave a gap."""
        for device_id, parts in self._parts_of.items():
            if any(isinstance(part, _Follower) for part in parts):
                holds = self._holds[device_id]
                first = min(holds, key=_reason)
                for index, part in enumerate(parts):
                    if isinstance(part, _Follower):
                        holds[index] = holds[index]._replace(withheld=first.withheld)

    def step(self, full: Mapping[str, tuple[Room, ...]]) -> Step:
        """The changes that are sent, those of devices that are alike together."""
        shared: dict[Holds, Holds] = {}
        of_device = {one: shared.setdefault(key := tuple(holds), key) for one, holds in self._holds.items()}
        counts = self._counts(of_device)
        if all(hold.withheld is None for holds in shared for hold in holds):
            return Step(self._changes, of_device, counts, full)
        cohorts: dict[tuple[Move, ...], list[DeviceId]] = defaultdict(list)
        going: dict[tuple[tuple[Move, ...], Holds | None], tuple[Move, ...]] = {}
        for moves, device_ids in self._changes.cohorts.items():
            for device_id in device_ids:
                holds = of_device.get(device_id)
                if (moves, holds) not in going:
                    going[moves, holds] = moves if holds is None else _sent(moves, holds)
                if sent := going[moves, holds]:
                    cohorts[sent].append(device_id)
        return Step(Changes(cohorts, self._changes.decided), of_device, counts, full)

    def _counts(self, of_device: Mapping[DeviceId, Holds]) -> Mapping[tuple[str, int, Withheld | None], int]:
        alike = Counter((self._parts_of[one], holds) for one, holds in of_device.items())
        counts: Counter[tuple[str, int, Withheld | None]] = Counter()
        for (parts, holds), number in alike.items():
            for part, hold in zip(parts, holds, strict=True):
                if isinstance(part, Position):
                    counts[part.rollout.group, hold.wave or 0, hold.withheld] += number
        return counts


def _goes_anyway(part: Position | _Follower | None, hold: Hold) -> bool:
    """Whether a change is sent whatever its device's other changes and the budget do."""
    if isinstance(part, Position):
        return hold.withheld is None and (hold.goes_back or part.rollout.policy.budget is None)
    return part is None


def _hold(part: Position | _Follower | None, device_id: DeviceId, device: LiveDevice, move: Move) -> Hold:
    if isinstance(part, Position):
        return part.hold(device_id, device, move)
    return Hold(part.position.rollout.waves[device_id]) if part else NO_HOLD


def _sent(moves: Iterable[Move], holds: Holds) -> tuple[Move, ...]:
    return tuple(move for move, hold in zip(moves, holds, strict=True) if hold.withheld is None)


_ORDER = {reason: rank for rank, reason in enumerate(Withheld)}


def _reason(hold: Hold) -> int:
    """Withheld ones first, by reason."""
    return len(_ORDER) if hold.withheld is None else _ORDER[hold.withheld]
