"""A replace that nobody answers, over loopback: never sent twice, finished by releases, safe when it lands late."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.model.state import Kind
from reconciler.simulator import faults
from reconciler.simulator.faults import When
from tests.support.cli import run_here
from tests.support.fleet import APPLICATION
from tests.support.plant import Plant, fleet_of, plant_at


def fleet(kind: Kind) -> dict[str, Any]:
    devices: list[dict[str, Any]] = [
        {"count": 1001, "name": "pump-{n:04}", "tags": {"gen": "old"}, "deployed": {"telemetry": "v2"}},
        {"count": 3, "name": "late-{n}", "tags": {"gen": "older"}, "deployed": {"telemetry": "v1"}},
        {"name": "odd", "deployed": {"telemetry": "v9", "alarms": "a1"}},
    ]
    return fleet_of(kind, devices)


MANIFEST = f"""\
apiVersion: reconciler/v1
application: {APPLICATION}
groups:
  old: {{select: {{tags: {{gen: old}}}}, flows: {{telemetry: v3}}}}
  older: {{select: {{tags: {{gen: older}}}}, flows: {{telemetry: v2}}}}
"""
APPLY = ["apply", "plant.yaml", "--yes", "--format", "json"]
REPLACE = When(path="/deployments/replace$")


@pytest.fixture
def herd(kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plant]:
    with plant_at(tmp_path, monkeypatch, description=fleet(kind), kind=kind) as plant:
        plant.manifest(MANIFEST)
        yield plant


def told(result: dict[str, Any]) -> list[tuple[str, str, int]]:
    return [(call["action"], call["state"], call["count"]) for call in result["calls"]]


def check(herd: Plant, *, older: str) -> None:
    rows = herd.released()
    assert {version for row, version in rows.items() if row.startswith("pump-")} == {"v3"}
    assert {version for row, version in rows.items() if row.startswith("late-")} == {older}
    assert (rows["odd/telemetry"], rows["odd/alarms"]) == ("v9", "a1")


@pytest.mark.parametrize(
    "found",
    [
        [],
        [faults.Reset(after_effect=True, when=REPLACE)],
        [faults.Status(status=429, retry_after="40", when=REPLACE.model_copy(update={"times": 2}))],
        [faults.Late(seconds=9, when=REPLACE)],
        [faults.Garble(how="html", when=REPLACE)],
    ],
    ids=["no fault", "reset after the effect", "429", "late", "HTML"],
)
def test_a_replace_that_takes_effect(found: list[faults.Fault], herd: Plant) -> None:
    for fault in found:
        herd.control.fault(fault)
    ended = run_here(*APPLY)
    assert ended.code == 0, ended.err
    assert told(ended.result) == [("replace", "confirmed", 1001), ("release", "confirmed", 3)]
    check(herd, older="v2")


@pytest.mark.parametrize(
    "fault",
    [
        faults.Reset(when=REPLACE),
        faults.Status(status=500, when=REPLACE),
        faults.Status(status=502, body="html", when=REPLACE),
    ],
    ids=["reset", "500", "HTML 502"],
)
def test_a_replace_of_unknown_outcome(fault: faults.Fault, herd: Plant) -> None:
    herd.control.fault(fault)
    ended = run_here(*APPLY)
    assert ended.code == 6
    assert told(ended.result) == [
        ("replace", "unknown", 1001),
        ("release", "skipped", 3),
        ("release", "confirmed", 1000),
        ("release", "confirmed", 1),
    ]
    assert herd.control.counts()[f"{herd.kind}Deployments.replace"] == 1
    assert {row["device_name"] for row in ended.result["unconfirmed"]} == {"late-1", "late-2", "late-3"}
    check(herd, older="v1")
    herd.recover(herd.server.url)
    herd.manifest(MANIFEST)
    assert run_here(*APPLY).code == 0
    check(herd, older="v2")


def test_a_replace_of_unknown_outcome_that_lands_long_after(herd: Plant) -> None:
    herd.control.fault(faults.Late(seconds=200, when=REPLACE))
    herd.control.fault(faults.Reset(after_effect=True, when=REPLACE))
    ended = run_here(*APPLY)
    assert ended.code == 6
    assert told(ended.result)[:2] == [("replace", "unknown", 1001), ("release", "skipped", 3)]
    check(herd, older="v1")
    herd.recover(herd.server.url)
    check(herd, older="v1")


@pytest.mark.parametrize(
    ("kind", "code"), [*((Kind.EMBEDDED, code) for code in (400, 403, 404, 405)), (Kind.EDGE, 403)]
)
def test_a_replace_that_is_refused(code: int, herd: Plant) -> None:
    herd.control.fault(faults.Status(status=code, when=REPLACE))
    ended = run_here(*APPLY)
    assert ended.code == 6
    assert told(ended.result) == [("replace", "failed", 1001), ("release", "skipped", 3)]
    assert {version for row, version in herd.released().items() if row.startswith("pump-")} == {"v2"}
    explicit = run_here(*APPLY, "--calls", "explicit")
    assert explicit.code == 0
    check(herd, older="v2")
