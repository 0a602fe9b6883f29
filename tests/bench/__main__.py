"""`python -m tests.bench`: what reconciler costs, as tables in Markdown.

Every figure is the median of `--runs` whole processes (`documents`: of as many writings in this one). CPU is user plus
system time, memory is the peak. Ratios are to a floor of the same world, measured in the same run: for `plan` the
script `floor.py`, for starts an interpreter that imports click.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from tests.bench.documents import documents
from tests.bench.fleet import SHAPES
from tests.bench.fleets import applies, latency, plans, rollouts, waits
from tests.bench.imports import imports
from tests.bench.peer import peers
from tests.bench.planner import planner
from tests.bench.starts import starts

SECTIONS = ("starts", "plans", "latency", "rollouts", "planner", "applies", "waits", "imports", "documents", "peers")


def main() -> None:
    """Measure what the arguments name, and print the tables."""
    asked = _asked()
    sizes, changed, shapes, runs = asked.devices, asked.changed, asked.shapes, asked.runs
    most = asked.largest_device_style
    tables: dict[str, Callable[[], None]] = {
        "starts": lambda: starts(runs),
        "plans": lambda: plans(sizes, changed, asked.styles, shapes, asked.latency_ms, runs, largest_device_style=most),
        "latency": lambda: latency(sizes, changed, [one for one in asked.latency_ms if one] or [100], runs),
        "rollouts": lambda: rollouts(sizes, changed, shapes, runs),
        "planner": lambda: planner(sizes, asked.styles, runs, largest_device_style=most),
        "applies": lambda: applies(sizes, asked.latency_ms, runs),
        "waits": lambda: waits(sizes, runs),
        "imports": lambda: imports(sizes, runs),
        "documents": lambda: documents(sizes, runs),
        "peers": lambda: peers([devices for devices in sizes if devices <= most], runs),
    }
    for name, measure in tables.items():
        if name in asked.only:
            measure()


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", nargs="+", default=SECTIONS, choices=SECTIONS, help="these tables")
    parser.add_argument("--devices", type=int, nargs="+", default=[2_000, 20_000, 100_000])
    parser.add_argument("--changed", type=int, nargs="+", default=[0, 100], help="per cent of the devices")
    parser.add_argument("--styles", nargs="+", default=["group", "device"], choices=["group", "device"])
    parser.add_argument("--shapes", nargs="+", default=[*SHAPES], choices=[*SHAPES], help="of the API's records")
    parser.add_argument("--latency-ms", type=int, nargs="+", default=[0])
    parser.add_argument("--largest-device-style", type=int, default=20_000, help="most devices written one by one")
    parser.add_argument("--runs", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
