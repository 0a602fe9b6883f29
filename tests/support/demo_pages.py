"""The demo's pages: its fleet on a bad day, as plan, result and status, and its rollout, open and stopped.

The simulator's time stands still, so the same code makes the same bytes. `docs/pages/sha256` holds the hash of each
page that was pictured (`.ci/browser --pictures`): of the HTML, since pixels differ between browsers.
"""

from __future__ import annotations

import hashlib
import random
import tempfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest

from reconciler import __version__
from reconciler.cli.commands.demo import demo_file, demo_fleet, demo_manifest
from reconciler.simulator import faults
from tests.support.cli import run_here
from tests.support.plant import Plant, plant_at

FOLDER = Path(__file__).parent.parent.parent / "docs/pages"
HASHES = FOLDER / "sha256"
ERROR = "flash write failed: out of memory at 0x3f2"


def demo_pages() -> dict[str, str]:
    """Each page of the demo, by name."""
    random.seed(0)  # of the pauses between reads
    with (
        tempfile.TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as patch,
        plant_at(Path(folder), patch, description=demo_fleet()) as plant,
    ):
        plant.write("demo.yaml", demo_manifest())
        plan = _page("plan", "demo.yaml")
        _bad_day(plant)
        result = _page("apply", "demo.yaml", "--yes", "--parallelism", "1")
        plant.control.settle()
        plant.control.set_released("leeds-pump-0001", "legacy-watchdog", "v0.9.0")
        status = _page("status", "demo.yaml")
    return {"plan": plan, "result": result, "status": status, **_rollout_pages()}


def _rollout_pages() -> dict[str, str]:
    """The plan of a rollout's first wave, and the status an hour after it: one of its two devices has failed."""
    with (
        tempfile.TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as patch,
        plant_at(Path(folder), patch, description=demo_file("rollout-fleet.yaml")) as plant,
    ):
        patch.setattr("reconciler.render.rollouts.pins.utc_today", lambda: date(2026, 3, 2))
        plant.write("demo.yaml", demo_file("rollout.yaml"))
        assert run_here("set", "telemetry=v1.3.0", "demo.yaml").code == 0
        waves = _page("plan", "demo.yaml")
        assert run_here("apply", "demo.yaml", "--yes").code == 0
        plant.control.advance(hours=1.1)
        rollout = _page("status", "demo.yaml")
    return {"waves": waves, "rollout": rollout}


def _page(*argv: str) -> str:
    ended = run_here(*argv, "--format", "html")
    assert ended.out.startswith("<!doctype html>"), ended.err
    return ended.out


def _bad_day(plant: Plant) -> None:
    """Six devices cannot take up their flow, twelve more are offline, and a call moves half of its rows."""
    for number in range(101, 107):
        plant.control.fail(f"york-pump-0{number}", "telemetry", "v1.3.0", ERROR)
    for number in range(881, 893):
        plant.control.disconnect(f"york-pump-0{number}")
    half = faults.When(action="embeddedDeployments.release", nth=3)
    plant.control.fault(faults.Partial(when=half))


def hashes(pages: Mapping[str, str]) -> str:
    """One line for each page, whatever the version that made it."""
    return "".join(f"{_digest(html)}  {name}.png\n" for name, html in sorted(pages.items()))


def _digest(html: str) -> str:
    return hashlib.sha256(html.replace(f"reconciler {__version__}", "reconciler").encode()).hexdigest()
