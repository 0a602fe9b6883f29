"""What it costs to start: commands that do next to nothing, beside importing click."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from tests.bench.measure import Cost, header, repeated, row, run
from tests.support.cli import RECONCILER

SMALL = """\
apiVersion: reconciler/v1
application: 5f0c8a1b2d3e4f5061728394
devices:
  575ecf887ae143cd83dc4aa2: {575ed18f7ae143cd83dc4aa6: v1}
"""


def starts(runs: int) -> None:
    """Each command beside the same interpreter that imports click and ends."""
    header("start", "command", "wall", "CPU", "CPU / `import click`")
    with tempfile.TemporaryDirectory(prefix="reconciler-bench-") as name:
        folder = Path(name)
        (folder / "small.yaml").write_text(SMALL)
        floor = _measured([sys.executable, "-c", "import click"], folder, runs)
        row('python -c "import click"', f"{floor.wall_s:.3f} s", f"{floor.cpu_s:.3f} s", 1.0)
        for words in (["--version"], ["--help"], ["plan", "--help"], ["validate", "small.yaml"]):
            cost = _measured([*RECONCILER, *words], folder, runs)
            shown = f"reconciler {' '.join(words)}"
            row(shown, f"{cost.wall_s:.3f} s", f"{cost.cpu_s:.3f} s", cost.cpu_s / floor.cpu_s)
        (folder / "manifests").mkdir()
        for devices in (0, 200, 100_000):
            (folder / "manifests" / "fleet.yaml").write_text(_manifest(devices))
            for typed in ("--application p", "--target device=", "--target flow=t", "--target group=y"):
                cost = _completed(f"plan {typed}", folder, runs)
                shown = f"TAB after `reconciler plan {typed}`, {devices:,} devices by name"
                row(shown, f"{cost.wall_s:.3f} s", f"{cost.cpu_s:.3f} s", cost.cpu_s / floor.cpu_s)


def _manifest(devices: int) -> str:
    """Fifty groups of two flows, then devices one by one."""
    groups = "".join(
        f"  york-{number}: {{select: {{tags: {{site: york-{number}}}}}, flows: {{telemetry: v1, alarms: v2}}}}\n"
        for number in range(50)
    )
    named = "".join(f"  pump-{number:06}: {{telemetry: v2, alarms: v3}}\n" for number in range(devices))
    head = "apiVersion: reconciler/v1\napplication: {id: 5f0c8a1b2d3e4f5061728394, name: plant}\n"
    return f"{head}groups:\n{groups}devices:\n{named}"


def _completed(line: str, folder: Path, runs: int) -> Cost:
    """What a press of TAB costs, as the script for zsh asks."""
    *words, typed = line.split()
    asked = {
        "_RECONCILER_COMPLETE": "zsh_complete",
        "COMP_WORDS": "\n".join(["reconciler", *words]),
        "COMP_WORD": typed,
    }
    os.environ.update(asked)
    try:
        return _measured([*RECONCILER], folder, runs)
    finally:
        for name in asked:
            del os.environ[name]


def _measured(argv: list[str], folder: Path, runs: int) -> Cost:
    run(argv, cwd=folder)  # so that nobody pays for compiling or a cold disk
    return repeated(lambda: run(argv, cwd=folder), runs)
