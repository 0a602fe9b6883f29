"""Time that tests are masters of."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from reconciler.runtime import SystemClock
from reconciler.simulator import Server
from reconciler.simulator.world.clock import rfc3339

START = datetime(2026, 3, 2, 9, tzinfo=UTC)


class SimulatedTime:
    """`ports.Clock` on the time of a simulator with a frozen clock: a sleep moves it on, nothing else does."""

    def __init__(self, server: Server) -> None:
        self._control = server.control
        self._deadlines: dict[asyncio.Timeout, float] = {}

    def monotonic(self) -> float:
        return self._control.now_ms() / 1000

    def utc_now(self) -> str:
        return rfc3339(self._control.now_ms())

    async def sleep(self, seconds: float) -> None:
        due = self.monotonic() + seconds
        await asyncio.sleep(0)
        while (left := min([due, *self._deadlines.values()]) - self.monotonic()) > 0:
            self._control.advance(max(0.001, left))  # the simulator counts milliseconds
            self._expire()
            for _ in range(10):  # whom a deadline ends gets to know that before time moves on
                await asyncio.sleep(0)

    @contextlib.asynccontextmanager
    async def deadline(self, seconds: float) -> AsyncIterator[None]:
        async with asyncio.timeout(None) as limit:
            self._deadlines[limit] = self.monotonic() + seconds
            try:
                yield
            finally:
                self._deadlines.pop(limit, None)

    def _expire(self) -> None:
        for limit in [limit for limit, due in self._deadlines.items() if due <= self.monotonic()]:
            del self._deadlines[limit]
            limit.reschedule(asyncio.get_running_loop().time())


class JumpyTime(SimulatedTime):
    """The wall clock jumps a day forth and two back at every look; time itself goes on as it should."""

    looks = 0

    def utc_now(self) -> str:
        self.looks += 1
        return ("2026-03-03T09:00:00.000Z", "2026-03-01T09:00:00.000Z")[self.looks % 2]


def skip_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every pause of commands in this process be over at once, with the clock moved on by its length."""
    skipped_s = 0.0

    async def sleep(_: SystemClock, seconds: float) -> None:
        nonlocal skipped_s
        skipped_s += seconds
        await asyncio.sleep(0)

    monkeypatch.setattr(SystemClock, "sleep", sleep)
    monkeypatch.setattr(SystemClock, "monotonic", lambda _: time.monotonic() + skipped_s)
