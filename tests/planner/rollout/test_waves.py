"""Who is in which wave: by tags, names, percent and exclude, against the rules read literally."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.rollout import Rollout
from reconciler.model.rules import (
    ApplicationRef,
    Budget,
    FlowRule,
    Group,
    GroupRollout,
    Pin,
    Policy,
    Ref,
    Rules,
    Selector,
    Wave,
)
from reconciler.model.state import Device
from reconciler.planner.resolution.names import Inventory
from reconciler.planner.resolution.resolve import resolve
from tests.builders import PLACE, hex_id

IDS = [hex_id(number, "d") for number in range(40)]
FLOWS = [hex_id(number, "f") for number in range(2)]
TAGS = {one: {"ring": ("canary",) if number < 4 else ("early", "late")} for number, one in enumerate(IDS)}
CANARY = Selector(PLACE, tags={"ring": ("canary",)})


def percent(number: float, **more: Any) -> Selector:
    return Selector(PLACE, percent=Decimal(str(number)))._replace(**more)


def rollout_of(
    *waves: Selector,
    name: str = "careful",
    pinned: Sequence[str] = (),
    ids: Sequence[str] = IDS,
    budget: Budget | None = None,
) -> Rollout:
    """The rollout of a group of all devices with two flows; on a pinned device it decides only one of them."""
    policy = Policy(name, PLACE, tuple(Wave(PLACE, one) for one in waves), budget=budget)
    flows = tuple(FlowRule(Ref(one, PLACE), "2") for one in FLOWS)
    group = Group("leeds", PLACE, Selector(PLACE, all=True), flows, rollout=GroupRollout(name, PLACE))
    pins = tuple(Pin(PLACE, Ref(one, PLACE), flows[:1], "why") for one in pinned)
    rules = Rules(ApplicationRef("5" * 24, PLACE), groups=(group,), pins=pins, policies={name: policy})
    devices = {one: Device(one, f"d{one}", "embedded", TAGS[one]) for one in ids}
    (found,) = resolve(rules, Inventory(devices), today=date(2026, 3, 1)).rollouts
    return found


def members(rollout: Rollout, wave: int) -> set[str]:
    return {one for one, number in rollout.waves.items() if number == wave}


def place(one: str, name: str = "careful") -> Decimal:
    """Where a device's hash is, in percent."""
    digest = hashlib.sha256(f"rollout\0{name}\0{one}".encode()).digest()[:8]
    return Decimal(int.from_bytes(digest, "big")) * 100 / 2**64


def between(low: int, high: int) -> list[str]:
    return [one for one in IDS if low <= place(one) < high]


LOWEST = min(IDS, key=place)
SECOND = sorted(IDS, key=place)[1]
FIRST_EARLY = min(IDS[4:], key=place)
NAMED = Selector(PLACE, devices=(Ref(IDS[7], PLACE), Ref(IDS[2], PLACE)))


@pytest.mark.parametrize(
    ("waves", "expected"),
    [
        ([CANARY], [{*IDS[:4]}]),
        ([NAMED], [{IDS[2], IDS[7]}]),
        ([CANARY, NAMED], [{*IDS[:4]}, {IDS[7]}]),
        ([NAMED, CANARY], [{IDS[2], IDS[7]}, {*IDS[:4]} - {IDS[2]}]),
        ([percent(0.0001)], [{LOWEST}]),
        ([percent(0.0001), percent(0.0002)], [{LOWEST}, {SECOND}]),
        ([percent(25)], [{*between(0, 25)}]),
        ([percent(25), percent(50)], [{*between(0, 25)}, {*between(25, 50)}]),
        ([percent(100)], [{*IDS}]),
        ([percent(0.0001, exclude=CANARY)], [{FIRST_EARLY}]),
        ([percent(0.0001, tags={"ring": ("late",)})], [{FIRST_EARLY}]),
        ([CANARY, percent(0.0001)], [{*IDS[:4]}, {FIRST_EARLY}]),
        ([CANARY, CANARY], [{*IDS[:4]}, set()]),
        ([CANARY._replace(exclude=NAMED)], [{*IDS[:4]} - {IDS[2]}]),
        ([Selector(PLACE, tags={"ring": ("nobody",)})], [set()]),
    ],
)  # fmt: skip
def test_the_first_wave_that_picks_a_device_has_it(waves: list[Selector], expected: list[set[str]]) -> None:
    found = rollout_of(*waves)
    assert [members(found, number) for number in range(1, len(waves) + 1)] == expected
    assert members(found, found.last_wave) == {*IDS} - set().union(*expected)


def test_the_guinea_pig_runs_all_of_the_groups_flows_if_any_does() -> None:
    assert members(rollout_of(percent(0.0001), pinned=[LOWEST]), 1) == {SECOND}
    assert members(rollout_of(percent(0.0001), pinned=IDS), 1) == {LOWEST}
    below = percent(float(place(LOWEST)) + 0.001)
    assert members(rollout_of(below, pinned=[LOWEST]), 1) == {LOWEST, SECOND}


def test_another_name_has_other_guinea_pigs() -> None:
    assert members(rollout_of(percent(0.0001), name="bold"), 1) == {min(IDS, key=lambda one: place(one, "bold"))}


@given(st.sets(st.sampled_from(IDS), min_size=1), st.floats(0.001, 100), st.floats(0.001, 100), st.booleans())
def test_a_larger_percent_keeps_the_smaller_inside(some: set[str], one: float, other: float, early: bool) -> None:
    more = {"exclude": CANARY} if early else {}
    smaller, larger = (rollout_of(percent(each, **more), ids=sorted(some)) for each in sorted((one, other)))
    assert members(smaller, 1) <= members(larger, 1)
    assert members(smaller, 1) or not some - {*IDS[:4]}


@given(st.sets(st.sampled_from(IDS), min_size=2), st.data())
def test_a_newcomer_or_a_leaver_moves_nobody_but_a_guinea_pig(some: set[str], data: st.DataObject) -> None:
    leaver = data.draw(st.sampled_from(sorted(some)))
    waves = (CANARY, percent(10), percent(30))
    whole, rest = rollout_of(*waves, ids=sorted(some)), rollout_of(*waves, ids=sorted(some - {leaver}))
    moved = {one for one in rest.waves if rest.waves[one] != whole.waves[one]}
    left = [*members(whole, 2), *members(whole, 3), *members(whole, 4)]
    pigs = [min(some, key=place) for some in (left, [one for one in left if whole.waves[one] > 2]) if some]
    assert len(moved) <= 2
    assert not moved or leaver in pigs


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ((), {IDS[0]: ("",), IDS[9]: ("",)}),
        (("ring",), {IDS[0]: ("ring=canary",), IDS[9]: ("ring=early", "ring=late")}),
        (("site",), {IDS[0]: ("no site",), IDS[9]: ("no site",)}),
        (("ring", "site"), {IDS[0]: ("ring=canary, no site",), IDS[9]: ("ring=early, no site", "ring=late, no site")}),
    ],
)
def test_devices_share_a_budget_by_the_values_of_its_tags(
    by: tuple[str, ...], expected: dict[str, tuple[str, ...]]
) -> None:
    found = rollout_of(CANARY, budget=Budget(by, 1, None), ids=[IDS[0], IDS[9]])
    assert found.sets == expected
