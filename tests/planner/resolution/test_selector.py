"""What a selector needs to know of the fleet before it can pick from it, and what a query picks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.rules import ApplicationRef, DeviceRules, FlowRule, Group, Pin, Protection, Ref, Rules, Selector
from reconciler.model.state import Device, Place
from reconciler.planner.resolution import selector as selector_module
from reconciler.planner.resolution.names import Inventory, Names
from reconciler.planner.resolution.resolve import resolve
from reconciler.planner.resolution.selector import Needs, Selection, needs_of
from tests.builders import hex_id

AT = Place("m.yaml", 1)
ONE, TWO, FLOW = hex_id(1), hex_id(2), hex_id(3)


def devices(*texts: str) -> tuple[Ref, ...]:
    return tuple(Ref(text, AT) for text in texts)


TAGS = {"site": ("leeds",)}
CASES: list[tuple[Selector, dict[str, Any]]] = [
    (Selector(AT, all=True), {"listing": True}),
    (Selector(AT, tags=TAGS), {"listing": True}),
    (Selector(AT, devices=devices("p*")), {"listing": True}),
    (Selector(AT, devices=devices("p*", "q", ONE)), {"listing": True, "device_names": {"q"}}),
    (Selector(AT, devices=devices(ONE, "q")), {"device_names": {"q"}}),
    (Selector(AT, devices=devices(ONE, "q"), tags=TAGS), {"device_names": {"q"}, "device_ids": {ONE}}),
    (Selector(AT, devices=devices(ONE), exclude=Selector(AT, tags=TAGS)), {"device_ids": {ONE}}),
    (Selector(AT, devices=devices(ONE), exclude=Selector(AT, devices=devices("p*"))), {"device_ids": {ONE}}),
    (Selector(AT, devices=devices(ONE), exclude=Selector(AT, devices=devices(TWO))), {}),
    (Selector(AT, devices=devices(ONE), exclude=Selector(AT, devices=devices("q"))), {"device_names": {"q"}}),
    (Selector(AT, devices=devices(ONE), exclude=Selector(AT, query="odd")), {"queries": {"odd": AT}}),
    (Selector(AT, query="even"), {"queries": {"even": AT}}),
    (Selector(AT, query="even", devices=devices("p*")), {"queries": {"even": AT}}),
    (Selector(AT, query="even", exclude=Selector(AT, query="odd")), {"queries": {"even": AT, "odd": AT}}),
    (
        Selector(AT, all=True, exclude=Selector(AT, devices=devices(ONE, "q", "p*"))),
        {"listing": True, "device_names": {"q"}},
    ),
]


@pytest.mark.parametrize(("selector", "needs"), CASES)
def test_a_selector_needs(selector: Selector, needs: dict[str, Any]) -> None:
    group = Group("g", AT, selector, ())
    rules = Rules(ApplicationRef("5" * 24, AT), groups=(group,))
    assert needs_of(rules) == Needs(**needs)


def test_names_are_needed_wherever_rules_write_them() -> None:
    """But for ids, and for aliases, which need what they stand for."""
    alias, flow, fid = Ref("alias", AT), Ref("flow", AT), Ref(FLOW, AT)
    rules = Rules(
        ApplicationRef("5" * 24, AT),
        aliases={"alias": Ref("meant", AT), "unused": Ref("never", AT)},
        groups=(Group("g", AT, Selector(AT, devices=devices("p")), (FlowRule(alias, "1"),)),),
        devices=(DeviceRules(Ref("written", AT), (FlowRule(flow, "1"),)), DeviceRules(Ref(ONE, AT), ())),
        pins=(Pin(AT, Ref("pinned", AT), (FlowRule(Ref("pump", AT), "1"), FlowRule(fid, "1")), "why"),),
        protect=(Protection(AT, device=Ref("kept", AT)), Protection(AT, flow=Ref("safety", AT))),
    )
    names = {"p", "written", "pinned", "kept"}
    assert needs_of(rules) == Needs(device_names=names, flow_names={"meant", "flow", "pump", "safety"})


FLEET = {
    hex_id(number): Device(hex_id(number), f"p{number}", "embedded", TAGS if number < 3 else {}) for number in range(6)
}
QUERIES = {"even": frozenset(hex_id(number) for number in (0, 2, 4)), "none": frozenset()}


@pytest.mark.parametrize(
    ("selector", "numbers"),
    [
        (Selector(AT, query="even"), [0, 2, 4]),
        (Selector(AT, query="none"), []),
        (Selector(AT, query="even", tags=TAGS), [0, 2]),
        (Selector(AT, query="even", devices=devices("p2", "p3")), [2]),
        (Selector(AT, all=True, exclude=Selector(AT, query="even")), [1, 3, 5]),
        (Selector(AT, query="even", exclude=Selector(AT, devices=devices("p2", "p3"))), [0, 4]),
    ],
)
def test_a_query_picks_together_with_the_other_keys(selector: Selector, numbers: list[int]) -> None:
    inventory = Inventory(FLEET, queries=QUERIES)
    picked = Selection(inventory, Names({}, inventory)).members(selector, "salt")
    assert sorted(picked) == [hex_id(number) for number in numbers]


tag_values = st.lists(st.sampled_from("abc"), min_size=1, max_size=2).map(tuple)
tag_maps = st.dictionaries(st.sampled_from(["site", "ring"]), tag_values, max_size=2)


@given(st.lists(st.sampled_from(range(4)), max_size=8), st.tuples(*[tag_maps] * 4), st.lists(tag_maps, max_size=4))
def test_groups_by_tags_are_the_same_by_kind_of_tags_and_device_by_device(
    kinds: list[int], tags: tuple[Mapping[str, tuple[str, ...]], ...], selected: list[Mapping[str, tuple[str, ...]]]
) -> None:
    known = {hex_id(number): Device(hex_id(number), tags=tags[kind]) for number, kind in enumerate(kinds)}
    groups = [Group(f"g{n}", AT, Selector(AT, tags=one or None, all=not one), ()) for n, one in enumerate(selected)]
    groups += [Group("named", AT, Selector(AT, devices=devices(ONE, TWO)), ())]
    flows = (FlowRule(Ref(FLOW, AT), "v1"),)
    rules = Rules(ApplicationRef("5" * 24, AT), groups=tuple(group._replace(flows=flows) for group in groups))
    by_kind = resolve(rules, Inventory(known), today=date(2026, 3, 2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selector_module, "_MOST_KINDS", -1)
        assert by_kind == resolve(rules, Inventory(known), today=date(2026, 3, 2))
    picked = {
        one
        for group in groups
        for one in Selection(Inventory(known), Names({}, Inventory(known))).members(group.select, "")
    }
    assert [*by_kind.desired.devices] == sorted(picked)
