"""The journal: the only record of the calls of a run, consistent at every await."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from itertools import count

from reconciler.executor.call import ABANDONED, REFUSED, TRANSITIONS, Call, CallPhase
from reconciler.executor.live_view import LiveView
from reconciler.model.changes import Change
from reconciler.model.plan import Plan
from reconciler.model.requests import MAX_DEVICES, Release, Request
from reconciler.model.result import CallResult, CallState, Unconfirmed
from reconciler.model.state import DeviceId, FlowId, Row, Version
from reconciler.model.text import counted
from reconciler.ports import Clock


class Observer:
    """Notified during the run, on its task: methods must return quickly and must not raise. This one ignores all."""

    def call(self, call: CallResult) -> None:
        """The state or the details of a call changed."""

    def rows(self, confirmed: int, total: int) -> None:
        """This many of all changes have been confirmed by a read."""

    def note(self, text: str) -> None:
        """An explanation of what the run does, such as a pause that the server requires."""


class Journal:
    """All calls of a run. Every transition of a call goes through `move`, which notifies the observer.

    `deleted`: the changes that were dropped because their devices do not exist any more, by row.
    """

    def __init__(self, plan: Plan, *, view: LiveView, clock: Clock, observe: Observer) -> None:
        changes = {change.row: change for change in plan.sent}
        self.calls = [
            Call(call.id, call.request, [changes[row] for row in call.rows], list(call.after)) for call in plan.calls
        ]
        self.view = view
        self.observe = observe
        self.deleted: dict[Row, Change] = {}
        self._clock = clock
        self._ids = count(max((call.id for call in plan.calls), default=-1) + 1)

    # Transitions of a call.

    def move(self, call: Call, *phases: CallPhase, error: str | None = None) -> None:
        """Move a call to the one of `phases` that can follow its current phase.

        Its `error` is kept until a new one is given or the call is confirmed.
        """
        before = call.state
        phase = next((one for one in phases if one in TRANSITIONS[call.phase]), phases[0])
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

    def conclude(self, call: Call) -> None:
        """Confirm or fail a call that has no open change left."""
        if call.moved:
            self.move(call, CallPhase.FAILED, error=f"{_rows(len(call.moved))} moved by somebody else during the run")
        else:
            self.move(call, CallPhase.CONFIRMED)

    # Which calls may be sent.

    def due(self) -> list[Call]:
        """Calls that may be sent now: every call that they wait for is confirmed."""
        confirmed = {call.id for call in self.calls if call.phase is CallPhase.CONFIRMED}
        return [call for call in self.calls if call.is_due and confirmed.issuperset(call.after)]

    def skip_dependents(self) -> None:
        """Skip calls that wait, directly or indirectly, for a call that failed or was abandoned."""
        while True:
            failed = {call.id: call.state for call in self.calls if call.phase in (*REFUSED, *ABANDONED)}
            dependents = [call for call in self.calls if call.is_due and not failed.keys().isdisjoint(call.after)]
            if not dependents:
                return
            for call in dependents:
                blocker = next(before for before in call.after if before in failed)
                what = "not confirmed" if failed[blocker] is CallState.ACCEPTED else str(failed[blocker])
                self.move(call, *ABANDONED, error=f"waits for call {blocker}, which is {what}")

    def abandon_due(self, reason: str) -> None:
        """Abandon the calls due. Those sent before keep their unknown outcome and its error."""
        for call in [call for call in self.calls if call.is_due]:
            self.move(call, *ABANDONED, error=reason if call.phase is CallPhase.PLANNED else None)

    # Calls that replace others.

    def break_up(self, call: Call, reason: str) -> list[Call]:
        """Convert a wildcard that was never sent into releases: the first keeps its id, the others are returned."""
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
        """Carry the open changes of a wildcard of unknown outcome by releases; its own outcome stays unknown."""
        left, call.open = call.open, []
        handed = {change.row for change in left}
        call.changes = [change for change in call.changes if change.row not in handed]
        self.move(call, *ABANDONED)
        note = f"finishes call {call.id}, whose outcome is unknown"
        return [self._append(request, changes, after=[], note=note) for request, changes in releases(left)]

    def _append(self, request: Request, changes: list[Change], *, after: Iterable[int], note: str) -> Call:
        call = Call(next(self._ids), request, changes, list(after), note=note)
        self.calls.append(call)
        self.observe.call(call.snapshot())
        return call

    # Effects of reads.

    def drop(self, call: Call, device_ids: Collection[DeviceId]) -> bool:
        """Drop the open changes of devices that do not exist any more. Returns whether there are any."""
        dropped = {change.row: change for change in call.open if change.device_id in device_ids}
        if not dropped:
            return False
        call.open = [change for change in call.open if change.row not in dropped]
        call.changes = [change for change in call.changes if change.row not in dropped]
        call.count -= len(dropped)
        self.deleted |= dropped
        note = f"left out {counted(len(dropped), 'row')} of devices that no longer exist"
        call.note = f"{call.note}; {note}" if call.note else note
        self.observe.note(f"call {call.id}: {note}")
        return True

    def trim(self, call: Call) -> None:
        """Before a call is sent, drop the rows that are already in place or that others moved.

        If that leaves none, the call is confirmed or failed at once. A wildcard cannot be narrowed; it has no rows
        that others moved, or it would have been converted to releases.
        """
        left: list[Change] = []
        for change in call.open:
            released = self.view.released(change.row)
            if released == change.from_version:
                left.append(change)
            elif released != change.to_version:
                call.moved.append(change)
        call.open = left
        if not left:
            self.conclude(call)
        elif isinstance(call.request, Release) and len(call.request.device_ids) != len(left):
            call.request = replace(call.request, device_ids=tuple(change.device_id for change in left))

    def judge(self) -> None:
        """Compare unsettled calls with newer reads, and confirm those whose changes are all in place."""
        for call in self.calls:
            if call.is_unsettled:
                call.open = [change for change in call.open if self.view.released(change.row) != change.to_version]
                if not call.open:
                    self.conclude(call)
        self.observe.rows(*self.progress())

    def moved_by_other(self, call: Call) -> list[Change]:
        """The open changes whose rows are neither where the plan found them nor where it moves them."""
        released = self.view.released
        return [one for one in call.open if released(one.row) not in (one.from_version, one.to_version)]

    def give_up_moved(self, call: Call) -> None:
        """At the end of the run, give up the rows that others moved; a call that has no others has failed."""
        moved = {change.row: change for change in self.moved_by_other(call)}
        call.open = [change for change in call.open if change.row not in moved]
        call.moved += moved.values()
        if not call.open:
            self.conclude(call)

    def review(self) -> None:
        """At the end of the run, find confirmed changes whose rows have moved away since."""
        for call in self.calls:
            known = {change.row for change in (*call.open, *call.moved)}
            seen = [change for change in call.changes if change.row not in known]
            away = [change for change in seen if self.view.released(change.row) != change.to_version]
            if away and call.phase is CallPhase.CONFIRMED:
                error = f"{_rows(len(away))} moved by somebody else after being confirmed"
                self.move(call, CallPhase.FAILED, error=error)
            call.moved += away

    def progress(self) -> tuple[int, int]:
        """The number of confirmed changes, and of all changes."""
        total = sum(len(call.changes) for call in self.calls)
        return total - sum(len(call.open) + len(call.moved) for call in self.calls), total

    def unconfirmed(self) -> Iterator[Unconfirmed]:
        """Rows that are not known to be in place, of all calls except those never started."""
        for call in self.calls:
            if call.phase is CallPhase.PLANNED and not call.attempts:
                continue
            for changes, by_other in ((call.open, False), (call.moved, True)):
                for change in changes:
                    actual = self.view.released(change.row)
                    other = by_other or actual not in (change.from_version, change.to_version)
                    yield Unconfirmed(*change.row, change.to_version, actual, call.id, other)


def releases(changes: Iterable[Change]) -> list[tuple[Release, list[Change]]]:
    """The releases that carry these changes, each for at most 1000 devices; sorted by flow, then device."""
    groups: dict[tuple[FlowId, Version | None], list[Change]] = {}
    for change in sorted(changes):
        groups.setdefault((change.flow_id, change.to_version), []).append(change)
    return [
        (Release(*target, tuple(change.device_id for change in chunk)), chunk)
        for target, group in groups.items()
        for start in range(0, len(group), MAX_DEVICES)
        if (chunk := group[start : start + MAX_DEVICES])
    ]


def _rows(number: int) -> str:
    return "1 row was" if number == 1 else f"{number} rows were"
