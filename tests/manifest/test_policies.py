"""Policies: values as they are meant, time zones wherever this runs, and which of two is the looser one."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from reconciler.errors import ManifestError
from reconciler.manifest.comparing.loosening import KEYS
from reconciler.manifest.load import load_manifests
from reconciler.manifest.scalars import time_zones
from reconciler.model.rules import Budget, Gate, Policy, Ref, Rules, Selector, Wave, Window
from reconciler.model.state import Device, Place
from reconciler.planner.resolution.names import Inventory, Names
from reconciler.planner.resolution.selector import Selection
from tests.builders import hex_id

HEAD = "apiVersion: reconciler/v1\napplication: 575ec8687ae143cd83dc4a97\n"
NOWHERE = Place("m.yaml", 1, 1)
GROUP = "groups: {a: {select: {all: true}, rollout: p, flows: {f: v1}}}\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def loaded(text: str) -> Rules:
    Path("m.yaml").write_text(HEAD + text)
    [rules] = load_manifests(["m.yaml"])
    return rules


def policy(keys: str) -> Policy:
    return loaded(f"rollouts: {{p: {{waves: [{{percent: 1}}], {keys}}}}}\n{GROUP}").policies["p"]


def test_what_is_not_given_has_its_default() -> None:
    found = policy("gate: {}")
    assert (found.gate, found.patience_s, found.budget, found.window) == (Gate(Decimal(95), 3600, 1), 3600, None, None)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0s", 0),
        ("90s", 90),
        ("15m", 900),
        ("24h", 86_400),
        ("7d", 604_800),
        ("007d", 604_800),
        ("99999d", 8_639_913_600),
    ],
)
def test_durations(text: str, seconds: int) -> None:
    assert policy(f"gate: {{soak: {text}}}").gate.soak_s == seconds


@pytest.mark.parametrize("text", ["1", "1w", "-1h", "1.5h", "1h30m", "1 h", "1H", "h", "100000d", "PT1H", "٣h"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ManifestError, match="such as 90s, 15m, 24h or 7d"):
        policy(f"gate: {{soak: {text}}}")


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("mon", (0,)),
        ("mon-fri", (0, 1, 2, 3, 4)),
        ("sat-mon", (0, 5, 6)),
        ("tue-mon", (0, 1, 2, 3, 4, 5, 6)),
        ("mon-mon", (0,)),
        ("[sun, mon-wed, tue]", (0, 1, 2, 6)),
    ],
)
def test_days(text: str, days: tuple[int, ...]) -> None:
    found = policy(f"window: {{days: {text}, from: 22:00, to: 05:30}}").window
    assert found == Window(days, 22 * 60, 5 * 60 + 30, "UTC")


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("{unavailable: 1}", Budget((), 1, None)),
        ("{by: site, unavailable: 2}", Budget(("site",), 2, None)),
        ("{by: [site, line], unavailable: 12.5%}", Budget(("site", "line"), None, Decimal("12.5"))),
        ("{unavailable: 100%}", Budget((), None, Decimal(100))),
    ],
)
def test_budgets(text: str, budget: Budget) -> None:
    assert policy(f"budget: {text}").budget == budget


def test_a_policy_of_another_document_guards_a_group() -> None:
    Path("p.yaml").write_text(HEAD + "rollouts: {p: {waves: [{percent: 1}]}}\n")
    Path("g.yaml").write_text(HEAD + GROUP)
    [rules] = load_manifests(["p.yaml", "g.yaml"])
    assert [group.rollout.policy for group in rules.groups if group.rollout] == list(rules.policies) == ["p"]


@pytest.fixture
def system_without_zones() -> Iterator[None]:
    zoneinfo.reset_tzpath(to=[])
    zoneinfo.ZoneInfo.clear_cache()
    yield
    zoneinfo.reset_tzpath()
    zoneinfo.ZoneInfo.clear_cache()


@pytest.mark.usefixtures("system_without_zones")
def test_every_zone_that_is_accepted_is_there_where_the_system_has_none() -> None:
    zones = time_zones()
    assert {"UTC", "Europe/London", "America/New_York", "Pacific/Chatham"} <= zones
    assert [name for name in sorted(zones) if zoneinfo.ZoneInfo(name).key != name] == []
    assert policy("window: {from: 01:00, to: 05:00, zone: Europe/London}").window == Window(
        tuple(range(7)), 60, 300, "Europe/London"
    )


@pytest.mark.parametrize(
    "text", ["localtime", "posixrules", "Factory", "Europe", "/etc/localtime", "europe/london", "right/UTC", "+01:00"]
)
def test_a_zone_of_one_machine_is_none(text: str) -> None:
    with pytest.raises(ManifestError, match="there is no time zone"):
        policy(f'window: {{from: 01:00, to: 05:00, zone: "{text}"}}')


# --- what is called looser ---------------------------------------------------------------------------------------

FLEET = {
    hex_id(number): Device(
        hex_id(number),
        f"p{number}",
        tags={"ring": ("ab"[number % 2],), "site": ("xyz"[number % 3], "xyz"[number % 5 % 3])},
    )
    for number in range(24)
}
tags = st.dictionaries(
    st.sampled_from(["ring", "site"]), st.lists(st.sampled_from("abxyz"), min_size=1, max_size=2).map(tuple), min_size=1
)
devices = st.lists(st.sampled_from(["p1", "p2", "p1*", "*"]), min_size=1, max_size=2).map(
    lambda names: tuple(Ref(name, NOWHERE) for name in names)
)
percents = st.sampled_from([Decimal(number) for number in (10, 30, 31, 100)])
plain_keys = {"tags": tags, "devices": devices, "percent": percents}


def selectors(**more: st.SearchStrategy[Any]) -> st.SearchStrategy[Selector]:
    keys = st.fixed_dictionaries({}, optional=plain_keys).filter(bool)
    return st.builds(
        lambda given, rest: Selector(NOWHERE, **given, **rest), keys, st.fixed_dictionaries({}, optional=more)
    )


any_select = selectors(exclude=selectors())
waves = st.lists(any_select.map(lambda one: Wave(NOWHERE, one)), min_size=1, max_size=4).map(tuple)
INVENTORY = Inventory(devices=FLEET)
SELECTION = Selection(INVENTORY, Names({}, INVENTORY))


def waves_of_devices(policy: Policy) -> dict[str, int]:
    """The wave of each device, as it is drawn; without the one device that a percentage takes at least."""
    found = {device: len(policy.waves) + 1 for device in FLEET}
    for number, wave in reversed([*enumerate(policy.waves, 1)]):
        found.update(dict.fromkeys(SELECTION.members(wave.select, policy.salt), number))
    return found


variations: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.fixed_dictionaries({}, optional=plain_keys),
    st.fixed_dictionaries({"exclude": selectors()}),
)


@st.composite
def two_policies(draw: st.DrawFn) -> tuple[Policy, Policy]:
    """Two lists of waves, the second a variation of the first, so that it is not always looser."""
    old = draw(waves)
    new = tuple(wave._replace(select=wave.select._replace(**draw(variations))) for wave in old)
    more = draw(waves) if draw(st.booleans()) else ()
    return Policy("p", NOWHERE, old), Policy("p", NOWHERE, new + more)


@given(two_policies())
@settings(max_examples=100)
def test_waves_that_are_not_called_looser_bring_no_device_forward(policies: tuple[Policy, Policy]) -> None:
    old, new = policies
    before, after = waves_of_devices(old), waves_of_devices(new)
    if not KEYS["waves"].looser(old, new):
        event("not looser" if old.waves != new.waves else "the same")
        assert all(after[device] >= before[device] for device in FLEET)


def test_a_share_of_fewer_devices_may_bring_one_forward() -> None:
    """A share takes one device at least, and of fewer devices that may be another one."""
    one = Decimal(1)
    everywhere, york = (
        Policy("p", NOWHERE, (Wave(NOWHERE, Selector(NOWHERE, percent=one, tags=tags)),))
        for tags in (None, {"site": ("york",)})
    )
    assert KEYS["waves"].looser(everywhere, york)
    assert not KEYS["waves"].looser(york, york)


windows = st.builds(
    Window,
    st.lists(st.integers(0, 6), min_size=1, unique=True).map(lambda days: tuple(sorted(days))),
    st.sampled_from([0, 60, 61, 1380, 1439]),
    st.sampled_from([1, 59, 62, 300, 1379, 1381]),
    st.sampled_from(["UTC", "Europe/London"]),
)


def is_open(window: Window, day: int, minute: int) -> bool:
    if window.start_min < window.end_min:
        return day in window.days and window.start_min <= minute < window.end_min
    return (day in window.days and minute >= window.start_min) or (
        (day - 1) % 7 in window.days and minute < window.end_min
    )


@given(windows, windows)
def test_a_window_is_looser_if_it_is_open_at_a_time_at_which_the_other_is_not(old: Window, new: Window) -> None:
    policies = (Policy("p", NOWHERE, (), window=one) for one in (old, new))
    wider = any(
        is_open(new, day, minute) and not is_open(old, day, minute) for day in range(7) for minute in range(1440)
    )
    assert KEYS["window"].looser(*policies) == (wider or old.zone != new.zone)
