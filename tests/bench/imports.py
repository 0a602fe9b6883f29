"""What an import costs beside a plan of what it wrote, and how many lines it takes for each exception."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.fleet import APPLICATION, FLOWS, Bench, Record, lay_out
from tests.bench.measure import Cost, header, median, row, run, serving
from tests.support.cli import RECONCILER

SITES = 20
ONE_IN = 100  # devices is an exception


@dataclass(frozen=True)
class Sites(Bench):
    """Twenty sites that differ in their versions; one device in a hundred runs one flow otherwise, or not at all."""

    changed: int = 0

    @property
    def exceptions(self) -> int:
        """How many devices are exceptions."""
        return len(range(0, self.devices, ONE_IN))

    def records(self, listing: str) -> Iterable[Record]:
        """As the records of a `Bench`, with these sites and versions."""
        for number, record in enumerate(super().records(listing)):
            site = number % SITES if number % ONE_IN else number // ONE_IN % SITES
            if listing == "devices":
                record["tags"] = [{"key": "site", "value": f"site-{site:02}"}, {"key": "serial", "value": str(number)}]
            else:
                record["flows"] = _flows(number, site)
            yield record


def _flows(number: int, site: int) -> Record:
    versions = {name: f"v{(site + at) % 4 + 1}.0.0" for at, name in enumerate(FLOWS)}
    if number % ONE_IN == 0:
        name = [*FLOWS][number // ONE_IN % len(FLOWS)]
        if number // ONE_IN % 4:
            versions[name] = "v0.9.0"
        else:
            del versions[name]
    return {
        FLOWS[name]: {"flowName": name, "currentVersion": version, "desiredVersion": version}
        for name, version in versions.items()
    }


def imports(sizes: Sequence[int], runs: int) -> None:
    """`import`, and `plan` of what it wrote, which has to be empty: whole processes, by turns."""
    header(
        "import",
        *("devices", "exceptions", "lines", "lines / exception"),
        *("plan: wall, CPU, memory", "import: wall, CPU, memory", "wall / plan", "CPU / plan"),
    )
    for devices in sizes:
        bench = Sites(devices)
        imported, plan, lines = _import(bench, runs)
        each = lines / bench.exceptions
        ratios = imported.wall_s / plan.wall_s, imported.cpu_s / plan.cpu_s
        row(f"{devices:,}", f"{bench.exceptions:,}", f"{lines:,}", each, _shown(plan), _shown(imported), *ratios)


def _import(bench: Bench, runs: int) -> tuple[Cost, Cost, int]:
    with tempfile.TemporaryDirectory(prefix="reconciler-bench-") as name:
        folder, written = Path(name), Path(name) / "imported.yaml"
        lay_out(bench, folder)
        imported, plans = [], []
        for _ in range(runs):
            written.unlink(missing_ok=True)
            with serving(folder) as served:
                argv = [*RECONCILER, "import", "--application", APPLICATION, "--out", str(written)]
                imported.append(run(argv, url=served.url))
            with serving(folder) as served:
                plans.append(run([*RECONCILER, "plan", "--detailed-exitcode", str(written)], url=served.url))
        return median(imported), median(plans), len(written.read_text(encoding="utf-8").splitlines())


def _shown(cost: Cost) -> str:
    return f"{cost.wall_s:.2f} s, {cost.cpu_s:.2f} s, {cost.memory_mib:,.0f} MiB"
