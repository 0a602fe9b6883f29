"""A manifest that is written from live state plans empty: loaded and resolved again, it says what is released."""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from random import Random
from typing import TypeAlias, TypeVar

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.discovery import discover
from reconciler.manifest.comparing.symbolic import resolve_symbolically
from reconciler.manifest.importing.importer import Written, write_manifest
from reconciler.manifest.load import load_manifests
from reconciler.manifest.quoting import quoted
from reconciler.manifest.syntax import parse
from reconciler.model.state import Device, Entry, Kind, Live, LiveDevice
from reconciler.model.world import World
from reconciler.planner.diff import compare
from tests.builders import APPLICATION, hex_id
from tests.fakes import FakeApi

T = TypeVar("T")
FLOWS = [hex_id(n, "f") for n in range(4)]
TODAY = date(2026, 6, 15)

any_text = st.text(min_size=1, max_size=12)  # control characters and lone surrogates too
odd_text = st.one_of(
    st.sampled_from([
        "absent", "develop", "default", "null", "~", "1.10", "no", "# x", "a: b", "'", '"', "\\", "- x", " x ", "<<",
        "*a", "&a", "!t", "%x", "@x", "`x", "a\nb", "\ufeff", "\u2028", "é", "💧", "\ud800", "x" * 255, "\x01" * 255,
        "575ed18f7ae143cd83dc4aa6", "575ED18F7AE143CD83DC4AA6",
    ]),
    any_text,
)  # fmt: skip
versions = st.one_of(st.none(), st.sampled_from(["v1", "v2"]), odd_text)
entries = st.builds(Entry, versions, st.sampled_from([None, "v1"]))
flow_names = st.one_of(st.sampled_from(["telemetry", "alarms"]), odd_text, st.none())
device_names = st.one_of(st.none(), st.just("pump"), odd_text)
values = st.one_of(st.sampled_from(["a", "b"]), odd_text)
tag_maps = st.one_of(
    st.fixed_dictionaries({"site": st.sampled_from([("a",), ("b",), ("a", "b"), ("b", "a", "a")])}),
    st.dictionaries(
        st.one_of(st.sampled_from(["site", "rev"]), odd_text),
        st.lists(values, min_size=1, max_size=3).map(tuple),
        max_size=2,
    ),
)
states_of_devices = st.lists(st.dictionaries(st.sampled_from(FLOWS), entries, max_size=3), min_size=1, max_size=3)
custom_nodes = st.sets(st.sampled_from(FLOWS), max_size=1)


@st.composite
def fleets(draw: st.DrawFn) -> FakeApi:
    api = FakeApi(kind=draw(st.sampled_from(list(Kind))))
    for flow_id in FLOWS:
        api.add_flow(flow_id, draw(flow_names))
    states = draw(states_of_devices)
    tags = draw(st.lists(tag_maps, min_size=1, max_size=3))
    for number in range(draw(st.integers(0, 24))):
        device_class = draw(st.sampled_from([api.kind.device_class] * 9 + ["gateway"]))
        api.add_device(
            hex_id(number, "d"),
            draw(device_names),
            device_class=device_class,
            tags=draw(st.sampled_from(tags)),
            flows=dict(draw(st.sampled_from(states))) if draw(st.integers(0, 4)) else None,
            unmanageable=frozenset(draw(custom_nodes)) if draw(st.booleans()) else frozenset(),
        )
    for device_id in sorted(api.devices_by_id):
        if draw(st.integers(0, 7)) == 7:
            api.delete_device(device_id, record=True)
    return api


def imported(api: FakeApi, group_by: str, *, listed: bool = True) -> str:
    return written(api, group_by, listed=listed).text


def written(api: FakeApi, group_by: str, *, listed: bool = True) -> Written:
    live = asyncio.run(api.live()).live
    devices = {device.id: device for device in asyncio.run(api.devices())} if listed else None
    return write_manifest(live, devices, application=APPLICATION, kind=api.kind, group_by=group_by)


def read_back(text: str, api: FakeApi, folder: Path) -> World:
    (folder / "m.yaml").write_text(text, encoding="utf-8")
    [rules] = load_manifests([folder / "m.yaml"])
    assert not resolve_symbolically(rules).resolution.problems
    return asyncio.run(discover(rules, api, today=TODAY))


@given(fleets(), st.sampled_from(["auto", "none", "tag:site", "tag:nothing"]), st.booleans())
def test_what_is_imported_plans_empty(
    tmp_path_factory: pytest.TempPathFactory, api: FakeApi, group_by: str, listed: bool
) -> None:
    text = imported(api, group_by, listed=listed)
    world = read_back(text, api, tmp_path_factory.mktemp("import"))
    difference = compare(world.desired, world.live)
    assert difference.changes == ()
    assert not listed or world.warnings == ()  # unless a deleted device was listed as any other
    assert set(api.actions()) <= {"application", "live", "devices"}
    assert_all_is_said(api, world, text, listed=listed)


@given(odd_text)
def test_the_name_of_the_application_is_checked_by_each_plan(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    """A name that no manifest can hold is a comment, without what would end it."""
    text = write_manifest(
        Live({}), {}, application=APPLICATION._replace(name=name), kind=Kind.EMBEDDED, group_by="auto"
    ).text
    (folder := tmp_path_factory.mktemp("import")).joinpath("m.yaml").write_text(text, encoding="utf-8")
    [rules] = load_manifests([folder / "m.yaml"])
    holds = len(name) <= 255 and not any(unicodedata.category(char) in ("Cc", "Cs") for char in name)
    assert (rules.application.id, rules.application.name) == (APPLICATION.id, name if holds else None)


def assert_all_is_said(api: FakeApi, world: World, text: str, *, listed: bool) -> None:
    """Each released row of a device is in the manifest, or the head of the manifest counts it."""
    declared = {(device_id, flow_id) for device_id, flow_id, _ in world.desired.rows()}
    counted = [int(number) for number in re.findall("(?m)^# Not written: ([0-9]+) rows? ", text)]
    missing = 0
    for device in [*api.devices_by_id.values(), *api.deleted.values()]:
        gone = device.id in api.deleted or device.device_class != api.kind.device_class
        for flow_id, entry in (device.flows or {}).items():
            writable = flow_id not in device.unmanageable and is_declarable(entry.released)
            is_left_out = entry.released is not None and not (writable and not (gone and listed))
            missing += is_left_out
            if entry.released is not None and not is_left_out and not gone:
                assert (device.id, flow_id) in declared
            if is_left_out or flow_id in device.unmanageable:
                assert (device.id, flow_id) not in declared
    assert sum(counted) == missing


@given(fleets(), st.randoms())
def test_the_order_of_the_read_changes_nothing(api: FakeApi, random: Random) -> None:
    live = asyncio.run(api.live()).live
    devices = list(asyncio.run(api.devices()))
    texts = set()
    for _ in range(3):
        records = random.sample(sorted(live.devices.items()), len(live.devices))
        shuffled = Live({one: record._replace(flows=mixed(record.flows, random)) for one, record in records})
        random.shuffle(devices)
        by_id = {one.id: one._replace(tags=mixed(one.tags, random)) for one in devices}
        texts.add(write_manifest(shuffled, by_id, application=APPLICATION, kind=api.kind, group_by="auto"))
    assert len(texts) == 1


def mixed(mapping: Mapping[str, T], random: Random) -> dict[str, T]:
    return dict(random.sample(list(mapping.items()), len(mapping)))


@given(fleets())
def test_groups_leave_no_more_lines_than_entries(api: FakeApi) -> None:
    """A line is a row of an entry, or one of the three of a group: what a flow of its own would take."""
    alone, grouped = lines_of(imported(api, "none")), lines_of(imported(api, "auto"))
    assert grouped <= alone


def lines_of(text: str) -> int:
    document = yaml.safe_load(text)
    groups = document.get("groups") or {}
    excluded = sum(len(group["select"].get("exclude", {}).get("devices", ())) for group in groups.values())
    return 3 * len(groups) + excluded + sum(map(len, (document.get("devices") or {}).values()))


UNWRITABLE = {"absent", "develop", "default"}


def is_declarable(text: str | None) -> bool:
    if text is None or text in UNWRITABLE:
        return False
    return is_utf8(text) and not any(unicodedata.category(char) == "Cc" for char in text)


def is_utf8(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


def fleet(*rows: tuple[Mapping[str, tuple[str, ...]], Mapping[str, str]]) -> FakeApi:
    api = FakeApi()
    for flow_id, name in zip(FLOWS, ("telemetry", "alarms", "gps", "gps"), strict=True):
        api.add_flow(flow_id, name)
    for number, (tags, runs) in enumerate(rows):
        flows = {FLOWS["tag".index(flow)]: Entry(version, version) for flow, version in runs.items()}
        api.add_device(hex_id(number, "d"), f"pump-{number}", tags=tags, flows=flows)
    return api


LEEDS, YORK, HULL = ({"site": (site,)} for site in ("leeds", "york", "hull"))
ONE, TWO = {"t": "v1"}, {"t": "v2", "a": "v1"}
Rows: TypeAlias = list[tuple[Mapping[str, tuple[str, ...]], Mapping[str, str]]]


def test_the_version_of_most_devices_is_the_group_s_and_the_rest_are_entries(tmp_path: Path) -> None:
    api = fleet(*[(LEEDS, ONE)] * 5, *[(YORK, TWO)] * 4, *[(HULL, ONE)] * 5, (LEEDS, TWO), (YORK, {}), ({}, TWO))
    text = imported(api, "auto")
    assert (
        text
        == f"""\
# A group also manages devices that come later: what it selects then gets its versions.
# Under `devices`, 3 exceptions: other versions, or absent where a device does not run a flow.
apiVersion: reconciler/v1
application: {{id: {APPLICATION.id}, name: plant}}
kind: embedded
flows:
  alarms: {FLOWS[1]}
  telemetry: {FLOWS[0]}
groups:
  site-hull-leeds:
    select: {{tags: {{site: [hull, leeds]}}}}
    flows: {{telemetry: v1}}
  site-york:
    select: {{tags: {{site: york}}}}
    flows: {{alarms: v1, telemetry: v2}}
devices:
  {hex_id(14, "d")}: {{alarms: v1, telemetry: v2}}  # pump-14
  {hex_id(15, "d")}: {{alarms: absent, telemetry: absent}}  # pump-15
  {hex_id(16, "d")}: {{alarms: v1, telemetry: v2}}  # pump-16
"""
    )
    assert compare((world := read_back(text, api, tmp_path)).desired, world.live).changes == ()


def test_what_all_devices_run_is_one_group_beside_those_of_the_sites() -> None:
    api = fleet(*[(LEEDS, TWO)] * 9, *[(YORK, {"t": "v2"})] * 9, ({}, {"t": "v2"}))
    groups = yaml.safe_load(imported(api, "auto"))["groups"]
    assert groups == {
        "all": {"select": {"all": True}, "flows": {"telemetry": "v2"}},
        "site-leeds": {"select": {"tags": {"site": "leeds"}}, "flows": {"alarms": "v1"}},
    }


def test_a_device_with_several_values_gets_an_entry_where_they_differ(tmp_path: Path) -> None:
    both = {"site": ("leeds", "york")}
    api = fleet(*[(LEEDS, ONE)] * 5, *[(YORK, {"t": "v2"})] * 5, (both, ONE), (both, {"t": "v2"}), (both, {}))
    document = yaml.safe_load(imported(api, "auto"))
    assert set(document["groups"]) == {"site-leeds", "site-york"}
    assert [*document["devices"].values()] == [{"telemetry": "v1"}, {"telemetry": "v2"}, {"telemetry": "absent"}]
    world = read_back(imported(api, "auto"), api, tmp_path)
    assert compare(world.desired, world.live).changes == ()


FEW = [
    pytest.param([(LEEDS, ONE), (LEEDS, ONE)], 0, id="two devices are shorter than a group"),
    pytest.param([(LEEDS, ONE)] * 3, 1, id="three are as long"),
    pytest.param([({"serial": (str(n),)}, ONE if n % 2 else {}) for n in range(20)], 0, id="a tag of single devices"),
    pytest.param([(LEEDS, {"t": f"v{n}"}) for n in range(20)], 0, id="each its own version"),
    pytest.param([(LEEDS, ONE)] * 4 + [(LEEDS, {})] * 4, 0, id="half of them run nothing"),
    pytest.param([(LEEDS, ONE)] * 8 + [(LEEDS, {})] * 5, 1, id="most of them run it"),
    pytest.param([(LEEDS, ONE)] * 4 + [(LEEDS, {"t": f"v{n}"}) for n in range(2, 12)], 1, id="more than any other"),
]


@pytest.mark.parametrize(("rows", "groups"), FEW)
def test_a_group_is_made_where_it_spares_as_many_entries_as_it_has_lines(rows: Rows, groups: int) -> None:
    assert len(yaml.safe_load(imported(fleet(*rows), "auto")).get("groups", ())) == groups


def test_a_version_that_is_not_worth_a_group_is_left_to_entries() -> None:
    """The next best version of its site may share the group of another site."""
    few = [(YORK, {"t": "v3"})] * 3 + [(YORK, {"t": "v2"})] * 2 + [(YORK, {})]
    document = yaml.safe_load(imported(fleet(*[(LEEDS, {"t": "v2"})] * 9, *few, *[({}, {})] * 30), "auto"))
    assert [group["select"] for group in document["groups"].values()] == [{"tags": {"site": ["leeds", "york"]}}]
    assert [*document["devices"].values()] == [{"telemetry": "v3"}] * 3 + [{"telemetry": "absent"}]


def test_a_group_of_two_is_two_entries_also_beside_others() -> None:
    rows: Rows = [*[(LEEDS, {"t": "v2"})] * 9, *[(YORK, {"t": "v1"})] * 2, *[({}, {})] * 30]
    document = yaml.safe_load(imported(fleet(*rows), "auto"))
    assert set(document["groups"]) == {"site-leeds"}
    assert [*document["devices"].values()] == [{"telemetry": "v1"}] * 2


def test_flows_share_the_groups_of_one_key_where_two_would_do() -> None:
    """`rev` says one entry less of alarms than `site` does, which is not worth groups of its own."""
    rows: Rows = []
    for n in range(40):
        site, other = ("leeds", "york")[n % 2], ("v1", "v2")[n % 2]
        rev = "ab"[n % 2] if n not in (0, 1) else "ba"[n % 2]
        alarms = ("v1", "v2")["ab".index(rev)] if n == 0 else other
        rows.append(({"site": (site,), "rev": (rev,)}, {"t": other, "a": alarms}))
    groups = yaml.safe_load(imported(fleet(*rows), "auto"))["groups"]
    assert set(groups) == {"site-leeds", "site-york"}


def test_many_values_are_listed_one_a_line() -> None:
    sites = [({"site": (f"s{n % 12:02}",)}, ONE) for n in range(60)] + [({"site": ("other",)}, TWO)] * 70
    text = imported(fleet(*sites), "tag:site")
    listed = "".join(f"          - s{n:02}\n" for n in range(12))
    assert f"    select:\n      tags:\n        site:\n{listed}    flows: {{telemetry: v1}}\n" in text


def test_a_row_that_cannot_be_declared_is_excluded_from_its_group(tmp_path: Path) -> None:
    api = fleet(*[(LEEDS, TWO)] * 6, *[(YORK, TWO)] * 6)
    odd = hex_id(3, "d")
    api.set_entry(odd, FLOWS[0], Entry("develop", "v1"))
    found = written(api, "auto")
    document = yaml.safe_load(found.text)
    assert document["groups"] == {
        "all": {"select": {"all": True}, "flows": {"alarms": "v1"}},
        "all-1": {"select": {"all": True, "exclude": {"devices": [odd]}}, "flows": {"telemetry": "v2"}},
    }
    assert "devices" not in document
    assert f"          - {odd}  # pump-3\n" in found.text
    world = read_back(found.text, api, tmp_path)
    assert compare(world.desired, world.live).changes == ()
    assert (odd, FLOWS[0]) not in {row[:2] for row in world.desired.rows()}
    [reason] = found.not_written
    assert reason == (
        f"1 row of flow telemetry ({FLOWS[0]}), whose version a manifest cannot declare (develop): pump-3 ({odd})"
    )
    assert found.text.splitlines()[1] == f"# Not written: {reason}"


def test_a_device_with_several_values_is_excluded_from_the_groups_of_all_of_them(tmp_path: Path) -> None:
    both = {"site": ("leeds", "york")}
    api = fleet(*[(LEEDS, ONE)] * 5, *[(YORK, {"t": "v2"})] * 5, (both, ONE))
    odd = hex_id(10, "d")
    api.set_entry(odd, FLOWS[0], Entry("develop", "v1"))
    document = yaml.safe_load(imported(api, "auto"))
    assert [group["select"]["exclude"] for group in document["groups"].values()] == [{"devices": [odd]}] * 2
    world = read_back(imported(api, "auto"), api, tmp_path)
    assert compare(world.desired, world.live).changes == ()


@pytest.mark.parametrize(
    "odd_one",
    [pytest.param((LEEDS, TWO), id="another version"), pytest.param((LEEDS, {}), id="nothing released")],
)
def test_a_tag_that_is_asked_for_has_to_explain_all_its_devices(
    odd_one: tuple[Mapping[str, tuple[str, ...]], Mapping[str, str]],
) -> None:
    rows = [(LEEDS, ONE), (LEEDS, ONE), (LEEDS, ONE), odd_one, (YORK, ONE)]
    document = yaml.safe_load(imported(fleet(*rows), "tag:site"))
    assert [group["select"] for group in document["groups"].values()] == [{"tags": {"site": "york"}}]
    assert len(document["devices"]) == 3 + bool(odd_one[1])
    assert "groups" not in yaml.safe_load(imported(fleet(*rows), "none"))


def test_flows_that_share_a_name_get_aliases_of_their_own() -> None:
    api = fleet(({}, {"g": "v1"}))
    api.set_entry(hex_id(0, "d"), FLOWS[3], Entry("v1", "v1"))
    text = imported(api, "auto")
    assert f"  gps-{FLOWS[2][-6:]}: {FLOWS[2]}\n  gps-{FLOWS[3][-6:]}: {FLOWS[3]}\n" in text


def test_what_a_manifest_cannot_say_is_counted_at_the_head() -> None:
    live = Live(
        {
            hex_id(1): LiveDevice({FLOWS[0]: Entry("develop", None)}),
            hex_id(2): LiveDevice({FLOWS[0]: Entry("v1", None), FLOWS[1]: Entry("v1", None)}, "pump-2"),
            hex_id(3): LiveDevice({FLOWS[0]: Entry("v1", None)}, unmanageable=frozenset({FLOWS[0]})),
            hex_id(4): LiveDevice({FLOWS[0]: Entry(None, "v1")}),
        }
    )
    devices = {one: Device(one) for one in (hex_id(1), hex_id(3))}
    found = write_manifest(live, devices, application=APPLICATION, kind=Kind.EMBEDDED, group_by="auto")
    assert found.not_written == (
        f"2 rows of 1 deleted device, not in the list of devices any more: pump-2 ({hex_id(2)})",
        f"1 row of flow {FLOWS[0]}, whose version a manifest cannot declare (develop): {hex_id(1)}",
        "1 row of custom nodes, which go with the flows that use them",
    )
    assert found.text.splitlines()[:4] == [*(f"# Not written: {one}" for one in found.not_written), HEAD]


HEAD = "apiVersion: reconciler/v1"


def test_of_many_rows_that_are_not_written_ten_are_named() -> None:
    live = Live({hex_id(n): LiveDevice({FLOWS[0]: Entry(f"x{n % 5}\n", None)}) for n in range(1_200)})
    devices = {one: Device(one) for one in live.devices}
    [told] = write_manifest(live, devices, application=APPLICATION, kind=Kind.EMBEDDED, group_by="auto").not_written
    assert told.startswith("1,200 rows of flow ")
    assert "(x0\n, x1\n, x2\n and 2 more)" in told
    assert told.endswith(f"{hex_id(9)} and 1,190 more devices")


def test_without_groups_nothing_is_said_of_them() -> None:
    assert imported(fleet((LEEDS, ONE)), "auto").startswith(HEAD)


def test_a_large_fleet_with_exceptions_is_hardly_more_than_these() -> None:
    """The bench has a hundred thousand devices; the lines per exception are the same."""
    rows: Rows = [
        ({"site": (f"s{n % 20}",), "serial": (str(n),)}, dict.fromkeys("tag", f"v{n % 20 // 7 + (n % 100 == 99)}"))
        for n in range(10_000)
    ]
    text = imported(fleet(*rows), "auto")
    assert text.count("# pump-") == 100
    assert len(text.splitlines()) <= 110 + 15
    assert len(yaml.safe_load(text)["groups"]) == 3


@given(st.text(min_size=1, max_size=30).filter(is_utf8))
def test_quoted_text_means_itself_to_every_reader(text: str) -> None:
    line = f"- {quoted(text)}\n- {{{quoted(text)}: {quoted(text)}}}\n"
    assert yaml.safe_load(line) == [text, {text: text}]
    [found], problems = parse(line.encode(), "f")
    assert (found, problems) == ([text, {text: text}], [])


@pytest.mark.parametrize("name", ["##teamcity[message text='x']", "##vso[task.setvariable variable=x]y", "##[group]"])
def test_no_line_is_a_command_of_a_ci_system(name: str) -> None:
    """What is imported may be printed into a log."""
    api = FakeApi()
    api.add_flow(FLOWS[0], name)
    api.add_device(hex_id(1, "d"), name, flows={FLOWS[0]: Entry(name, name)})
    text = imported(api, "none")
    assert not re.search(r"##[a-z]*\[", text, re.IGNORECASE)
    assert "#?" in text


@pytest.mark.parametrize("name", ["##[group]x", "a\nprune: application", "a\u2028b", "a\x85b", "\u202eevil", "\ud800"])
def test_a_name_at_the_head_stays_on_its_line(name: str) -> None:
    api = FakeApi()
    api.add_flow(FLOWS[0], name)
    for number in range(2):
        api.add_device(hex_id(number, "d"), name, flows={FLOWS[0]: Entry("develop", None)})
    api.delete_device(hex_id(0, "d"), record=True)
    lines = imported(api, "auto").split("\n")
    assert [line.startswith("# Not written: 1 row of ") for line in lines[:3]] == [True, True, False]
    assert yaml.safe_load("\n".join(lines)) == {
        "apiVersion": "reconciler/v1",
        "application": {"id": int(APPLICATION.id), "name": "plant"},
        "kind": "embedded",
    }
    assert not re.search("##[a-z]*\\[|\u202e|\ud800", "".join(lines))
