"""From a world to a plan: proved, narrowed, named, sorted."""

from __future__ import annotations

import pytest

from reconciler.errors import PlanUnsound
from reconciler.model.plan import Plan, PlannedCall, Summary, Warning
from reconciler.model.requests import Replace
from reconciler.model.rules import Limits, Source
from reconciler.model.state import Kind, Place
from reconciler.model.world import CallMode, Filter, Options, World
from reconciler.planner import planner as make
from reconciler.planner import replan as rest
from reconciler.planner.planner import make_plan
from reconciler.planner.replan import calls_for, remaining
from tests.builders import APPLICATION, desired, hex_id, live, read

UNSOUND = (PlannedCall(0, Replace("f", "1", "2"), (("a", "f"),)),)


def plan(world: World, *, options: Options = Options(), manifests: tuple[Source, ...] = ()) -> Plan:  # noqa: B008 - frozen
    limits = Limits(removals_count=None, removals_percent=None)
    return make_plan(world, limits=limits, manifests=manifests, options=options)


def test_a_plan_whose_calls_are_unsound_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(APPLICATION, Kind.EMBEDDED, desired("a/f=2"), read(live("a/f=1 x/f=1")))
    made = plan(world)
    monkeypatch.setattr(make, "cover", lambda *_, **__: UNSOUND)
    with pytest.raises(PlanUnsound, match="device x"):
        plan(world)
    monkeypatch.setattr(rest, "cover", lambda *_, **__: UNSOUND)
    with pytest.raises(PlanUnsound, match="device x"):
        calls_for(remaining(made, world.read), mode=CallMode.FEWEST, chunk=1000)


def test_names_of_what_is_listed_by_id() -> None:
    """The device list names a device before its record does; what has no name, or is not listed, is left out."""
    rows = live(
        "d/h=1 c/g=2>1 b/f=1 a/f=1 e/z=1 y/f=2",
        names={"b": "old b", "c": "c of record", "y": "in sync"},
        flow_names={"h": "aitch"},
    )
    world = World(
        APPLICATION,
        Kind.EMBEDDED,
        desired("a/f=2 b/f=2 c/g=2 e/z=1 y/f=2"),
        read(rows),
        device_names={"b": "new b", "e": "in sync too", "d": ""},
        flow_names={"g": "gee", "z": "zed", "f": ""},
    )
    made = plan(world)
    assert made.device_names == {"b": "new b", "c": "c of record"}
    assert made.flow_names == {"g": "gee", "h": "aitch"}
    everything = plan(
        World(
            APPLICATION,
            Kind.EMBEDDED,
            desired(),
            read(live("c/h=1 b/g=1 a/f=1")),
            device_names=dict(zip("cba", "xyz", strict=True)),
            flow_names=dict(zip("hgf", "xyz", strict=True)),
        )
    )
    assert list(everything.device_names) == ["a", "b", "c"]
    assert list(everything.flow_names) == ["f", "g", "h"]


def test_sources_and_warnings_come_once_and_in_order() -> None:
    b, a = Source("b.yaml", "1" * 64), Source("a.yaml", "2" * 64)
    odd, late, early = Warning("odd"), Warning("late", Place("b.yaml", 2)), Warning("early", Place("b.yaml", 1))
    world = World(APPLICATION, Kind.EMBEDDED, desired("a/f=1"), read(live("a/f=1")), warnings=(late, odd, early, late))
    made = plan(world, manifests=(b, a, b))
    assert made.manifests == (a, b)
    assert made.warnings == (odd, early, late)


def test_counts_and_scope() -> None:
    world = World(
        APPLICATION,
        Kind.EMBEDDED,
        desired("a/f=1 a/g=2 b/f=absent b/g=3 c/f=1 c/g=1"),
        read(live("a/g=1 b/f=1 b/g=2 c/f=1>- c/g=1 x/f=1")),
    )
    assert plan(world).summary == Summary(add=1, update=2, remove=1, keep=2, pending=1, unmanaged=1, devices=3, calls=4)
    assert not plan(world).partial
    partial = plan(world, options=Options(targets=(Filter("flow", "g"),)))
    assert partial.summary == Summary(add=0, update=2, remove=0, keep=1, pending=0, unmanaged=0, devices=3, calls=2)
    assert partial.partial


def test_a_release_names_a_thousand_devices_at_most() -> None:
    ids = [hex_id(number) for number in range(1_001)]
    wanted = desired(" ".join(f"{one}/f=2" for one in ids))
    world = World(APPLICATION, Kind.EMBEDDED, wanted, read(live(" ".join(f"{one}/f=1" for one in [*ids, "x"]))))
    plan = make_plan(world, limits=Limits(), manifests=(), options=Options())
    assert [len(call.rows) for call in plan.calls] == [1_000, 1]
