"""What it costs to start: commands that do next to nothing, beside importing click."""

from __future__ import annotations

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


def _measured(argv: list[str], folder: Path, runs: int) -> Cost:
    run(argv, cwd=folder)  # so that nobody pays for compiling or a cold disk
    return repeated(lambda: run(argv, cwd=folder), runs)
