from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.model.state import Kind
from reconciler.simulator import serve
from tests.support.cli import Here
from tests.support.fleet import MANIFEST, Shop, fleet, of_kind
from tests.support.plant import Plant, plant_at


@pytest.fixture(params=list(Kind))
def kind(request: pytest.FixtureRequest) -> Kind:
    """A test that asks for it, or for a fixture built on it, runs once for each kind of deployments."""
    return Kind(request.param)


@pytest.fixture
def plant(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plant]:
    """A plant on a simulator whose clock stands still; of embedded devices unless a parameter says `edge`."""
    with plant_at(tmp_path, monkeypatch, kind=getattr(request, "param", "embedded")) as running:
        yield running


@pytest.fixture
def shop(kind: Kind, tmp_path: Path) -> Iterator[Shop]:
    """A shop of that kind on a simulator, and its manifest in `shop.yaml`."""
    with serve(fleet(kind)) as server:
        shop = Shop(server, tmp_path)
        shop.write("shop.yaml", of_kind(kind, MANIFEST))
        yield shop


@pytest.fixture
def here(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Here:
    """Runs commands in this process, in the folder of the shop."""
    return shop.here(monkeypatch)
