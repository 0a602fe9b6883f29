"""Ends from outside, on the installed command: kill -9 at every request of an apply, Ctrl-C and SIGTERM anywhere.

For both kinds; edge has fewer numbers and one of the signals, to save time.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.model.state import Kind
from reconciler.simulator import faults
from reconciler.simulator.faults import When
from tests.support import processes
from tests.support.cli import run_here
from tests.support.fleet import APPLICATION, application
from tests.support.plant import Plant, plant_at
from tests.support.waiting import until

FLOWS = [f"flow-{number:02}" for number in range(20)]
LIST, RELEASE = When(path="/deployments$"), When(path="/deployments/release$")
ROWS = {f"{device}/{flow}" for device in ("pump-0", "pump-1") for flow in FLOWS}


def fleet(kind: Kind) -> dict[str, Any]:
    pumps = [{"name": f"pump-{number}", "deployed": dict.fromkeys(FLOWS, "v1")} for number in range(2)]
    odd = {"name": "odd", "deployed": {FLOWS[0]: "v1"}}
    return {"applications": [application(kind, [*pumps, odd], {flow: ["v1", "v2"] for flow in FLOWS})]}


def manifest(take_up: str = "v2") -> str:
    flows = ", ".join(f"{flow}: {take_up}" for flow in FLOWS)
    return (
        f"apiVersion: reconciler/v1\napplication: {APPLICATION}\n"
        f"groups: {{all: {{select: {{devices: ['pump-*']}}, flows: {{{flows}}}}}}}\n"
    )


@pytest.fixture
def twenty(kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plant]:
    """A plant whose apply has twenty calls, one after the other since they share their devices; in real time."""
    with plant_at(tmp_path, monkeypatch, frozen=False, description=fleet(kind), kind=kind) as plant:
        plant.manifest(manifest())
        yield plant


def nth(when: When, number: int) -> When:
    return when.model_copy(update={"nth": number})


def lists(plant: Plant) -> int:
    """How often deployments were listed so far."""
    return plant.control.counts().get(f"{plant.kind}Deployments.get", 0)


def moved(plant: Plant) -> set[str]:
    return {row for row, version in plant.released().items() if version == "v2"}


def remainder(plant: Plant) -> set[str]:
    """The rows of the next plan."""
    (plan,) = run_here("plan", "plant.yaml", "--format", "json").document["plans"]
    return {f"{change['device_name']}/{change['flow_name']}" for change in plan["changes"]}


def finish(plant: Plant) -> None:
    """The next plan is exactly what is left, and an apply of it ends well."""
    plant.control.clear_faults()
    assert remainder(plant) == ROWS - moved(plant)
    assert run_here("apply", "plant.yaml", "--yes").code == 0
    assert moved(plant) == ROWS
    assert plant.released()["odd/flow-00"] == "v1"


@pytest.mark.parametrize(
    ("kind", "number"),
    [*((Kind.EMBEDDED, number) for number in range(1, 21)), *((Kind.EDGE, number) for number in (1, 2, 13, 20))],
)
def test_killed_after_each_request(number: int, twenty: Plant) -> None:
    twenty.control.fault(faults.SlowHeaders(seconds=60, when=nth(RELEASE, number)))
    with twenty.started("apply", "plant.yaml", "--yes") as process:
        until(lambda: len(twenty.writes()) == number)
        process.kill()
        processes.end(process)
    assert len(moved(twenty)) == 2 * number
    finish(twenty)


def test_killed_before_the_first_effect(twenty: Plant) -> None:
    twenty.control.fault(faults.SlowHeaders(seconds=60, when=LIST))
    with twenty.started("apply", "plant.yaml", "--yes") as process:
        until(lambda: lists(twenty) > 0)
        process.kill()
        processes.end(process)
    assert moved(twenty) == set()
    finish(twenty)


SIGNALS = [(Kind.EMBEDDED, signal.SIGINT), (Kind.EMBEDDED, signal.SIGTERM), (Kind.EDGE, signal.SIGINT)]


def ended(plant: Plant, *argv: str, by: signal.Signals, when: Any) -> tuple[int, dict[str, Any], str]:
    """Start a command, signal it once something has happened; exit code, JSON document, stderr."""
    with plant.started(*argv, "--format", "json") as process:
        until(when)
        process.send_signal(by)
        out, err = processes.end(process)
    document = json.loads(out)
    assert document["error"]["code"] == process.returncode
    assert "Traceback" not in err
    return process.returncode, document, err


@pytest.mark.parametrize(("kind", "by"), SIGNALS)
@pytest.mark.parametrize("command", [["plan"], ["apply", "--yes"], ["status"]])
def test_interrupted_while_reading(command: list[str], by: signal.Signals, twenty: Plant) -> None:
    twenty.control.fault(faults.SlowHeaders(seconds=60, when=LIST))
    code, document, _ = ended(
        twenty,
        *command,
        "plant.yaml",
        by=by,
        when=lambda: lists(twenty) > 0,
    )
    assert code == 130
    assert document["command"] == command[0]
    assert twenty.writes() == []
    finish(twenty)


@pytest.mark.parametrize(("kind", "by"), SIGNALS)
@pytest.mark.parametrize("number", [1, 7, 20])
def test_interrupted_while_writing(number: int, by: signal.Signals, twenty: Plant) -> None:
    twenty.control.fault(faults.SlowHeaders(seconds=60, when=nth(RELEASE, number)))
    code, document, _ = ended(
        twenty,
        *["apply", "plant.yaml", "--yes", "--result", "result.json"],
        by=by,
        when=lambda: len(twenty.writes()) == number,
    )
    assert code == 130
    (result,) = document["results"]
    assert [call["state"] for call in result["calls"]] == (
        ["accepted"] * (number - 1) + ["unknown"] + ["planned"] * (20 - number)
    )
    assert result["interrupted"]
    assert json.loads((twenty.folder / "result.json").read_text(encoding="utf-8")) == document
    finish(twenty)


@pytest.mark.parametrize(("kind", "by"), SIGNALS)
def test_interrupted_while_waiting(by: signal.Signals, twenty: Plant) -> None:
    twenty.control.disconnect("pump-1")
    arguments = ["apply", "plant.yaml", "--yes", "--wait", "--offline", "wait"]

    def waits() -> bool:
        posts = len(twenty.writes())
        return posts == 20 and lists(twenty) >= 4

    code, document, _ = ended(twenty, *arguments, by=by, when=waits)
    assert code == 130
    (result,) = document["results"]
    assert {call["state"] for call in result["calls"]} == {"confirmed"}
    assert result["wait"]["rows"]["offline"] == 20
    assert (result["interrupted"], result["exit_code"]) == (True, 130)
    assert moved(twenty) == ROWS
