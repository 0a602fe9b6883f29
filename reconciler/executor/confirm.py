"""Settling by reading: what became of calls that were accepted, and of those that nobody answered."""

from __future__ import annotations

from enum import Enum, auto

from reconciler.errors import (
    AuthenticationFailed,
    NotFound,
    PermissionDenied,
    RequestRefused,
)
from reconciler.executor.course import Course
from reconciler.executor.journal import Call, Journal
from reconciler.executor.live_view import Picture
from reconciler.executor.patience import Patience
from reconciler.executor.preflight import read
from reconciler.model.result import CallState
from reconciler.ports import Clock, Reader

CONFIRM_S = 60.0  # how long reads wait for an accepted call to show (contract 6.5)
DOUBT_S = 5.0  # how long they wait for one of unknown outcome before its rows are sent again
WILDCARD_DOUBT_S = 15.0  # longer, because giving a wildcard up costs what waits for it
FIRST_POLL_S, POLL_GROWTH, LONGEST_POLL_S = 0.5, 2.0, 10.0


class Look(Enum):
    """How a read went."""

    SEEN = auto()
    FAILED = auto()
    HOPELESS = auto()


class Settling:
    """Reads lists, never one device at a time, and moves calls on by what they show."""

    def __init__(
        self, api: Reader, *, clock: Clock, journal: Journal, picture: Picture, course: Course, patience: Patience
    ) -> None:
        self._api = api
        self._clock = clock
        self._journal = journal
        self._picture = picture
        self._course = course
        self._patience = patience

    async def settle_round(self) -> None:
        """Read until nothing is in doubt and every call that another waits for is confirmed, or time is up."""
        await self._poll(last=False)
        for call in self._waiting(last=False):
            call.over = True

    async def settle_run(self) -> None:
        """After the last call: read until every change shows, or time is up; then say of each call what it came to."""
        if self._course.unseen:
            look = await self._poll(last=True)
            if look is Look.SEEN and self._picture.is_patched:
                await self._look([], everything=True)  # what was read of other flows is old by now
            self._close(seen=look is Look.SEEN)

    def _waiting(self, *, last: bool) -> list[Call]:
        if last:
            return [call for call in self._journal.calls if call.acted and call.open]
        return [call for call in self._journal.calls if call.is_in_doubt or self._holds_back_others(call)]

    def _holds_back_others(self, call: Call) -> bool:
        return call.state is CallState.ACCEPTED and not call.over and self._journal.is_awaited(call)

    def _is_settled(self, *, last: bool) -> bool:
        return not self._waiting(last=last) and not (last and self._course.unseen)

    async def _poll(self, *, last: bool) -> Look:
        until = self._clock.monotonic() + CONFIRM_S
        pause_s = FIRST_POLL_S
        look = Look.SEEN
        while not self._is_settled(last=last):
            began = self._clock.monotonic()
            look = await self._look(self._waiting(last=last), everything=last and self._course.unseen)
            took_s = self._clock.monotonic() - began
            left_s = until - self._clock.monotonic()
            if look is Look.SEEN:
                self._decide(time_is_up=left_s <= 0)
            if look is Look.HOPELESS or left_s <= 0 or self._is_settled(last=last):
                break
            await self._clock.sleep(min(max(pause_s, took_s), left_s))
            pause_s = min(pause_s * POLL_GROWTH, LONGEST_POLL_S)
        return look

    async def _look(self, waiting: list[Call], *, everything: bool) -> Look:
        """Read what the calls are about, and judge them by it. Nothing may be in flight."""
        flows = {change.flow_id for call in waiting for change in call.open}
        only = flows.pop() if len(flows) == 1 and not everything else None
        told = self._course.read_error
        if error := await read(self._api, only, picture=self._picture, course=self._course):
            if self._course.read_error != told:
                self._journal.observe.note(f"the calls cannot be confirmed: {self._course.read_error}")
            hopeless = isinstance(error, AuthenticationFailed | PermissionDenied | NotFound | RequestRefused)
            return Look.HOPELESS if hopeless else Look.FAILED
        self._course.unseen = self._course.unseen and only not in (None, self._picture.only_flow)
        self._journal.judge(self._picture)
        return Look.SEEN

    def _decide(self, *, time_is_up: bool) -> None:
        """Take up again what reads have shown not to have moved for long enough."""
        now = self._clock.monotonic()
        for call in [call for call in self._journal.calls if call.is_in_doubt]:
            patience_s = DOUBT_S if call.is_explicit else WILDCARD_DOUBT_S
            if time_is_up or now - call.doubted_at >= patience_s:
                self._take_up(call, now)

    def _take_up(self, call: Call, now: float) -> None:
        if self._course.stopped_by:
            call.over = True
        elif not call.is_explicit:
            self._journal.finish_by_releases(call)
        else:
            delay_s = self._patience.delay_s(call.attempts, call.failure)
            if isinstance(delay_s, str):
                call.over = True
                self._journal.set(call, CallState.UNKNOWN, f"{call.error}; {delay_s}")
            else:
                call.again = True
                self._course.hold(now + delay_s)

    def _close(self, *, seen: bool) -> None:
        """Name what is still open. Without a read there is nothing to say; of a wildcard in doubt there never is."""
        if not self._course.unseen:
            self._journal.review(self._picture)
        for call in self._journal.calls:
            if not (call.acted and call.open) or call.state is CallState.FAILED:
                continue
            if not seen:
                self._journal.set(call, call.state, _joined(call.error, f"not confirmed: {self._course.read_error}"))
            elif call.state is CallState.ACCEPTED or call.is_explicit:
                text = f"{len(call.open)} of {call.count} rows had not moved {CONFIRM_S:.0f} s after the last call"
                self._journal.set(call, CallState.FAILED, _joined(call.error, text))


def _joined(before: str | None, text: str) -> str:
    return f"{before}; {text}" if before else text
