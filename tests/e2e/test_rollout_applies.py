"""Applies of a rollout as a program starts them: what is asked, what a plan made earlier may send, who is deleted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import reconciler
from reconciler.model.health import Verdict
from reconciler.model.state import Kind
from reconciler.simulator import faults
from reconciler.simulator.faults import When
from tests.e2e.test_rollout import ALL, CANARIES, FIRST, QUICK, apply, at, merge
from tests.support.cli import run_here
from tests.support.line import Line, line_at


@pytest.fixture
def line(kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    with line_at(tmp_path, monkeypatch, kind) as running:
        merge(running, gate=QUICK)
        yield running


def waiting(seconds: float = 3600) -> reconciler.ApplyRequest:
    return reconciler.ApplyRequest(wait=True, timeout_s=seconds)


def carried_out(
    changes: reconciler.Plans | Sequence[reconciler.Rules], request: reconciler.ApplyRequest
) -> reconciler.Result:
    (result,) = reconciler.apply(changes, request)
    return result


@pytest.mark.parametrize("answer", [True, False])
def test_a_wait_that_may_send_later_asks_before(line: Line, answer: bool) -> None:
    apply()
    asked: list[int] = []

    def approve(plans: Sequence[reconciler.Plan]) -> bool:
        asked.append(len(plans[0].sent))
        return answer

    rules = reconciler.load("plant.yaml")
    step = reconciler.ApplyRequest(approve=approve)
    reconciler.apply(rules, step)
    assert asked == []  # nothing is sent
    request = reconciler.ApplyRequest(wait=True, timeout_s=3600, approve=approve)
    if answer:
        reconciler.apply(rules, request)
    else:
        with pytest.raises(reconciler.ReconcilerError, match="not approved"):
            reconciler.apply(rules, request)
    assert asked == [0]
    assert at(line, "v2") == (ALL if answer else CANARIES)


def test_a_plan_that_was_made_earlier_sends_its_step_and_opens_nothing(line: Line) -> None:
    plans = reconciler.plan(reconciler.load("plant.yaml"))
    first = carried_out(plans, waiting())
    assert first.wait
    assert (at(line, "v2"), first.withheld, first.exit_code, first.wait.exit_code) == (CANARIES, 12, 0, 0)
    assert first.wait.elapsed_s < 60  # it has nothing more to send
    line.later(hours=1)
    late = carried_out(plans, waiting())
    assert (at(line, "v2"), late.withheld, late.total) == (CANARIES, 12, 0)
    assert late.wait
    assert late.wait.rows
    assert (late.wait.rows[Verdict.WITHHELD], late.wait.exit_code) == (12, 0)


def test_a_plan_that_was_made_earlier_sends_nothing_of_a_rollout_that_was_stopped_since(line: Line) -> None:
    line.goes_wrong("fails", "v2", "first-1")
    line.goes_wrong("fails", "v2", "first-2")
    apply()
    line.later(hours=1)
    plans = reconciler.plan(reconciler.load("plant.yaml"))
    assert {change.device_id for change in plans.plans[0].sent} == {
        row["device_id"] for row in line.control.rows() if row["device"] in FIRST
    }
    line.control.set_released("first-1", "telemetry", "v2")
    line.control.set_released("first-2", "telemetry", "v2")
    line.later(seconds=60)
    done = carried_out(plans, waiting())
    assert (at(line, "v2"), done.total, done.exit_code) == (CANARIES | {"first-1", "first-2"}, 0, 7)


def test_what_moved_meanwhile_makes_a_plan_stale_only_where_it_sends(line: Line) -> None:
    plans = reconciler.plan(reconciler.load("plant.yaml"))
    line.control.set_released("rest-1", "telemetry", "v3")
    line.control.delete_device("rest-2")
    assert carried_out(plans, waiting()).withheld == 12
    assert at(line, "v2") == CANARIES
    again = reconciler.plan(reconciler.load("plant.yaml"))
    line.later(hours=1)
    third = reconciler.plan(reconciler.load("plant.yaml"))
    line.control.set_released("first-1", "telemetry", "v3")
    assert carried_out(again, waiting()).total == 0
    with pytest.raises(reconciler.Stale, match="first-1"):
        reconciler.apply(third, waiting())


@pytest.mark.parametrize("when", ["released", "waited for"])
def test_a_canary_that_is_deleted_is_left_out_and_the_others_go_on(line: Line, when: str) -> None:
    ids = {row["device"]: row["device_id"] for row in line.control.rows()}
    gone = min(ids, key=lambda name: ids[name])
    other = min(set(ids) - {gone})
    merge(line, gate=QUICK, patience="3m", waves=f"[{{devices: [{gone}, {other}]}}]")
    line.goes_wrong("silent", "v2", gone)
    moment = When(path="/release$", nth=1) if when == "released" else When(path="/deployments$", nth=6)
    line.control.fault(faults.Shift(how="delete", what="devices", end="first", count=1, when=moment))
    done = carried_out(reconciler.load("plant.yaml"), waiting())

    assert (done.exit_code, done.wait and done.wait.exit_code) == (0, 0)
    assert at(line, "v2") >= ALL - {gone}
    assert gone in f"{done.warnings} {done.wait and done.wait.laggards}"
    assert len(line.writes()) <= 3


def test_a_saved_plan_that_is_applied_late(line: Line) -> None:
    """It sends its first wave once, opens nothing when that has soaked, and nothing at all when that has failed."""
    assert run_here("plan", "plant.yaml", "--out", "plan.json").code == 0
    saved = ("--plan", "plan.json", "--yes", "--format", "json")
    first = run_here("apply", *saved, "--wait", "--timeout", "1h")
    assert (first.code, at(line, "v2")) == (0, CANARIES)
    line.later(hours=1)
    late = run_here("apply", *saved, "--expect-digest", first.result["review_digest"])
    assert (late.code, late.result["withheld"], at(line, "v2")) == (0, 12, CANARIES)
    assert run_here("plan", "plant.yaml", "--out", "second.json").code == 0
    line.control.fail("canary-2", "telemetry", "v2", "out of memory")
    line.control.set_released("canary-2", "telemetry", "v1")
    line.later(seconds=60)
    line.control.set_released("canary-2", "telemetry", "v2")
    line.later(seconds=60)
    stopped = run_here("apply", "--plan", "second.json", "--yes")
    assert (stopped.code, at(line, "v2")) == (7, CANARIES)
