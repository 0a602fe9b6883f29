"""Whole processes and what they cost."""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Cost:
    """One process: seconds on the clock, seconds of CPU, peak memory in MiB."""

    wall_s: float
    cpu_s: float
    memory_mib: float


class Served:
    """Where a server is, and after it stopped, what it was asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.counts: dict[str, int] = {}
        self.fetched: list[str] = []  # path and query of each GET

    def __str__(self) -> str:
        return ", ".join(f"{number} {kind}" for kind, number in sorted(self.counts.items()))


@contextmanager
def serving(folder: Path, *, latency_s: float = 0.0, polls: int = 0) -> Iterator[Served]:
    """The static server in a process of its own."""
    argv = [sys.executable, str(HERE / "server.py"), str(folder), str(latency_s), str(polls)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        served = Served(f"http://127.0.0.1:{process.stdout.readline().strip()}")
        try:
            yield served
        finally:
            process.terminate()
            told = json.loads(process.stdout.read())
            served.counts, served.fetched = told["counts"], told["fetched"]


def run(argv: Sequence[str], *, url: str = "", cwd: Path | None = None) -> Cost:
    """One whole process and its cost. It must end with 0."""
    env = {**os.environ, "LOSANT_API_URL": url, "LOSANT_API_TOKEN": "a-token-for-the-bench"}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # or every run would compile what no user's run does
    launched = [sys.executable, "-S", str(HERE / "launch.py"), *argv]
    told = subprocess.run(launched, env=env, cwd=cwd, stdout=subprocess.PIPE, check=True, text=True).stdout.split()
    if told[3] != "0":
        raise SystemExit(f"{' '.join(argv)} ended with {told[3]}")
    return Cost(*map(float, told[:3]))


def median(costs: Iterable[Cost]) -> Cost:
    """Each figure's own median."""
    costs = list(costs)
    return Cost(*(statistics.median(getattr(cost, name) for cost in costs) for name in Cost.__dataclass_fields__))


def repeated(work: Callable[[], Cost], runs: int) -> Cost:
    """The median of several runs."""
    return median(work() for _ in range(runs))


def exponent(small: tuple[int, float], large: tuple[int, float]) -> float:
    """How a cost grows: 1 is linear."""
    return math.log(large[1] / small[1]) / math.log(large[0] / small[0])


def header(title: str, *columns: str) -> None:
    """Begin a table."""
    print(f"\n### {title}\n\n| {' | '.join(columns)} |\n|{' --- |' * len(columns)}", flush=True)


def row(*cells: object) -> None:
    """A row of it."""
    print(f"| {' | '.join(f'{cell:.2f}' if isinstance(cell, float) else str(cell) for cell in cells)} |", flush=True)
