"""Wildcards: sent on a young read only, never twice, and finished by releases when nobody knows what became of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from reconciler.api.http.failures import TokenRenewed
from reconciler.errors import ApiError, AuthenticationFailed, ConnectionFailed, ExitCode, RequestRefused, ServerFailed
from reconciler.model.requests import Release, RemoveDevice, RemoveFlow, RemoveRow, Replace
from reconciler.model.result import Result
from reconciler.model.state import Entry
from tests.executor.worlds import Stage
from tests.fakes import Effect, Match


def on(action: str, do: Callable[[], object], *, at: int = 1) -> Callable[[str, Mapping[str, Any]], None]:
    """Do something when the `at`-th call of an action begins."""
    count = 0

    def before(seen: str, _: Mapping[str, Any]) -> None:
        nonlocal count
        count += seen == action
        if seen == action and count == at:
            do()

    return before


def told(result: Result) -> list[tuple[str, str]]:
    return [(call.action, str(call.state)) for call in result.calls]


def chain() -> Stage:
    """a and b go from 2 to 3 by a replace; c goes from 1 to 2 and must wait for it."""
    return Stage("a/f=2 b/f=2 c/f=1 d/f=9 a/g=5", "a/f=3 b/f=3 c/f=2").by(
        (Replace("f", "2", "3"), "a/f b/f", ()), (Release("f", "2", ("c",)), "c/f", (0,))
    )


@pytest.mark.parametrize("match", Match)
def test_a_call_waits_until_reads_confirm_what_it_waits_for(match: Match) -> None:
    stage = chain()
    stage.api.match = match
    result = asyncio.run(stage.apply())
    assert told(result) == [("replace", "confirmed"), ("release", "confirmed")]
    assert stage.api.actions() == ["replace", "live", "release", "live"]
    assert stage.released() == {("a", "f"): "3", ("b", "f"): "3", ("c", "f"): "2", ("d", "f"): "9", ("a", "g"): "5"}
    assert result.exit_code is ExitCode.DONE


def test_accepted_is_not_enough_for_what_waits() -> None:
    stage = chain()
    stage.api.match = Match.BOTH
    execution = asyncio.run(stage.execution())
    stage.api.set_entry("b", "f", Entry("2", "1"))  # this reading of the API leaves b where it is
    asyncio.run(execution.carry_out())
    result = execution.result()
    assert told(result) == [("replace", "failed"), ("release", "skipped")]
    assert result.calls[1].error == "waits for call 0, which is not confirmed"
    assert [(row.device_id, row.actual) for row in result.unconfirmed] == [("b", "2"), ("c", "1")]
    assert result.exit_code is ExitCode.NOT_CONFIRMED


def test_dependants_of_a_refused_call_are_skipped() -> None:
    stage = chain()
    stage.api.fail("replace", RequestRefused("POST replace: 400", status=400))
    result = asyncio.run(stage.apply())
    assert told(result) == [("replace", "failed"), ("release", "skipped")]
    assert result.calls[1].error == "waits for call 0, which is failed"
    assert stage.untouched("a/f", "b/f", "c/f", "d/f", "a/g")


LOST: list[ApiError] = [ConnectionFailed("reset"), ServerFailed("500", status=500)]


@pytest.mark.parametrize("error", LOST)
def test_an_answer_lost_after_the_effect_is_settled_by_reading(error: ApiError) -> None:
    stage = chain()
    stage.api.fail("replace", error, effect=Effect.DONE)
    result = asyncio.run(stage.apply())
    assert told(result) == [("replace", "confirmed"), ("release", "confirmed")]
    assert stage.api.actions().count("replace") == 1
    assert result.exit_code is ExitCode.DONE


@pytest.mark.parametrize("error", LOST)
@pytest.mark.parametrize("effect", [Effect.NONE, Effect.LATE])
def test_a_wildcard_of_unknown_outcome_is_finished_by_releases(error: ApiError, effect: Effect) -> None:
    stage = chain()
    stage.api.fail("replace", error, effect=effect, late_s=50)
    result = asyncio.run(stage.apply())
    assert 15 <= stage.clock.monotonic() < 25
    stage.clock.advance(100)
    assert told(result) == [("replace", "unknown"), ("release", "skipped"), ("release", "confirmed")]
    assert stage.api.actions().count("replace") == 1
    assert result.calls[2].note == "finishes call 0, whose outcome is unknown"
    assert result.calls[2].body["deviceIds"] == ["a", "b"]
    assert stage.released() == {("a", "f"): "3", ("b", "f"): "3", ("c", "f"): "1", ("d", "f"): "9", ("a", "g"): "5"}
    assert (result.confirmed, result.total) == (2, 3)
    assert [row.device_id for row in result.unconfirmed] == ["c"]
    assert result.exit_code is ExitCode.NOT_CONFIRMED


def test_a_wildcard_that_lands_while_reads_wait_for_it_is_confirmed() -> None:
    stage = chain()
    stage.api.fail("replace", effect=Effect.LATE, late_s=10)
    result = asyncio.run(stage.apply())
    assert told(result) == [("replace", "confirmed"), ("release", "confirmed")]
    assert len(stage.api.writes) == 2


def test_a_wildcard_in_doubt_is_left_alone_once_the_run_stops() -> None:
    stage = Stage("a/f=2 b/g=1", "a/f=3 b/g=2").by(
        (Replace("f", "2", "3"), "a/f", ()), (Release("g", "2", ("b",)), "b/g", ())
    )
    stage.api.fail("replace")
    stage.api.fail("release", AuthenticationFailed("the token has expired", status=401))
    result = asyncio.run(stage.apply())
    assert told(result) == [("replace", "unknown"), ("release", "failed")]
    assert len(stage.api.writes) == 2


@pytest.mark.parametrize(
    ("request_", "seen", "wanted", "rows"),
    [
        (Replace("f", "1", "2"), "a/f=1 b/f=1", "a/f=2 b/f=2", "a/f b/f"),
        (RemoveFlow("f"), "a/f=1 b/f=2", "a/f=absent b/f=absent", "a/f b/f"),
        (RemoveDevice("a"), "a/f=1 a/g=1", "a/f=absent a/g=absent", "a/f a/g"),
    ],
)
def test_a_wildcard_is_read_for_again_when_its_read_is_half_a_minute_old(
    request_: Any, seen: str, wanted: str, rows: str
) -> None:
    stage = Stage(f"{seen} z/z=1", wanted).by((request_, rows, ()))
    execution = asyncio.run(stage.execution())
    stage.clock.advance(29.9)
    asyncio.run(execution.carry_out())
    assert stage.api.actions() == [request_.action, "live"]

    stage = Stage(f"{seen} z/z=1", wanted).by((request_, rows, ()))
    execution = asyncio.run(stage.execution())
    stage.clock.advance(30)
    asyncio.run(execution.carry_out())
    assert stage.api.actions() == ["live", request_.action, "live"]
    assert execution.result().exit_code is ExitCode.DONE
    assert stage.released() == {("z", "z"): "1"} or set(stage.released().values()) == {"1", "2"}


def test_a_wildcard_whose_token_was_renewed_is_read_for_again() -> None:
    """Getting a token takes time, so the read may be too old by then."""
    stage = Stage("a/f=1 z/z=1", "a/f=2").by((Replace("f", "1", "2"), "a/f", ()))
    stage.api.fail("replace", TokenRenewed("HTTP 401 for a token of which there is a new one now", status=401))
    execution = asyncio.run(stage.execution())
    stage.api.before = on("replace", lambda: stage.clock.advance(30))
    asyncio.run(execution.carry_out())
    assert stage.api.actions() == ["replace", "live", "replace", "live"]
    assert execution.result().exit_code is ExitCode.DONE


def test_the_half_minute_counts_from_the_end_of_a_slow_read() -> None:
    stage = Stage("a/f=1", "a/f=2").by((Replace("f", "1", "2"), "a/f", ()))
    stage.api.latency_s["live"] = 40
    execution = asyncio.run(stage.execution())
    stage.clock.advance(29.9)
    asyncio.run(execution.carry_out())
    assert stage.api.actions() == ["replace", "live"]


@pytest.mark.parametrize(
    ("request_", "seen", "wanted", "rows", "intruder"),
    [
        (Replace("f", "1", "2"), "a/f=1 z/f=5", "a/f=2", "a/f", Release("f", "1", ("z",))),
        (RemoveFlow("f"), "a/f=1 z/g=1", "a/f=absent", "a/f", Release("f", "7", ("z",))),
        (RemoveDevice("a"), "a/f=1 z/g=1", "a/f=absent", "a/f", Release("g", "1", ("a",))),
    ],
)
def test_a_wildcard_whose_reach_has_grown_goes_as_releases(
    request_: Any, seen: str, wanted: str, rows: str, intruder: Release
) -> None:
    stage = Stage(seen, wanted).by((request_, rows, ()))
    execution = asyncio.run(stage.execution())
    stage.api.carry_out(intruder)
    stage.clock.advance(31)
    asyncio.run(execution.carry_out())
    result = execution.result()
    assert told(result) == [("release", "confirmed")]
    assert result.calls[0].note == "sent as releases: rows outside the plan are now within its reach"
    assert stage.api.entry(intruder.device_ids[0], intruder.flow_id).released == intruder.version
    assert result.exit_code is ExitCode.DONE
    assert [moved.after for moved in result.moved_meanwhile] == [intruder.version]


def test_a_replace_reaches_a_device_that_has_come_to_run_an_unknown_bundle() -> None:
    stage = Stage("a/f=1 z/g=5", "a/f=2").by((Replace("f", "1", "2"), "a/f", ()))
    execution = asyncio.run(stage.execution())
    stage.api.devices_by_id["z"].unknown_bundle = True
    stage.clock.advance(31)
    asyncio.run(execution.carry_out())
    assert told(execution.result()) == [("release", "confirmed")]


def test_a_row_that_another_moved_is_not_moved_back() -> None:
    stage = chain()
    execution = asyncio.run(stage.execution())
    stage.api.set_entry("b", "f", Entry("7", "2"))
    stage.clock.advance(31)
    asyncio.run(execution.carry_out())
    result = execution.result()
    assert stage.released()["b", "f"] == "7"
    assert told(result) == [("release", "failed"), ("release", "skipped")]
    assert result.calls[0].body["deviceIds"] == ["a"]
    row = result.unconfirmed[0]
    assert (row.device_id, row.actual, row.moved_by_other) == ("b", "7", True)


def test_a_broken_up_wildcard_holds_back_what_waits_until_all_of_it_is_confirmed() -> None:
    ids = [f"d{number:04}" for number in range(1001)]
    stage = Stage(
        " ".join(f"{one}/f=2" for one in ids) + " y/f=1 z/f=9", " ".join(f"{one}/f=3" for one in ids) + " y/f=2"
    ).by((Replace("f", "2", "3"), " ".join(f"{one}/f" for one in ids), ()), (Release("f", "2", ("y",)), "y/f", (0,)))
    execution = asyncio.run(stage.execution())
    stage.api.set_entry("z", "f", Entry("2", "2"))
    stage.clock.advance(31)
    asyncio.run(execution.carry_out())
    result = execution.result()
    assert [(call.id, call.count, call.after) for call in result.calls] == [(0, 1000, ()), (1, 1, (0, 2)), (2, 1, ())]
    assert result.exit_code is ExitCode.DONE
    assert [request.action for request in stage.api.writes] == ["release"] * 3
    assert stage.api.writes[-1] == Release("f", "2", ("y",))
    assert stage.released()["z", "f"] == "2"


def test_when_the_reach_cannot_be_read_again_releases_are_sent() -> None:
    stage = Stage("a/f=1", "a/f=2").by((Replace("f", "1", "2"), "a/f", ()))
    execution = asyncio.run(stage.execution())
    stage.clock.advance(31)
    stage.api.fail("live", ServerFailed("GET deployments: 503", status=503))
    asyncio.run(execution.carry_out())
    result = execution.result()
    assert told(result) == [("release", "confirmed")]
    assert result.calls[0].note == ("sent as releases: its reach could not be read again: GET deployments: 503")


def test_a_row_that_slips_into_the_reach_between_read_and_call_is_collateral() -> None:
    stage = Stage("a/f=1 z/f=5", "a/f=2").by((Replace("f", "1", "2"), "a/f", ()))
    stage.api.before = on("replace", lambda: stage.api.set_entry("z", "f", Entry("1", "5")))
    result = asyncio.run(stage.apply())
    assert told(result) == [("replace", "confirmed")]
    assert [moved[:5] for moved in result.collateral] == [("z", "f", "5", "2", 0)]
    assert result.moved_meanwhile == ()
    assert result.exit_code is ExitCode.NOT_CONFIRMED


@pytest.mark.parametrize(
    ("request_", "collateral"),
    [(RemoveFlow("f"), ["z/f"]), (RemoveDevice("a"), ["a/h"]), (RemoveRow("f", "a"), [])],
)
def test_collateral_is_told_from_moved_meanwhile_by_what_the_calls_could_do(
    request_: Any, collateral: list[str]
) -> None:
    stage = Stage("a/f=1 a/h=1 z/f=1 z/g=1", "a/f=absent")
    stage.by((request_, "a/f", ()))  # no planner would: the wildcard reaches rows that must stay

    def others() -> None:
        for row in (("a", "h"), ("z", "f"), ("z", "g")):
            stage.api.set_entry(*row, Entry(None, None))

    execution = asyncio.run(stage.execution())
    stage.api.before = on("live", others, at=1)
    asyncio.run(execution.carry_out())
    result = execution.result()
    assert [f"{moved.device_id}/{moved.flow_id}" for moved in result.collateral] == collateral
    assert len(result.collateral) + len(result.moved_meanwhile) == 3
    assert result.exit_code is (ExitCode.NOT_CONFIRMED if collateral else ExitCode.DONE)


def test_a_lost_one_row_remove_is_sent_again() -> None:
    stage = Stage("a/f=1 a/g=1", "a/f=absent").by((RemoveRow("f", "a"), "a/f", ()))
    stage.api.fail("remove")
    result = asyncio.run(stage.apply())
    assert told(result) == [("remove", "confirmed")]
    assert stage.api.writes == [RemoveRow("f", "a")] * 2
    assert stage.untouched("a/g")


def test_a_wildcard_that_somebody_else_has_carried_out_is_not_sent() -> None:
    stage = Stage("a/f=1 b/g=1", "a/f=2 b/g=2").by(
        (Replace("f", "1", "2"), "a/f", ()), (Release("g", "2", ("b",)), "b/g", ())
    )
    execution = asyncio.run(stage.execution())
    stage.api.carry_out(Replace("f", "1", "2"))
    stage.clock.advance(31)
    asyncio.run(execution.carry_out())
    result = execution.result()
    assert told(result) == [("replace", "confirmed"), ("release", "confirmed")]
    assert [call.attempts for call in result.calls] == [0, 1]
    assert result.exit_code is ExitCode.DONE
