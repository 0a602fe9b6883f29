"""One call of three fails, in every way a request can fail: what is sent again, what the result says."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from reconciler.errors import (
    ApiError,
    AuthenticationFailed,
    ConnectionFailed,
    ExitCode,
    NotFound,
    PermissionDenied,
    RateLimited,
    RequestRefused,
    ServerFailed,
    UnexpectedAnswer,
)
from reconciler.model.requests import Release, Replace, Request
from reconciler.model.result import CallState, Result
from reconciler.model.state import Entry
from tests.executor.worlds import Stage
from tests.fakes import Effect

UNKNOWN: list[ApiError] = [
    ConnectionFailed("POST release: read timed out after 30 s"),
    ServerFailed("POST release: 500", status=500),
    ServerFailed("POST release: 503", status=503, retry_after_s=7),
    UnexpectedAnswer("POST release: HTML instead of JSON", status=502),
]
DEFINITE: list[ApiError] = [
    RequestRefused("POST release: 400", status=400),
    PermissionDenied("POST release: 403", status=403),
    NotFound("POST release: 404", status=404),
    RequestRefused("POST release: 405", status=405),
    RequestRefused("POST release: 413", status=413),
]


def three() -> Stage:
    return Stage("a/f=1 b/g=1 c/h=1 c/x=7", "a/f=2 b/g=2 c/h=2")


def name(value: object) -> str | None:
    return f"{type(value).__name__}{getattr(value, 'status', '') or ''}" if isinstance(value, ApiError) else None


def states(result: Result) -> list[str]:
    return [str(call.state) for call in result.calls]


@pytest.mark.parametrize("error", UNKNOWN, ids=name)
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_lost_request_is_sent_again(error: ApiError, at: int) -> None:
    stage = three()
    stage.api.fail("release", error, skip=at)
    result = asyncio.run(stage.apply())
    assert states(result) == ["confirmed"] * 3
    assert sorted(call.attempts for call in result.calls) == [1, 1, 2]
    assert [call.error for call in result.calls] == [None] * 3
    assert result.exit_code is ExitCode.DONE
    assert stage.released()["c", "x"] == "7"


@pytest.mark.parametrize("error", UNKNOWN, ids=name)
@pytest.mark.parametrize("at", [0, 1, 2])
def test_an_answer_lost_after_the_effect_is_not_sent_again(error: ApiError, at: int) -> None:
    stage = three()
    stage.api.fail("release", error, skip=at, effect=Effect.DONE)
    result = asyncio.run(stage.apply())
    assert states(result) == ["confirmed"] * 3
    assert len(stage.api.writes) == 3
    assert result.exit_code is ExitCode.DONE


def test_an_effect_that_lands_while_reads_wait_for_it_is_not_sent_again() -> None:
    stage = three()
    stage.api.fail("release", effect=Effect.LATE, late_s=3)
    result = asyncio.run(stage.apply())
    assert states(result) == ["confirmed"] * 3
    assert len(stage.api.writes) == 3


@pytest.mark.parametrize("error", DEFINITE, ids=name)
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_refused_call_fails_at_once_and_the_others_go_on(error: ApiError, at: int) -> None:
    stage = three()
    stage.api.fail("release", error, skip=at)
    result = asyncio.run(stage.apply())
    assert sorted(states(result)) == ["confirmed", "confirmed", "failed"]
    assert [call.attempts for call in result.calls] == [1, 1, 1]
    failed = result.calls[at]
    assert failed.state is CallState.FAILED
    assert failed.error == str(error.problems[0].message)
    assert [(row.call, row.expected, row.actual, row.moved_by_other) for row in result.unconfirmed] == [
        (at, "2", "1", False)
    ]
    assert result.exit_code is ExitCode.NOT_CONFIRMED


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_token_that_stops_working_stops_the_run(at: int) -> None:
    stage = three()
    stage.api.fail("release", AuthenticationFailed("POST release: the token has expired", status=401), skip=at)
    result = asyncio.run(stage.apply(parallelism=1))
    assert states(result) == ["confirmed"] * at + ["failed"] + ["skipped"] * (2 - at)
    assert result.stopped_by == "POST release: the token has expired"
    assert all("the token has expired" in (call.error or "") for call in result.calls[at:])
    assert result.exit_code is ExitCode.NOT_CONFIRMED
    assert len(stage.api.writes) == at + 1


def test_a_token_that_stops_working_for_reads_leaves_calls_accepted() -> None:
    stage = three()
    execution = asyncio.run(stage.execution())
    stage.api.forbidden["live"] = AuthenticationFailed("GET deployments: the token has expired", status=401)
    asyncio.run(execution.carry_out())
    result = execution.result()
    assert states(result) == ["accepted"] * 3
    assert result.exit_code is ExitCode.NOT_CONFIRMED
    assert result.stopped_by == "GET deployments: the token has expired"
    assert stage.api.actions().count("live") == 1


@pytest.mark.parametrize(("asked", "waited"), [(None, (0.0, 2.0)), (11.0, (11.0, 11.0))])
def test_a_429_waits_and_goes_again_with_fewer_at_a_time(asked: float | None, waited: tuple[float, float]) -> None:
    stage = three()
    stage.clock.advance(100)
    stage.api.fail("release", RateLimited("POST release: 429", retry_after_s=asked))
    result = asyncio.run(stage.apply())
    assert states(result) == ["confirmed"] * 3
    assert sorted(call.attempts for call in result.calls) == [1, 1, 2]
    assert waited[0] <= stage.clock.slept[0] <= waited[1]
    assert stage.witness.notes[0].endswith("2 at a time")
    assert result.exit_code is ExitCode.DONE


def test_a_call_in_doubt_that_meets_a_429_goes_again_without_another_read() -> None:
    stage = Stage("a/f=1", "a/f=2")
    stage.api.fail("release")
    stage.api.fail("release", RateLimited("POST release: 429"))
    result = asyncio.run(stage.apply())
    assert [(str(call.state), call.attempts) for call in result.calls] == [("confirmed", 3)]
    assert stage.api.actions()[-3:] == ["release", "release", "live"]


def never_left() -> ConnectionFailed:
    error = ConnectionFailed("POST replace: connection refused")
    error.outcome_unknown = False
    return error


def test_a_request_that_never_left_goes_again_even_if_it_is_a_wildcard() -> None:
    stage = Stage("a/f=1", "a/f=2").by((Replace("f", "1", "2"), "a/f", ()))
    stage.api.fail("replace", never_left(), times=2)
    result = asyncio.run(stage.apply())
    assert [(call.action, str(call.state), call.attempts) for call in result.calls] == [("replace", "confirmed", 3)]
    assert stage.api.actions() == ["replace"] * 3 + ["live"]
    assert stage.witness.notes[0].endswith("4 at a time")


def test_requests_that_never_leave_are_given_up() -> None:
    stage = Stage("a/f=1", "a/f=2")
    stage.api.forbidden["release"] = never_left()
    result = asyncio.run(stage.apply())
    assert states(result) == ["failed"]
    assert result.calls[0].error == "POST replace: connection refused; gave up after 5 tries"
    assert "live" not in stage.api.actions()


def test_429_for_ever_is_given_up_after_five_tries_each() -> None:
    stage = three()
    stage.api.forbidden["release"] = RateLimited("POST release: 429")
    result = asyncio.run(stage.apply())
    assert states(result) == ["failed"] * 3
    assert sum(call.attempts for call in result.calls) == 3 + 10  # the budget of so small a run
    assert max(call.attempts for call in result.calls) == 5
    assert result.exit_code is ExitCode.NOT_CONFIRMED
    assert stage.api.actions().count("live") == 0


def test_a_server_that_asks_for_an_hour_is_not_waited_for() -> None:
    stage = Stage("a/f=1", "a/f=2")
    stage.api.fail("release", RateLimited("POST release: 429", retry_after_s=3600))
    result = asyncio.run(stage.apply())
    assert states(result) == ["failed"]
    assert result.calls[0].error == "POST release: 429; gave up: the server requires a wait of 3600 s"


def test_5xx_for_ever_is_given_up_after_five_tries() -> None:
    stage = Stage("a/f=1 b/f=1", "a/f=2 b/f=2")
    stage.api.forbidden["release"] = ServerFailed("POST release: 500", status=500)
    result = asyncio.run(stage.apply())
    assert states(result) == ["failed"]
    assert result.calls[0].attempts == 5
    assert "gave up after 5 tries" in (result.calls[0].error or "")
    assert len(result.unconfirmed) == 2


def test_only_the_rows_that_have_not_moved_are_sent_again() -> None:
    stage = Stage("a/f=1 b/f=1 c/f=1", "a/f=2 b/f=2 c/f=2")
    stage.api.released_partly = lambda _: ["b"]
    stage.api.fail("release", effect=Effect.DONE)

    def whole_again(action: str, _: object) -> None:
        if action == "release" and len(stage.api.writes) == 2:
            stage.api.released_partly = None

    stage.api.before = whole_again
    result = asyncio.run(stage.apply())
    assert states(result) == ["confirmed"]
    assert [request.body["deviceIds"] for request in stage.api.writes] == [["a", "b", "c"], ["a", "c"]]
    assert (result.confirmed, result.total, result.calls[0].count) == (3, 3, 3)


def test_an_accepted_call_without_effect_fails_after_a_minute_and_is_not_sent_again() -> None:
    stage = three()
    stage.api.released_partly = lambda request: [] if request.flow_id == "g" else request.device_ids
    result = asyncio.run(stage.apply())
    assert states(result) == ["confirmed", "failed", "confirmed"]
    assert result.calls[1].error == "1 of 1 rows had not moved 60 s after the last call"
    assert len(stage.api.writes) == 3
    assert 60 <= stage.clock.monotonic() < 75
    reads = [details for action, details in stage.api.log if action == "live"]
    assert [reads[0]["flow_id"], reads[-1]["flow_id"]] == [None, None]
    assert {read["flow_id"] for read in reads[1:-1]} == {"g"}
    assert len(reads) < 15


def test_a_partial_release_is_told_row_by_row() -> None:
    stage = Stage("a/f=1 b/f=1 c/f=1", "a/f=2 b/f=2 c/f=2")
    stage.api.released_partly = lambda _: ["b"]
    result = asyncio.run(stage.apply())
    assert states(result) == ["failed"]
    assert [row.device_id for row in result.unconfirmed] == ["a", "c"]
    assert (result.confirmed, result.total) == (1, 3)


def test_reads_that_fail_for_a_while_do_not_end_the_run() -> None:
    stage = three()
    execution = asyncio.run(stage.execution())
    stage.api.fail("live", ServerFailed("GET deployments: 503", status=503), times=4)
    asyncio.run(execution.carry_out())
    assert states(execution.result()) == ["confirmed"] * 3
    assert execution.result().notes == ()


def test_a_last_read_that_fails_once_is_read_again() -> None:
    stage = Stage("a/f=2 c/f=1 z/x=1", "a/f=3 c/f=2").by(
        (Replace("f", "2", "3"), "a/f", ()), (Release("f", "2", ("c",)), "c/f", (0,))
    )
    execution = asyncio.run(stage.execution())
    stage.api.fail("live", ServerFailed("GET deployments: 503", status=503), skip=1)
    stage.api.before = Other(stage, 2, ("z", "x"), "5")
    asyncio.run(execution.carry_out())
    result = execution.result()
    assert result.exit_code is ExitCode.DONE
    assert [moved[:4] for moved in result.moved_meanwhile] == [("z", "x", "1", "5")]


def test_reads_that_fail_for_good_leave_calls_accepted_and_say_so() -> None:
    stage = three()
    execution = asyncio.run(stage.execution())
    stage.api.fail("live", ServerFailed("GET deployments: 503", status=503), times=1000)
    asyncio.run(execution.carry_out())
    result = execution.result()
    assert states(result) == ["accepted"] * 3
    assert result.calls[0].error == "not confirmed: GET deployments: 503"
    assert result.notes == ("the last read failed: GET deployments: 503",)
    assert result.exit_code is ExitCode.NOT_CONFIRMED


@dataclass
class Other:
    """Somebody else at work: moves a row when the n-th write begins."""

    stage: Stage
    at: int
    row: tuple[str, str]
    version: str

    def __call__(self, action: str, _: object) -> None:
        if action == "release" and len(self.stage.api.writes) == self.at:
            self.at = -1
            self.stage.api.carry_out(Release(self.row[1], self.version, (self.row[0],)))


def test_a_row_that_another_moves_after_our_call_is_named() -> None:
    stage = three()
    stage.api.before = Other(stage, 3, ("a", "f"), "9")
    result = asyncio.run(stage.apply(parallelism=1))
    assert states(result) == ["failed", "confirmed", "confirmed"]
    assert [(row.device_id, row.expected, row.actual, row.moved_by_other) for row in result.unconfirmed] == [
        ("a", "2", "9", True)
    ]
    assert result.exit_code is ExitCode.NOT_CONFIRMED
    assert stage.released()["a", "f"] == "9"


def test_a_row_outside_the_plan_that_another_moves_is_shown_only() -> None:
    stage = three()
    stage.api.before = Other(stage, 1, ("c", "x"), "8")
    result = asyncio.run(stage.apply())
    assert [moved[:5] for moved in result.moved_meanwhile] == [("c", "x", "7", "8", None)]
    assert result.collateral == ()
    assert result.exit_code is ExitCode.DONE


@pytest.mark.parametrize("dependent", [False, True], ids=["at the end", "where another call waits"])
def test_rows_that_were_all_moved_by_somebody_else_are_not_waited_for(dependent: bool) -> None:
    """They were seen elsewhere for as long as an accepted call takes to show; it used to be a minute."""
    stage = Stage("a/f=1 b/f=1 c/f=2", "a/f=2 b/f=2 c/f=3")
    if dependent:
        stage.by(
            (Release("f", "2", ("a", "b")), "a/f b/f", ()),
            (Release("f", "3", ("c",)), "c/f", (0,)),
        )
    else:
        stage.by(
            (Release("f", "3", ("c",)), "c/f", ()),
            (Release("f", "2", ("a", "b")), "a/f b/f", (0,)),
        )
    moved = stage.api.carry_out

    def overtaken(request: Request) -> None:
        moved(request)
        if isinstance(request, Release) and request.version == "2":
            for device_id in request.device_ids:
                stage.api.set_entry(device_id, "f", Entry("9", "9"))

    stage.api.carry_out = overtaken  # type: ignore[method-assign]
    result = asyncio.run(stage.apply())
    assert stage.clock.monotonic() < 15
    assert result.exit_code is ExitCode.NOT_CONFIRMED
    (call,) = [call for call in result.calls if call.body["version"] == "2"]
    assert (call.state, call.error) == (CallState.FAILED, "2 rows were moved by somebody else during the run")
    assert [(row.actual, row.moved_by_other) for row in result.unconfirmed if row.expected == "2"] == [("9", True)] * 2


def test_a_row_that_has_yet_to_move_is_waited_for_beside_one_that_was_moved() -> None:
    stage = Stage("a/f=1 b/f=1", "a/f=2 b/f=2")
    stage.api.released_partly = lambda _: ()
    stage.clock.at(0.1, lambda: stage.api.set_entry("a", "f", Entry("9", "9")))
    stage.clock.at(40, lambda: stage.api.set_entry("b", "f", Entry("2", "1")))
    result = asyncio.run(stage.apply())
    assert 40 <= stage.clock.monotonic() < 55
    assert [(row.device_id, row.actual, row.moved_by_other) for row in result.unconfirmed] == [("a", "9", True)]
    assert result.calls[0].error == "1 row was moved by somebody else during the run"


def test_confirming_ends_after_a_minute_whatever_a_read_takes() -> None:
    stage = three()

    def stall(action: str, _: object) -> None:
        if action == "release":
            stage.api.latency_s["live"] = 3600

    stage.api.before = stall
    result = asyncio.run(stage.apply())
    assert result.exit_code is ExitCode.NOT_CONFIRMED
    assert stage.clock.monotonic() == 60
    assert {call.error for call in result.calls} == {"not confirmed: a read did not end within 60 s"}


def test_a_fleet_that_is_slow_to_read_is_confirmed_by_one_read() -> None:
    stage = three()
    stage.api.latency_s["live"] = 70
    assert asyncio.run(stage.apply()).exit_code is ExitCode.DONE
