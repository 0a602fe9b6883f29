"""Resolution against a slow, plain model of the precedence rules, and what must hold whatever the rules say."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.plan import Warning
from reconciler.model.rules import ApplicationRef, DeviceRules, FlowRule, Group, Pin, Protection, Ref, Rules, Selector
from reconciler.model.state import Decision, Device, Place
from reconciler.planner.resolution.names import Inventory
from reconciler.planner.resolution.percent import within_percent
from reconciler.planner.resolution.resolve import Resolution, resolve
from tests.builders import hex_id

TODAY = date(2026, 6, 15)
KNOWN = [7, 27, 36, 37]
FLOWS = [hex_id(n, "f") for n in range(3)]
DEVICES = [hex_id(n, "d") for n in range(6)]
SITES = ("leeds", "york")


def at(line: int) -> Place:
    return Place("m.yaml", line)


def flow_rules(flows: Mapping[int, str | None], line: int) -> tuple[FlowRule, ...]:
    return tuple(FlowRule(Ref(FLOWS[n], Place("m.yaml", line, n + 1)), version) for n, version in flows.items())


def fleet(tags: Mapping[int, str]) -> Inventory:
    return Inventory({DEVICES[n]: Device(DEVICES[n], f"d{n}", "embedded", {"site": (tag,)}) for n, tag in tags.items()})


def rules(**parts: Any) -> Rules:
    return Rules(ApplicationRef("5" * 24, at(1)), **parts)


def run(rules_: Rules, inventory: Inventory) -> Resolution:
    return resolve(rules_, inventory, today=TODAY)


versions = st.one_of(st.none(), st.sampled_from(["v1", "v2"]))
flow_maps = st.dictionaries(st.integers(0, 2), versions, min_size=1, max_size=3)
selectors = st.one_of(
    st.sets(st.integers(0, 5), min_size=1, max_size=4).map(
        lambda some: Selector(at(1), devices=tuple(Ref(DEVICES[n], at(1)) for n in sorted(some)))
    ),
    st.sampled_from(SITES).map(lambda site: Selector(at(1), tags={"site": (site,)})),
    st.just(Selector(at(1), all=True)),
)


@st.composite
def any_rules(draw: st.DrawFn) -> Rules:
    groups = [
        Group(f"g{n}", at(100 + n), draw(selectors), flow_rules(draw(flow_maps), 100 + n), draw(st.integers(0, 2)))
        for n in range(draw(st.integers(0, 4)))
    ]
    devices = [
        DeviceRules(Ref(DEVICES[n], at(200 + n)), flow_rules(draw(flow_maps), 200 + n))
        for n in draw(st.sets(st.integers(0, 5), max_size=3))
    ]
    pins = [
        Pin(
            at(300 + n), Ref(DEVICES[draw(st.integers(0, 5))], at(300 + n)), flow_rules(draw(flow_maps), 300 + n), "why"
        )
        for n in range(draw(st.integers(0, 2)))
    ]
    return rules(groups=tuple(groups), devices=tuple(devices), pins=tuple(pins))


fleets = st.fixed_dictionaries({n: st.sampled_from(SITES) for n in range(6)}).map(fleet)


def picks(group: Group, device: Device) -> bool:
    named = group.select.devices is None or device.id in {ref.text for ref in group.select.devices}
    return named and (group.select.tags is None or device.tags["site"][0] in group.select.tags["site"])


def model(rules_: Rules, inventory: Inventory) -> dict[tuple[str, str], set[str | None]]:
    """Each row with the versions at the highest level that speaks of it, read straight off the rules."""
    votes: dict[tuple[str, str], list[tuple[tuple[int, int], str | None]]] = {}

    def vote(device_id: str, flows: tuple[FlowRule, ...], level: tuple[int, int]) -> None:
        for rule in flows:
            votes.setdefault((device_id, rule.flow.text), []).append((level, rule.version))

    for group in rules_.groups:
        for device in inventory.devices.values():
            if picks(group, device):
                vote(device.id, group.flows, (0, group.priority))
    for device_rules in rules_.devices:
        vote(device_rules.device.text, device_rules.flows, (1, 0))
    for pin in rules_.pins:
        vote(pin.device.text, pin.flows, (2, 0))
    return {
        row: {version for level, version in said if level == max(one[0] for one in said)} for row, said in votes.items()
    }


@given(any_rules(), fleets)
def test_every_row_is_decided_as_the_model_says(rules_: Rules, inventory: Inventory) -> None:
    wanted = model(rules_, inventory)
    found = run(rules_, inventory)
    assert bool(found.problems) == any(len(versions) > 1 for versions in wanted.values())
    if not found.problems:
        rows = {(device_id, flow_id): decision.version for device_id, flow_id, decision in found.desired.rows()}
        assert rows == {row: next(iter(versions)) for row, versions in wanted.items()}


@given(any_rules(), fleets)
def test_every_decision_knows_its_line_and_what_it_overrode(rules_: Rules, inventory: Inventory) -> None:
    found = run(rules_, inventory)
    said: dict[Place, tuple[str | None, str]] = {}
    for group in rules_.groups:
        said |= {rule.flow.place: (rule.version, f"group {group.name}") for rule in group.flows}
    said |= {rule.flow.place: (rule.version, "device") for device in rules_.devices for rule in device.flows}
    said |= {rule.flow.place: (rule.version, "pin") for pin in rules_.pins for rule in pin.flows}
    levels = {"pin": (2, 0), "device": (1, 0)} | {f"group {group.name}": (0, group.priority) for group in rules_.groups}
    for _, _, decision in found.desired.rows():
        for one in (decision, *decision.overrides):
            assert said[one.place] == (one.version, one.rule)
        ranks = [levels[one.rule] for one in decision.overrides]
        assert ranks == sorted(ranks, reverse=True)
        assert all(rank < levels[decision.rule] for rank in ranks)


@given(any_rules(), fleets, st.randoms(use_true_random=False))
def test_the_order_of_everything_does_not_matter(rules_: Rules, inventory: Inventory, rng: random.Random) -> None:
    def shuffled(items: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(rng.sample(items, len(items)))

    other = rules(groups=shuffled(rules_.groups), devices=shuffled(rules_.devices), pins=shuffled(rules_.pins))
    turned = Inventory(dict(shuffled(tuple(inventory.devices.items()))))
    found, again = run(rules_, inventory), run(other, turned)
    assert found.problems == again.problems
    assert found.warnings == again.warnings
    if not found.problems:
        assert list(found.desired.rows()) == list(again.desired.rows())


@given(any_rules(), fleets)
def test_devices_that_the_same_groups_decide_share_their_decisions(rules_: Rules, inventory: Inventory) -> None:
    found = run(rules_, inventory)
    special = {one.device.text for one in rules_.devices} | {pin.device.text for pin in rules_.pins}
    shared: dict[tuple[bool, ...], set[int]] = {}
    for device_id, decisions in found.desired.devices.items():
        if device_id not in special:
            picked = tuple(picks(group, inventory.devices[device_id]) for group in rules_.groups)
            shared.setdefault(picked, set()).add(id(decisions))
    assert all(len(mappings) == 1 for mappings in shared.values())


def test_a_conflict_names_both_places_and_a_device() -> None:
    groups = (
        Group("a", at(1), Selector(at(1), all=True), flow_rules({0: "v1"}, 10)),
        Group("b", at(2), Selector(at(2), all=True), flow_rules({0: "v2"}, 20)),
    )
    [problem] = run(rules(groups=groups), fleet(dict.fromkeys(range(6), "leeds"))).problems
    assert str(problem) == (
        f'm.yaml:20:1: flow "{FLOWS[0]}" on device "d0" and 5 more devices: group "b" says v2, group "a" says v1 at '
        "m.yaml:10:1 (give one group a higher `priority`)"
    )


def test_a_conflict_below_the_level_that_decides_is_none() -> None:
    groups = (
        Group("a", at(1), Selector(at(1), all=True), flow_rules({0: "v1"}, 10)),
        Group("b", at(2), Selector(at(2), all=True), flow_rules({0: "v2"}, 20)),
        Group("c", at(3), Selector(at(3), all=True), flow_rules({0: "v3"}, 30), priority=1),
    )
    found = run(rules(groups=groups), fleet({0: "leeds"}))
    assert found.problems == ()
    [(_, _, decision)] = found.desired.rows()
    assert decision == Decision(
        "v3", at(30), "group c", (Decision("v1", at(10), "group a"), Decision("v2", at(20), "group b"))
    )


def test_pins_are_warned_of_by_their_own_rows_only() -> None:
    inventory = fleet({0: "leeds"})
    group = Group("all", at(1), Selector(at(1), all=True), flow_rules({0: "v1", 1: "v1"}, 10))
    half = Pin(at(30), Ref(DEVICES[0], at(30)), flow_rules({0: "v1", 1: "v2"}, 30), "half of it changes something")
    idle = Pin(at(40), Ref(DEVICES[0], at(40)), flow_rules({0: "v1"}, 40), "nothing does")
    assert run(rules(groups=(group,), pins=(half,)), inventory).warnings == ()
    [warning] = run(rules(groups=(group,), pins=(half, idle)), inventory).warnings
    assert warning.place == at(40)


def test_the_last_day_of_a_pin_is_not_past() -> None:
    for until, expired in ((date(2026, 6, 14), True), (TODAY, False), (date(2026, 6, 16), False), (None, False)):
        pin = Pin(at(1), Ref(DEVICES[0], at(1)), flow_rules({0: "v1"}, 1), "why", until)
        found = run(rules(pins=(pin,)), Inventory())
        assert bool(found.warnings) == expired
        assert found.desired.devices[DEVICES[0]][FLOWS[0]].version == "v1"


def test_the_salt_of_a_group_is_its_name_unless_given() -> None:
    inventory = Inventory({hex_id(n): Device(hex_id(n)) for n in range(40)})
    select = Selector(at(1), percent=Decimal(10))
    for name, salt in (("canary", ""), ("bird", "canary")):
        found = run(rules(groups=(Group(name, at(1), select, flow_rules({0: "v1"}, 1), salt=salt),)), inventory)
        assert [int(one, 16) for one in found.desired.devices] == KNOWN


def test_an_id_is_an_id_though_something_is_named_like_it() -> None:
    odd = Inventory({DEVICES[1]: Device(DEVICES[1], DEVICES[0])}, {FLOWS[0]: (FLOWS[1],)})
    device = DeviceRules(Ref(DEVICES[0], at(5)), flow_rules({0: "v1"}, 5))
    assert [row[:2] for row in run(rules(devices=(device,)), odd).desired.rows()] == [(DEVICES[0], FLOWS[0])]


def test_names_that_are_excluded_may_be_unknown() -> None:
    device = DeviceRules(Ref("gone", at(5)), flow_rules({0: "v1"}, 5))
    found = resolve(rules(devices=(device,)), Inventory(), today=TODAY, excluded_devices={"gone"})
    assert not found.problems
    assert found.excluded_devices == {"gone"}
    assert not found.desired.devices
    assert resolve(rules(devices=(device,)), Inventory(), today=TODAY).problems


def test_a_thousand_unknown_names_are_told_without_searching_for_each() -> None:
    """Near misses are looked for twenty times only, and then among few."""
    named = {hex_id(n): Device(hex_id(n), f"pump-{n:05}") for n in range(30_000)}
    devices = tuple(DeviceRules(Ref(f"pmup-{n:05}", at(n + 1)), flow_rules({0: "v1"}, n + 1)) for n in range(1_000))
    found = run(rules(devices=devices), Inventory(named))
    assert len(found.problems) == 1_000
    assert sum("nearest" in (problem.hint or "") for problem in found.problems) == 20
    assert found.problems[7].hint is not None
    assert found.problems[7].hint.startswith("nearest: pump-00007, ")


def test_percent_is_exact_at_its_edge() -> None:
    """Against the definition, in whole numbers: first 8 bytes of sha256, over 2 to the 64."""
    ids = [hex_id(n) for n in range(500)]
    for percent in (
        Decimal(0),
        Decimal("0.1"),
        Decimal("12.5"),
        Decimal("33.333333333333333333"),
        Decimal(99),
        Decimal(100),
    ):
        kept = set(within_percent(ids, percent, "salt"))
        for one in ids:
            number = int.from_bytes(hashlib.sha256(f"salt\0{one}".encode()).digest()[:8], "big")
            assert (one in kept) == (number * 100 * 10**20 < int(percent * 10**20) * 2**64)


@given(st.sets(st.integers(0, 10**6), max_size=50), st.decimals(0, 100, places=3), st.decimals(0, 100, places=3))
def test_a_larger_share_keeps_the_smaller_one_inside(numbers: set[int], one: Decimal, other: Decimal) -> None:
    ids = [hex_id(n) for n in numbers]
    assert set(within_percent(ids, min(one, other), "s")) <= set(within_percent(ids, max(one, other), "s"))


def test_the_share_does_not_depend_on_the_hash_seed_nor_on_the_machine() -> None:
    """A known answer: computed once, by hand, with another tool (`printf 'canary\\0<id>' | sha256sum`)."""
    ids = [hex_id(n) for n in range(40)]
    kept = sorted(int(one, 16) for one in within_percent(ids, Decimal(10), "canary"))
    assert kept == KNOWN


@pytest.mark.parametrize(
    ("glob", "fits"),
    [
        ("*", {"", "pump", "pump-1", "a*b"}),
        ("pump*", {"pump", "pump-1"}),
        ("*1", {"pump-1"}),
        ("p*p*1", {"pump-1"}),
        ("*pump*", {"pump", "pump-1"}),
        ("*pump*pump*", set()),
        ("p*p-1*1", set()),
        ("pu*mp", {"pump"}),
        ("pum*mp", set()),
        ("pump**-1", {"pump-1"}),
        ("PUMP*", set()),
        ("a*b", {"a*b"}),
        ("*.*", set()),
    ],
)
def test_a_star_stands_for_any_text(glob: str, fits: set[str]) -> None:
    names = ("", "pump", "pump-1", "a*b")
    inventory = Inventory({DEVICES[n]: Device(DEVICES[n], name) for n, name in enumerate(names)})
    group = Group("g", at(1), Selector(at(1), devices=(Ref(glob, at(1)),)), flow_rules({0: "v1"}, 1))
    found = run(rules(groups=(group,)), inventory)
    assert {inventory.devices[device_id].name for device_id in found.desired.devices} == fits


def test_many_stars_take_no_longer_than_one() -> None:
    inventory = Inventory({DEVICES[0]: Device(DEVICES[0], "a" * 255)})
    group = Group("g", at(1), Selector(at(1), devices=(Ref("a*" * 100 + "b", at(1)),)), flow_rules({0: "v1"}, 1))
    assert not run(rules(groups=(group,)), inventory).desired.devices


def test_every_flow_that_a_rule_names_is_declared_whether_or_not_it_has_a_device() -> None:
    (telemetry,), (alarms,), (control,) = (flow_rules({number: "v1"}, 10 + number) for number in range(3))
    found = run(
        rules(
            groups=(Group("nobody", at(3), Selector(at(3), tags={"site": ("hull",)}), (telemetry,), 0),),
            devices=(DeviceRules(Ref(DEVICES[0], at(4)), (alarms,)),),
            pins=(Pin(at(5), Ref(DEVICES[1], at(5)), (control,), "odd sensor"),),
        ),
        fleet({0: "leeds", 1: "leeds"}),
    )
    assert found.flows == set(FLOWS)


def test_a_device_written_twice_does_not_hide_those_after_it() -> None:
    devices = [
        DeviceRules(Ref(text, at(line)), flow_rules({0: "v1"}, line))
        for line, text in enumerate([DEVICES[0], "d0", DEVICES[1]], 4)
    ]
    found = run(rules(devices=tuple(devices)), fleet({0: "leeds", 1: "leeds"}))
    assert [problem.line for problem in found.problems] == [5]
    assert set(found.desired.devices) == {DEVICES[0], DEVICES[1]}


def test_the_protection_of_an_excluded_device_protects_no_other() -> None:
    rule = Protection(at(6), device=Ref("gone", at(6)), flow=Ref(FLOWS[0], at(6)))
    known = Protection(at(7), flow=Ref(FLOWS[0], at(7)))
    found = resolve(rules(protect=(rule, known)), Inventory(), today=TODAY, excluded_devices={"gone"})
    assert [(one.device_id, one.flow_id, one.place.line) for one in found.protected] == [(None, FLOWS[0], 7)]


def test_a_name_may_be_as_long_as_an_id() -> None:
    name = "pump-number-007-at-leeds"
    assert len(name) == len(DEVICES[0])
    device = DeviceRules(Ref(name, at(5)), flow_rules({0: "v1"}, 5))
    found = run(rules(devices=(device,)), Inventory({DEVICES[1]: Device(DEVICES[1], name)}))
    assert set(found.desired.devices) == {DEVICES[1]}


def test_warnings_come_by_place_and_those_without_one_first() -> None:
    warnings = [Warning("a", at(9)), Warning("b", at(3)), Warning("z")]
    assert [one.message for one in sorted(warnings, key=lambda warning: warning.sort_key)] == ["z", "b", "a"]


def test_a_conflict_on_devices_without_names_tells_the_lowest_id() -> None:
    some = Selector(at(1), devices=(Ref(DEVICES[1], at(1)), Ref(DEVICES[0], at(1))))
    groups = tuple(Group(f"g{n}", at(n), some, flow_rules({0: f"v{n}"}, n), 0) for n in (3, 4))
    found = run(rules(groups=groups), Inventory({one: Device(one, None) for one in DEVICES[:2]}))
    (problem,) = found.problems
    assert f'on device "{DEVICES[0]}" and 1 more device' in problem.message
