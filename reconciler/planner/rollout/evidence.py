"""Where a device stands in a rollout, judged by what it reports and by its log.

It is judged by device, because a device gets one bundle. What the log of a record says is worked out once for all
records whose logs say the same, if at other times: as indexes of lines, by which each device's times are looked up.

On an edge device each flow has a record, a log and an etag of its own; of an embedded device, all flows share one
record, and its bundle plays the part of the etags.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import NamedTuple

from reconciler.model.changes import Move
from reconciler.model.log import LATEST, UNDATED, unix_time
from reconciler.model.rollout import RolloutVerdict, Rows
from reconciler.model.rules import Policy
from reconciler.model.state import NOTHING, FlowId, LiveDevice, LogLine
from reconciler.planner.rollout.history import was_offline
from reconciler.planner.rollout.marks import Marks, marks_of, run_before


class Judgement(NamedTuple):
    """A device's verdict and the Unix times behind it; `UNDATED` or `LATEST` where they are unknown.

    `released`: its last release. `since`: since when it was seen running its targets. `due`: when it will be proven if
    it stays connected. `oldest`: the oldest entry of its log. `error`: the newest error since its release.
    """

    verdict: RolloutVerdict
    released: float = UNDATED
    since: float = UNDATED
    due: float = LATEST
    oldest: float = LATEST
    error: str | None = None


class _Record(NamedTuple):
    """The marks of a record, and the times that belong to them."""

    marks: Marks
    instants: Sequence[float]
    updated: float

    @property
    def released(self) -> float:
        return UNDATED if self.marks.release is None else self.instants[self.marks.release]

    @property
    def oldest(self) -> float:
        """Its oldest entry with a date."""
        return next((at for index in self.marks.own if (at := self.instants[index]) > UNDATED), LATEST)

    @property
    def newest(self) -> float:
        """The later of its newest entry with a date and its last update."""
        return max([at for index in self.marks.own if (at := self.instants[index]) != LATEST] + [self.updated])

    @property
    def begun(self) -> float:
        """When the log first shows it running what it reports; `UNDATED` if it does not."""
        return next((at for index in self.marks.run if (at := self.instants[index]) > UNDATED), UNDATED)


@dataclass(slots=True)
class Judge:
    """Judges devices by one read. `now`: the server's time of the read; None: unknown, so nothing is ever proven.

    `moving`: the flows that some device still has to move to a version.
    """

    policy: Policy
    now: float | None
    _marks: dict[Hashable, Marks] = field(default_factory=dict)
    _runs: dict[Hashable, tuple[int, int] | None] = field(default_factory=dict)
    moving: set[FlowId] = field(default_factory=set)
    _stages: dict[Hashable, RolloutVerdict] = field(default_factory=dict)
    _glances: dict[Hashable, tuple[RolloutVerdict, int | None]] = field(default_factory=dict)
    _kept: list[object] = field(default_factory=list)  # what is known by its `id` must live as long as the judge

    def judge(self, device: LiveDevice, rows: Rows) -> Judgement:
        """Where a device stands; `rows` are those that its group decides, with their targets."""
        records = self._records(device, rows)
        released = max([record.released for record in records])
        oldest = LATEST if released > UNDATED else min([record.oldest for record in records])
        match self.stage(device, rows):
            case RolloutVerdict.TO_RELEASE:
                return Judgement(RolloutVerdict.TO_RELEASE, released, oldest=oldest)
            case RolloutVerdict.SOAKING:
                return self._running(device, released, _since(records), oldest)
        lines = device.evidence.lines
        failures = [(at[marks.error], lines[marks.error].error) for marks, at, _ in records if marks.error is not None]
        if failures:
            return Judgement(RolloutVerdict.FAILED, released, oldest=oldest, error=max(failures, key=itemgetter(0))[1])
        verdict = RolloutVerdict.WAITING
        if was_offline(device, rows):
            verdict = RolloutVerdict.OFFLINE
        elif self._is_silent(device, records, released if released > UNDATED else oldest):
            verdict = RolloutVerdict.SILENT
        return Judgement(verdict, released, oldest=oldest)

    def last_step(self, device: LiveDevice, rows: Rows) -> float:
        """When something was last released to a device, or when it was proven.

        Where a record's log does not show its release, its oldest entry counts.
        """
        records = self._records(device, rows)
        steps = [record.released for record in records]
        steps += [record.oldest for record in records if record.released == UNDATED and record.oldest < LATEST]
        found = self.judge(device, rows)
        if found.verdict is RolloutVerdict.PROVEN:
            steps.append(found.since + self.policy.gate.soak_s)
        return max(steps)

    def at_a_glance(self, device: LiveDevice, rows: Rows) -> RolloutVerdict | None:
        """The verdict on a device that is to be released, or connected and proven: on most of a fleet. Else None.

        A run proves it, or its newest date without one, if that is old enough: for devices that are alike, one time is
        all that is looked at. This is a hot path: it runs once per device.
        """
        lines, instants, updated, bundle, by_flow = device.evidence
        key = (id(device.flows), id(rows), id(lines), bundle, device.unknown_bundle)
        glance = self._glances.get(key)
        if glance is None:
            begin = None if by_flow is not None else next(iter(self._marks_of(lines, rows, bundle, None).run), None)
            glance = self._glances[key] = (self.stage(device, rows), begin)
            self._kept.append(lines)
        stage, begin = glance
        if stage is not RolloutVerdict.SOAKING:
            return stage if stage is RolloutVerdict.TO_RELEASE else None
        if by_flow is not None or self.now is None or not device.connected or not instants:
            return None
        since = max(updated, instants[-1]) if begin is None else instants[begin]
        return RolloutVerdict.PROVEN if since > UNDATED and self.now - since >= self.policy.gate.soak_s else None

    def _is_silent(self, device: LiveDevice, records: Sequence[_Record], released: float) -> bool:
        """Whether a device is reachable and has had its time; it has, too, where its release is older than its log.

        Else a log that loses its oldest lines, of an error even, could end a stop.
        """
        if self.now is None:
            return False
        if all(record.marks.release is None for record in records) and any(record.marks.own for record in records):
            return True
        since = max(UNDATED if released == LATEST else released, unix_time(device.connection_time))
        return since > UNDATED and self.now - since > self.policy.patience_s

    def stage(self, device: LiveDevice, rows: Rows) -> RolloutVerdict:
        """`to_release`, else `soaking` where all targets are reported, else `waiting`; the times say the rest."""
        key = (id(device.flows), id(rows), device.unknown_bundle)
        stage = self._stages.get(key)
        if stage is None:
            self._kept += [device.flows, rows]
            entries = [(device.flows.get(flow_id, NOTHING), target) for flow_id, target in rows.items()]
            if any(entry.released != target for entry, target in entries):
                stage = RolloutVerdict.TO_RELEASE
                flows = zip(rows, entries, strict=True)
                self.moving |= {one for one, (entry, target) in flows if target and entry.released != target}
            elif device.unknown_bundle or any(entry.reported != target for entry, target in entries):
                stage = RolloutVerdict.WAITING
            else:
                stage = RolloutVerdict.SOAKING
            self._stages[key] = stage
        return stage

    def _running(self, device: LiveDevice, released: float, since: float, oldest: float) -> Judgement:
        """Proven once it was seen running its targets for the soak: until now, or until it disconnected."""
        soak, now = self.policy.gate.soak_s, self.now
        if now is None or not UNDATED < since < LATEST:
            return Judgement(RolloutVerdict.SOAKING, released, since, oldest=oldest)
        until = now if device.connected else unix_time(device.connection_time)
        if until == UNDATED:
            return Judgement(RolloutVerdict.SOAKING, released, since, oldest=oldest)
        until = until if until <= now else since  # a date in the future proves nothing
        verdict = RolloutVerdict.PROVEN if max(until - since, 0.0) >= soak else RolloutVerdict.SOAKING
        return Judgement(verdict, released, since, since + soak if device.connected else LATEST, oldest)

    def _records(self, device: LiveDevice, rows: Rows) -> list[_Record]:
        """The device's record; of an edge device those of the rows."""
        lines, instants, updated, bundle, by_flow = device.evidence
        if by_flow is None:
            return [_Record(self._marks_of(lines, rows, bundle, None), instants, updated)]
        found = []
        for flow_id, target in rows.items():
            record = by_flow.get(flow_id)
            marks = self._marks_of(lines, {flow_id: target}, record.etag if record else None, flow_id)
            if device.flows.get(flow_id, NOTHING) == (target, target):  # what went wrong with it is over
                marks = marks._replace(error=None)
            found.append(_Record(marks, instants, record.updated if record else UNDATED))
        return found

    def _marks_of(self, lines: Sequence[LogLine], rows: Rows, bundle: str | None, flow_id: FlowId | None) -> Marks:
        key = (id(lines), bundle, id(rows) if flow_id is None else (flow_id, rows[flow_id]))
        marks = self._marks.get(key)
        if marks is None:
            self._kept += [lines, rows]
            marks = self._marks[key] = marks_of(lines, rows, bundle, flow_id)
        return marks

    def goes_back(self, device: LiveDevice, move: Move) -> bool:
        """Whether a change returns to what the device reports, or to what its log shows that it ran for the soak."""
        if _reports(device, move):
            return True
        if (run := self._run_before(device, move)) is None:
            return False
        begin, end = device.evidence.instants[run[0]], device.evidence.instants[run[1]]
        return begin > UNDATED and end - begin >= self.policy.gate.soak_s

    def depends_on_times(self, device: LiveDevice, move: Move) -> bool:
        """Whether `goes_back` may be another for a device that is alike but for the times in its log."""
        return not _reports(device, move) and self._run_before(device, move) is not None

    def _run_before(self, device: LiveDevice, move: Move) -> tuple[int, int] | None:
        lines, _, _, _, records = device.evidence
        key = (id(lines), move.flow_id, move.from_version, move.to_version)
        if key not in self._runs:
            self._kept.append(lines)
            self._runs[key] = run_before(lines, *key[1:], is_edge=records is not None)
        return self._runs[key]


def _reports(device: LiveDevice, move: Move) -> bool:
    return device.flows.get(move.flow_id, NOTHING).reported == move.to_version and not device.unknown_bundle


def _since(records: Sequence[_Record]) -> float:
    """Since when a device was seen running its targets; where its log shows no run, from the dates that there are."""
    newest = UNDATED
    if any(record.begun == UNDATED for record in records):
        newest = max([record.newest for record in records])
    return max([record.begun if record.begun > UNDATED else newest for record in records])
