"""`--events`: tells what `plan` and `apply` do while they do it, as lines of JSON (`model.events`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from reconciler import __version__
from reconciler.api.client import WasRead
from reconciler.cli.events.sink import Sink
from reconciler.documents.json import FORMAT_VERSION, dump
from reconciler.documents.values import data
from reconciler.errors import Problem, told
from reconciler.executor import Observer
from reconciler.model.digest import digests
from reconciler.model.events import (
    CallEvent,
    Event,
    PlanEvent,
    PlanTotals,
    ReadEvent,
    ResultTotals,
    RowsEvent,
    StepEvent,
    SummaryEvent,
    VerdictEvent,
    VersionEvent,
    WarningEvent,
)
from reconciler.model.health import Laggard, Verdict, Wait
from reconciler.model.plan import Plan, Tool, Warning
from reconciler.model.result import CallResult, CallState, Result
from reconciler.model.state import Application, Count, DeviceId, Kind
from reconciler.ports import Clock

_DOWN = (Verdict.FAILED, Verdict.OFFLINE)


class EventLog:
    """The events of one run. Methods raise nothing, whatever becomes of the lines."""

    def __init__(
        self, sink: Sink, clock: Clock, *, command: Literal["plan", "apply"], applications: Iterable[Application] = ()
    ) -> None:
        """Begin with the first event. `applications`: those of the run, with their names as far as known."""
        self._sink = sink
        self._clock = clock
        self._seq = 0
        self._known = {one.id: one for one in applications}
        self._plans: tuple[PlanTotals, ...] = ()
        self._parts: dict[tuple[str, Kind], _Part] = {}
        self._has_ended = False
        self.emit(VersionEvent, FORMAT_VERSION, command, Tool("reconciler", __version__))

    def emit(self, event: Callable[..., Event], *values: Any) -> None:
        """Write an event: its type is its name, its values are those after that."""
        self._seq += 1
        kind = event.__name__.removesuffix("Event").lower()
        line = dump(data(event(self._seq, self._clock.utc_now(), kind, *values)), ascii_only=True)
        self._sink.write(line.encode("ascii") + b"\n")

    def was_read(self, was: WasRead) -> None:
        """The deployments of an application were read."""
        application = self._known.get(was.application_id) or Application(was.application_id, None)
        seconds = was.read.ended - was.read.began
        self.emit(
            ReadEvent, application, was.kind, was.flow_id, was.device_id, len(was.read.live.devices), round(seconds, 3)
        )

    def planned(self, plans: Sequence[Plan]) -> None:
        """Everything was planned."""
        self._plans = tuple(map(_plan_totals, plans))
        for plan, totals in zip(plans, self._plans, strict=True):
            self._known[plan.application.id] = plan.application
            who, refused = (plan.application, plan.kind), tuple(one.guard for one in plan.refused)
            self.emit(PlanEvent, *who, totals.digest, totals.review_digest, plan.partial, plan.summary, refused)
            for warning in plan.warnings:
                self.emit(WarningEvent, *who, warning)

    def applying(self, plan: Plan) -> Observer:
        """A plan, or the next step of its rollouts, is carried out."""
        part = self._part(plan.application, plan.kind)
        part.steps.append((0, len(plan.sent)))
        if plan.rollouts is not None:
            self.emit(
                StepEvent,
                *(plan.application, plan.kind, len(part.steps), len(plan.sent), len(plan.calls), plan.withheld),
            )
        for call in plan.calls:
            part.call(CallResult(call.id, call.action, call.body, call.count, call.after, CallState.PLANNED))
        part.rows()
        return _Step(part, len(part.steps) - 1)

    def waiting(self, plan: Plan) -> Callable[[Wait], None]:
        """A plan's devices are waited for."""
        return self._part(plan.application, plan.kind).waiting

    def ended(self, code: int, problems: Sequence[Problem] = (), results: Sequence[Result] = ()) -> None:
        """The run ended: what of the results was not told yet, then the last event. Only the first time counts."""
        if self._has_ended:
            return
        self._has_ended = True
        for result in results:
            self._part(result.application, result.kind).ended(result)
        self.emit(
            SummaryEvent,
            int(code),
            tuple(told(tuple(problems))),
            self._plans,
            tuple(_result_totals(result) for result in results),
        )
        self._sink.close()

    @property
    def problem(self) -> str | None:
        """Why not all of it was written, if so."""
        return self._sink.problem

    @property
    def is_unread(self) -> bool:
        """Whether that is only because nobody reads it."""
        return self._sink.is_unread

    def _part(self, application: Application, kind: Kind) -> _Part:
        return self._parts.setdefault((application.id, kind), _Part(self, application, kind))


@dataclass(slots=True)
class _Part:
    """What has been told of one application and kind. `steps`: the confirmed and all changes of each."""

    log: EventLog
    application: Application
    kind: Kind
    steps: list[tuple[int, int]] = field(default_factory=list)
    _calls: dict[int, CallResult] = field(default_factory=dict)
    _rows: tuple[object, ...] = ()
    _verdicts: dict[Verdict, Count] | None = None
    _down: dict[DeviceId, Laggard] = field(default_factory=dict)

    def call(self, call: CallResult) -> None:
        """Tell of a call, unless it is as it was."""
        if self._calls.get(call.id) != call:
            self._calls[call.id] = call
            self.log.emit(CallEvent, self.application, self.kind, call)

    def rows(self) -> None:
        """Tell of the progress, unless it is as it was."""
        self._tell_rows(sum(total for _, total in self.steps), sum(confirmed for confirmed, _ in self.steps))

    def _tell_rows(self, total: int, confirmed: int) -> None:
        rows = (total, confirmed, self._verdicts)
        if self._rows != rows:
            self._rows = rows
            self.log.emit(RowsEvent, self.application, self.kind, *rows)

    def warning(self, warning: Warning) -> None:
        """Tell of a warning."""
        self.log.emit(WarningEvent, self.application, self.kind, warning)

    def waiting(self, wait: Wait) -> None:
        """Tell what a read of the wait showed."""
        if wait.verdicts is None:
            return
        self._verdicts = dict(wait.verdicts.rows)
        worst: dict[DeviceId, Laggard] = {}
        for laggard in wait.verdicts.laggards:  # worst first
            worst.setdefault(laggard.device_id, laggard)
        before, self._down = self._down, {one: laggard for one, laggard in worst.items() if laggard.verdict in _DOWN}
        for device_id, laggard in worst.items():
            was = before.get(device_id)
            if laggard.verdict is Verdict.FAILED and (was is None or was.verdict is not Verdict.FAILED):
                self._verdict(laggard, was)
        for device_id, was in before.items():
            if device_id not in self._down:
                now = worst.get(device_id)
                self._verdict(now or was._replace(verdict=Verdict.CONVERGED, error=None), was)
        self.rows()

    def _verdict(self, now: Laggard, before: Laggard | None) -> None:
        who = self.application, self.kind, now.device_id, now.device_name, now.flow_id, now.flow_name
        self.log.emit(VerdictEvent, *who, now.verdict, before.verdict if before else None, now.error)

    def ended(self, result: Result) -> None:
        """Tell what of a result was not told yet."""
        for call in result.calls:
            self.call(call)
        for warning in result.warnings:
            self.warning(warning)
        self._tell_rows(result.total, result.confirmed)


@dataclass(slots=True)
class _Step(Observer):
    """The observer of one step."""

    part: _Part
    number: int

    def call(self, call: CallResult) -> None:
        """The state or the details of a call changed."""
        self.part.call(call)

    def rows(self, confirmed: int, total: int) -> None:
        """This many of all changes have been confirmed by a read."""
        self.part.steps[self.number] = (confirmed, total)
        self.part.rows()

    def note(self, text: str) -> None:
        """Something went wrong, and is tried again."""
        self.part.warning(Warning(text))


def _plan_totals(plan: Plan) -> PlanTotals:
    both = digests([plan])
    return PlanTotals(plan.application, plan.kind, both.changes, both.review, plan.summary)


def _result_totals(result: Result) -> ResultTotals:
    return ResultTotals(*(getattr(result, name) for name in ResultTotals._fields))
