"""`python -m tests.bench`: what reconciler costs, as tables in Markdown.

Every figure is the median of `--runs` whole processes (`documents`: of as many writings in this one). CPU is user plus
system time, memory is the peak. Ratios are to a floor of the same world, measured in the same run: for `plan` the
script `floor.py`, for starts an interpreter that imports click.
"""

from __future__ import annotations

import argparse

from tests.bench.documents import documents
from tests.bench.fleet import SHAPES
from tests.bench.fleets import applies, plans, rollouts, waits
from tests.bench.imports import imports
from tests.bench.peer import peers
from tests.bench.planner import planner
from tests.bench.starts import starts

SECTIONS = ("starts", "plans", "rollouts", "planner", "applies", "waits", "imports", "documents", "peers")


def main() -> None:
    """Measure what the arguments name, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", nargs="+", default=SECTIONS, choices=SECTIONS, help="these tables")
    parser.add_argument("--devices", type=int, nargs="+", default=[2_000, 20_000, 100_000])
    parser.add_argument("--changed", type=int, nargs="+", default=[0, 100], help="per cent of the devices")
    parser.add_argument("--styles", nargs="+", default=["group", "device"], choices=["group", "device"])
    parser.add_argument("--shapes", nargs="+", default=[*SHAPES], choices=[*SHAPES], help="of the API's records")
    parser.add_argument("--latency-ms", type=int, nargs="+", default=[0])
    parser.add_argument("--largest-device-style", type=int, default=20_000, help="most devices written one by one")
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    written_out = [devices for devices in asked.devices if devices <= asked.largest_device_style]
    if "starts" in asked.only:
        starts(asked.runs)
    if "plans" in asked.only:
        plans(
            asked.devices,
            asked.changed,
            asked.styles,
            asked.shapes,
            asked.latency_ms,
            asked.runs,
            largest_device_style=asked.largest_device_style,
        )
    if "rollouts" in asked.only:
        rollouts(asked.devices, asked.changed, asked.shapes, asked.runs)
    if "planner" in asked.only:
        planner(asked.devices, asked.styles, asked.runs, largest_device_style=asked.largest_device_style)
    if "applies" in asked.only:
        applies(asked.devices, asked.latency_ms, asked.runs)
    if "waits" in asked.only:
        waits(asked.devices, asked.runs)
    if "imports" in asked.only:
        imports(asked.devices, asked.runs)
    if "documents" in asked.only:
        documents(asked.devices, asked.runs)
    if "peers" in asked.only:
        peers(written_out, asked.runs)


if __name__ == "__main__":
    main()
