"""A day on the simulator: what a rollout is judged by, as commands and the API tell it, without anybody waiting."""

from __future__ import annotations

from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from reconciler.model.state import Kind
from tests.support.cli import run_here
from tests.support.fleet import APPLICATION
from tests.support.line import Line, line_at

APPLY = ("apply", "plant.yaml", "--yes")


@pytest.fixture
def line(kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    with line_at(tmp_path, monkeypatch, kind) as running:
        release_to_canaries(running, "v2")
        yield running


def release_to_canaries(line: Line, version: str) -> None:
    line.manifest(
        f"apiVersion: reconciler/v1\napplication: {APPLICATION}\ngroups:\n"
        f"  canaries: {{select: {{tags: {{ring: canary}}}}, flows: {{telemetry: {version}}}}}\n"
    )


def log_of(device: str) -> list[dict[str, Any]]:
    (status,) = run_here("status", "plant.yaml", "--device", device, "--format", "json").document["status"]
    return [line for line in status["log"] if line["flow_id"] or line["change"] == "current"]


def test_a_soak_of_a_day(line: Line, kind: Kind) -> None:
    """The release, when it was reported, what the device ran before, and that it was still alive a day later."""
    assert run_here(*APPLY).code == 0
    line.later(hours=24)
    now = httpx.get(line.server.url).headers["Date"]
    after = line.record("canary-1")
    dates = [entry["date"] for entry in after["logs"]]

    assert parsedate_to_datetime(now).isoformat() == "2026-03-03T09:00:00+00:00"
    assert [entry["changeType"] for entry in after["logs"]][:3] == ["current", "desired", "current"]
    assert dates[:3] == ["2026-03-02T09:00:05.000Z", "2026-03-02T09:00:00.000Z", "2026-01-31T09:00:01.000Z"]
    assert after["lastUpdated"] == dates[0]
    assert after["deviceConnectionInfo"] == {"time": "2026-01-31T09:00:00.000Z", "connected": 1}
    here, new = ("currentBundleVersion", "newBundle") if kind == "embedded" else ("currentEtag", "newEtag")
    assert after["logs"][0][new] == after[here]
    assert {device for device, version in line.runs().items() if version == "v2"} == {"canary-1", "canary-2"}


@pytest.mark.parametrize(
    ("outcome", "code", "told"),
    [
        ("loads", 0, ["current", "desired"]),
        ("dies", 0, ["current", "desired"]),
        ("fails", 5, ["current", "desired"]),
        ("silent", 0, ["desired"]),
        ("unknown", 5, ["current", "desired"]),
    ],
)
def test_what_status_tells_of_a_canary_after_a_day(line: Line, kind: Kind, outcome: Any, code: int, told: Any) -> None:
    line.goes_wrong(outcome, "v2", "canary-2")
    assert run_here(*APPLY).code == 0
    line.later(hours=24)
    entries = [entry for entry in log_of("canary-2") if entry["date"] >= "2026-03-02"]

    assert [entry["change"] for entry in entries] == told
    assert (entries[0]["error"] is not None) is (outcome == "fails")
    assert line.record("canary-2")["deviceConnectionInfo"]["connected"] == (0 if outcome == "dies" else 1)
    done = run_here("status", "plant.yaml")
    assert done.code == (0 if (outcome, kind) == ("unknown", Kind.EDGE) else code), done.out


def test_a_command_in_its_own_process_waits_for_hours_that_pass_fast(line: Line) -> None:
    """Half an hour until the sleeping canaries wake up: a tenth of a second."""
    for device in ("canary-1", "canary-2"):
        line.control.disconnect(device)
        line.control.sleep(device, awake_s=600, asleep_s=1800)
    with line.hurrying(18_000):
        done = line.run(*APPLY, "--wait", "--offline", "wait", "--timeout", "40s")

    assert done.code == 0, done.err
    assert line.runs()["canary-1"] == "v2"
