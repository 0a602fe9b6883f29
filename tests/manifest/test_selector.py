"""Every key of a selector, in every place that must know it: a key that one of them forgot would be silently wrong.

`KEYS` walks the keys from the file to the devices. A new one fails here until it is told what it means.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from jsonschema_rs import Draft202012Validator

from reconciler.manifest.comparing.symbolic import compare, resolve_symbolically
from reconciler.manifest.json_schema import manifest_schema
from reconciler.manifest.load import load_manifests
from reconciler.manifest.schema import SELECTING, SelectPart
from reconciler.model.rules import Rules, Selector
from reconciler.model.state import Device
from reconciler.planner.resolution.names import Inventory, Names
from reconciler.planner.resolution.percent import within_percent
from reconciler.planner.resolution.selector import (
    Needs,
    Selection,
    is_explicit,
    needs_of,
    selector_text,
)
from tests.builders import hex_id

FLOW = hex_id(1, "f")
FLEET = {
    hex_id(number): Device(hex_id(number), f"p{number}", "embedded", {"site": ("leeds" if number % 3 else "york",)})
    for number in range(12)
}
ALL = frozenset(FLEET)
QUERY = '{"name":"even"}'
EVEN = frozenset(hex_id(number) for number in range(0, 12, 2))
ONE, TWO = hex_id(1), hex_id(2)
HALF = Decimal(50)


class Key(NamedTuple):
    """What one key means.

    Attributes:
        written: its value in a manifest.
        value: what the rules hold, places aside.
        picks: the devices of the fleet, if it stands alone.
        needs: what it takes to know them: the name of a field of `Needs`.
        explicit: whether it names its devices outright.
        text: how it is written for people.
    """

    written: Any
    value: Any
    picks: frozenset[str]
    needs: str
    explicit: bool
    text: str


KEYS = {
    "devices": Key([ONE, TWO], (ONE, TWO), frozenset({ONE, TWO}), "", True, f"devices {ONE}, {TWO}"),
    "tags": Key(
        {"site": "leeds"},
        {"site": ("leeds",)},
        frozenset(one for one in FLEET if FLEET[one].tags["site"] == ("leeds",)),
        "listing",
        False,
        "tag site=leeds",
    ),
    "query": Key({"name": "even"}, QUERY, EVEN, "queries", False, f"query {QUERY}"),
    "all": Key(True, True, ALL, "listing", False, "all"),
    "percent": Key("50", HALF, frozenset(within_percent(ALL, HALF, "g")), "listing", False, "all, 50 percent by g"),
    "exclude": Key({"devices": [ONE]}, None, ALL - {ONE}, "listing", False, f"all, except (devices {ONE})"),
}


def test_no_key_is_unknown_here() -> None:
    assert ("place", *KEYS) == Selector._fields
    assert set(KEYS) == set(SelectPart.model_fields) == SELECTING | {"exclude"}


def select(*names: str) -> dict[str, Any]:
    """A selector as written, of some keys; an exclude alone is nothing to take away from."""
    written = {name: KEYS[name].written for name in names}
    return written if SELECTING & written.keys() else {"all": True, **written}


def loaded(written: dict[str, Any], folder: Path, version: str = "1") -> Rules:
    manifest = {
        "apiVersion": "reconciler/v1",
        "application": "5" * 24,
        "groups": {"g": {"select": written, "flows": {FLOW: version}}},
    }
    Draft202012Validator(manifest_schema()).validate(manifest)
    (folder / "a.yaml").write_text(json.dumps(manifest))
    (rules,) = load_manifests([folder])
    return rules


def picked(selector: Selector) -> frozenset[str]:
    inventory = Inventory(FLEET, queries={QUERY: EVEN})
    return frozenset(Selection(inventory, Names({}, inventory)).members(selector, "g"))


def choices() -> Iterator[tuple[str, ...]]:
    """Every set of keys."""
    return itertools.chain.from_iterable(itertools.combinations(KEYS, size) for size in range(1, len(KEYS) + 1))


@pytest.mark.parametrize("name", KEYS)
class TestKey:
    def test_is_read_from_the_file(self, name: str, tmp_path: Path) -> None:
        selector = loaded(select(name), tmp_path).groups[0].select
        unset = Selector(selector.place)._asdict()
        given = {key for key, value in selector._asdict().items() if value != unset[key]}
        assert given == {name} | ({"all"} if name == "exclude" else set())
        value = getattr(selector, name)
        match name:
            case "devices":
                value = tuple(ref.text for ref in value)
            case "exclude":
                assert isinstance(value, Selector)
                value = None
        assert value == KEYS[name].value

    def test_is_needed(self, name: str, tmp_path: Path) -> None:
        needs = needs_of(loaded(select(name), tmp_path))
        known = {field for field in Needs.__dataclass_fields__ if getattr(needs, field)}
        assert known == {KEYS[name].needs} - {""}

    def test_picks(self, name: str, tmp_path: Path) -> None:
        assert picked(loaded(select(name), tmp_path).groups[0].select) == KEYS[name].picks

    def test_is_explicit_or_not_alone_and_excluded(self, name: str, tmp_path: Path) -> None:
        assert is_explicit(loaded(select(name), tmp_path).groups[0].select) is KEYS[name].explicit
        beside = loaded(select("devices", name), tmp_path).groups[0].select
        assert is_explicit(beside) is (name not in ("tags", "query"))

    def test_is_told(self, name: str, tmp_path: Path) -> None:
        assert selector_text(loaded(select(name), tmp_path).groups[0].select, "g") == KEYS[name].text

    def test_excludes(self, name: str, tmp_path: Path) -> None:
        rules = loaded({"all": True, "exclude": select(name)}, tmp_path)
        selector = rules.groups[0].select
        assert picked(selector) == ALL - KEYS[name].picks
        assert selector_text(selector, "g") == f"all, except ({KEYS[name].text})"
        assert set(needs_of(rules).queries) == ({QUERY} if name == "query" else set())

    def test_is_a_subject_of_its_own_in_a_comparison(self, name: str, tmp_path: Path) -> None:
        rules = loaded(select(name), tmp_path)
        subjects = set(resolve_symbolically(rules).resolution.desired.devices)
        assert subjects == (KEYS[name].picks if KEYS[name].explicit else {f"<{KEYS[name].text}>"})
        other = loaded({"tags": {"other": "x"}}, tmp_path)
        assert {one.subject for one in compare([rules], [other])} == {*subjects, "<tag other=x>"}


def test_selectors_of_one_text_pick_the_same_devices(tmp_path: Path) -> None:
    """Every set of keys: were one left out of the text, two of them would share it and differ."""
    by_text: dict[str, frozenset[str]] = {}
    for names in choices():
        selector = loaded(select(*names), tmp_path).groups[0].select
        members = picked(selector)
        alone = [KEYS[name].picks for name in names if name not in ("percent", "exclude")] or [ALL]
        expected = frozenset.intersection(*alone)
        if "percent" in names:
            expected = frozenset(within_percent(expected, HALF, "g"))
        if "exclude" in names:
            expected &= KEYS["exclude"].picks
        assert members == expected
        assert by_text.setdefault(selector_text(selector, "g"), members) == members
    assert len(set(by_text.values())) > 12


def test_a_subject_is_no_pattern_for_others(tmp_path: Path) -> None:
    """`a*b` is about other devices than `a1` and `x*b`, though the text of these two fits it."""
    (tmp_path / "a.yaml").write_text(
        f"apiVersion: reconciler/v1\napplication: {'5' * 24}\ngroups:\n"
        f"  one: {{select: {{devices: ['a*b']}}, flows: {{{FLOW}: v1}}}}\n"
        f"  two: {{select: {{devices: [a1, 'x*b']}}, flows: {{{FLOW}: v2}}}}\n"
    )
    (rules,) = load_manifests([tmp_path])
    offline = resolve_symbolically(rules)
    assert offline.resolution.problems == ()
    assert offline.subjects == {"<devices a*b>", "<devices a1, x*b>"} == offline.resolution.desired.devices.keys()
