"""Confirms by reads the calls that were accepted, and those whose outcome is unknown."""

from __future__ import annotations

from enum import Enum, auto

from reconciler.errors import ReconcilerError
from reconciler.executor.call import ABANDONED, Call, CallPhase
from reconciler.executor.control import RunControl
from reconciler.executor.journal import Journal
from reconciler.model.result import CallState
from reconciler.runtime import PollPause

CONFIRM_S = 60.0  # how long to wait until reads show the effect of an accepted call
READS_OF_GRACE = 2  # for fleets that are slow to read
SHORTEST_READ_S = 5.0  # what a read is given that begins as the time is up
DOUBT_S = 5.0  # how long to wait for a call of unknown outcome before its rows are resent
WILDCARD_DOUBT_S = 15.0  # longer, because giving up a wildcard also skips the calls that wait for it
FIRST_POLL_S, POLL_GROWTH, LONGEST_POLL_S = 0.5, 2.0, 10.0
MOVED_S = 5.0  # how long rows that somebody else moved elsewhere may still take the effect of an accepted call


class Look(Enum):
    """The outcome of a read."""

    SEEN = auto()
    FAILED = auto()
    HOPELESS = auto()


class Confirmation:
    """Reads whole listings, never single devices, and updates the phases of calls accordingly."""

    def __init__(self, *, journal: Journal, control: RunControl) -> None:
        self._journal = journal
        self._view = journal.view
        self._control = control
        self._clock = control.clock

    async def confirm_round(self) -> None:
        """Read until no call is in doubt and every call that others wait for is confirmed, or until the timeout."""
        await self._poll(last=False)
        for call in self._waiting(last=False):
            self._journal.move(call, *ABANDONED)

    async def confirm_run(self) -> None:
        """After the last call: read until every change is seen, or until the timeout; then settle every call."""
        if self._control.unseen:
            look = await self._poll(last=True)
            if look is Look.SEEN and self._view.is_patched:
                await self._look([], everything=True)  # earlier reads of other flows are outdated by now
            self._close(seen=look is Look.SEEN)

    def _waiting(self, *, last: bool) -> list[Call]:
        """The calls to settle by reads now: before the last round only those in doubt or that others wait for."""
        calls = self._journal.calls
        if last:
            return [call for call in calls if call.is_unsettled]
        awaited = {before for call in calls if call.is_due for before in call.after}
        return [call for call in calls if call.is_in_doubt or (call.phase is CallPhase.ACCEPTED and call.id in awaited)]

    def _is_settled(self, *, last: bool) -> bool:
        return not self._waiting(last=last) and not (last and self._control.unseen)

    async def _poll(self, *, last: bool) -> Look:
        until = self._clock.monotonic() + CONFIRM_S
        pause = PollPause(FIRST_POLL_S, POLL_GROWTH, LONGEST_POLL_S)
        look = Look.SEEN
        while not self._is_settled(last=last):
            began = self._clock.monotonic()
            look = await self._look(
                self._waiting(last=last),
                everything=last and self._control.unseen,
                within_s=until - began,
            )
            took_s = self._clock.monotonic() - began
            left_s = until - self._clock.monotonic()
            if look is Look.SEEN:
                if left_s <= 0:
                    await self._drop_deleted(self._waiting(last=last))
                self._decide(time_is_up=left_s <= 0)
            is_over = left_s <= 0 or (look is Look.SEEN and self._are_moved(self._waiting(last=last)))
            if look is Look.HOPELESS or is_over or self._is_settled(last=last):
                break
            await self._clock.sleep(pause.wait_s(took_s=took_s, left_s=left_s))
        return look

    async def _look(self, waiting: list[Call], *, everything: bool, within_s: float = CONFIRM_S) -> Look:
        """Read the flows of the calls, and update the calls. Nothing may be in flight.

        A read that is under way after `within_s` gets as long again as the newest one of everything took, twice. Every
        read has a few seconds: the last one begins as the time is up.
        """
        grace_s = READS_OF_GRACE * (self._view.full.ended - self._view.full.began)
        flows = {change.flow_id for call in waiting for change in call.open}
        only = flows.pop() if len(flows) == 1 and not everything else None
        before = self._control.read_error
        if error := await self._view.read(only, within_s=max(within_s + grace_s, SHORTEST_READ_S)):
            if self._control.read_error != before:
                self._journal.observe.note(f"the calls cannot be confirmed: {self._control.read_error}")
            return Look.HOPELESS if error.final else Look.FAILED
        self._control.unseen = self._control.unseen and only not in (None, self._view.only_flow)
        self._journal.judge()
        return Look.SEEN

    def _are_moved(self, waiting: list[Call]) -> bool:
        """Whether there is nothing to wait for: somebody else moved every open row of these calls."""
        latest = max((call.acted_at or 0.0 for call in waiting), default=0.0)
        if any(call.is_in_doubt for call in waiting) or self._clock.monotonic() - latest < MOVED_S:
            return False
        return all(len(self._journal.moved_by_other(call)) == len(call.open) for call in waiting)

    async def _drop_deleted(self, waiting: list[Call]) -> None:
        """Drop the rows that have not moved because their devices were deleted; an API may accept calls for those."""
        open_devices = {change.device_id for call in waiting for change in call.open}
        deleted = await self._view.deleted(open_devices) if open_devices else frozenset()
        if not isinstance(deleted, ReconcilerError):
            for call in waiting:
                if self._journal.drop(call, deleted) and not call.open:
                    self._journal.conclude(call)

    def _decide(self, *, time_is_up: bool) -> None:
        """Retry or give up calls in doubt whose rows have not moved for long enough."""
        now = self._clock.monotonic()
        for call in [call for call in self._journal.calls if call.is_in_doubt]:
            doubt_s = DOUBT_S if call.is_explicit else WILDCARD_DOUBT_S
            if not time_is_up and now - (call.acted_at or 0.0) < doubt_s:
                continue
            if self._control.stopped_by:
                self._journal.move(call, *ABANDONED)
            elif not call.is_explicit:
                self._journal.finish_by_releases(call)
            elif isinstance(delay_s := self._control.retries.delay_s(call.attempts, call.failure), str):
                self._journal.move(call, *ABANDONED, error=f"{call.error}; {delay_s}")
            else:
                self._journal.move(call, CallPhase.RETRY)
                self._control.hold(delay_s)

    def _close(self, *, seen: bool) -> None:
        """Fail the calls still open, except wildcards of unknown outcome. If reads failed, only record that."""
        if not self._control.unseen:
            self._journal.review()
        for call in [call for call in self._journal.calls if call.is_unsettled]:
            if seen and (call.is_explicit or call.state is CallState.ACCEPTED):
                self._journal.give_up_moved(call)
                if not call.open:
                    continue
            text = f"{len(call.open)} of {call.count} rows had not moved {CONFIRM_S:.0f} s after the last call"
            if not seen:
                text = f"not confirmed: {self._control.read_error}"
            error = f"{call.error}; {text}" if call.error else text
            if not seen:
                call.error = error
                self._journal.observe.call(call.snapshot())
            elif call.is_explicit or call.state is CallState.ACCEPTED:
                self._journal.move(call, CallPhase.FAILED, error=error)
