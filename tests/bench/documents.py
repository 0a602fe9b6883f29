"""What it costs to write a large plan: seconds of CPU to text, JSON and Markdown, and how they grow."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence

from reconciler.documents.json import dump
from reconciler.documents.plan import plan_document
from reconciler.model.digest import digest
from reconciler.model.plan import Plan
from reconciler.model.rules import Limits
from reconciler.model.state import Application, Decision, Desired, Entry, Kind, Live, LiveDevice, Place, Read
from reconciler.model.world import Options, World
from reconciler.planner.planner import make_plan
from reconciler.render.markdown import plan_markdown
from reconciler.render.text import plan_text
from tests.bench.fleet import APPLICATION, FLOWS, device_id
from tests.bench.measure import exponent, header, row

MAX_BYTES = 65_000


def documents(sizes: Sequence[int], runs: int) -> None:
    """Every device changes in three rows; one in a hundred loses one of them."""
    writers: dict[str, Callable[[Plan], str]] = {
        "text": lambda plan: plan_text([plan], digest([plan])),
        "json": lambda plan: dump(plan_document([plan], "plan")),
        "markdown": lambda plan: plan_markdown([plan], digest([plan]), max_bytes=MAX_BYTES),
    }
    header("writing a plan", "format", "changes", "bytes", "CPU", "exponent")
    smallest: dict[str, tuple[int, float]] = {}
    for devices in sizes:
        plan = _plan(devices)
        for fmt, write in writers.items():
            size, cpu_s = _written(plan, write, runs)
            changes = len(plan.changes)
            first = smallest.setdefault(fmt, (changes, cpu_s))
            grown = "" if first[0] == changes else f"{exponent(first, (changes, cpu_s)):.2f}"
            row(fmt, f"{changes:,}", f"{size:,}", f"{cpu_s:.3f} s", grown)


def _plan(devices: int) -> Plan:
    ids = sorted(device_id(number) for number in range(devices))
    place = Place("fleet.yaml", 3)
    new, gone = Decision("v2", place, "group all"), Decision(None, place, "group all")
    lost = FLOWS["alarms"]
    moved = dict.fromkeys(FLOWS.values(), new)
    live = Live({one: LiveDevice(dict.fromkeys(FLOWS.values(), Entry("v1", "v1"))) for one in ids})
    desired = Desired({one: {**moved, lost: gone} if number % 100 == 0 else moved for number, one in enumerate(ids)})
    world = World(
        Application(APPLICATION, "plant"),
        Kind.EMBEDDED,
        desired,
        Read(live, 0.0, 0.0),
        device_names={one: f"pump-{number:06}" for number, one in enumerate(ids)},
    )
    return make_plan(world, limits=Limits(), manifests=(), options=Options())


def _written(plan: Plan, write: Callable[[Plan], str], runs: int) -> tuple[int, float]:
    spent, size = [], 0
    for _ in range(runs):
        gc.collect()
        began = time.process_time()
        size = len(write(plan).encode())
        spent.append(time.process_time() - began)
    return size, statistics.median(spent)
