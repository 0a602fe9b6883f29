"""A line of pumps for rollouts: rings, a past, devices that misbehave, and a clock that tests move.

A soak takes as long as `later` takes, a millisecond or so. Commands run in this process live by the clock, which stands
still but for their own pauses; one in a process of its own lives by the wall clock, and `hurrying` lets the line's run
so many times as fast meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest

from reconciler.simulator import Clock, serve
from tests.support.fleet import application
from tests.support.plant import Plant
from tests.support.time import START

RINGS = {"canary": 2, "first": 4, "rest": 8}
FLOWS = {"telemetry": ["v1", "v2", "v3"], "alarms": ["a1", "a2"]}


def pumps(**habits: dict[str, Any]) -> list[dict[str, Any]]:
    """The devices `canary-1`, `canary-2`, `first-1` …, with their ring as a tag; `habits` are more keys for a ring."""
    return [
        {
            "name": f"{ring}-{{n}}",
            "count": count,
            "tags": {"ring": ring},
            "deployed": {"telemetry": "v1", "alarms": "a1"},
            **habits.get(ring, {}),
        }
        for ring, count in RINGS.items()
    ]


class Line(Plant):
    """The line on its simulator, and commands run on it."""

    def later(self, *, hours: float = 0, seconds: float = 0) -> None:
        """Let so much time pass; whatever is due meanwhile happens at its own time."""
        self.control.advance(seconds, hours)

    def goes_wrong(
        self,
        outcome: Literal["fails", "dies", "silent", "unknown", "loads"],
        version: str,
        *devices: str,
        flow: str = "telemetry",
        after_s: float = 60.0,
    ) -> None:
        """This becomes of a version on these devices from now on; on every device if none is named."""
        for device in devices or (None,):
            self.control.take_up(device, flow, version, outcome, after_s)

    def runs(self, flow: str = "telemetry") -> dict[str, str | None]:
        """What each device reports."""
        return {row["device"]: row["reported"] for row in self.control.rows() if row["flow"] == flow}

    def record(self, device: str, flow: str = "telemetry") -> dict[str, Any]:
        """The API's record of a device, or on edge of the flow on it."""
        answer = httpx.get(
            f"{self.server.url}/applications/{self.server.application_id}/{self.kind}/deployments",
            headers={"Authorization": f"Bearer {self.server.token}"},
            verify=False,  # loads no certificates
        )
        items = (item for item in answer.json()["items"] if item["deviceName"] == device)
        found: dict[str, Any] = next(item for item in items if item.get("flowName", flow) == flow)
        return found

    @contextmanager
    def hurrying(self, speed: float) -> Iterator[None]:
        """The clock runs inside the block, so many times as fast as the wall clock."""
        self.control.clock(speed=speed)
        try:
            yield
        finally:
            self.control.clock(speed=0)


@contextmanager
def line_at(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str = "embedded",
    *,
    devices: list[dict[str, Any]] | None = None,
    **more: Any,
) -> Iterator[Line]:
    """A line that has run what it runs for a month. `more` are keys of the fleet file, e.g. `switches`."""
    own = [application(kind, devices or pumps(), FLOWS)]
    fleet = {"take_up_s": 5, "deployed_for_s": 30 * 86_400, "applications": own, **more}
    with serve(fleet, clock=Clock(frozen_at=START)) as server:
        yield Line(server, folder, monkeypatch, kind)
