"""Plans of releases: what is sent, in which order, and what the result says."""

from __future__ import annotations

import asyncio

from reconciler.documents.result import result_document
from reconciler.errors import ExitCode
from reconciler.model.result import CallState
from tests.executor.worlds import Stage


def test_a_plan_is_carried_out_and_confirmed() -> None:
    stage = Stage("a/f=1 b/f=1 c/f=9", "a/f=2 b/f=2")
    result = asyncio.run(stage.apply())
    assert stage.released() == {("a", "f"): "2", ("b", "f"): "2", ("c", "f"): "9"}
    assert [call.state for call in result.calls] == [CallState.CONFIRMED]
    assert (result.confirmed, result.total) == (2, 2)
    assert result.exit_code is ExitCode.DONE
    assert stage.api.actions() == ["release", "live"]
    assert stage.witness.states == [(0, "sent"), (0, "accepted"), (0, "confirmed")]
    assert stage.witness.counts[-1] == (2, 2)


def test_nothing_to_do_sends_and_reads_nothing() -> None:
    stage = Stage("a/f=1", "a/f=1")
    result = asyncio.run(stage.apply())
    assert stage.api.log == []
    assert result.calls == ()
    assert result.exit_code is ExitCode.DONE


def test_a_dry_run_reports_the_calls_and_sends_nothing() -> None:
    stage = Stage("a/f=1 b/g=1", "a/f=2 b/g=2")
    dry = asyncio.run(stage.apply(dry_run=True))
    assert stage.api.log == []
    assert dry.exit_code is ExitCode.DONE
    assert [call.state for call in dry.calls] == [CallState.PLANNED] * 2
    done = asyncio.run(stage.apply())
    assert [(call.id, call.action, call.body) for call in dry.calls] == [
        (call.id, call.action, call.body) for call in done.calls
    ]


def test_the_result_is_plain_data() -> None:
    stage = Stage("a/f=1", "a/f=2")
    (data,) = result_document([asyncio.run(stage.apply())], "apply", code=ExitCode.DONE)["results"]
    assert data["rows"] == {"total": 1, "confirmed": 1}
    assert data["calls"] == [
        {
            "id": 0,
            "action": "release",
            "body": {"flowId": "f", "version": "2", "deviceIds": ["a"]},
            "count": 1,
            "after": [],
            "state": "confirmed",
            "confirmed": 1,
            "attempts": 1,
            "error": None,
            "note": None,
            "started": "2026-06-01T12:00:00.000Z",
            "ended": "2026-06-01T12:00:00.000Z",
        }
    ]
