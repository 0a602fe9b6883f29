"""A plan that stands on the records of one flow is carried out on those alone."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from reconciler.errors import ConnectionFailed, ExitCode
from reconciler.executor import Execution
from reconciler.model.result import Result
from reconciler.model.world import CallMode
from tests.builders import desired, entry, live
from tests.executor.worlds import plan_for
from tests.fakes import Effect, FakeApi


def apply(api: FakeApi, wanted: str, *, calls: CallMode, before: Callable[[], None] = lambda: None) -> Result:
    async def run() -> Result:
        read = await api.live(flow_id="f")
        plan = plan_for(desired(wanted), read.live, calls=calls, chunk=1)
        api.log.clear()
        before()
        api.clock.advance(31)  # what was read is too old for a wildcard
        execution = Execution(plan, read, api, clock=api.clock, rng=random.Random(0))
        await execution.carry_out()
        return execution.result()

    return asyncio.run(run())


def flows_read(api: FakeApi) -> set[object]:
    return {details.get("flow_id") for action, details in api.log if action == "live"}


def test_other_flows_are_neither_read_nor_told_as_moved() -> None:
    api = FakeApi().load(live("a/f=1 b/f=1 a/g=1 c/g=1 d/"))
    result = apply(
        api, "a/f=2 b/f=2 d/f=2", calls=CallMode.EXPLICIT, before=lambda: api.set_entry("c", "g", entry("9"))
    )
    assert result.exit_code is ExitCode.DONE
    assert (result.confirmed, result.collateral, result.moved_meanwhile) == (3, (), ())
    assert flows_read(api) == {"f"}
    assert api.actions().count("live") == 1  # a read of the flow is all that there is to read


def test_what_moves_within_the_flow_is_told() -> None:
    api = FakeApi().load(live("a/f=1 b/f=1 c/f=1"))
    result = apply(api, "a/f=2", calls=CallMode.EXPLICIT, before=lambda: api.set_entry("c", "f", entry("9")))
    assert result.exit_code is ExitCode.DONE
    assert [moved[:4] for moved in result.moved_meanwhile] == [("c", "f", "1", "9")]


def test_the_flows_removal_is_checked_again_and_goes() -> None:
    api = FakeApi().load(live("a/f=1 b/f=1 c/g=1"))
    result = apply(api, "a/f=absent b/f=absent", calls=CallMode.FEWEST)
    assert [request.action for request in api.writes] == ["remove"]
    assert (result.exit_code, result.confirmed) == (ExitCode.DONE, 2)
    assert flows_read(api) == {"f"}
    assert api.entry("c", "g").released == "1"


def test_the_flows_removal_gives_way_to_a_row_that_came_meanwhile() -> None:
    api = FakeApi().load(live("a/f=1 b/f=1 c/g=1"))
    wanted = "a/f=absent b/f=absent"
    result = apply(api, wanted, calls=CallMode.FEWEST, before=lambda: api.set_entry("c", "f", entry("7")))
    assert {request.action for request in api.writes} == {"release"}
    assert (result.exit_code, result.confirmed) == (ExitCode.DONE, 2)
    assert api.entry("c", "f").released == "7"
    assert flows_read(api) == {"f"}


def test_an_unknown_outcome_is_settled_on_the_flow() -> None:
    api = FakeApi().load(live("a/f=1 b/f=1 a/g=1"))
    api.fail("send", ConnectionFailed("reset"), effect=Effect.NONE)
    result = apply(api, "a/f=2 b/f=2", calls=CallMode.EXPLICIT)
    assert (result.exit_code, result.confirmed, result.moved_meanwhile) == (ExitCode.DONE, 2, ())
    assert flows_read(api) == {"f"}


def test_what_was_read_once_is_not_read_again_at_the_end() -> None:
    api = FakeApi().load(live("a/f=1 a/g=1"))
    api.fail("send", ConnectionFailed("reset"), effect=Effect.DONE)
    result = apply(api, "a/f=2", calls=CallMode.EXPLICIT)
    assert (result.exit_code, result.confirmed) == (ExitCode.DONE, 1)
    assert api.actions() == ["release", "live"]
