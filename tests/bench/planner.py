"""The planner alone: what each step costs for a fleet that changes whole, as multiples of touching each row once.

A slowdown shows here in the step where it happens, whatever the machine.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from reconciler.model.digest import digest
from reconciler.model.plan import Plan
from reconciler.model.rules import Rules
from reconciler.model.state import Application, Device, Entry, Kind, Live, LiveDevice, Read
from reconciler.model.world import Options, World
from reconciler.operations.applications import load
from reconciler.planner.calls.cover import cover
from reconciler.planner.calls.prove import prove
from reconciler.planner.diff import compare
from reconciler.planner.planner import make_plan
from reconciler.planner.resolution.names import Inventory
from reconciler.planner.resolution.resolve import resolve
from reconciler.render.text import plan_text
from reconciler.runtime import gc_paused
from tests.bench.fleet import APPLICATION, FLOWS, SITES, Bench
from tests.bench.measure import header, row


def planner(sizes: Sequence[int], styles: Sequence[str], runs: int, *, largest_device_style: int) -> None:
    """Each step, for every size and style of manifest."""
    steps = ("resolve", "compare", "cover", "prove", "make a plan", "digest", "text")
    header("the planner alone: CPU / touching each row once", "devices", "manifest", *steps)
    for devices in sizes:
        for style in styles:
            if style == "group" or devices <= largest_device_style:
                row(f"{devices:,}", style, *_steps(Bench(devices, 100, style), runs))


def _steps(bench: Bench, runs: int) -> list[float]:
    rules = _rules(bench)
    inventory = Inventory(
        {
            one: Device(one, f"pump-{number:06}", "embedded", {"site": (SITES[number % 3],)})
            for number, one in enumerate(bench.ids)
        }
    )
    flows = dict.fromkeys(FLOWS.values(), Entry("v1", "v1"))
    live = Live({one: LiveDevice(flows) for one in bench.ids})
    today = datetime.now(UTC).date()
    desired = resolve(rules, inventory, today=today).desired
    names = {one: device.name for one, device in inventory.devices.items() if device.name}
    world = World(Application(APPLICATION), Kind.EMBEDDED, desired, Read(live, 0.0, 0.0), device_names=names)

    def touch() -> int:
        found = 0
        for device_id, decisions in desired.devices.items():
            entries = live.devices[device_id].flows
            for flow_id, decision in decisions.items():
                found += entries[flow_id].released != decision.version
        return found

    def plan() -> Plan:
        return make_plan(world, limits=rules.limits, manifests=rules.manifests, options=Options())

    calls, made = cover(compare(desired, live).changes, live), plan()
    steps: list[Callable[[], object]] = [
        lambda: resolve(rules, inventory, today=today),
        lambda: compare(desired, live),
        lambda: cover(compare(desired, live).changes, live),
        lambda: prove(compare(desired, live).changes, calls, live),
        plan,
        lambda: digest([made]),
        lambda: plan_text([made], made_digest),
    ]
    made_digest = digest([made])
    floor = _cpu_s(touch, runs)
    return [_cpu_s(step, runs) / floor for step in steps]


def _rules(bench: Bench) -> Rules:
    with tempfile.TemporaryDirectory(prefix="reconciler-bench-") as name:
        path = Path(name) / "fleet.yaml"
        path.write_text(bench.manifest())
        (rules,) = load(path)
    return rules


def _cpu_s(work: Callable[[], object], runs: int) -> float:
    spent = []
    for _ in range(runs):
        with gc_paused():
            began = time.process_time()
            work()
            spent.append(time.process_time() - began)
    return statistics.median(spent)
