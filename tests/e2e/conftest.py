from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.planner.state import Kind
from tests.e2e.plant import Plant, plant_at


@pytest.fixture(params=list(Kind))
def kind(request: pytest.FixtureRequest) -> Kind:
    """A test that asks for it, or for a fixture built on it, runs once for each kind of deployments."""
    return Kind(request.param)


@pytest.fixture
def plant(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plant]:
    """A plant on a simulator whose clock stands still; of embedded devices unless a parameter says `edge`."""
    with plant_at(tmp_path, monkeypatch, kind=getattr(request, "param", "embedded")) as running:
        yield running
