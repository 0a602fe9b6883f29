"""The events of a rollout that one apply takes through its waves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import events
from tests.support.cli import run_here
from tests.support.fleet import APPLICATION
from tests.support.line import Line, line_at

MANIFEST = f"""\
apiVersion: reconciler/v1
application: {APPLICATION}
rollouts:
  careful:
    waves: [{{tags: {{ring: canary}}}}, {{tags: {{ring: first}}}}]
    gate: {{converged: 100, soak: 10m, sample: 1}}
groups:
  all: {{select: {{all: true}}, rollout: careful, flows: {{telemetry: v2}}}}
"""


@pytest.fixture(params=["embedded", "edge"])
def line(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    with line_at(tmp_path, monkeypatch, request.param) as line:
        line.manifest(MANIFEST)
        yield line


APPLY = ("apply", "plant.yaml", "--yes", "--wait", "--timeout", "5h", "--events", "events.jsonl", "--format", "json")


def test_each_step_is_told_and_its_calls_are_numbered_on(line: Line) -> None:
    ended = run_here(*APPLY)
    assert ended.code == 0, ended.err
    found = events.read((line.folder / "events.jsonl").read_text())
    events.check_fold(found, ended.document)
    steps = events.of(found, "step")
    assert [(one["step"], one["changes"], one["withheld"]) for one in steps] == [(1, 2, 12), (2, 4, 8), (3, 8, 0)]
    (calls,) = events.folded(found).values()
    assert [call["id"] for call in calls] == [*range(sum(one["calls"] for one in steps))]
    assert {call["state"] for call in calls} == {"confirmed"}
    rows = [(one["confirmed"], one["total"]) for one in events.of(found, "rows")]
    assert rows == sorted(rows)
    assert rows[-1] == (14, 14)
    assert len(events.of(found, "read")) > 3  # those of the wait, too


def test_a_wave_that_fails_is_told_and_nothing_after_it(line: Line) -> None:
    line.goes_wrong("fails", "v2", "canary-2")
    ended = run_here(*APPLY)
    found = events.read((line.folder / "events.jsonl").read_text())
    events.check_fold(found, ended.document)
    assert [one["step"] for one in events.of(found, "step")] == [1]
    assert [(one["device_name"], one["verdict"]) for one in events.of(found, "verdict")] == [("canary-2", "failed")]
    assert found[-1]["exit_code"] == ended.code != 0
