"""What a plan and an apply cost, each beside the floor of the same world."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bench.fleet import Bench, lay_out
from tests.bench.measure import HERE, Cost, exponent, header, median, repeated, row, run, serving
from tests.support.cli import RECONCILER


def plans(
    sizes: Sequence[int],
    changed: Sequence[int],
    styles: Sequence[str],
    latencies_ms: Sequence[int],
    runs: int,
    *,
    largest_device_style: int,
) -> None:
    """`plan`, whole processes."""
    header(
        "plan",
        *("devices", "manifest", "changed", "latency", "floor: wall, CPU, memory", "plan: wall, CPU, memory"),
        *("CPU / floor", "memory / floor", "requests"),
    )
    told: dict[tuple[str, int, int], dict[int, float]] = {}
    for devices in sizes:
        for style in styles:
            if style == "device" and devices > largest_device_style:
                continue
            for percent in changed:
                for latency_ms in latencies_ms:
                    floor, plan, asked = _plan(Bench(devices, percent, style), latency_ms, runs)
                    told.setdefault((style, percent, latency_ms), {})[devices] = plan.cpu_s
                    row(
                        *(f"{devices:,}", style, f"{percent} %", f"{latency_ms} ms", _shown(floor), _shown(plan)),
                        *(plan.cpu_s / floor.cpu_s, plan.memory_mib / floor.memory_mib, asked),
                    )
    _growth(told)


def _plan(bench: Bench, latency_ms: int, runs: int) -> tuple[Cost, Cost, str]:
    """Floor, plan, and the requests of one plan. The two run by turns, so that the machine's moods meet both."""
    with tempfile.TemporaryDirectory(prefix="reconciler-bench-") as name:
        folder = Path(name)
        lay_out(bench, folder)
        manifest, fetched = str(folder / "fleet.yaml"), folder / "fetched"
        floors, plans, asked = [], [], ""
        for _ in range(runs):
            with serving(folder, latency_s=latency_ms / 1000) as served:
                plans.append(run([*RECONCILER, "plan", manifest], url=served.url))
            asked = str(served)
            fetched.write_text("".join(f"{target}\n" for target in served.fetched), encoding="utf-8")
            with serving(folder, latency_s=latency_ms / 1000) as served:
                floors.append(run([sys.executable, str(HERE / "floor.py"), served.url, manifest, str(fetched)]))
        return median(floors), median(plans), asked


def _growth(told: dict[tuple[str, int, int], dict[int, float]]) -> None:
    header("growth of plan's CPU time", "manifest", "changed", "latency", "from", "to", "exponent")
    for (style, percent, latency_ms), costs in told.items():
        if len(costs) > 1:
            small, large = min(costs), max(costs)
            grown = exponent((small, costs[small]), (large, costs[large]))
            row(style, f"{percent} %", f"{latency_ms} ms", f"{small:,}", f"{large:,}", grown)


def applies(sizes: Sequence[int], latencies_ms: Sequence[int], runs: int) -> None:
    """`apply` by explicit releases of a fleet that changes whole, and of one that is in sync."""
    header("apply --calls explicit", "devices", "changed", "latency", "wall, CPU, memory", "requests")
    for devices in sizes:
        for percent in (0, 100):
            for latency_ms in latencies_ms:
                _apply(Bench(devices, percent, "group"), latency_ms, runs, polls=0)


def waits(sizes: Sequence[int], runs: int) -> None:
    """`apply --wait`, with devices that need several polls: memory stays as it is."""
    header("apply --wait", "devices", "changed", "polls until converged", "wall, CPU, memory", "requests")
    for devices in sizes:
        for polls in (1, 4):
            _apply(Bench(devices, 100, "group"), 0, runs, polls=polls)


def _apply(bench: Bench, latency_ms: int, runs: int, *, polls: int) -> None:
    with tempfile.TemporaryDirectory(prefix="reconciler-bench-") as name:
        folder = Path(name)
        lay_out(bench, folder)
        asked = ""

        def apply() -> Cost:
            nonlocal asked
            argv = [*RECONCILER, "apply", "--yes", "--calls", "explicit", str(folder / "fleet.yaml")]
            with serving(folder, latency_s=latency_ms / 1000, polls=polls) as served:
                cost = run([*argv, "--wait"] if polls else argv, url=served.url)
            asked = str(served)
            return cost

        cost = repeated(apply, runs)
    between = str(polls) if polls else f"{latency_ms} ms"
    row(f"{bench.devices:,}", f"{bench.changed} %", between, _shown(cost), asked)


def _shown(cost: Cost) -> str:
    return f"{cost.wall_s:.2f} s, {cost.cpu_s:.2f} s, {cost.memory_mib:,.0f} MiB"
