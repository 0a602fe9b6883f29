"""Large fleets: work grows with what is asked, not with what is there. Ratios, since machines differ."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from reconciler.simulator import build_fleet
from reconciler.simulator.answers import Request, answer
from reconciler.simulator.seed import default_token, seed
from reconciler.simulator.store import World
from reconciler.simulator.writes import Fate


def world_of(devices: int) -> World:
    world = World()
    application = {
        "name": "A",
        "flows": {name: ["v1", "v2"] for name in "fgh"},
        "devices": [
            {"name": "d{n}", "count": devices, "tags": {"site": "x"}, "deployed": {"f": "v1", "g": "v1", "h": "v1"}}
        ],
    }
    seed(world, build_fleet({"applications": [application]}))
    return world


def quickest(run: Callable[[], Any], times: int = 5) -> float:
    best = float("inf")
    for _ in range(times):
        began = time.process_time()
        run()
        best = min(best, time.process_time() - began)
    return best


def page(world: World, path: str, number: int) -> Any:
    own = world.recall("first_application") or ""
    query = {"sortField": "id", "sortDirection": "asc", "perPage": "1000", "page": str(number), "_actions": "no"}
    request = Request("GET", f"/applications/{own}{path}", query, f"Bearer {default_token(own)}", "", b"")
    given = answer(world, request, Fate())
    assert given.status == 200
    return given.body


def test_a_page_costs_the_same_in_a_large_fleet_and_at_its_end() -> None:
    small, large = world_of(1000), world_of(10_000)
    for path in ("/embedded/deployments", "/devices"):
        assert page(large, path, 9)["count"] == 1000
        alone = quickest(lambda path=path: page(small, path, 0))  # type: ignore[misc]
        first = quickest(lambda path=path: page(large, path, 0))  # type: ignore[misc]
        last = quickest(lambda path=path: page(large, path, 9))  # type: ignore[misc]
        assert max(first, last) < 3 * alone
    small.close()
    large.close()


def test_loading_grows_with_the_fleet() -> None:
    small, large = (quickest(lambda size=size: world_of(size).close(), 2) for size in (1000, 8000))  # type: ignore[misc]

    assert large < 8 * small * 2.5
