"""The run's own record of its calls: the only thing in here that changes, and valid at every await."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count
from typing import Protocol

from reconciler.executor.call import Call, CallPhase
from reconciler.executor.live_view import LiveView
from reconciler.model.changes import Change
from reconciler.model.plan import Plan
from reconciler.model.requests import Release, Request
from reconciler.model.result import CallResult, CallState, Unconfirmed
from reconciler.model.state import FlowId, Version
from reconciler.ports import Clock

MAX_DEVICES = 1000  # of one release: the API's limit

_SENT = {CallPhase.PLANNED: CallPhase.SENT, CallPhase.RETRY: CallPhase.RESENT}
_POSTPONED = {CallPhase.SENT: CallPhase.PLANNED, CallPhase.RESENT: CallPhase.RETRY}
_REFUSED = {CallPhase.SENT: CallPhase.FAILED, CallPhase.RESENT: CallPhase.GIVEN_UP}
_ABANDONED = {
    CallPhase.PLANNED: CallPhase.SKIPPED,
    CallPhase.ACCEPTED: CallPhase.OVERDUE,
    CallPhase.IN_DOUBT: CallPhase.GIVEN_UP,
    CallPhase.RETRY: CallPhase.GIVEN_UP,
}


class Observer(Protocol):
    """Told of progress as it happens, on the run's own task: must return soon and must not raise."""

    def call(self, call: CallResult) -> None:
        """A call changed its state, or there is more to say of it."""
        ...

    def rows(self, confirmed: int, total: int) -> None:
        """So many changes have been seen in a read."""
        ...

    def note(self, text: str) -> None:
        """What explains the pace or the course of the run, such as a pause that the server asked for."""
        ...


class Quiet:
    """The observer that tells nobody."""

    def call(self, call: CallResult) -> None:
        """Ignore."""

    def rows(self, confirmed: int, total: int) -> None:
        """Ignore."""

    def note(self, text: str) -> None:
        """Ignore."""


class Journal:
    """All calls of a run. Every step of a call goes through `move` and is told to the observer."""

    def __init__(self, plan: Plan, *, clock: Clock, observe: Observer) -> None:
        changes = {change.row: change for change in plan.changes}
        self.calls = [
            Call(call.id, call.request, [changes[row] for row in call.rows], list(call.after)) for call in plan.calls
        ]
        self.observe = observe
        self._clock = clock
        self._ids = count(max((call.id for call in plan.calls), default=-1) + 1)

    # One call's next step.

    def move(self, call: Call, phase: CallPhase, error: str | None = None) -> None:
        """Move a call on; its `error` stays until a new one is given or the call is confirmed."""
        before = call.state
        call.move(phase)
        call.error = None if phase is CallPhase.CONFIRMED else error or call.error
        match call.state:
            case CallState.SENT:
                call.attempts += 1
                call.started = call.started or self._clock.utc_now()
            case CallState.ACCEPTED | CallState.UNKNOWN | CallState.FAILED | CallState.CONFIRMED if call.attempts:
                call.ended = self._clock.utc_now()
        if phase in (CallPhase.ACCEPTED, CallPhase.IN_DOUBT):
            call.acted_at = self._clock.monotonic()
        if error or call.state is not before:
            self.observe.call(call.snapshot())

    def sent(self, call: Call) -> None:
        """A call that is due goes out."""
        self.move(call, _SENT[call.phase])

    def postpone(self, call: Call, reason: str) -> None:
        """The request that is in flight had no effect for sure: the call is due again."""
        self.move(call, _POSTPONED[call.phase], reason)

    def refuse(self, call: Call, reason: str) -> None:
        """A definite no to the request that is in flight. An earlier one may have had an effect all the same."""
        self.move(call, _REFUSED[call.phase], reason)

    def abandon(self, call: Call, reason: str | None = None) -> None:
        """Do not send or wait for a call any longer; what waits for it is skipped. A late read may still confirm it."""
        self.move(call, _ABANDONED[call.phase], reason)

    def conclude(self, call: Call) -> None:
        """Settle a call that has no open change left."""
        if call.moved:
            self.move(call, CallPhase.FAILED, f"{_rows(len(call.moved))} moved by another during the run")
        else:
            self.move(call, CallPhase.CONFIRMED)

    def remark(self, call: Call, text: str) -> None:
        """Add to what went wrong with a call."""
        call.error = f"{call.error}; {text}" if call.error else text
        self.observe.call(call.snapshot())

    # Which calls may go.

    def due(self) -> list[Call]:
        """Calls that may be sent now: everything that they wait for is confirmed."""
        confirmed = {call.id for call in self.calls if call.phase is CallPhase.CONFIRMED}
        return [call for call in self.calls if call.is_due and confirmed.issuperset(call.after)]

    def is_awaited(self, call: Call) -> bool:
        """Whether it was accepted, and another call is to be sent once it is confirmed."""
        return call.phase is CallPhase.ACCEPTED and any(other.is_due and call.id in other.after for other in self.calls)

    def skip_orphans(self) -> None:
        """Skip what waits for a call that is lost, and what waits for that."""
        while True:
            lost = {call.id: call.state for call in self.calls if call.is_lost}
            orphans = [call for call in self.calls if call.is_due and not lost.keys().isdisjoint(call.after)]
            if not orphans:
                return
            for call in orphans:
                culprit = next(before for before in call.after if before in lost)
                self.abandon(call, f"waits for call {culprit}, which is {_told(lost[culprit])}")

    def abandon_due(self, reason: str) -> None:
        """Send nothing more. What was sent before stays unknown, for the reason that it has."""
        for call in [call for call in self.calls if call.is_due]:
            self.abandon(call, reason if call.phase is CallPhase.PLANNED else None)

    # Calls that take another's place.

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
        self.abandon(call)
        note = f"finishes call {call.id}, whose outcome is unknown"
        return [self._append(request, changes, after=[], note=note) for request, changes in releases(left)]

    def _append(self, request: Request, changes: list[Change], *, after: Iterable[int], note: str) -> Call:
        call = Call(next(self._ids), request, changes, list(after), note=note)
        self.calls.append(call)
        self.observe.call(call.snapshot())
        return call

    # What reads show.

    def trim(self, call: Call, view: LiveView) -> None:
        """Before a call is sent: leave out the rows that are there already or that another moved.

        The call is confirmed or failed at once where that leaves none. A wildcard cannot be narrowed; it has no rows
        that another moved, or it would have been broken up.
        """
        left: list[Change] = []
        for change in call.open:
            released = view.released(change.row)
            if released == change.from_version:
                left.append(change)
            elif released != change.to_version:
                call.moved.append(change)
        call.open = left
        if left:
            call.request = _narrowed(call.request, left)
        else:
            self.conclude(call)

    def judge(self, view: LiveView) -> None:
        """Compare unsettled calls with what was read since, and confirm those whose every change is there."""
        for call in self.calls:
            if call.is_unsettled:
                call.open = [change for change in call.open if view.released(change.row) != change.to_version]
                if not call.open:
                    self.conclude(call)
        self.observe.rows(*self.progress())

    def review(self, view: LiveView) -> None:
        """At the end: find the changes that were seen in place and have moved away since."""
        for call in self.calls:
            known = {change.row for change in (*call.open, *call.moved)}
            away = [
                change
                for change in call.changes
                if change.row not in known and view.released(change.row) != change.to_version
            ]
            if away and call.phase is CallPhase.CONFIRMED:
                self.move(call, CallPhase.FAILED, f"{_rows(len(away))} moved by another after being confirmed")
            call.moved += away

    def progress(self) -> tuple[int, int]:
        """Changes seen in place, and all of them."""
        total = sum(len(call.changes) for call in self.calls)
        return total - sum(len(call.open) + len(call.moved) for call in self.calls), total

    def unconfirmed(self, view: LiveView) -> Iterator[Unconfirmed]:
        """Rows that are not known to be in place, of every call but those that nobody has touched yet."""
        for call in self.calls:
            if call.phase is CallPhase.PLANNED and not call.attempts:
                continue
            for changes, by_other in ((call.open, False), (call.moved, True)):
                for change in changes:
                    actual = view.released(change.row)
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
