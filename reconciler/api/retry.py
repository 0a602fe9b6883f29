"""When to ask again, how long to wait before, and how many requests may be under way at once."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TypeVar

from reconciler.api.failures import CertificateRejected
from reconciler.backoff import Backoff
from reconciler.errors import ApiError, ConnectionFailed, RateLimited, ServerFailed
from reconciler.ports import Clock

MAX_TRIES = 5  # of one request
BUDGET = 50  # retries of a whole run
BASE_S = 0.5
CAP_S = 20.0
RETRY_AFTER_CAP_S = 60.0

T = TypeVar("T")


class Pace:
    """How many requests may be under way: halved by a 429, then one more per round of good answers.

    A 429 that answers a request sent before the last halving does not halve again: it is the same news.
    `async with pace.turn() as turn` holds a place.
    """

    def __init__(self, most: int, clock: Clock) -> None:
        self.most = most
        self.limit = float(most)
        self.under_way = 0
        self._clock = clock
        self._cuts = 0
        self._open_at = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def turn(self) -> Turn:
        """A place for one request."""
        return Turn(self)

    async def enter(self) -> int:
        """Wait for a place and, after a 429 with Retry-After, for its end. Returns the number of cuts so far."""
        await self._enter()
        try:
            while (wait_s := self._open_at - self._clock.monotonic()) > 0:
                await self._clock.sleep(wait_s)
        except BaseException:
            self.leave()
            raise
        return self._cuts

    async def _enter(self) -> None:
        if self.under_way < int(self.limit) and not self._waiting:
            self.under_way += 1
            return
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.leave()  # the place was given in the same moment
            elif place in self._waiting:
                self._waiting.remove(place)
            raise

    def leave(self) -> None:
        """Give the place back, and to whoever waits longest."""
        self.under_way -= 1
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self.under_way < int(self.limit):
            place = self._waiting.popleft()
            if not place.done():
                self.under_way += 1
                place.set_result(None)

    def slower(self, *, cuts_seen: int, retry_after_s: float | None) -> None:
        """A 429 came for a request that was sent when `cuts_seen` cuts had been made."""
        if cuts_seen == self._cuts:
            self._cuts += 1
            self.limit = max(1.0, self.limit / 2)
        if retry_after_s:
            wait_s = min(retry_after_s, RETRY_AFTER_CAP_S)
            self._open_at = max(self._open_at, self._clock.monotonic() + wait_s)

    def faster(self) -> None:
        """A good answer came."""
        if self.limit < self.most:
            self.limit = min(float(self.most), self.limit + 1 / self.limit)
            self._admit()


class Turn:
    """One request's place."""

    __slots__ = ("_cuts", "_pace")

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._cuts = 0

    async def __aenter__(self) -> Turn:
        self._cuts = await self._pace.enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, RateLimited):
            self._pace.slower(cuts_seen=self._cuts, retry_after_s=error.retry_after_s)
        elif error is None:
            self._pace.faster()
        self._pace.leave()


class Retries:
    """Asks again what failed in passing: 429, 5xx, no answer. Five tries a request, fifty retries a run."""

    def __init__(
        self, *, clock: Clock, rng: random.Random, budget: int = BUDGET, note: Callable[[str], None] | None = None
    ) -> None:
        self.left = budget
        self._clock = clock
        self._backoff = Backoff(BASE_S, CAP_S, rng)
        self._note = note

    async def run(self, ask: Callable[[], Awaitable[T]]) -> T:
        """What `ask` returns. The last error is raised as it is."""
        for tries in itertools.count(1):
            try:
                return await ask()
            except ApiError as error:
                if tries >= MAX_TRIES or self.left <= 0 or not _is_passing(error):
                    raise
                wait_s = self._wait_s(tries, error)
            await self._clock.sleep(wait_s)
        raise AssertionError("unreachable")

    def _wait_s(self, tries: int, error: ApiError) -> float:
        """Take one retry from the budget; how long to wait before it."""
        self.left -= 1
        asked_s = error.retry_after_s if isinstance(error, RateLimited | ServerFailed) else None
        wait_s = self._backoff.wait_s(tries, asked_s=None if asked_s is None else min(asked_s, RETRY_AFTER_CAP_S))
        if self._note:
            self._note(f"{error.problems[0].message}; trying again in {wait_s:.1f} s")
        return wait_s


def _is_passing(error: ApiError) -> bool:
    passing = isinstance(error, RateLimited | ServerFailed | ConnectionFailed)
    return passing and not isinstance(error, CertificateRejected)
