"""What it costs to start: commands that do next to nothing, beside importing the libraries that they cannot do without.

The bounds are of CPU time. The manifest's models are what `validate` cannot do without either.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from tests.bench.fleet import Bench, lay_out
from tests.bench.measure import Cost, header, median, repeated, row, run, serving
from tests.support.cli import RECONCILER

K = TypeVar("K")

SMALL = """\
apiVersion: reconciler/v1
application: 5f0c8a1b2d3e4f5061728394
devices:
  575ecf887ae143cd83dc4aa2: {575ed18f7ae143cd83dc4aa6: v1}
"""


CLICK, YAML, ALL = "import click", "import click, yaml", "import click, yaml, httpx, pydantic"
MODELS = f"""{YAML}, gc, os
gc.set_threshold(500_000)
os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
from reconciler.manifest.schema import Document
Document.model_rebuild(force=True)"""
BOUNDS = {
    ("--version",): (CLICK, 1.3),
    ("--help",): (CLICK, 1.3),
    ("plan", "--help"): (CLICK, None),
    ("validate", "small.yaml"): (YAML, 1.3),
    ("plan", "fleet.yaml"): (ALL, 1.5),
}


def starts(runs: int) -> None:
    """Each command beside an interpreter that imports some libraries and ends; all by turns."""
    header("start", "command", "wall", "CPU", "CPU / that of", "", "at most")
    with tempfile.TemporaryDirectory(prefix="reconciler-bench-") as name:
        folder = Path(name)
        (folder / "small.yaml").write_text(SMALL)
        lay_out(Bench(1, 100, "device"), folder)
        with serving(folder) as served:
            floors = {code: [sys.executable, "-c", code] for code in (CLICK, YAML, MODELS, ALL)}
            costs = _by_turns(
                {**floors, **{words: [*RECONCILER, *words] for words in BOUNDS}}, folder, served.url, runs
            )
        models_s = costs[MODELS].cpu_s - costs[YAML].cpu_s
        for words, (code, bound) in BOUNDS.items():
            cost = costs[words]
            own_s = cost.cpu_s - (models_s if code == YAML else 0)
            beside = f"`{code}`" + (" and its models" if code == YAML else "")
            cells = f"{cost.wall_s:.3f} s", f"{cost.cpu_s:.3f} s", beside, own_s / costs[code].cpu_s
            row(f"reconciler {' '.join(words)}", *cells, bound or "")
        header("completion", "typed", "wall", "CPU", f"CPU / `{CLICK}`")
        (folder / "manifests").mkdir()
        for devices in (0, 200, 100_000):
            (folder / "manifests" / "fleet.yaml").write_text(_manifest(devices))
            for typed in ("--application p", "--target device=", "--target flow=t", "--target group=y"):
                cost = _completed(f"plan {typed}", folder, runs)
                shown = f"TAB after `reconciler plan {typed}`, {devices:,} devices by name"
                row(shown, f"{cost.wall_s:.3f} s", f"{cost.cpu_s:.3f} s", cost.cpu_s / costs[CLICK].cpu_s)


def _by_turns(commands: Mapping[K, list[str]], folder: Path, url: str, runs: int) -> dict[K, Cost]:
    """The medians of commands, of which each is run once a round, so that a busy machine slows all of them."""
    found: dict[K, list[Cost]] = {key: [] for key in commands}
    for _ in range(runs + 1):
        for key, argv in commands.items():
            found[key].append(run(argv, url=url, cwd=folder))
    return {key: median(costs[1:]) for key, costs in found.items()}  # nobody pays for compiling or a cold disk


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
