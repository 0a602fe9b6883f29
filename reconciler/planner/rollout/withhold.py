"""Which changes are sent now: those of open waves, and those that go back; the others are withheld.

Going back means that a row returns to what the device reports, or to what its log shows that it ran for the soak. No
wave, stop, window or budget holds that.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import NamedTuple, TypeAlias

from reconciler.model.changes import Changes, Move
from reconciler.model.rollout import NO_HOLD, Hold, Withheld
from reconciler.model.state import NO_ITEMS, NO_RECORD, NOTHING, Decision, DeviceId, FlowId, LiveDevice, Read, values_of
from reconciler.planner.resolution.percent import hashes_of
from reconciler.planner.resolution.prune import PRUNE
from reconciler.planner.rollout.budget import Room, Rooms, turns
from reconciler.planner.rollout.position import Position

Holds: TypeAlias = tuple[Hold, ...]  # one for each move of a device


class _Follower(NamedTuple):
    """A row that only `prune` moves, on a device of a rollout."""

    position: Position

    @property
    def waves(self) -> Mapping[DeviceId, int]:
        """The waves of devices."""
        return self.position.waves


_Parts: TypeAlias = tuple[Position | _Follower | None, ...]  # who decides each move: a rollout or nobody of interest


class _Said(NamedTuple):
    """The moves of a device, who decides each, and what is said of it. Devices of which the same is said share it."""

    moves: tuple[Move, ...]
    parts: _Parts
    holds: Holds


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
    """What the rollouts say of each device: once for all devices that are alike, as far as their logs' times allow."""

    def __init__(self, changes: Changes, by_group: Mapping[str, Position], read: Read) -> None:
        self._changes, self._by_group, self._read = changes, by_group, read
        self._said: dict[DeviceId, _Said] = {}
        self._has_followers = False
        self._going: set[DeviceId] = set()  # devices that this step sends something
        self._candidates: dict[str, list[DeviceId]] = defaultdict(list)  # by group: those that ask its budget

    def waves(self) -> None:
        """Ask the waves of each device with changes."""
        decided, records, said, going = self._changes.decided, self._read.live.devices, self._said, self._going
        has_budget = any(one.rollout.policy.budget for one in self._by_group.values())
        for moves, device_ids in self._changes.cohorts.items():
            known: dict[Hashable, _Said] = {}
            parts_of: dict[int, tuple[_Parts, list[Mapping[DeviceId, int]]]] = {}
            unconcerned = _Said(moves, (None,) * len(moves), (NO_HOLD,) * len(moves))
            beside = zip(
                device_ids,
                values_of(decided, device_ids, NO_ITEMS),
                values_of(records, device_ids, NO_RECORD),
                strict=True,
            )
            for device_id, decisions, device in beside:
                key = id(decisions)
                if key not in parts_of:
                    parts = self._parts(device_id, decisions, moves)
                    parts_of[key] = parts, [*{id(part.waves): part.waves for part in parts if part}.values()]
                parts, numbered = parts_of[key]
                if not numbered:
                    going.add(device_id)
                    said[device_id] = unconcerned
                    continue
                waves = numbered[0][device_id] if len(numbered) == 1 else tuple([one[device_id] for one in numbered])
                alike = (key, waves, id(device.flows), id(device.evidence.lines), device.unknown_bundle)
                if (found := known.get(alike)) is None:
                    found = _Said(moves, parts, tuple(map(_hold, parts, repeat(device_id), repeat(device), moves)))
                    if self._is_timeless(found, device):
                        known[alike] = found
                said[device_id] = found
                if has_budget:
                    self._ask(device_id, found)

    @staticmethod
    def _is_timeless(said: _Said, device: LiveDevice) -> bool:
        """Whether the same is said of every device that is alike, whatever the times in its log."""
        return not any(
            isinstance(part, Position) and part.judge.depends_on_times(device, move)
            for part, move in zip(said.parts, said.moves, strict=True)
        )

    def _parts(self, device_id: DeviceId, decisions: Mapping[FlowId, Decision], moves: Sequence[Move]) -> _Parts:
        found = [decisions[move.flow_id] for move in moves]
        follower = None
        if any(one.rule == PRUNE for one in found):  # filters may have left out the rows that a group decides
            mine = [position for one in decisions.values() if (position := self._by_group.get(one.group or ""))]
            mine = mine or [one for one in self._by_group.values() if device_id in one.waves]
            follower = _Follower(mine[0]) if mine else None
            self._has_followers |= follower is not None
        return tuple(follower if one.rule == PRUNE else self._by_group.get(one.group or "") for one in found)

    def _ask(self, device_id: DeviceId, said: _Said) -> None:
        """Note which budgets a device has to ask; one that asks none goes if something is sent to it."""
        asking = {
            part.rollout.group
            for part, hold in zip(said.parts, said.holds, strict=True)
            if isinstance(part, Position) and part.rollout.policy.budget and hold == Hold(hold.wave)
        }
        for group in asking:
            self._candidates[group].append(device_id)
        decided_by_rollout = any(isinstance(part, Position) for part in said.parts)
        if not decided_by_rollout or any(map(_goes_anyway, said.parts, said.holds)):
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
        said = self._said[device_id]
        holds = tuple(
            hold._replace(withheld=Withheld.BUDGET)
            if isinstance(part, Position) and part.rollout.group == group and hold == Hold(hold.wave)
            else hold
            for part, hold in zip(said.parts, said.holds, strict=True)
        )
        self._said[device_id] = said._replace(holds=holds)

    def follow(self) -> None:
        """A row that only `prune` moves waits for the other rows of its device, or they would leave a gap."""
        for device_id, said in self._said.items() if self._has_followers else ():
            if any(isinstance(part, _Follower) for part in said.parts):
                why = min([*said.holds, *self._left_out(device_id)], key=_reason).withheld
                follow = [
                    hold._replace(withheld=why) if isinstance(part, _Follower) else hold
                    for part, hold in zip(said.parts, said.holds, strict=True)
                ]
                self._said[device_id] = said._replace(holds=tuple(follow))

    def _left_out(self, device_id: DeviceId) -> Iterator[Hold]:
        """What the waves say of the device's other rows: filters leave changes out, but a gap would be the same."""
        moves, device = self._changes.devices[device_id], self._read.live.devices.get(device_id, NO_RECORD)
        known = {move.flow_id for move in moves} | device.unmanageable
        for position in self._by_group.values():
            for flow_id, target in position.rollout.rows.get(device_id, {}).items():
                entry = device.flows.get(flow_id, NOTHING)
                if flow_id not in known and entry.released != target:
                    yield position.hold(device_id, device, Move(flow_id, entry.released, target, entry.reported))

    def step(self, full: Mapping[str, tuple[Room, ...]]) -> Step:
        """The changes that are sent, those of devices that are alike together."""
        alike: dict[int, list[DeviceId]] = defaultdict(list)
        for device_id, said in self._said.items():
            alike[id(said)].append(device_id)
        of_device: dict[DeviceId, Holds] = {}
        counts: Counter[tuple[str, int, Withheld | None]] = Counter()
        cohorts: dict[tuple[Move, ...], list[DeviceId]] = defaultdict(list)
        for device_ids in alike.values():
            moves, parts, holds = self._said[device_ids[0]]
            if any(parts):
                of_device.update(dict.fromkeys(device_ids, holds))
            for part, hold in zip(parts, holds, strict=True):
                if isinstance(part, Position):
                    counts[part.rollout.group, hold.wave or 0, hold.withheld] += len(device_ids)
            if kept := tuple(move for move, hold in zip(moves, holds, strict=True) if _is_sent(hold)):
                cohorts[kept] += device_ids
        sent = Changes(cohorts, self._changes.decided)
        return Step(self._changes if len(sent) == len(self._changes) else sent, of_device, counts, full)


def _goes_anyway(part: Position | _Follower | None, hold: Hold) -> bool:
    """Whether a change is sent whatever its device's other changes and the budget do."""
    if isinstance(part, Position):
        return hold.withheld is None and (hold.goes_back or part.rollout.policy.budget is None)
    return part is None


def _hold(part: Position | _Follower | None, device_id: DeviceId, device: LiveDevice, move: Move) -> Hold:
    if isinstance(part, Position):
        return part.hold(device_id, device, move)
    return Hold(part.waves[device_id]) if part else NO_HOLD


def _is_sent(hold: Hold) -> bool:
    return hold.withheld is None


_ORDER = {reason: rank for rank, reason in enumerate(Withheld)}


def _reason(hold: Hold) -> int:
    """Withheld ones first, by reason."""
    return len(_ORDER) if hold.withheld is None else _ORDER[hold.withheld]
