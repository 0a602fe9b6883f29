"""The contract of `ports.Clock`: the machine's clock and the virtual one."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.ports import Clock
from reconciler.runtime import SystemClock
from tests.fakes import FakeClock

clocks = pytest.mark.parametrize("clock", [SystemClock(), FakeClock()], ids=["system", "fake"])


@clocks
def test_a_sleep_moves_time_on(clock: Clock) -> None:
    before = clock.monotonic()
    asyncio.run(clock.sleep(0.02))
    assert clock.monotonic() - before >= 0.02


@clocks
def test_the_wall_clock_is_rfc_3339_in_utc_with_milliseconds(clock: Clock) -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", clock.utc_now())


def test_the_machines_wall_clock_tells_the_time() -> None:
    assert abs(datetime.fromisoformat(SystemClock().utc_now()) - datetime.now(UTC)) < timedelta(seconds=5)


@clocks
def test_cancellation_ends_a_sleep_at_once(clock: Clock) -> None:
    async def go() -> None:
        sleeping = asyncio.create_task(clock.sleep(3600))
        await asyncio.sleep(0)
        sleeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sleeping

    asyncio.run(go())


@clocks
def test_a_deadline_ends_what_runs_inside(clock: Clock) -> None:
    async def go() -> None:
        before = clock.monotonic()
        with pytest.raises(TimeoutError):
            async with clock.deadline(0.02), asyncio.TaskGroup() as group:
                group.create_task(clock.sleep(3600))
        assert 0.01 < clock.monotonic() - before < 3600
        async with clock.deadline(3600):
            await clock.sleep(0.01)

    asyncio.run(go())


def test_virtual_sleepers_wake_in_the_order_of_their_times() -> None:
    clock = FakeClock()
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, *naps: float) -> None:
        for nap in naps:
            await clock.sleep(nap)
            woken.append((name, clock.monotonic()))

    async def go() -> None:
        await asyncio.gather(sleeper("slow", 10), sleeper("quick", 1, 2, 3), sleeper("none", 0))

    asyncio.run(go())
    assert woken == [("none", 0), ("quick", 1), ("quick", 3), ("quick", 6), ("slow", 10)]
    assert clock.slept == [10, 1, 0, 2, 3]


def test_alarms_ring_on_the_way() -> None:
    clock = FakeClock("2026-06-01T12:00:00.000Z")
    heard: list[tuple[str, float]] = []
    clock.at(5, lambda: heard.append(("late", clock.monotonic())))
    clock.at(2, lambda: heard.append(("early", clock.monotonic())))
    clock.advance(3)
    assert heard == [("early", 2)]
    asyncio.run(clock.sleep(10))
    assert heard == [("early", 2), ("late", 5)]
    assert clock.utc_now() == "2026-06-01T12:00:13.000Z"
