"""The fake's own switches, which scripts of failures rely on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from reconciler.errors import ConnectionFailed, PermissionDenied, ServerFailed
from reconciler.model.requests import Release, RemoveRow
from reconciler.model.state import LogEntry
from tests.builders import entry, live
from tests.fakes import Effect, FakeApi, FakeClock

V2 = Release("pump", "v2", ("a", "b"))


def world() -> FakeApi:
    return FakeApi(clock=FakeClock()).load(live("a/pump=v1 b/pump=v1 c/pump=v1"))


def run(*steps: Awaitable[object]) -> None:
    async def go() -> None:
        for step in steps:
            await step

    asyncio.run(go())


@pytest.mark.parametrize(("effect", "released"), [(Effect.NONE, "v1"), (Effect.DONE, "v2"), (Effect.LATE, "v1")])
def test_a_failed_call_has_its_effect_never_at_once_or_later(effect: Effect, released: str) -> None:
    api = world()
    api.fail("release", effect=effect)
    with pytest.raises(ConnectionFailed):
        run(api.send(V2))
    assert api.entry("a", "pump").released == released
    api.clock.advance(5)
    assert api.entry("a", "pump").released == ("v1" if effect is Effect.NONE else "v2")
    assert api.writes == [V2]


def test_failures_strike_in_their_order_and_then_no_more() -> None:
    api = world()
    api.fail("live", ServerFailed("down"), skip=1, times=2)
    run(api.live())
    for _ in range(2):
        with pytest.raises(ServerFailed):
            run(api.live())
    run(api.live())
    assert api.actions() == ["live"] * 4


def test_a_failure_may_be_for_some_calls_only() -> None:
    api = world()
    api.fail("send", only=lambda request: isinstance(request, RemoveRow))
    run(api.send(V2))
    with pytest.raises(ConnectionFailed):
        run(api.send(RemoveRow("pump", "c")))
    assert api.entry("c", "pump") == entry("v1")


def test_an_action_may_be_forbidden_for_good() -> None:
    api = world()
    api.forbidden["flows"] = PermissionDenied("no")
    for _ in range(2):
        with pytest.raises(PermissionDenied):
            run(api.flows())
    run(api.live())


def test_a_release_may_reach_only_some() -> None:
    api = world()
    api.released_partly = lambda release: release.device_ids[:1]
    run(api.send(V2))
    assert [api.entry(device_id, "pump").released for device_id in "ab"] == ["v2", "v1"]


def test_devices_that_can_not_take_a_version_say_so() -> None:
    api = world()
    api.devices_by_id["a"].fails = frozenset({"v2"})
    api.devices_by_id["b"].connected = False
    run(api.send(Release("pump", "v2", ("a", "b", "c"))))
    api.settle()
    assert api.rows() == {
        ("a", "pump"): entry("v2>v1"),
        ("b", "pump"): entry("v2>v1"),
        ("c", "pump"): entry("v2"),
    }
    assert api.devices_by_id["a"].logs[-1] == LogEntry(
        api.clock.utc_now(), "current", "pump", attempted="1", error="v2 failed to compile"
    )


def test_the_world_may_change_at_a_chosen_moment() -> None:
    api = world()
    api.before = lambda action, _: api.set_entry("c", "pump", entry("v9")) if action == "release" else None
    run(api.live())
    assert api.entry("c", "pump") == entry("v1")
    run(api.send(V2))
    assert api.entry("c", "pump") == entry("v9")


def test_calls_under_way_are_counted() -> None:
    api = world()
    api.latency_s["release"] = 0.2

    async def go() -> None:
        await asyncio.gather(*(api.send(Release("pump", "v2", (device_id,))) for device_id in "abc"))

    asyncio.run(go())
    assert api.most_in_flight == 3
    assert api.in_flight == 0
