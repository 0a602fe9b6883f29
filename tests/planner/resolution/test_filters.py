"""Targets and excludes: what they name, and what they say when they name nothing."""

from __future__ import annotations

import pytest

from reconciler.errors import UsageError
from reconciler.model.plan import Plan
from reconciler.model.rules import Limits
from reconciler.model.state import Decision, Desired
from reconciler.model.world import Filter, Options, World
from reconciler.planner.planner import make_plan
from reconciler.planner.resolution.filters import Scope, scopes_of
from tests.builders import PLACE, desired, hex_id, live, read, world

PUMP = hex_id(10, "abc")
GPS = hex_id(11, "abc")
ONE, TWO, THREE = (hex_id(number, "d") for number in (1, 2, 3))
CANARY = Decision("2", PLACE, "group canary", (Decision("1", PLACE, "group all"),))
WORLD = World(
    world(Desired({}), live("x/y")).application,
    world(Desired({}), live("x/y")).kind,
    Desired({ONE: {PUMP: CANARY, GPS: Decision("1", PLACE, "pin")}, TWO: {PUMP: Decision("1", PLACE, "group all")}}),
    read(live(f"{ONE}/{PUMP}=1 {THREE}/{GPS}=1", names={ONE: "north", THREE: "twin"}, flow_names={GPS: "position"})),
    device_names={TWO: "twin"},
    flow_names={PUMP: "pumping"},
    aliases={"p": PUMP},
    groups=frozenset({"idle"}),
)
ROWS = [(ONE, PUMP, "canary"), (ONE, GPS, None), (TWO, PUMP, "all"), (THREE, GPS, None)]


def scope(*, target: str = "", exclude: str = "", at: World = WORLD) -> Scope:
    """The scope of filters that are separated by blanks."""
    (found,) = scopes_of([at], options(target=target, exclude=exclude))
    assert found.is_partial
    return found


def options(*, target: str = "", exclude: str = "") -> Options:
    return Options(
        targets=tuple(Filter(*text.split("=")) for text in target.split()),
        excludes=tuple(Filter(*text.split("=")) for text in exclude.split()),
    )


@pytest.mark.parametrize("where", ["live", "desired", "named", "named by a record", "aliased"])
def test_a_flow_is_known_wherever_it_is_met(where: str) -> None:
    flow = hex_id(12, "abc")
    at = {
        "live": WORLD._replace(read=read(live(f"{ONE}/{flow}=1"))),
        "desired": WORLD._replace(desired=Desired({ONE: {flow: CANARY}})),
        "named": WORLD._replace(flow_names={flow: "new"}),
        "named by a record": WORLD._replace(read=read(live(flow_names={flow: "new"}))),
        "aliased": WORLD._replace(aliases={"n": flow}),
    }[where]
    assert scope(target=f"flow={flow}", at=at).holds(ONE, flow)
    with pytest.raises(UsageError):
        scope(target=f"flow={flow}")


def test_without_filters_everything_is_in_scope() -> None:
    (found,) = scopes_of([WORLD], Options())
    assert not found.is_partial
    assert found.desired is WORLD.desired
    assert all(found.holds(*row) for row in ROWS)


@pytest.mark.parametrize(
    ("target", "rows"),
    [
        (f"device={ONE}", [0, 1]),
        (f"device={ONE.upper()}", [0, 1]),
        ("device=north", [0, 1]),
        (f"device={THREE}", [3]),
        (f"flow={PUMP}", [0, 2]),
        ("flow=pumping", [0, 2]),
        ("flow=p", [0, 2]),
        ("flow=position", [1, 3]),
        ("group=canary", [0]),
        ("group=all", [2]),
        ("group=idle", []),
        ("group=canary flow=position", [0, 1, 3]),
    ],
)
def test_a_target_holds_its_rows_and_an_exclude_all_others(target: str, rows: list[int]) -> None:
    targeted, excluded = scope(target=target), scope(exclude=target)
    assert [number for number, row in enumerate(ROWS) if targeted.holds(*row)] == rows
    assert [number for number, row in enumerate(ROWS) if not excluded.holds(*row)] == rows


def test_excludes_win() -> None:
    both = scope(target=f"device={ONE}", exclude="flow=p")
    assert [number for number, row in enumerate(ROWS) if both.holds(*row)] == [1]


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("device=nort", "--target device=nort: there is no such device in the manifests or among the deployments"),
        ("device=nort", "nearest: north"),
        ("flow=pump", "nearest: pumping"),
        ("group=canari", "--target group=canari: there is no such group in the manifests (nearest: canary)"),
        ("group=zzzzz", "check the spelling"),
        ("device=NORTH", "nearest: north"),
        ("device=twin", f"--target device=twin: 2 devices have that name (use one of their ids: {TWO}, {THREE})"),
    ],
)
def test_a_name_that_is_none_or_several_is_told(target: str, told: str) -> None:
    with pytest.raises(UsageError) as raised:
        scope(target=target)
    assert told in str(raised.value)


@pytest.mark.parametrize(("number", "more"), [(5, ""), (6, " and 1 more"), (8, " and 3 more")])
def test_many_of_a_name_are_not_all_listed(number: int, more: str) -> None:
    devices = {hex_id(index): "many" for index in range(number)}
    listed = ", ".join(sorted(devices)[:5])
    with pytest.raises(UsageError) as raised:
        scope(target="device=many", at=WORLD._replace(device_names=devices))
    (problem,) = raised.value.problems
    assert problem.message == f"--target device=many: {number} devices have that name"
    assert problem.hint == f"use one of their ids: {listed}{more}"


def test_several_near_names_are_offered() -> None:
    at = WORLD._replace(device_names={ONE: "north-1", TWO: "north-2"}, read=read(live("x/f=1")))
    with pytest.raises(UsageError) as raised:
        scope(target="device=north-3", at=at)
    assert raised.value.problems[0].hint == "nearest: north-2, north-1"
    with pytest.raises(UsageError) as raised:
        scope(target="group=zzzzz", at=at)
    assert raised.value.problems[0].hint == "check the spelling"


def test_every_wrong_filter_is_told_at_once() -> None:
    with pytest.raises(UsageError) as raised:
        scope(target="device=a flow=b", exclude="group=c")
    assert [problem.message.split(":")[0] for problem in raised.value.problems] == [
        "--target device=a",
        "--target flow=b",
        "--exclude group=c",
    ]


def test_an_excluded_device_that_resolution_dropped_need_not_exist() -> None:
    at = WORLD._replace(excluded_devices=frozenset({"gone", ONE[:-1] + "e"}))
    assert scope(exclude="device=gone", at=at).holds(*ROWS[0])
    assert scope(exclude=f"device={ONE[:-1].upper()}E", at=at).holds(*ROWS[0])
    for flag in ("target", "exclude"):
        with pytest.raises(UsageError):
            scope(**{flag: "flow=gone" if flag == "exclude" else "device=gone"}, at=at)


def test_a_filter_has_to_name_something_in_one_application_of_a_run() -> None:
    other = world(desired("elsewhere/f=2"), live("elsewhere/f=1"))
    here, there = scopes_of([WORLD, other], options(target="device=elsewhere", exclude="device=north"))
    assert here.is_partial
    assert not here.desired.devices
    assert set(there.desired.devices) == {"elsewhere"}
    plan = make_plan(WORLD, limits=Limits(), manifests=(), options=Options(), scope=here)
    assert plan.partial
    assert not plan.changes
    with pytest.raises(UsageError, match="2 devices have that name"):
        scopes_of([WORLD, other], options(exclude="device=twin"))
    with pytest.raises(UsageError) as raised:
        scopes_of([other, WORLD], options(target="device=nowhere"))
    assert len(raised.value.problems) == 1


def test_an_excluded_device_may_be_unknown_where_one_application_of_the_run_names_it() -> None:
    named = WORLD._replace(excluded_devices=frozenset({"gone"}))
    assert all(one.is_partial for one in scopes_of([WORLD, named], options(exclude="device=gone")))
    with pytest.raises(UsageError):
        scopes_of([WORLD, named], options(target="device=gone", exclude="device=gone"))


def test_devices_that_shared_decisions_share_them_again() -> None:
    shared = {"f": Decision("1", PLACE, "device"), "g": Decision("1", PLACE, "device")}
    at = WORLD._replace(desired=Desired({"a": shared, "b": shared, "c": shared}), read=read(live("a/f=1 b/f=1 c/f=1")))
    narrowed = scope(target="flow=f device=c", at=at).desired
    assert narrowed.devices["a"] is narrowed.devices["b"]
    assert (set(narrowed.devices["a"]), set(narrowed.devices["c"])) == ({"f"}, {"f", "g"})
    assert set(scope(exclude="device=a", at=at).desired.devices) == {"b", "c"}


def test_unmanaged_rows_are_listed_where_they_are_in_scope() -> None:
    seen = live("a/f=1 b/f=1 b/g=1 x/f=1")
    at = world(desired("a/f=2"), seen)
    listed = {
        target: [row.device_id + row.flow_id for row in _plan(at, target).unmanaged]
        for target in ("device=b", "flow=f", "device=a")
    }
    assert listed == {"device=b": ["bf", "bg"], "flow=f": ["bf", "xf"], "device=a": []}


def test_rows_that_another_target_manages_are_not_unmanaged() -> None:
    plan = _plan(world(desired("a/f=2 b/f=2"), live("a/f=1 b/f=1")), "device=a")
    assert plan.unmanaged == ()
    assert plan.summary.devices == 1


def _plan(at: World, target: str) -> Plan:
    return make_plan(at, limits=Limits(), manifests=(), options=options(target=target))
