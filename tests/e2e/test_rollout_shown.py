"""What commands show of a rollout on the simulator, and their exit codes: a wave, a failing canary, pins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from jsonschema_rs import Draft202012Validator

from reconciler.documents.json_schema import output_schema
from reconciler.documents.saved_plan import load_results
from reconciler.errors import ExitCode
from reconciler.model.result import CallResult, CallState
from tests.support.cli import run_here
from tests.support.fleet import APPLICATION
from tests.support.line import Line, line_at

MANIFEST = f"""\
apiVersion: reconciler/v1
application: {APPLICATION}
rollouts:
  careful: {{waves: [{{tags: {{ring: canary}}}}, {{tags: {{ring: first}}}}], gate: {{sample: 2}}, patience: 15m}}
groups:
  pumps: {{select: {{all: true}}, rollout: careful, flows: {{telemetry: v2}}}}
"""
REMOVALS = "  others: {select: {tags: {ring: rest}}, flows: {alarms: absent}}\nlimits: {removals: {count: 1}}\n"


@pytest.fixture
def line(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    with line_at(tmp_path, monkeypatch, kind) as running:
        running.manifest(MANIFEST)
        yield running


def code(*argv: str) -> int:
    command, *options = argv
    return run_here(command, "plant.yaml", *options).code


def test_a_wave_that_soaks(line: Line) -> None:
    """2 while something may be sent, then 0: what is withheld is no drift, and nothing may be sent now."""
    first = run_here("plan", "plant.yaml", "--detailed-exitcode")
    assert first.code == ExitCode.CHANGES
    assert "    ~ v1 -> v2  14 devices, 2 now, " in first.out
    assert first.out.endswith(
        "Plan: 0 to add, 14 to change, 0 to destroy.\n"
        "Now: 2 changes; withheld: 12 (next wave at the earliest 2026-03-02 10:00Z).\n"
    )
    applied = run_here("apply", "plant.yaml", "--yes", "--result", "result.json")
    assert applied.code == ExitCode.DONE
    assert "Apply complete! Resources: 0 added, 2 changed, 0 destroyed. 12 changes withheld by rollouts" in applied.out
    assert run_here("show", "result.json").out in applied.out
    line.later(seconds=60)

    held = run_here("plan", "plant.yaml", "--detailed-exitcode", "--format", "json")
    (plan,) = held.document["plans"]
    assert (held.code, held.document["error"], plan["calls"]) == (ExitCode.DONE, None, [])
    assert plan["summary"]["withheld"] == 12 == sum(change["withheld"] == "wave" for change in plan["changes"])
    status = run_here("status", "plant.yaml", "--detailed-exitcode")
    assert status.code == ExitCode.DONE
    assert "12 withheld" in status.out.partition("Rows: ")[2]
    alone = run_here("status", "plant.yaml", "--device", plan["changes"][0]["device_id"], "--detailed-exitcode")
    assert (alone.code, " withheld" in alone.out.partition("Rows: ")[2]) == (ExitCode.DONE, True)
    assert "1: tag ring=canary, open; 0 of 2 proven, at the earliest" in status.out

    line.later(hours=2)
    assert code("plan", "--detailed-exitcode") == ExitCode.CHANGES


def test_a_stopped_rollout_is_7_everywhere_and_its_pins_lead_on(line: Line, kind: str) -> None:
    line.goes_wrong("fails", "v2", "canary-2")
    assert code("apply", "--yes") == ExitCode.DONE
    line.later(hours=2)

    plan, status, applied = (
        run_here(command, "plant.yaml", *options, "--format", "json")
        for command, *options in (("plan", "--detailed-exitcode"), ("status",), ("apply", "--yes"))
    )
    schema = Draft202012Validator(output_schema())
    for done in (plan, status, applied):
        schema.validate(done.document)
        (problem,) = done.document["error"]["problems"]
        assert (done.code, done.document["error"]["code"]) == (7, 7)
        assert problem["message"].startswith("the rollout of group pumps is stopped: wave 1: 1 of 2 devices failed")
        assert problem["message"].endswith("; canary-2 failed: the version cannot be loaded")
        assert problem["hint"] == "revert the change, merge a fixed version, or pin the failing devices"
    assert code("plan") == ExitCode.DONE  # without `--detailed-exitcode`
    assert code("apply", "--yes", "--dry-run") == ExitCode.ROLLOUT_STOPPED
    assert (
        applied.result["rollouts"] == status.document["status"][0]["rollouts"] == plan.document["plans"][0]["rollouts"]
    )
    assert line.writes()[1:] == []

    shown = run_here("status", "plant.yaml").out
    block = shown[shown.index("    pins:") : shown.index("\n\n", shown.index("    pins:"))]
    line.manifest("\n".join([MANIFEST.rstrip(), *(row[4:] for row in block.splitlines()), ""]))
    pinned = run_here("plan", "plant.yaml", "--detailed-exitcode", "--format", "json")
    (rollout,) = pinned.document["plans"][0]["rollouts"]
    assert (pinned.code, rollout["state"], rollout["failing"]) == (ExitCode.CHANGES, "open", [])


def test_a_guard_comes_before_a_stopped_rollout(line: Line) -> None:
    line.goes_wrong("fails", "v2")
    assert code("apply", "--yes") == ExitCode.DONE
    line.later(hours=2)
    line.manifest(MANIFEST + REMOVALS)
    refused = run_here("plan", "plant.yaml", "--detailed-exitcode", "--format", "json")
    assert (refused.code, refused.document["error"]["code"]) == (ExitCode.REFUSED, ExitCode.REFUSED)
    assert code("apply", "--yes") == ExitCode.REFUSED


def test_a_saved_plan_is_shown_as_it_was(line: Line) -> None:
    line.manifest(MANIFEST.replace("telemetry: v2", "telemetry: v2, alarms: a2"))
    for fmt in ("text", "markdown"):
        planned = run_here("plan", "plant.yaml", "--format", fmt, "--out", "plan.json")
        shown = run_here("show", "plan.json", "--format", fmt)
        before, told = (
            done.out.partition("<details>")[0] for done in (planned, shown)
        )  # reasons of calls are not saved
        assert (shown.code, told) == (ExitCode.DONE, before)
    planned = run_here("plan", "plant.yaml", "--format", "json")
    assert run_here("show", "plan.json", "--format", "json").document == {**planned.document, "command": "show"}


def test_the_order_of_exit_codes(line: Line) -> None:
    line.goes_wrong("fails", "v2")
    assert code("apply", "--yes") == ExitCode.DONE
    line.later(hours=2)
    done = run_here("apply", "plant.yaml", "--yes", "--wait", "--timeout", "30s", "--result", "result.json")
    assert done.code == ExitCode.ROLLOUT_STOPPED  # before 5
    assert "A rollout is stopped.\n" in done.out

    (result,) = load_results("result.json").results
    assert load_results("result.json").code == ExitCode.ROLLOUT_STOPPED
    failed = CallResult(0, "release", {}, 1, (), CallState.FAILED)
    assert replace(result, calls=(failed,)).exit_code == ExitCode.NOT_CONFIRMED
    assert replace(result, interrupted=True).exit_code == ExitCode.INTERRUPTED


def test_pages_show_it_live_and_saved(line: Line) -> None:
    """The page of a plan, a result and a status with a rollout, and the same made of what was saved."""
    options = ("--format", "html")
    live = run_here("plan", "plant.yaml", "--out", "plan.json", *options)
    assert "<b>Now:</b> 2 changes; withheld: 12, the next wave at the earliest <time" in live.out
    assert "8 changes: a wave before theirs has not passed" in live.out
    saved = run_here("show", "plan.json", *options)
    assert waves_in(saved.out) == waves_in(live.out)

    line.goes_wrong("fails", "v2", "canary-2")
    assert code("apply", "--yes") == ExitCode.DONE
    line.later(hours=2)
    applied = run_here("apply", "plant.yaml", "--yes", "--result", "result.json", *options)
    assert applied.code == ExitCode.ROLLOUT_STOPPED
    assert "<h1>A rollout is stopped. " in applied.out
    assert run_here("show", "result.json", *options).out == applied.out
    status = run_here("status", "plant.yaml", *options)
    assert status.code == ExitCode.ROLLOUT_STOPPED
    assert "<b>The rollout of group pumps is stopped.</b> wave 1: 1 of 2 devices failed or fell silent" in status.out
    line.write("status.json", run_here("status", "plant.yaml", "--format", "json").out)
    assert waves_in(run_here("show", "status.json", *options).out) == waves_in(status.out)


def waves_in(page: str) -> str:
    """The section of the rollouts, up to the next heading; there is one."""
    section = page.partition("<h3>Rollouts")[2].partition("<h3>")[0]
    assert 'aria-label="Waves of group pumps"' in section
    return section
