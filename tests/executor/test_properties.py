"""Whatever goes wrong, for both kinds: nothing unmanaged moves, the result is true, and a later run does the rest."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.errors import (
    ApiError,
    AuthenticationFailed,
    ConnectionFailed,
    ExitCode,
    IncompleteRead,
    PermissionDenied,
    RateLimited,
    ReconcilerError,
    ServerFailed,
    UnexpectedAnswer,
)
from reconciler.model.plan import Plan
from reconciler.model.requests import Release, RemoveDevice, RemoveFlow, RemoveRow, Replace, Request
from reconciler.model.result import CallState, Result
from reconciler.model.state import Kind, Row
from reconciler.model.world import CallMode
from tests.executor.worlds import Stage
from tests.fakes import Effect, Match

DEVICES, FLOWS, VERSIONS = "abcdef", "fg", "123"
UNKNOWN: list[ApiError] = [
    ConnectionFailed("reset"),
    ServerFailed("500", status=500),
    ServerFailed("503", status=503, retry_after_s=2.0),
    UnexpectedAnswer("HTML"),
]
DEFINITE: list[ApiError] = [
    RateLimited("429"),
    RateLimited("429", retry_after_s=4.0),
    PermissionDenied("403"),
    AuthenticationFailed("401"),
]
READING: list[ReconcilerError] = [*UNKNOWN, *DEFINITE, IncompleteRead("pages do not add up")]

version = st.sampled_from(["-", *VERSIONS])
seen_row = st.one_of(*[version] * 5, st.tuples(version, version).map(">".join))
wanted_row = st.sampled_from(["", "absent", *VERSIONS])
odd = st.sampled_from([False] * 7 + [True])
fault = st.one_of(
    st.tuples(st.just("send"), st.sampled_from(UNKNOWN), st.sampled_from(Effect), st.integers(0, 6), st.integers(1, 3)),
    st.tuples(st.just("send"), st.sampled_from(DEFINITE), st.just(Effect.NONE), st.integers(0, 6), st.integers(1, 3)),
    st.tuples(st.just("live"), st.sampled_from(READING), st.just(Effect.NONE), st.integers(0, 4), st.integers(1, 3)),
)


@st.composite
def stages(draw: st.DrawFn) -> Stage:
    """A fleet in which what runs one version mostly goes to one other, so that wildcards pay and chains arise."""
    seen, wanted = [], []
    for flow in FLOWS:
        goals = {version: draw(wanted_row) for version in ("-", *VERSIONS)}
        for device in DEVICES:
            text = draw(seen_row)
            seen.append(f"{device}/{flow}={text}")
            if version := draw(wanted_row) if draw(odd) else goals[text.partition(">")[0]]:
                wanted.append(f"{device}/{flow}={version}")
    mode = draw(st.sampled_from([CallMode.FEWEST, CallMode.FEWEST, CallMode.EXPLICIT]))
    kind, match = draw(st.sampled_from(Kind)), draw(st.sampled_from(Match))
    stage = Stage(" ".join(seen), " ".join(wanted), calls=mode, chunk=1, kind=kind, match=match)
    if draw(st.booleans()):
        if kind is Kind.EMBEDDED:
            stage.api.devices_by_id["e"].unknown_bundle = True
        else:
            stage.api.devices_by_id["e"].unmanageable = frozenset(FLOWS[:1])  # a custom node
    return stage


def rows_of(request: Request, plan: Plan, call_id: int) -> set[Row]:
    match request:
        case Release() | RemoveRow():
            return {change.row for change in plan.changes if change.row in _named(request)}
        case Replace() | RemoveDevice() | RemoveFlow():
            return set(next(call.rows for call in plan.calls if call.id == call_id))


def _named(request: Release | RemoveRow) -> set[Row]:
    ids = request.device_ids if isinstance(request, Release) else (request.device_id,)
    return {(device_id, request.flow_id) for device_id in ids}


def check(stage: Stage, plan: Plan, result: Result, requests: dict[int, Request]) -> None:
    """The result against the world as it is."""
    now = {row: stage.api.entry(*row).released for row in ((d, f) for d in DEVICES for f in FLOWS)}
    wanted = {change.row: change for change in plan.changes}
    for row, released in now.items():
        change = wanted.get(row)
        before = stage.before[row].released if row in stage.before else None
        assert released in ({change.from_version, change.to_version} if change else {before}), row
    in_place = {row for row, change in wanted.items() if now[row] == change.to_version}
    for call in result.calls:
        if call.state is CallState.CONFIRMED:
            assert rows_of(requests[call.id], plan, call.id) <= in_place
        if call.attempts == 0 and call.state is not CallState.CONFIRMED:
            assert call.state in (CallState.PLANNED, CallState.SKIPPED, CallState.FAILED)
    assert result.confirmed <= len(in_place)
    assert result.total == len(wanted)
    assert (result.exit_code is ExitCode.DONE) == all(call.state is CallState.CONFIRMED for call in result.calls)
    if result.exit_code is ExitCode.DONE:
        assert in_place == wanted.keys()
    assert result.collateral == ()
    assert result.moved_meanwhile == ()
    assert stage.api.most_in_flight <= 4


async def run(stage: Stage, faults: list[Any], *, age_s: float) -> None:
    stage.api._scripts.clear()
    plan, read = await stage.plan()
    stage.before = stage.api.rows()
    from reconciler.executor import Execution

    execution = Execution(plan, read, stage.api, clock=stage.clock, rng=random.Random(0))
    for action, error, effect, skip, times in faults:
        stage.api.fail(action, error, effect=effect, skip=skip, times=times, late_s=skip * 8 + 1)
    stage.clock.advance(age_s)
    await execution.carry_out()
    stage.api._scripts.clear()
    requests = {call.id: call.request for call in execution._journal.calls}
    check(stage, plan, execution.result(), requests)
    stage.clock.advance(120)  # whatever lands late has landed
    check(stage, plan, execution.result(), requests)


@settings(max_examples=150, deadline=None)
@given(stage=stages(), faults=st.lists(fault, max_size=6), age_s=st.sampled_from([0.0, 31.0]))
def test_faults(stage: Stage, faults: list[Any], age_s: float) -> None:
    async def story() -> None:
        await run(stage, faults, age_s=age_s)
        await run(stage, [], age_s=0)
        plan, _ = await stage.plan()
        assert plan.changes == ()

    asyncio.run(story())


@settings(max_examples=100, deadline=None)
@given(stage=stages(), faults=st.lists(fault, max_size=4), steps=st.integers(1, 60))
def test_interrupted_anywhere(stage: Stage, faults: list[Any], steps: int) -> None:
    async def story() -> None:
        execution = await stage.execution()
        plan, _ = await stage.plan()
        for action, error, effect, skip, times in faults:
            stage.api.fail(action, error, effect=effect, skip=skip, times=times)
        task = asyncio.create_task(execution.carry_out())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        result = execution.result()
        assert all(call.state is not CallState.SENT for call in result.calls)
        in_place = sum(stage.api.entry(*change.row).released == change.to_version for change in plan.changes)
        assert result.confirmed <= in_place
        assert sum(call.count for call in result.calls if call.state is CallState.PLANNED) <= len(plan.changes) - (
            result.confirmed
        )
        stage.clock.advance(120)
        await run(stage, [], age_s=0)
        assert (await stage.plan())[0].changes == ()

    asyncio.run(story())
