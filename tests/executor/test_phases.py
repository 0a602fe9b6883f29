"""The phases of a call: one table, in words and as data, and every run keeps to it."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise, product
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.errors import AuthenticationFailed, RateLimited, RequestRefused, ServerFailed
from reconciler.executor import Execution
from reconciler.executor.call import TRANSITIONS, Call, CallPhase, published
from reconciler.model.requests import Release, Replace
from reconciler.model.result import CallState
from reconciler.model.state import Entry
from tests.executor.test_properties import fault, stages
from tests.executor.worlds import Stage
from tests.fakes import Effect, Match

P = CallPhase
TABLE = {
    (CallPhase[before], CallPhase[after])
    for before, after in re.findall(r"^(\w+) +-> (\w+) ", inspect.getdoc(P) or "", re.MULTILINE)
}
TERMINAL = {P.FAILED, P.SKIPPED}


@contextmanager
def watched() -> Iterator[dict[int, list[CallPhase]]]:
    """The phases of each call, in order, of the run that goes on inside."""
    seen: dict[int, list[CallPhase]] = defaultdict(lambda: [P.PLANNED])
    move = Call.move

    def moved(call: Call, phase: CallPhase) -> None:
        assert call.phase is seen[call.id][-1], "a phase changes in `move` only"
        move(call, phase)
        seen[call.id].append(phase)

    with mock.patch.object(Call, "move", moved):
        yield seen


def steps(seen: dict[int, list[CallPhase]]) -> set[tuple[CallPhase, CallPhase]]:
    return {step for phases in seen.values() for step in pairwise(phases)}


def test_the_table_in_words_is_the_table_as_data() -> None:
    assert {(before, after) for before, afters in TRANSITIONS.items() for after in afters} == TABLE
    assert {before for before, afters in TRANSITIONS.items() if not afters} == TERMINAL


@pytest.mark.parametrize(("before", "after"), sorted(set(product(P, P)) - TABLE, key=str))
def test_what_is_not_in_the_table_cannot_happen(before: CallPhase, after: CallPhase) -> None:
    call = Call(7, Release("f", "2", ("a",)), [], [], phase=before)
    with pytest.raises(RuntimeError, match=f"call 7 cannot go from {before.name} to {after.name}"):
        call.move(after)
    assert call.phase is before


def test_every_state_of_a_result_is_that_of_a_phase() -> None:
    assert {published(phase) for phase in P} == set(CallState)


class Others:
    """Somebody else at work: moves a row when the n-th request begins."""

    def __init__(self, stage: Stage, at: int, row: tuple[str, str], version: str) -> None:
        self.stage = stage
        self.left = at
        self.row = row
        self.version = version

    def __call__(self, *_: object) -> None:
        self.left -= 1
        if self.left == 0:
            self.stage.api.set_entry(*self.row, Entry(self.version, "1"))


@settings(max_examples=200, deadline=None)
@given(
    stage=stages(),
    faults=st.lists(fault, max_size=6),
    age_s=st.sampled_from([0.0, 31.0]),
    at=st.integers(0, 12),
    row=st.tuples(st.sampled_from("abcdef"), st.sampled_from("fg")),
    turns=st.sampled_from([10_000, 10_000, 40, 15]),
)
def test_runs_keep_to_the_table(
    stage: Stage, faults: list[Any], age_s: float, at: int, row: tuple[str, str], turns: int
) -> None:
    """Whatever fails, whoever else is at work, and wherever the run is cut off."""

    async def story() -> Execution:
        execution = await stage.execution()
        for action, error, effect, skip, times in faults:
            stage.api.fail(action, error, effect=effect, skip=skip, times=times, late_s=skip * 8 + 1)
        stage.api.before = Others(stage, at, row, "3")
        stage.clock.advance(age_s)
        task = asyncio.create_task(execution.carry_out())
        for _ in range(turns):
            if task.done():
                break
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return execution

    with watched() as seen:
        execution = asyncio.run(story())
    assert steps(seen) <= TABLE
    assert not any(phase in TERMINAL for phases in seen.values() for phase in phases[:-1])
    for call in execution.result().calls:
        assert call.state is published(seen[call.id][-1])


def plain(*fails: Exception, **script: Any) -> Stage:
    """One release to a and b; its requests end like this, one after the other."""
    stage = Stage("a/f=1 b/f=1", "a/f=2 b/f=2")
    for error in fails:
        stage.api.fail("release", error, **script)
    return stage


def lost(**script: Any) -> Stage:
    return plain(ServerFailed("500"), **script)


def without_effect() -> Stage:
    """c waits for a replace that the API accepts and does not carry out."""
    stage = Stage("a/f=2 c/f=1", "a/f=3 c/f=2").by(
        (Replace("f", "2", "3"), "a/f", ()), (Release("f", "2", ("c",)), "c/f", (0,))
    )
    stage.api.match = Match.BOTH
    stage.api.set_entry("a", "f", Entry("2", "1"))
    return stage


def late(after_s: float) -> Stage:
    stage = without_effect()
    stage.clock.at(after_s, lambda: stage.api.set_entry("a", "f", Entry("3", "1")))
    return stage


def refused_then_landing() -> Stage:
    stage = lost()
    stage.api.fail("release", RequestRefused("400"))
    stage.clock.at(20, lambda: stage.api.carry_out(Release("f", "2", ("a", "b"))))
    return stage


def wildcard() -> Stage:
    return Stage("a/f=1 b/f=5", "a/f=2 b/f=3").by(
        (Replace("f", "1", "2"), "a/f", ()), (Release("f", "3", ("b",)), "b/f", ())
    )


def beside_a_lost_wildcard(landing: Callable[[Stage], None] | None = None) -> Stage:
    """A release in doubt is to be sent again while reads still go on for a wildcard."""
    stage = wildcard()
    stage.api.fail("replace")
    stage.api.fail("release", effect=Effect.LATE if landing is None else Effect.NONE, late_s=8)
    if landing:
        stage.clock.at(8, lambda: landing(stage))
    return stage


def stopped_before_the_retry() -> Stage:
    stage = Stage("a/f=1 b/g=1 c/h=1", "a/f=2 b/g=2 c/h=2").by(
        (Release("f", "2", ("a",)), "a/f", (2,)),
        (Release("g", "2", ("b",)), "b/g", ()),
        (Release("h", "2", ("c",)), "c/h", ()),
    )
    stage.api.fail("release")
    stage.api.fail("release", AuthenticationFailed("401"), skip=1)
    return stage


def moved(stage: Stage, row: tuple[str, str] = ("b", "f"), *, at: int = 1) -> Stage:
    stage.api.before = Others(stage, at + 1, row, "9")  # the plan's own read comes before
    return stage


def carried_out_by_others() -> Stage:
    stage = wildcard()
    stage.clock.at(31, lambda: stage.api.carry_out(Replace("f", "1", "2")))
    return stage


def partly(stage: Stage) -> Stage:
    stage.api.released_partly = lambda _: []
    return stage


def moved_away() -> Stage:
    """While reads wait for one call, the row of another that was confirmed moves again."""
    stage = partly(wildcard())
    stage.clock.at(30, lambda: stage.api.set_entry("a", "f", Entry("9", "1")))
    return stage


def lost_after_another_moved_a_row() -> Stage:
    stage = moved(lost(), at=2)
    stage.api.fail("release", effect=Effect.DONE)
    return stage


STORIES: dict[str, tuple[Callable[[], Stage], float]] = {
    "PLANNED SENT ACCEPTED CONFIRMED": (plain, 0),
    "PLANNED SENT FAILED": (lambda: plain(RequestRefused("400")), 0),
    "PLANNED SENT PLANNED SENT ACCEPTED CONFIRMED": (lambda: plain(RateLimited("429")), 0),
    "PLANNED SENT IN_DOUBT CONFIRMED": (lambda: lost(effect=Effect.DONE), 0),
    "PLANNED SENT IN_DOUBT RETRY RESENT IN_DOUBT RETRY RESENT ACCEPTED CONFIRMED": (lambda: lost(times=2), 0),
    "PLANNED SENT IN_DOUBT RETRY RESENT RETRY RESENT ACCEPTED CONFIRMED": (
        lambda: plain(ServerFailed("500"), RateLimited("429")),
        0,
    ),
    "PLANNED SENT IN_DOUBT RETRY RESENT GIVEN_UP FAILED": (
        lambda: plain(ServerFailed("500"), RequestRefused("400")),
        0,
    ),
    "PLANNED SENT IN_DOUBT RETRY RESENT GIVEN_UP CONFIRMED": (refused_then_landing, 0),
    "PLANNED SENT IN_DOUBT RETRY RESENT IN_DOUBT FAILED": (lost_after_another_moved_a_row, 0),
    "PLANNED SENT IN_DOUBT RETRY GIVEN_UP": (stopped_before_the_retry, 0),
    "PLANNED SENT IN_DOUBT RETRY CONFIRMED": (beside_a_lost_wildcard, 0),
    "PLANNED SENT IN_DOUBT RETRY FAILED": (
        lambda: beside_a_lost_wildcard(lambda stage: stage.api.set_entry("b", "f", Entry("9", "1"))),
        0,
    ),
    "PLANNED SENT IN_DOUBT GIVEN_UP": (beside_a_lost_wildcard, 0),
    "PLANNED SENT ACCEPTED OVERDUE FAILED": (without_effect, 0),
    "PLANNED SENT ACCEPTED OVERDUE CONFIRMED": (lambda: late(75), 0),
    "PLANNED SENT ACCEPTED FAILED": (lambda: partly(plain()), 0),
    "PLANNED SENT ACCEPTED CONFIRMED FAILED": (moved_away, 0),
    "PLANNED SKIPPED": (without_effect, 0),
    "PLANNED CONFIRMED": (carried_out_by_others, 31),
    "PLANNED FAILED": (lambda: moved(wildcard(), ("a", "f")), 31),
}


@pytest.mark.parametrize("life", STORIES)
def test_a_life(life: str) -> None:
    build, age_s = STORIES[life]

    async def story() -> None:
        stage = build()
        execution = await stage.execution(parallelism=1)
        stage.clock.advance(age_s)
        await execution.carry_out()

    with watched() as seen:
        asyncio.run(story())
    assert life in [" ".join(phase.name for phase in phases) for phases in seen.values()]


def test_every_transition_is_in_a_life() -> None:
    told = {(CallPhase[before], CallPhase[after]) for life in STORIES for before, after in pairwise(life.split())}
    assert told == TABLE
