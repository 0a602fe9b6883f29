"""The position of rollouts written down a second time: literal, slow, and apart from the code that it judges.

It is a transcription of the rules, not of `reconciler.planner.rollout`, with which it shares values alone. Every step
asks the whole world again; nothing is shared, cached or done once for devices that are alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from math import inf, isfinite
from zoneinfo import ZoneInfo

from reconciler.model.changes import Change
from reconciler.model.log import unix_time
from reconciler.model.rollout import Rollout, RolloutState, RolloutVerdict, Withheld
from reconciler.model.rules import Budget, Policy, Window
from reconciler.model.state import (
    NO_RECORD,
    NOTHING,
    DeviceId,
    Entry,
    FlowId,
    Kind,
    LiveDevice,
    LogLine,
    Read,
    Row,
    Version,
)
from tests.builders import PLACE

WEEK = 7 * 86400


def readable(*moments: float) -> list[float]:
    return [moment for moment in moments if isfinite(moment)]


@dataclass(frozen=True)
class Line:
    place: int  # in the order of the log: "later" is "greater"
    at: float
    said: LogLine


@dataclass
class DeviceOracle:
    """One device as one rollout sees it."""

    rollout: Rollout
    device_id: DeviceId
    live: LiveDevice
    kind: Kind
    now: float | None

    @cached_property
    def targets(self) -> dict[FlowId, Version | None]:
        return dict(self.rollout.rows[self.device_id])

    @cached_property
    def lines(self) -> list[Line]:
        """The log of its waved records."""
        evidence = self.live.evidence
        every = [Line(*each) for each in zip(range(9999), evidence.instants, evidence.lines, strict=False)]
        return [one for one in every if self.kind is Kind.EMBEDDED or one.said.flow_id in self.targets]

    def entry(self, flow: FlowId) -> Entry:
        return self.live.flows.get(flow, NOTHING)

    def naming(self, flow: FlowId) -> list[Line]:
        """The `desired` entries of a flow; `clear` is one of every flow, other entries without a flow are of none."""
        return [
            one
            for one in self.lines
            if one.said.change == "desired"
            and (one.said.flow_id == flow or (one.said.flow_id is None and one.said.update == "clear"))
        ]

    def releases(self, flow: FlowId) -> list[Line]:
        found: list[Line] = []
        for one in self.naming(flow):
            if one.said.previous is not None:
                is_repeat = one.said.previous == one.said.version
            else:
                is_repeat = bool(found) and found[-1].said.version == one.said.version
            if not is_repeat:
                found.append(one)
        return found

    @cached_property
    def last_release(self) -> Line | None:
        """Of the device: the newest of its rows' last releases."""
        lasts = [self.releases(flow)[-1] for flow in self.targets if self.releases(flow)]
        return max(lasts, key=lambda one: one.place, default=None)

    def is_later(self, line: Line) -> bool:
        """Than the last release. Of the same instant, an error is later and a success is not.

        A choice: on an edge device, where each flow has a record of its own, than the last release of that flow.
        """
        release = self.last_release
        if self.kind is Kind.EDGE:
            assert line.said.flow_id is not None
            release = next(reversed(self.releases(line.said.flow_id)), None)
        if release is None:
            return True
        return line.place > release.place and (line.said.error is not None or line.at > release.at)

    @cached_property
    def errors(self) -> list[Line]:
        """A choice: on an edge device, the errors of a flow that runs its target by now are over."""
        concerned = {None, *self.targets}
        if self.kind is Kind.EDGE:
            concerned -= {one for one, target in self.targets.items() if self.entry(one) == Entry(target, target)}
        return [
            one
            for one in self.lines
            if one.said.error is not None and one.said.flow_id in concerned and self.is_later(one)
        ]

    @cached_property
    def oldest(self) -> float | None:
        return min(readable(*(one.at for one in self.lines)), default=None)

    @property
    def last_seen(self) -> float | None:
        """Until when it was seen: now if it is connected, else its last connection time."""
        return self.now if self.live.connected else self.gone

    @property
    def runs_its_targets(self) -> bool:
        return not self.live.unknown_bundle and all(
            self.entry(flow) == Entry(target, target) for flow, target in self.targets.items()
        )

    def run(self, flow: FlowId | None) -> list[Line]:
        """The newest, unbroken, error-free `current` entries later than the release that name what it reports now.

        On edge devices those of one flow's record, by its etag, or else by its version.
        """
        found: list[Line] = []
        for one in reversed(self.lines):
            if one.said.change != "current" or one.said.error is not None or not isfinite(one.at):
                continue
            if flow is not None and one.said.flow_id != flow:
                continue
            if self.kind is Kind.EMBEDDED:
                names = self.live.evidence.bundle is not None and one.said.bundle == self.live.evidence.bundle
            else:
                assert flow is not None
                record = (self.live.evidence.records or {}).get(flow)
                etag = record.etag if record else None
                names = one.said.bundle == etag if etag else one.said.version == self.entry(flow).reported
            if not names or not self.is_later(one):
                break
            found.append(one)
        return found

    @cached_property
    def updated(self) -> float:
        if self.kind is Kind.EMBEDDED:
            return self.live.evidence.updated
        records = self.live.evidence.records or {}
        return max((one.updated for flow, one in records.items() if flow in self.targets), default=float("-inf"))

    @cached_property
    def started(self) -> float | None:
        """Since when it was seen running its targets; None if no date says so."""
        flows = [None] if self.kind is Kind.EMBEDDED else [*self.targets]
        starts: list[float] = []
        for flow in flows:
            run = self.run(flow)
            if run:
                starts.append(run[-1].at)
                continue
            dates = readable(self.updated, *(one.at for one in self.lines))
            if not dates:
                return None
            starts.append(max(dates))
        return max(starts)

    @cached_property
    def verdict(self) -> RolloutVerdict:
        if any(self.entry(flow).released != target for flow, target in self.targets.items()):
            return RolloutVerdict.TO_RELEASE
        if self.runs_its_targets:
            return RolloutVerdict.PROVEN if self.is_proven else RolloutVerdict.SOAKING
        if self.errors:
            return RolloutVerdict.FAILED
        if self.is_offline:
            return RolloutVerdict.OFFLINE
        return RolloutVerdict.SILENT if self.is_silent else RolloutVerdict.WAITING

    @property
    def is_proven(self) -> bool:
        if self.started is None or self.last_seen is None or self.now is None:
            return False
        in_future = self.started > self.now or self.last_seen > self.now
        age = 0.0 if in_future else max(0.0, self.last_seen - self.started)
        return age >= self.rollout.policy.gate.soak_s

    @property
    def is_offline(self) -> bool:
        """Disconnected since before the log first shows the target released to it."""
        behind = [flow for flow, target in self.targets.items() if self.entry(flow).reported != target]
        if self.live.connected is not False or self.gone is None:
            return False
        if self.live.unknown_bundle:
            return any(self.lacked(flow, self.gone) for flow in self.targets)
        return all(self.lacked(flow, self.gone) for flow in behind)

    @property
    def gone(self) -> float | None:
        """The last connection time."""
        return next(iter(readable(unix_time(self.live.connection_time))), None)

    def lacked(self, flow: FlowId, moment: float) -> bool:
        """Whether the log shows that the target was not released to it at a moment, and was after it."""
        naming = [one for one in self.naming(flow) if isfinite(one.at)]
        before = [one for one in naming if one.at <= moment]
        after = [one for one in naming if one.at > moment]
        if not any(one.said.version == self.targets[flow] for one in after):
            return False
        if before:
            return before[-1].said.version != self.targets[flow]
        first = after[0]
        is_add = first.said.update == "newFlow" or (self.kind is Kind.EDGE and first.said.previous is None)
        is_change = first in self.releases(flow)
        return is_change and (first.said.version == self.targets[flow] or is_add)

    @property
    def is_silent(self) -> bool:
        if self.now is None:
            return False
        if self.last_release is None and self.lines:
            return True  # a log that has run over since its release: so long ago
        released = readable(self.last_release.at) if self.last_release else []
        if not released and self.oldest is not None:
            released = [self.oldest]
        gone = [] if self.gone is None else [self.gone]
        return bool(released + gone) and self.now - max(released + gone) > self.rollout.policy.patience_s

    def ran_before(self, flow: FlowId) -> set[Version | None] | None:
        """What its log shows it ran for at least `soak` right before the released version; None: a matter of taste."""
        releases = self.releases(flow)
        if not releases or releases[-1].said.version != self.entry(flow).released:
            return set()
        last = releases[-1]
        said = [one for one in self.lines if one.said.change == "current" and one.said.error is None]
        before = [one for one in said if one.at < last.at and isfinite(one.at)]
        if self.kind is Kind.EDGE:
            before = [one for one in before if one.said.flow_id == flow]
        if len(releases) > 1 and len({one.at for one in self.lines}) == len(self.lines) and before:
            former = releases[-2]
            period = [
                one
                for one in self.lines
                if one.said.change == "desired"
                and former.place <= one.place < last.place
                and (self.kind is Kind.EMBEDDED or one.said.flow_id == flow)
            ]
            bundles = {one.said.bundle for one in period} - {None}
            others = {one.said.bundle for one in self.lines if one.said.change == "desired" and one not in period}
            are_one = self.kind is Kind.EMBEDDED or {one.said.version for one in [*period, *before]} == {
                former.said.version
            }
            if bundles and not bundles & others and isfinite(last.at) and are_one:
                run: list[Line] = []
                for one in reversed(before):
                    if one.said.bundle not in bundles or one.place < former.place:
                        break
                    run.append(one)
                if not run and before[-1].place < former.place:
                    return None
                if not run:
                    return None
                if last.at - run[-1].at >= self.rollout.policy.gate.soak_s:
                    return {former.said.version}
                return set() if last.at - former.at < self.rollout.policy.gate.soak_s else None
        return None

    def goes_back(self, flow: FlowId) -> bool | None:
        """Whether the row's change goes back; None: a matter of taste."""
        target = self.targets[flow]
        if self.live.unknown_bundle and self.entry(flow).reported == target:
            return None
        if self.entry(flow).reported == target:
            return True
        ran = self.ran_before(flow)
        return None if ran is None else target in ran


@dataclass
class RolloutOracle:
    """One group with a policy."""

    rollout: Rollout
    changes: list[Change]  # those of rows that the group decides
    read: Read
    kind: Kind
    devices: dict[DeviceId, DeviceOracle] = field(init=False)

    def __post_init__(self) -> None:
        self.devices = {
            one: DeviceOracle(
                self.rollout, one, self.read.live.devices.get(one, NO_RECORD), self.kind, self.read.server_time
            )
            for one in self.rollout.rows
        }

    @property
    def waves(self) -> range:
        return range(1, self.rollout.last_wave + 1)

    @property
    def flows(self) -> set[FlowId]:
        """Those to which the group gives a version."""
        return {flow for rows in self.rollout.rows.values() for flow, version in rows.items() if version is not None}

    def evidence(self, flow: FlowId, *waves: int) -> list[DeviceOracle]:
        return [
            one
            for device_id, one in self.devices.items()
            if flow in one.targets and self.rollout.waves[device_id] in waves
        ]

    def base(self, flow: FlowId, wave: int) -> list[DeviceOracle]:
        return [one for one in self.evidence(flow, *range(1, wave + 1)) if one.verdict is not RolloutVerdict.OFFLINE]

    def allowed(self, flow: FlowId, wave: int) -> int:
        return int((100 - self.rollout.policy.gate.converged) * len(self.base(flow, wave)) // 100)

    def needed(self, flow: FlowId, wave: int) -> int:
        return min(self.rollout.policy.gate.sample, len(self.evidence(flow, wave)))

    @cached_property
    def failing_wave(self) -> bool:
        """Whether some wave has too many that failed or are silent."""
        bad = (RolloutVerdict.FAILED, RolloutVerdict.SILENT)
        for wave in self.waves:
            for flow in self.flows:
                failing = [one for one in self.evidence(flow, *range(1, wave + 1)) if one.verdict in bad]
                alive = [one for one in self.evidence(flow, wave) if one.verdict not in bad]
                if len(failing) > self.allowed(flow, wave) or len(alive) < self.needed(flow, wave):
                    return True
        return False

    @cached_property
    def is_misconfigured(self) -> bool:
        """Whether wave 1 can prove nothing of a flow that changes, or a wave that is open or next picks no device."""
        if not self.changes:
            return False
        for change in self.changes:
            if change.to_version is not None and not self.evidence(change.flow_id, 1):
                return True
        opened = [wave for wave in self.waves if self.opens(wave, stopped=self.failing_wave)]
        for number, wave in enumerate(self.rollout.policy.waves, 1):
            is_by_name = wave.select.tags is not None or wave.select.devices is not None
            if number <= max(opened, default=0) + 1 and is_by_name and number not in self.rollout.waves.values():
                return True
        return False

    @property
    def stopped(self) -> bool:
        return self.failing_wave or self.is_misconfigured

    def meets_gate(self, wave: int) -> bool:
        """Whether a wave has passed, if the rollout is not stopped."""
        if not any(self.evidence(flow, wave) for flow in self.flows):
            return all(
                one.verdict is not RolloutVerdict.TO_RELEASE
                for device_id, one in self.devices.items()
                if self.rollout.waves[device_id] == wave
            )
        for flow in self.flows:
            unproven = [one for one in self.base(flow, wave) if one.verdict is not RolloutVerdict.PROVEN]
            proven = [one for one in self.evidence(flow, wave) if one.verdict is RolloutVerdict.PROVEN]
            if len(unproven) > self.allowed(flow, wave) or len(proven) < self.needed(flow, wave):
                return False
        return True

    def passed(self, wave: int) -> bool:
        return not self.stopped and self.meets_gate(wave)

    def opens(self, wave: int, *, stopped: bool, up_to: bool = True) -> bool:
        """Whether a wave is open: `stopped`, or not; `up_to` may be left out of it."""
        if self.read.server_time is None:
            return False
        if up_to and self.rollout.up_to is not None and wave > self.rollout.up_to:
            return False
        return wave == 1 or (
            not stopped and self.opens(wave - 1, stopped=stopped, up_to=up_to) and self.meets_gate(wave - 1)
        )

    def open(self, wave: int) -> bool:
        return self.opens(wave, stopped=self.stopped)

    def reason(self, wave: int) -> Withheld | None:
        """Why changes of a wave are withheld, the budget aside; None if they are not."""
        if self.stopped:
            return Withheld.STOPPED
        if not self.opens(wave, stopped=False, up_to=False):
            return Withheld.WAVE
        if not self.open(wave):
            return Withheld.UP_TO
        window = self.rollout.policy.window
        if window and not in_window(window, self.read.server_time or 0.0):
            return Withheld.WINDOW
        return None

    def rank(self, device_id: DeviceId) -> tuple[int, bytes]:
        salted = f"{self.rollout.policy.salt}\0{device_id}".encode()
        return self.rollout.waves[device_id], hashlib.sha256(salted).digest()

    def state(self, withheld: dict[Row, Withheld]) -> RolloutState:
        """`withheld`: of the group's changes."""
        if self.stopped:
            return RolloutState.STOPPED
        if not self.changes:
            return RolloutState.COMPLETE
        if any(change.row not in withheld for change in self.changes):
            return RolloutState.OPEN
        first = min(self.changes, key=lambda one: self.rank(one.device_id))
        if withheld[first.row] in (Withheld.UP_TO, Withheld.WINDOW) or self.read.server_time is None:
            return RolloutState.HELD
        soak = self.rollout.policy.gate.soak_s
        releases = readable(*(one.last_release.at for one in self.devices.values() if one.last_release))
        proofs = [
            one.started + soak
            for one in self.devices.values()
            if one.verdict is RolloutVerdict.PROVEN and one.started is not None
        ]
        moments = [*releases, *proofs] or [one.oldest for one in self.devices.values() if one.oldest is not None]
        is_stalled = bool(moments) and self.read.server_time - max(moments) > WEEK + soak
        return RolloutState.STALLED if is_stalled else RolloutState.HELD


def in_window(window: Window, now: float) -> bool:
    """Whether a moment is in a window: some minute of the clock on its wall, on the day on which it began."""
    wall = datetime.fromtimestamp(now, UTC).astimezone(ZoneInfo(window.zone))
    minute = wall.hour * 60 + wall.minute
    today, yesterday = wall.weekday(), (wall - timedelta(days=1)).weekday()
    if window.start_min < window.end_min:
        return today in window.days and window.start_min <= minute < window.end_min
    return (today in window.days and minute >= window.start_min) or (
        yesterday in window.days and minute < window.end_min
    )


@dataclass
class Oracle:
    """All rollouts of a world, and what becomes of each change."""

    rollouts: tuple[Rollout, ...]
    changes: list[Change]
    rules: dict[Row, str]
    read: Read
    kind: Kind
    back: dict[Row, bool] = field(default_factory=dict)  # what is decided where the rules leave a choice

    @cached_property
    def of_group(self) -> dict[str, RolloutOracle]:
        return {
            rollout.group: RolloutOracle(rollout, [*self.changes_of(rollout)], self.read, self.kind)
            for rollout in self.rollouts
        }

    def changes_of(self, rollout: Rollout) -> Iterator[Change]:
        for change in self.changes:
            if change.flow_id in rollout.rows.get(change.device_id, {}):
                yield change

    def group(self, change: Change) -> RolloutOracle | None:
        for rollout in self.rollouts:
            if change.flow_id in rollout.rows.get(change.device_id, {}):
                return self.of_group[rollout.group]
        return None

    def goes_back(self, change: Change) -> bool | None:
        """Whether a change goes back; None if the rules leave that open, until it is decided."""
        own = self.group(change)
        said = False if own is None else own.devices[change.device_id].goes_back(change.flow_id)
        return self.back.get(change.row) if said is None else said

    def is_away(self, device_id: DeviceId, policy: Policy) -> bool:
        """Disconnected, or some flow is not reported as released, without an error since, no longer than `patience`."""
        record = self.read.live.devices.get(device_id)
        if record is None:
            return False
        if record.connected is False:
            return True
        behind = {
            flow for flow, entry in record.flows.items() if entry.reported != entry.released or record.unknown_bundle
        }
        if self.kind is Kind.EDGE:
            return any(self.is_loading(device_id, {flow}, policy) for flow in behind)
        named = {line.flow_id for line in record.evidence.lines if line.flow_id is not None}
        return bool(behind) and self.is_loading(device_id, {*record.flows, *named}, policy)

    def is_loading(self, device_id: DeviceId, flows: set[FlowId], policy: Policy) -> bool:
        """Whether it may still take up the last release of some flows; of an embedded device all, in one bundle."""
        record, now = self.read.live.devices[device_id], self.read.server_time
        alone = Rollout("", PLACE, policy, None, {device_id: dict.fromkeys(flows)}, {})
        seen = DeviceOracle(alone, device_id, record, self.kind, now)
        if seen.errors:
            return False
        oldest = min(readable(*record.evidence.instants), default=inf)  # the rules do not say: of any of its records
        since = readable(seen.last_release.at if seen.last_release else oldest)
        if not seen.last_release:
            since += [] if seen.gone is None else [seen.gone]
        return now is None or not since or now - max(since) <= policy.patience_s

    @cached_property
    def withheld(self) -> dict[Row, Withheld]:
        """The withheld changes, and why."""
        found: dict[Row, Withheld] = {}
        asking: set[Row] = set()  # those that waves send, if the budget has room
        for change in self.changes:
            own = self.group(change)
            if own is None or self.goes_back(change):
                continue
            if reason := own.reason(own.rollout.waves[change.device_id]):
                found[change.row] = reason
            elif own.rollout.policy.budget:
                asking.add(change.row)
        going = {
            change.device_id
            for change in self.changes
            if change.row not in found and change.row not in asking and not self.waits(change)
        }
        # A removal by `prune` alone goes at once; beside other rows it goes if they do.
        for group in sorted(self.of_group):
            self.spend(self.of_group[group], asking, found, going)
        for change in self.changes:
            if self.waits(change):
                reasons = [reason for (device_id, _), reason in found.items() if device_id == change.device_id]
                if reasons:
                    found[change.row] = min(reasons, key=[*Withheld].index)
        return found

    def waits(self, change: Change) -> bool:
        """Whether a row that `prune` moves may have to wait: for other rows of a device of a rollout that move."""
        return (
            self.rules[change.row] == "prune"
            and any(change.device_id in rollout.rows for rollout in self.rollouts)
            and any(
                other.device_id == change.device_id and self.rules[other.row] != "prune" and self.group(other)
                for other in self.changes
            )
        )

    def spend(self, own: RolloutOracle, asking: set[Row], found: dict[Row, Withheld], going: set[DeviceId]) -> None:
        """Let the devices of a group take their turns, as far as its budget has room."""
        mine = {change.row for change in own.changes} & asking
        budget, sets = own.rollout.policy.budget, own.rollout.sets
        if budget is None:
            return
        members = {name: {one for one in sets if name in sets[one]} for names in sets.values() for name in names}
        busy = {
            name: {one for one in some if one in going or self.is_away(one, own.rollout.policy)}
            for name, some in members.items()
        }
        for device_id in sorted({device_id for device_id, _ in mine}, key=own.rank):
            if all(
                len(busy[name] | {device_id}) <= room(budget, len(members[name])) for name in sets.get(device_id, ())
            ):
                going.add(device_id)
                for name in sets.get(device_id, ()):
                    busy[name].add(device_id)
            else:
                found.update({row: Withheld.BUDGET for row in mine if row[0] == device_id})

    def state(self, group: str) -> RolloutState:
        return self.of_group[group].state(self.withheld)


def room(budget: Budget, members: int) -> int:
    if budget.percent is None:
        assert budget.count is not None
        return budget.count
    return max(1, int(budget.percent * members // 100))
