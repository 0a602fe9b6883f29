"""Two hundred random applies while a fifth of all requests goes wrong: every goal is reached, nothing else moves."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.simulator import faults
from reconciler.simulator.faults import When
from tests.support.cli import run_here
from tests.support.fleet import APPLICATION, application
from tests.support.plant import Plant, plant_at

DEVICES, FLOWS, VERSIONS = 12, 3, ["v1", "v2", "v3"]
ROUNDS = 25
APPLY = ["apply", "plant.yaml", "--yes", "--wait", "--format", "json"]


def fleet(kind: str) -> dict[str, Any]:
    pumps = [{"name": f"pump-{number}", "deployed": {"flow-0": "v1"}} for number in range(DEVICES)]
    odd = [{"name": f"odd-{number}", "deployed": {"flow-0": "v1", "flow-1": "v2"}} for number in range(3)]
    flows = {f"flow-{flow}": VERSIONS for flow in range(FLOWS)}
    return {"switches": {"log_cap": 5}, "applications": [application(kind, [*pumps, *odd], flows)]}


def trouble(chance: float) -> list[faults.Fault]:
    """Faults that together befall a fifth of the requests, reads and writes alike."""
    when, write = When(probability=chance / 8), When(probability=chance / 4, method="POST")
    return [
        faults.Reset(when=when),
        faults.Reset(after_effect=True, when=when),
        faults.Status(status=500, when=when),
        faults.Status(status=502, body="html", when=when),
        faults.Status(status=503, retry_after="2", when=when),
        faults.Status(status=429, when=when),
        faults.Status(status=429, retry_after="3", when=when),
        faults.Reports(devices=2, when=when),
        faults.Garble(how="truncated", when=write),
        faults.Late(seconds=4, when=write),
        faults.Lost(when=write),
        faults.Partial(when=write),
    ]


def goal(dice: random.Random) -> dict[str, str | None]:
    """A version, or nothing, for most rows of the pumps."""
    return {
        f"pump-{device}/flow-{flow}": dice.choice([*VERSIONS, None])
        for device in range(DEVICES)
        for flow in range(FLOWS)
        if dice.random() < 0.8
    }


def manifest(wanted: dict[str, str | None]) -> str:
    devices: dict[str, list[str]] = {}
    for row, version in wanted.items():
        device, _, flow = row.partition("/")
        devices.setdefault(device, []).append(f"{flow}: {version or 'absent'}")
    lines = [f"  {device}: {{{', '.join(flows)}}}" for device, flows in devices.items()]
    limits = "limits: {removals: {count: 1000, percent: 100}}"
    return "\n".join(["apiVersion: reconciler/v1", f"application: {APPLICATION}", limits, "devices:", *lines, ""])


@pytest.fixture
def herd(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plant]:
    kind = ("embedded", "edge")[seed % 2]
    with plant_at(tmp_path, monkeypatch, description=fleet(kind), kind=kind) as plant:
        yield plant


@pytest.mark.parametrize("seed", range(8))
def test_soak(seed: int, herd: Plant) -> None:
    dice = random.Random(seed)
    codes: list[int] = []
    for _ in range(ROUNDS):
        wanted = goal(dice)
        herd.manifest(manifest(wanted))
        before: dict[str, Any] = herd.released()
        for fault in trouble(0.2):
            herd.control.fault(fault)
        for _attempt in range(20):
            ended = run_here(*APPLY)
            codes.append(ended.code)
            if ended.code == 0:
                break
            assert ended.code in (1, 5, 6), ended
        herd.control.clear_faults()
        herd.control.advance(120)
        now = herd.released()
        assert codes[-1] == 0
        assert {row: now.get(row) for row in wanted} == wanted
        assert {row: now.get(row) for row in before if row not in wanted} == {
            row: version for row, version in before.items() if row not in wanted
        }
    assert 6 in codes
