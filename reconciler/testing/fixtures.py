"""pytest fixtures. In your `conftest.py`: `pytest_plugins = ["reconciler.testing.fixtures"]`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reconciler.simulator.http.server import FleetSource
from reconciler.testing import SMALL_FLEET, Simulator


@pytest.fixture
def simulator_fleet() -> FleetSource:
    """The fleet of `simulator`: five pumps. Override this fixture for a fleet of your own."""
    return SMALL_FLEET


@pytest.fixture
def simulator(simulator_fleet: FleetSource, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """A running simulator; the test's environment variables point to it."""
    with Simulator(simulator_fleet) as running:
        monkeypatch.setenv("LOSANT_API_URL", running.url)
        monkeypatch.setenv("LOSANT_API_TOKEN", running.token)
        yield running
