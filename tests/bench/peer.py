"""The same number of records planned by octodns from YAML to YAML, where that is installed (`pip install octodns`)."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bench.fleet import Bench, lay_out
from tests.bench.measure import Cost, header, repeated, row, run, serving
from tests.support.cli import RECONCILER

CONFIG = """\
manager: {max_workers: 1}
providers:
  wanted: {class: octodns.provider.yaml.YamlProvider, directory: ./wanted, default_ttl: 300, enforce_order: false}
  live: {class: octodns.provider.yaml.YamlProvider, directory: ./live, default_ttl: 300, enforce_order: false}
zones:
  fleet.example.: {manifests: [wanted], targets: [live]}
"""


def peers(sizes: Sequence[int], runs: int) -> None:
    """Both plan a tenth of their records as changes; octodns reads files where we read an API."""
    if importlib.util.find_spec("octodns") is None:
        print("\noctodns is not installed here: no comparison.")
        return
    header("beside octodns", "records", "octodns: wall, CPU", "plan: wall, CPU", "CPU of octodns / plan")
    for devices in sizes:
        with tempfile.TemporaryDirectory(prefix="reconciler-bench-") as name:
            folder = Path(name)
            bench = Bench(devices, 10, "device")
            lay_out(bench, folder)
            _zones(bench, folder)
            octodns = _octodns(folder, runs)
            plan = _plan(folder, runs)
        shown = [f"{cost.wall_s:.2f} s, {cost.cpu_s:.2f} s" for cost in (octodns, plan)]
        row(f"{3 * devices:,}", *shown, octodns.cpu_s / plan.cpu_s)


def _octodns(folder: Path, runs: int) -> Cost:
    argv = [sys.executable, "-m", "octodns.cmds.sync", "--config-file", "octodns.yaml"]
    return repeated(lambda: run(argv, cwd=folder), runs)


def _plan(folder: Path, runs: int) -> Cost:
    def plan() -> Cost:
        with serving(folder) as served:
            return run([*RECONCILER, "plan", str(folder / "fleet.yaml")], url=served.url)

    return repeated(plan, runs)


def _zones(bench: Bench, folder: Path) -> None:
    """One TXT record for each row, whose value is its version."""
    (folder / "octodns.yaml").write_text(CONFIG)
    for side in ("wanted", "live"):
        lines = ["---\n"]
        for one in bench.ids:
            for number in range(3):
                version = "v2" if side == "wanted" and one in bench.moved else "v1"
                lines.append(f"{one}-{number}: {{type: TXT, value: {version}}}\n")
        (folder / side).mkdir()
        (folder / side / "fleet.example.yaml").write_text("".join(lines))
