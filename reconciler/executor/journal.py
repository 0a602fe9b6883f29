"""The run's own record of every call: the only thing in here that changes, and valid at every await."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

from reconciler.errors import ApiError
from reconciler.executor.live_view import Picture
from reconciler.model.changes import Change
from reconciler.model.plan import Plan
from reconciler.model.requests import Release, RemoveRow, Request
from reconciler.model.result import CallResult, CallState, Unconfirmed
from reconciler.model.state import FlowId, Version
from reconciler.ports import Clock

MAX_DEVICES = 1000  # of one release (losant/api.md 2.2)


class Observer(Protocol):
    """Told of progress as it happens, on the run's own task: must return soon and must not raise."""

    def call(self, call: CallResult) -> None:
        """A call changed its state."""
        ...

    def rows(self, confirmed: int, total: int) -> None:
        """So many changes have been seen in a read."""
        ...

    def note(self, text: str) -> None:
        """What explains the pace or the course, such as a pause that the server asked for."""
        ...


class Quiet:
    """The observer that tells nobody."""

    def call(self, call: CallResult) -> None:
        """Ignore."""

    def rows(self, confirmed: int, total: int) -> None:
        """Ignore."""

    def note(self, text: str) -> None:
        """Ignore."""


@dataclass(slots=True, eq=False)
class Call:
    """One call on its way.

    Attributes:
        changes: what it answers for. Each change of the plan is answered for by exactly one call.
        open: those of `changes` not yet seen at their `to`, nor known to be moved by another.
        moved: those of `changes` that another moved elsewhere; never sent over it.
        acted: the API may have carried it out, wholly or in part.
        again: of unknown outcome, and to be sent once more.
        over: nobody waits for it any longer, so what comes after it is skipped; a late read may still confirm it.
        failure: how the last request of unknown outcome ended.
        doubted_at: monotonic time at which its outcome became unknown.
    """

    id: int
    request: Request
    changes: list[Change]
    after: list[int]
    count: int = 0
    state: CallState = CallState.PLANNED
    open: list[Change] = field(default_factory=list)
    moved: list[Change] = field(default_factory=list)
    error: str | None = None
    note: str | None = None
    failure: ApiError | None = None
    attempts: int = 0
    started: str | None = None
    ended: str | None = None
    acted: bool = False
    again: bool = False
    over: bool = False
    doubted_at: float = 0.0

    def __post_init__(self) -> None:
        self.count = len(self.changes)
        self.open = list(self.changes)

    @property
    def is_explicit(self) -> bool:
        """Whether the request names every row that it can reach."""
        return isinstance(self.request, Release | RemoveRow)

    @property
    def is_due(self) -> bool:
        """Whether it is still to be sent."""
        return self.again or (self.state is CallState.PLANNED and not self.over)

    @property
    def is_in_doubt(self) -> bool:
        """Whether reads have yet to tell what became of it."""
        return self.state is CallState.UNKNOWN and not (self.again or self.over)

    @property
    def is_lost(self) -> bool:
        """Whether what comes after it must not be sent."""
        return self.over or self.state in (CallState.FAILED, CallState.SKIPPED)

    def snapshot(self) -> CallResult:
        """The call as data."""
        return CallResult(
            id=self.id,
            action=self.request.action,
            body=self.request.body,
            count=self.count,
            after=tuple(self.after),
            state=self.state,
            confirmed=len(self.changes) - len(self.open) - len(self.moved),
            attempts=self.attempts,
            error=self.error,
            note=self.note,
            started=self.started,
            ended=self.ended,
        )


class Journal:
    """All calls of a run. Every change of a call's state goes through `set` and is told to the observer."""

    def __init__(self, plan: Plan, *, clock: Clock, observe: Observer) -> None:
        changes = {change.row: change for change in plan.changes}
        self.calls = [
            Call(call.id, call.request, [changes[row] for row in call.rows], list(call.after)) for call in plan.calls
        ]
        self.observe = observe
        self._clock = clock
        self._ids = count(max((call.id for call in plan.calls), default=-1) + 1)

    def set(self, call: Call, state: CallState, error: str | None = None) -> None:
        """Move a call on; its `error` stays until a new one is given or the call is confirmed."""
        call.state = state
        call.error = None if state is CallState.CONFIRMED else error or call.error
        match state:
            case CallState.SENT:
                call.again = False
                call.attempts += 1
                call.started = call.started or self._clock.utc_now()
            case CallState.ACCEPTED | CallState.UNKNOWN:
                call.acted = True
                call.ended = self._clock.utc_now()
                call.doubted_at = self._clock.monotonic()
            case CallState.FAILED | CallState.CONFIRMED if call.attempts:
                call.ended = self._clock.utc_now()
        self.observe.call(call.snapshot())

    def due(self) -> list[Call]:
        """Calls that may be sent now: everything that they wait for is confirmed."""
        confirmed = {call.id for call in self.calls if call.state is CallState.CONFIRMED}
        return [call for call in self.calls if call.is_due and confirmed.issuperset(call.after)]

    def is_awaited(self, call: Call) -> bool:
        """Whether another call is to be sent once this one is confirmed."""
        return any(other.is_due and call.id in other.after for other in self.calls)

    def skip_orphans(self) -> None:
        """Skip what waits for a call that is lost, and what waits for that."""
        while True:
            lost = {call.id: call.state for call in self.calls if call.is_lost}
            orphans = [call for call in self.calls if call.is_due and not lost.keys().isdisjoint(call.after)]
            if not orphans:
                return
            for call in orphans:
                culprit = next(before for before in call.after if before in lost)
                self.give_up(call, f"waits for call {culprit}, which is {_told(lost[culprit])}")

    def give_up(self, call: Call, reason: str) -> None:
        """Do not send a call that is due. It is skipped, unless it was sent before: then it stays unknown."""
        call.over, call.again = True, False
        if call.state is CallState.PLANNED:
            self.set(call, CallState.SKIPPED, reason)

    def give_up_due(self, reason: str) -> None:
        """Send nothing more."""
        for call in [call for call in self.calls if call.is_due]:
            self.give_up(call, reason)

    def break_up(self, call: Call, reason: str) -> list[Call]:
        """Turn a wildcard that was never sent into releases. The first takes its place and its id; gives the others."""
        (request, changes), *rest = releases(call.open)
        call.request, call.changes, call.count = request, changes, len(changes)
        call.open = list(changes)
        more = [self._append(request, changes, after=call.after, note=reason) for request, changes in rest]
        for waiting in self.calls:
            if call.id in waiting.after:
                waiting.after += [new.id for new in more]
        call.note = reason
        self.observe.call(call.snapshot())
        return more

    def finish_by_releases(self, call: Call) -> list[Call]:
        """Hand what a wildcard of unknown outcome has not moved to releases; it stays unknown for good."""
        left, call.open = call.open, []
        handed = {change.row for change in left}
        call.changes = [change for change in call.changes if change.row not in handed]
        call.over = True
        note = f"finishes call {call.id}, whose outcome is unknown"
        return [self._append(request, changes, after=[], note=note) for request, changes in releases(left)]

    def _append(self, request: Request, changes: list[Change], *, after: Iterable[int], note: str) -> Call:
        call = Call(next(self._ids), request, changes, list(after), note=note)
        self.calls.append(call)
        self.observe.call(call.snapshot())
        return call

    def trim(self, call: Call, picture: Picture) -> None:
        """Before a call is sent: leave out the rows that are there already or that another moved.

        The call is confirmed or failed at once where that leaves none. A wildcard cannot be narrowed; it has no rows
        that another moved, or it would have been broken up.
        """
        left: list[Change] = []
        for change in call.open:
            released = picture.released(change.row)
            if released == change.from_version:
                left.append(change)
            elif released != change.to_version:
                call.moved.append(change)
        call.open = left
        if left:
            call.request = _narrowed(call.request, left)
        else:
            self.conclude(call)

    def conclude(self, call: Call) -> None:
        """Settle a call that has no open change left."""
        call.again = False
        if call.moved:
            self.set(call, CallState.FAILED, f"{_rows(len(call.moved))} moved by another during the run")
        else:
            self.set(call, CallState.CONFIRMED)

    def judge(self, picture: Picture) -> None:
        """Compare the calls that acted with what was read since, and confirm those whose every change is there."""
        for call in self.calls:
            if call.acted and call.open:
                call.open = [change for change in call.open if picture.released(change.row) != change.to_version]
                if not call.open and call.state is not CallState.SENT:
                    self.conclude(call)
        self.observe.rows(*self.progress())

    def review(self, picture: Picture) -> None:
        """At the end: find the changes that were seen in place and have moved away since."""
        for call in self.calls:
            known = {change.row for change in (*call.open, *call.moved)}
            away = [
                change
                for change in call.changes
                if change.row not in known and picture.released(change.row) != change.to_version
            ]
            if away and call.state is CallState.CONFIRMED:
                self.set(call, CallState.FAILED, f"{_rows(len(away))} moved by another after being confirmed")
            call.moved += away

    def progress(self) -> tuple[int, int]:
        """Changes seen in place, and all of them."""
        total = sum(len(call.changes) for call in self.calls)
        return total - sum(len(call.open) + len(call.moved) for call in self.calls), total

    def unconfirmed(self, picture: Picture) -> Iterator[Unconfirmed]:
        """Rows of calls past `planned` that are not known to be in place."""
        for call in self.calls:
            if call.state is CallState.PLANNED and not call.attempts:
                continue
            for changes, by_other in ((call.open, False), (call.moved, True)):
                for change in changes:
                    actual = picture.released(change.row)
                    other = by_other or actual not in (change.from_version, change.to_version)
                    yield Unconfirmed(*change.row, change.to_version, actual, call.id, other)


def releases(changes: Iterable[Change]) -> list[tuple[Release, list[Change]]]:
    """The releases that carry these changes, 1000 devices each at most; flow by flow, devices in order."""
    groups: dict[tuple[FlowId, Version | None], list[Change]] = {}
    for change in sorted(changes):
        groups.setdefault((change.flow_id, change.to_version), []).append(change)
    chunks: list[tuple[Release, list[Change]]] = []
    for (flow_id, version), group in groups.items():
        for start in range(0, len(group), MAX_DEVICES):
            chunk = group[start : start + MAX_DEVICES]
            chunks.append((Release(flow_id, version, tuple(change.device_id for change in chunk)), chunk))
    return chunks


def _narrowed(request: Request, changes: list[Change]) -> Request:
    if isinstance(request, Release) and len(request.device_ids) != len(changes):
        return Release(request.flow_id, request.version, tuple(change.device_id for change in changes))
    return request


def _rows(number: int) -> str:
    return "1 row was" if number == 1 else f"{number} rows were"


def _told(state: CallState) -> str:
    return "not confirmed" if state is CallState.ACCEPTED else str(state)
