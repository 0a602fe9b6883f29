"""A plant of pumps on a simulator, a manifest for it, and the command line run on both in the simulator's time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from reconciler.api.http.connection import Timeouts
from reconciler.model.state import Kind
from reconciler.runtime import SystemClock
from reconciler.simulator import Clock, Server, serve
from tests.support.cli import Bench
from tests.support.fleet import APPLICATION, application, of_kind
from tests.support.time import START, JumpyTime, SimulatedTime

LISTS = {"plan": "plans", "apply": "results", "status": "status"}

Rows = dict[str, str | None]


def fleet(kind: str = "embedded", **more: Any) -> dict[str, Any]:
    """Ten pumps: two cohorts in a chain, removals, an offline one, and bystanders that must not move."""
    pumps: list[dict[str, Any]] = [
        *[{"deployed": {"telemetry": "v2", "alarms": "a1"}}] * 3,
        *[{"deployed": {"telemetry": "v1", "alarms": "a1"}}] * 3,
        {"deployed": {"telemetry": "v9", "alarms": "a9"}},
        {"deployed": {"telemetry": {"released": "v9", "reported": "v1"}}, "connected": False},
        {},
        {"deployed": {"telemetry": "v3", "alarms": "a9"}},
    ]
    return fleet_of(kind, [{"name": f"pump-{number}", **pump} for number, pump in enumerate(pumps)], **more)


def fleet_of(kind: str, devices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """These devices in an application with two flows."""
    flows = {"telemetry": ["v1", "v2", "v3", "v9"], "alarms": ["a1", "a9"]}
    return {"applications": [application(kind, devices, flows, **more)]}


MANIFEST = f"""\
apiVersion: reconciler/v1
application: {APPLICATION}
groups:
  new: {{select: {{devices: [pump-0, pump-1, pump-2]}}, flows: {{telemetry: v3, alarms: absent}}}}
  old: {{select: {{devices: [pump-3, pump-4, pump-5]}}, flows: {{telemetry: v2}}}}
devices:
  pump-8: {{telemetry: v1}}
  pump-9: {{telemetry: v3}}
limits: {{removals: {{count: 100, percent: 100}}}}
"""
BEFORE: Rows = {
    **{f"pump-{number}/telemetry": "v2" for number in (0, 1, 2)},
    **{f"pump-{number}/telemetry": "v1" for number in (3, 4, 5)},
    **{f"pump-{number}/alarms": "a1" for number in range(6)},
    "pump-6/telemetry": "v9",
    "pump-6/alarms": "a9",
    "pump-7/telemetry": "v9",
    "pump-9/telemetry": "v3",
    "pump-9/alarms": "a9",
}
CHANGES: Rows = {
    **{f"pump-{number}/telemetry": "v3" for number in (0, 1, 2)},
    **{f"pump-{number}/telemetry": "v2" for number in (3, 4, 5)},
    **{f"pump-{number}/alarms": None for number in (0, 1, 2)},
    "pump-8/telemetry": "v1",
}
AFTER: Rows = {row: version for row, version in {**BEFORE, **CHANGES}.items() if version}


class Plant(Bench):
    """The simulator, its time, and commands run on it in this process or as the installed command."""

    def __init__(self, server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
        super().__init__(server, folder)
        self.kind = kind
        self.clock = SimulatedTime(server)
        self._monkeypatch = monkeypatch
        self._patched: list[tuple[object, str, object]] = []
        self.manifest(MANIFEST)
        monkeypatch.chdir(folder)
        for name, value in self.access().items():
            monkeypatch.setenv(name, value)
        for method in ("monotonic", "utc_now", "sleep"):
            monkeypatch.setattr(SystemClock, method, self._timely(method))
        self.hurry(read_s=5.0)

    def _timely(self, method: str) -> Callable[..., Any]:
        return lambda _, *arguments: getattr(self.clock, method)(*arguments)

    def manifest(self, text: str) -> None:
        """Write the manifest, for the plant's kind."""
        self.write("plant.yaml", of_kind(Kind(self.kind), text))

    def point_at(self, url: str) -> None:
        """Let commands go to another address."""
        self._monkeypatch.setenv("LOSANT_API_URL", url)

    def patch(self, owner: object, name: str, value: object) -> None:
        """Replace something until `recover`."""
        self._patched.append((owner, name, getattr(owner, name)))
        self._monkeypatch.setattr(owner, name, value)

    def recover(self, url: str) -> None:
        """End every fault; whatever was to land late has landed."""
        for owner, name, value in self._patched:
            self._monkeypatch.setattr(owner, name, value)
        self.control.clear_faults()
        self.control.advance(300)
        self.clock = SimulatedTime(self.server)
        self.point_at(url)
        self.hurry(read_s=5.0)
        self.manifest(MANIFEST)

    def hurry(self, *, read_s: float) -> None:
        """Let commands give up on an answer after this real time."""
        limits = Timeouts(connect_s=1.0, read_s=read_s, total_s=10 * read_s)
        self._monkeypatch.setattr("reconciler.api.http.connection.Timeouts", lambda: limits)

    def jump_about(self) -> None:
        """Let the wall clock of commands jump."""
        self.clock = JumpyTime(self.server)


@contextmanager
def plant_at(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    frozen: bool = True,
    description: Any = None,
    kind: str = "embedded",
) -> Iterator[Plant]:
    """A running plant. Its clock stands still unless commands run in processes of their own."""
    clock = Clock(frozen_at=START) if frozen else None
    with serve(description or fleet(kind), clock=clock) as server:
        yield Plant(server, folder, monkeypatch, kind)
