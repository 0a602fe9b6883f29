"""Policies: values as they are meant, and time zones wherever this runs."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from reconciler.errors import ManifestError
from reconciler.manifest.load import load_manifests
from reconciler.manifest.scalars import time_zones
from reconciler.model.rules import Budget, Gate, Policy, Rules, Window

HEAD = "apiVersion: reconciler/v1\napplication: 575ec8687ae143cd83dc4a97\n"
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
