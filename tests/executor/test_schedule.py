"""What may be in flight together, in which order calls go, and how a run is cut short."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from reconciler.errors import ExitCode, RateLimited
from reconciler.executor import Execution
from reconciler.model.requests import Release, Replace, Request, named_rows
from reconciler.model.result import CallResult, CallState
from reconciler.model.state import Row
from tests.executor.worlds import Stage


class Watcher:
    """Sees which devices are in flight."""

    def __init__(self, stage: Stage, reach: Mapping[str, set[str]] | None = None) -> None:
        self.reach = reach or {}
        self.flying: list[set[str]] = []
        self.most = 0
        self._send = stage.api.send
        stage.api.send = self.send  # type: ignore[method-assign]

    async def send(self, request: Request) -> None:
        if isinstance(request, Replace):
            devices = self.reach["replace"]
        else:
            assert isinstance(request, Release)
            devices = {row[0] for row in named_rows(request)}
        assert all(devices.isdisjoint(others) for others in self.flying)
        self.flying.append(devices)
        self.most = max(self.most, len(self.flying))
        try:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await self._send(request)
        finally:
            self.flying.remove(devices)


def many(devices: int, flows: str = "fgh") -> Stage:
    rows = [f"d{number}/{flow}" for number in range(devices) for flow in flows]
    stage = Stage(" ".join(f"{row}=1" for row in rows), " ".join(f"{row}=2" for row in rows))
    calls: list[Any] = [
        (Release(flow, "2", (f"d{number}",)), f"d{number}/{flow}", ()) for number in range(devices) for flow in flows
    ]
    return stage.by(*calls)


@pytest.mark.parametrize("parallelism", [1, 2, 4, 32])
def test_calls_that_share_a_device_are_never_in_flight_together(parallelism: int) -> None:
    stage = many(6)
    watcher = Watcher(stage)
    result = asyncio.run(stage.apply(parallelism=parallelism))
    assert result.exit_code is ExitCode.DONE
    assert watcher.most == min(parallelism, 6)


def test_calls_of_one_device_follow_each_other() -> None:
    stage = many(5)
    asyncio.run(stage.apply(parallelism=2))
    devices = [request.device_ids[0] for request in stage.api.writes if isinstance(request, Release)]
    for device in set(devices):
        places = [place for place, one in enumerate(devices) if one == device]
        assert max(places) - min(places) <= 2 * 2, devices


def test_the_order_is_the_same_every_time() -> None:
    runs = []
    for _ in range(3):
        stage = many(7)
        asyncio.run(stage.apply())
        runs.append(stage.api.log)
    assert runs[0] == runs[1] == runs[2]


def test_a_wildcard_shares_the_devices_of_its_reach() -> None:
    stage = Stage("a/f=1 b/f=2>1 b/g=1 c/g=1", "a/f=2 b/f=2 b/g=2 c/g=2").by(
        (Replace("f", "1", "2"), "a/f", ()),
        (Release("g", "2", ("b",)), "b/g", ()),
        (Release("g", "2", ("c",)), "c/g", ()),
    )
    watcher = Watcher(stage, {"replace": {"a", "b"}})
    assert asyncio.run(stage.apply()).exit_code is ExitCode.DONE
    assert watcher.most == 2


def test_a_device_of_a_call_in_doubt_is_left_alone_until_reads_have_settled_it() -> None:
    stage = many(1, "fg")
    stage.api.fail("release")
    result = asyncio.run(stage.apply())
    assert result.exit_code is ExitCode.DONE
    assert stage.api.actions()[:2] == ["release", "live"]


def test_several_429_at_once_halve_the_concurrency_once_and_it_stays_low() -> None:
    stage = many(12, "f")
    stage.api.fail("release", RateLimited("429", retry_after_s=3), times=8)
    watcher = Watcher(stage)
    seen: list[int] = []
    stage.api.before = lambda action, _: seen.append(len(watcher.flying)) if action == "release" else None
    result = asyncio.run(stage.apply(parallelism=8))
    assert result.exit_code is ExitCode.DONE
    assert max(seen[8:]) == 4
    assert [seconds for seconds in stage.clock.slept if seconds == 3.0] == [3.0]


def row_of_call(call: CallResult) -> Row:
    """The row of a one-device release."""
    device_ids, flow_id = call.body["deviceIds"], call.body["flowId"]
    assert isinstance(device_ids, list)
    return (device_ids[0], str(flow_id))


async def cut(execution: Execution, steps: int) -> bool:
    """Let a run go for so many turns of the loop, then cancel it; whether it was still running."""
    task = asyncio.create_task(execution.carry_out())
    for _ in range(steps):
        await asyncio.sleep(0)
    if task.done():
        return False
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return True


def test_cancelled_at_any_await_the_result_is_true_and_the_next_run_does_the_rest() -> None:
    steps, running = 1, True
    seen: set[CallState] = set()
    while running:
        stage = many(3, "fg")
        stage.api.fail("release", skip=1)
        stage.api.fail("live", skip=1)

        async def run(stage: Stage = stage, steps: int = steps) -> bool:
            execution = await stage.execution(parallelism=2)
            running = await cut(execution, steps)
            result = execution.result()
            assert result.exit_code is (ExitCode.INTERRUPTED if running else ExitCode.DONE)
            for call in result.calls:
                seen.add(call.state)
                moved = stage.released()[row_of_call(call)] == "2"
                assert call.state is not CallState.SENT
                assert not (call.state is CallState.CONFIRMED and not moved)
                assert not (call.state is CallState.PLANNED and moved)
            stage.api._scripts.clear()
            plan, _ = await stage.plan()
            assert {change.row for change in plan.changes} == {
                row for row, version in stage.released().items() if version == "1"
            }
            stage.planned_calls = None
            assert (await stage.apply()).exit_code is ExitCode.DONE
            assert set(stage.released().values()) == {"2"}
            return running

        running = asyncio.run(run())
        steps += 1
    assert steps > 20
    assert seen == {CallState.PLANNED, CallState.UNKNOWN, CallState.ACCEPTED, CallState.CONFIRMED}


class Killed(BaseException):
    """kill -9: nothing of the run is left but the world."""


@pytest.mark.parametrize("after_the_effect", [False, True])
def test_killed_at_every_request_of_twenty_calls_the_next_plan_is_the_rest(after_the_effect: bool) -> None:
    for number in range(20):
        stage = many(5, "fghi")
        send = stage.api.send

        async def die(request: Request, number: int = number, stage: Stage = stage, send: Any = send) -> None:
            if len(stage.api.writes) == number:
                if after_the_effect:
                    await send(request)
                raise Killed
            await send(request)

        stage.api.send = die  # type: ignore[method-assign]
        with pytest.raises(BaseExceptionGroup):
            asyncio.run(stage.apply())
        stage.api.send = send  # type: ignore[method-assign]
        moved = sum(version == "2" for version in stage.released().values())
        assert moved >= number + after_the_effect
        plan, _ = asyncio.run(stage.plan())
        assert len(plan.changes) == 20 - moved
        stage.planned_calls = None
        assert asyncio.run(stage.apply()).exit_code is ExitCode.DONE
        assert asyncio.run(stage.plan())[0].changes == ()


def test_an_unforeseen_exception_leaves_a_result() -> None:
    stage = many(3, "f")
    execution = asyncio.run(stage.execution(parallelism=1))
    stage.api.fail("release", ZeroDivisionError("bug"), skip=1)
    with pytest.raises(ExceptionGroup):
        asyncio.run(execution.carry_out())
    result = execution.result()
    assert [str(call.state) for call in result.calls] == ["accepted", "unknown", "planned"]
    assert result.stopped_by == "an unexpected ExceptionGroup; this is a bug in reconciler"
    assert result.exit_code is ExitCode.NOT_CONFIRMED
