"""Retries with back-off, and an adaptive limit on the requests in flight."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from reconciler.api.http.failures import CertificateRejected
from reconciler.errors import ApiError, ConnectionFailed, RateLimited, ServerFailed
from reconciler.ports import Clock
from reconciler.runtime import Backoff

MAX_TRIES = 5  # per request
BUDGET = 50  # retries per run
BASE_S = 0.5
CAP_S = 20.0
RETRY_AFTER_CAP_S = 60.0

T = TypeVar("T")


class Pace:
    """Limits the requests in flight: a 429 halves the limit, each round of successful responses raises it by one.

    A 429 for a request that was sent before the last halving does not halve it again.
    """

    def __init__(self, most: int, clock: Clock) -> None:
        self.most = most
        self.limit = float(most)
        self.in_flight = 0
        self._clock = clock
        self._cuts = 0
        self._open_at = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """A slot for one request, after any Retry-After pause. The outcome of the request adjusts the limit."""
        await self._enter()
        try:
            while (wait_s := self._open_at - self._clock.monotonic()) > 0:
                await self._clock.sleep(wait_s)
            cuts = self._cuts
            try:
                yield
            except RateLimited as error:
                self._slow_down(error, cuts)
                raise
            if self.limit < self.most:
                self.limit = min(float(self.most), self.limit + 1 / self.limit)
        finally:
            self._leave()

    async def _enter(self) -> None:
        if self.in_flight < int(self.limit) and not self._waiting:
            self.in_flight += 1
            return
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._leave()  # the slot was granted at the same moment
            elif place in self._waiting:
                self._waiting.remove(place)
            raise

    def _leave(self) -> None:
        """Return the slot, and grant free slots to the longest waiting requests."""
        self.in_flight -= 1
        while self._waiting and self.in_flight < int(self.limit):
            place = self._waiting.popleft()
            if not place.done():
                self.in_flight += 1
                place.set_result(None)

    def _slow_down(self, error: RateLimited, cuts: int) -> None:
        """React to a 429. `cuts`: how many times the limit had been halved when the request was sent."""
        if cuts == self._cuts:
            self._cuts += 1
            self.limit = max(1.0, self.limit / 2)
        if error.retry_after_s:
            wait_s = min(error.retry_after_s, RETRY_AFTER_CAP_S)
            self._open_at = max(self._open_at, self._clock.monotonic() + wait_s)


class Retries:
    """Retries transient failures: 429, 5xx, no response. Five tries per request, `budget` retries per run."""

    def __init__(self, clock: Clock, rng: random.Random, *, budget: int, note: Callable[[str], None] | None) -> None:
        self._left = budget
        self._clock = clock
        self._backoff = Backoff(BASE_S, CAP_S, rng)
        self._note = note

    async def run(self, send: Callable[[], Awaitable[T]]) -> T:
        """What `send` returns. The last error is raised unchanged."""
        tries = 0
        while True:
            tries += 1
            try:
                return await send()
            except (RateLimited, ServerFailed, ConnectionFailed) as error:
                if tries >= MAX_TRIES or self._left <= 0 or isinstance(error, CertificateRejected):
                    raise
                wait_s = self._wait_s(tries, error)
            await self._clock.sleep(wait_s)

    def _wait_s(self, tries: int, error: ApiError) -> float:
        """Take one retry from the budget, and return how long to wait before it."""
        self._left -= 1
        asked_s = None if error.retry_after_s is None else min(error.retry_after_s, RETRY_AFTER_CAP_S)
        wait_s = self._backoff.wait_s(tries, retry_after_s=asked_s)
        if self._note:
            self._note(f"{error.problems[0].message}; trying again in {wait_s:.1f} s")
        return wait_s
