"""`python -m tests.bench`: what a plan and an apply cost, each beside a floor, as a Markdown table.

Every number is the median of `--runs` whole processes. CPU is user plus system time of the process; memory is its
peak. Ratios are to the floor (`floor.py`) of the same world, measured in the same run.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.fleet import Bench

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Cost:
    """One process: seconds on the clock, seconds of CPU, peak memory in MiB."""

    wall_s: float
    cpu_s: float
    memory_mib: float


def main() -> None:
    """Measure what the arguments name, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--devices", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--changed", type=int, nargs="+", default=[0, 10, 100])
    parser.add_argument("--styles", nargs="+", default=["group", "device"], choices=["group", "device"])
    parser.add_argument("--latency-ms", type=int, nargs="+", default=[0, 100])
    parser.add_argument("--largest-device-style", type=int, default=10_000, help="most devices written one by one")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--apply", action="store_true", help="measure an apply by explicit releases, too")
    asked = parser.parse_args()

    print("| devices | manifest | changed | latency | command | wall | CPU | CPU / floor | memory / floor | requests |")
    print("| ---: | --- | ---: | ---: | --- | ---: | ---: | ---: | ---: | --- |")
    for devices in asked.devices:
        for style in asked.styles:
            if style == "device" and devices > asked.largest_device_style:
                continue
            for changed in asked.changed:
                for latency_ms in asked.latency_ms:
                    compare(Bench(devices, changed, style), latency_ms, asked.runs, with_apply=asked.apply)


def compare(bench: Bench, latency_ms: int, runs: int, *, with_apply: bool) -> None:
    """Measure one world and print its rows."""
    with tempfile.TemporaryDirectory(prefix="reconciler-bench-") as name:
        folder = Path(name)
        lay_out(bench, folder)
        manifest = str(folder / "fleet.yaml")
        commands = {
            "floor": [sys.executable, str(HERE / "floor.py"), "URL", manifest],
            "plan": [sys.executable, "-m", "reconciler", "plan", manifest],
        }
        if with_apply:
            commands["apply"] = [sys.executable, "-m", "reconciler", "apply", "--yes", "--calls", "explicit", manifest]
        floor: Cost | None = None
        for command, argv in commands.items():
            costs, requests = [], ""
            for _ in range(runs):
                with serving(folder, latency_ms / 1000) as served:
                    costs.append(run([served.url if word == "URL" else word for word in argv], served.url))
                requests = ", ".join(f"{number} {kind}" for kind, number in sorted(served.counts.items()))
            cost = median(costs)
            floor = floor or cost
            print(
                f"| {bench.devices:,} | {bench.style} | {bench.changed} % | {latency_ms} ms | {command} "
                f"| {cost.wall_s:.2f} s | {cost.cpu_s:.2f} s | {cost.cpu_s / floor.cpu_s:.2f} "
                f"| {cost.memory_mib / floor.memory_mib:.2f} | {requests} |",
                flush=True,
            )


def lay_out(bench: Bench, folder: Path) -> None:
    """Pages and manifest as files for the server, the floor and the command."""
    (folder / "fleet.yaml").write_text(bench.manifest())
    (folder / "moves").write_text(str(len(bench.moved)))
    listings = {
        "before": bench.deployment_pages(),
        "after": bench.deployment_pages(after=True),
        "devices": bench.device_pages(),
    }
    for name, pages in listings.items():
        (folder / name).mkdir()
        for number, page in enumerate(pages):
            (folder / name / f"{number:06}").write_bytes(page)


class Served:
    """Where the server is, and after it stopped, what it was asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.counts: dict[str, int] = {}


@contextmanager
def serving(folder: Path, latency_s: float) -> Iterator[Served]:
    """The static server in a process of its own."""
    argv = [sys.executable, str(HERE / "server.py"), str(folder), str(latency_s)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        served = Served(f"http://127.0.0.1:{process.stdout.readline().strip()}")
        try:
            yield served
        finally:
            process.terminate()
            served.counts = json.loads(process.stdout.read() or "{}")


def run(argv: list[str], url: str) -> Cost:
    """One whole process and its cost."""
    env = {**os.environ, "LOSANT_API_URL": url, "LOSANT_API_TOKEN": "a-token-for-the-bench"}
    began = time.perf_counter()
    process = subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(argv)} ended with {process.returncode}")
    return _cost(time.perf_counter() - began, used)


def _cost(wall_s: float, used: resource.struct_rusage) -> Cost:
    return Cost(wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def median(costs: list[Cost]) -> Cost:
    """Each figure's own median."""
    return Cost(*(statistics.median(getattr(cost, name) for cost in costs) for name in Cost.__dataclass_fields__))


if __name__ == "__main__":
    main()
