"""What a plan and an apply cost, each beside the floor of the same world."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from datetime import timedelta
from itertools import product
from pathlib import Path

from reconciler.runtime import utc_today
from tests.bench.fleet import LISTINGS, LOGGED, Bench, in_waves, lay_out
from tests.bench.measure import HERE, Cost, exponent, header, median, row, run, serving
from tests.support.cli import RECONCILER

PARALLELISM = 4
POLLS = (1, 4)  # until every device has converged


def plans(
    sizes: Sequence[int],
    changed: Sequence[int],
    styles: Sequence[str],
    shapes: Sequence[str],
    latencies_ms: Sequence[int],
    runs: int,
    *,
    largest_device_style: int,
) -> None:
    """`plan`, whole processes, for records of each shape; then the worst of all."""
    header(
        "plan",
        *("devices", "manifest", "changed", "records", "latency"),
        *("floor: wall, CPU, memory", "plan: wall, CPU, memory", "CPU / floor", "memory / floor", "requests"),
    )
    told: dict[tuple[str, int, int], dict[int, float]] = {}
    ratios: dict[str, tuple[float, float]] = {}
    for devices, style, percent, shape, latency_ms in product(sizes, styles, changed, shapes, latencies_ms):
        if style == "device" and devices > largest_device_style:
            continue
        floor, plan, requests = _plan(Bench(devices, percent, style, shape), latency_ms, runs)
        if shape == shapes[0]:
            told.setdefault((style, percent, latency_ms), {})[devices] = plan.cpu_s
        cpu, memory = plan.cpu_s / floor.cpu_s, plan.memory_mib / floor.memory_mib
        case = (f"{devices:,}", style, f"{percent} %", shape, f"{latency_ms} ms")
        ratios[", ".join(case)] = cpu, memory
        row(*case, _shown(floor), _shown(plan), cpu, memory, requests)
    for number, what in enumerate(("CPU", "memory")):
        worst = max(ratios, key=lambda case: ratios[case][number])
        print(f"\nWorst in {what}: {ratios[worst][number]:.2f} times the floor ({worst}).")
    _growth(told)


def _plan(bench: Bench, latency_ms: int, runs: int) -> tuple[Cost, Cost, str]:
    """Floor, plan, and the requests of one plan. The two run by turns, so that a busy machine slows both."""
    with tempfile.TemporaryDirectory(prefix="reconciler-bench-") as name:
        folder = Path(name)
        lay_out(bench, folder)
        manifest, fetched = str(folder / "fleet.yaml"), folder / "fetched"
        floors, plans, requests = [], [], ""
        for _ in range(runs):
            with serving(folder, latency_s=latency_ms / 1000) as served:
                plans.append(run([*RECONCILER, "plan", manifest], url=served.url))
            requests = str(served)
            fetched.write_text("".join(f"{target}\n" for target in served.fetched), encoding="utf-8")
            with serving(folder, latency_s=latency_ms / 1000) as served:
                floors.append(run([sys.executable, str(HERE / "floor.py"), served.url, manifest, str(fetched)]))
        return median(floors), median(plans), requests


def _growth(told: dict[tuple[str, int, int], dict[int, float]]) -> None:
    header("growth of plan's CPU time", "manifest", "changed", "latency", "from", "to", "exponent", "cost per device")
    for (style, percent, latency_ms), costs in told.items():
        if len(costs) > 1:
            small, large = min(costs), max(costs)
            grown = exponent((small, costs[small]), (large, costs[large]))
            each = (costs[large] / large) / (costs[small] / small)
            row(style, f"{percent} %", f"{latency_ms} ms", f"{small:,}", f"{large:,}", grown, each)


def rollouts(sizes: Sequence[int], changed: Sequence[int], shapes: Sequence[str], runs: int) -> None:
    """`plan` with a policy on the group, beside the same plan without; for logs that are old, and of this week."""
    header(
        "plan with a policy",
        *("devices", "changed", "records", "logs", "without: wall, CPU, memory", "with: wall, CPU, memory"),
        *("CPU with / without", "memory with / without"),
    )
    for devices, percent, shape, age in product(sizes, changed, shapes, ("old", "of this week")):
        bench = Bench(devices, percent, "group", shape)
        with tempfile.TemporaryDirectory(prefix="reconciler-bench-") as name:
            folder = Path(name)
            lay_out(bench, folder)
            if age == "of this week":
                recent, records = f"{utc_today() - timedelta(days=3)}", (folder / "before").read_bytes()
                (folder / "before").write_bytes(records.replace(LOGGED.encode(), recent.encode()))
            manifests = folder / "fleet.yaml", folder / "waves.yaml"
            manifests[1].write_text(in_waves(manifests[0].read_text(encoding="utf-8")), encoding="utf-8")
            costs: tuple[list[Cost], list[Cost]] = [], []
            for _ in range(runs):
                for manifest, found in zip(manifests, costs, strict=True):
                    with serving(folder) as served:
                        found.append(run([*RECONCILER, "plan", str(manifest)], url=served.url))
        without, waved = map(median, costs)
        ratios = waved.cpu_s / without.cpu_s, waved.memory_mib / without.memory_mib
        row(f"{devices:,}", f"{percent} %", shape, age, _shown(without), _shown(waved), *ratios)


def latency(sizes: Sequence[int], changed: Sequence[int], latencies_ms: Sequence[int], runs: int) -> None:
    """`plan` over a network, beside fetching the same pages with as many requests in flight."""
    columns = ("requests", "fetching alone: wall", "plan: wall, CPU, memory", "wall / fetching alone")
    header("latency", "devices", "changed", "latency", *columns)
    for devices, percent, latency_ms in product(sizes, changed, latencies_ms):
        with tempfile.TemporaryDirectory(prefix="reconciler-bench-") as name:
            folder = Path(name)
            lay_out(Bench(devices, percent), folder)
            plans, alone, number = [], [], 0
            for _ in range(runs):
                with serving(folder, latency_s=latency_ms / 1000) as served:
                    argv = [*RECONCILER, "plan", "--parallelism", f"{PARALLELISM}", str(folder / "fleet.yaml")]
                    plans.append(run(argv, url=served.url))
                number, fetched = len(served.fetched), folder / "fetched"
                fetched.write_text("".join(f"{target}\n" for target in served.fetched), encoding="utf-8")
                with serving(folder, latency_s=latency_ms / 1000) as served:
                    argv = [sys.executable, str(HERE / "fetch.py"), served.url, str(fetched), f"{PARALLELISM}"]
                    alone.append(run(argv))
            plan, floor = median(plans), median(alone)
            cells = f"{devices:,}", f"{percent} %", f"{latency_ms} ms", number, f"{floor.wall_s:.2f} s", _shown(plan)
            row(*cells, plan.wall_s / floor.wall_s)


def applies(sizes: Sequence[int], latencies_ms: Sequence[int], runs: int) -> None:
    """`apply` by explicit releases of a fleet that changes whole, and of one that is in sync, each beside its plan."""
    header("apply --calls explicit", "devices", "changed", "latency", "wall, CPU, memory", "CPU / plan", "requests")
    for devices, percent, latency_ms in product(sizes, (0, 100), latencies_ms):
        apply, plan, requests = _apply(Bench(devices, percent, "group"), latency_ms, runs, polls=0)
        row(f"{devices:,}", f"{percent} %", f"{latency_ms} ms", _shown(apply), apply.cpu_s / plan.cpu_s, requests)


def waits(sizes: Sequence[int], runs: int) -> None:
    """`apply --wait`, every row pending, with devices that need one poll and some that need more: memory stays."""
    few, many = POLLS
    polls = [f"{number} polls: wall, CPU, memory" for number in POLLS]
    header("apply --wait", "devices", *polls, "CPU of a poll / CPU of a plan", "requests")
    for devices in sizes:
        short, plan, _ = _apply(Bench(devices, 100, "group"), 0, runs, polls=few)
        long, _, requests = _apply(Bench(devices, 100, "group"), 0, runs, polls=many)
        each = (long.cpu_s - short.cpu_s) / (many - few)
        row(f"{devices:,}", _shown(short), _shown(long), each / plan.cpu_s, requests)


def _apply(bench: Bench, latency_ms: int, runs: int, *, polls: int) -> tuple[Cost, Cost, str]:
    """Apply, a plan of the same world, and the requests of one apply."""
    with tempfile.TemporaryDirectory(prefix="reconciler-bench-") as name:
        folder = Path(name)
        lay_out(bench, folder, LISTINGS)
        manifest = str(folder / "fleet.yaml")
        argv = [*RECONCILER, "apply", "--yes", "--calls", "explicit", manifest, *(["--wait"] if polls else [])]
        applies, plans, requests = [], [], ""
        for _ in range(runs):
            with serving(folder, latency_s=latency_ms / 1000, polls=polls) as served:
                applies.append(run(argv, url=served.url))
            requests = str(served)
            with serving(folder, latency_s=latency_ms / 1000) as served:
                plans.append(run([*RECONCILER, "plan", manifest], url=served.url))
    return median(applies), median(plans), requests


def _shown(cost: Cost) -> str:
    return f"{cost.wall_s:.2f} s, {cost.cpu_s:.2f} s, {cost.memory_mib:,.0f} MiB"
