"""A manifest that is written from live state plans empty: loaded and resolved again, it says what is released."""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.discovery import discover
from reconciler.manifest.importer import quoted, write_manifest
from reconciler.manifest.load import load_manifests
from reconciler.manifest.symbolic import resolve_symbolically
from reconciler.manifest.syntax import parse
from reconciler.model.state import Device, Entry, Kind, Live, LiveDevice
from reconciler.model.world import World
from reconciler.planner.diff import compare
from tests.builders import APPLICATION, hex_id
from tests.fakes import FakeApi

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
device_names = st.one_of(st.none(), odd_text)
tag_maps = st.dictionaries(
    st.one_of(st.sampled_from(["site", "rev"]), odd_text),
    st.lists(st.one_of(st.sampled_from(["a", "b"]), odd_text), min_size=1, max_size=2).map(tuple),
    max_size=2,
)
states_of_devices = st.lists(st.dictionaries(st.sampled_from(FLOWS), entries, max_size=3), min_size=1, max_size=3)
custom_nodes = st.sets(st.sampled_from(FLOWS), max_size=1)


@st.composite
def fleets(draw: st.DrawFn) -> FakeApi:
    api = FakeApi(kind=draw(st.sampled_from(list(Kind))))
    for flow_id in FLOWS:
        api.add_flow(flow_id, draw(flow_names))
    states = draw(states_of_devices)
    for number in range(draw(st.integers(0, 12))):
        device_class = draw(st.sampled_from([api.kind.device_class] * 9 + ["gateway"]))
        api.add_device(
            hex_id(number, "d"),
            draw(device_names),
            device_class=device_class,
            tags=draw(tag_maps),
            flows=dict(draw(st.sampled_from(states))) if draw(st.booleans()) else None,
            unmanageable=frozenset(draw(custom_nodes)),
        )
    return api


def imported(api: FakeApi, group_by: str, *, listed: bool = True) -> str:
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
    assert world.warnings == ()
    assert set(api.actions()) <= {"live", "devices"}
    assert_all_is_said(api, world, text, listed=listed)


def assert_all_is_said(api: FakeApi, world: World, text: str, *, listed: bool) -> None:
    """Each released row is in the manifest, or the manifest says why not."""
    declared = {(device_id, flow_id) for device_id, flow_id, _ in world.desired.rows()}
    for (device_id, flow_id), entry in api.rows().items():
        device = api.devices_by_id[device_id]
        if entry.released is None or flow_id in device.unmanageable:
            assert (device_id, flow_id) not in declared
        elif (device_id, flow_id) not in declared:
            assert f"# Not written: device {device_id}" in text
            gone = listed and device.device_class != api.kind.device_class
            assert gone or entry.released in UNWRITABLE or not is_writable(entry.released)


UNWRITABLE = {"absent", "develop", "default"}


def is_writable(text: str) -> bool:
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


def test_a_tag_that_explains_devices_exactly_becomes_a_group(tmp_path: Path) -> None:
    api = fleet((LEEDS, ONE), (LEEDS, ONE), (YORK, TWO), (YORK, TWO), (HULL, ONE), (HULL, ONE), ({}, TWO))
    text = imported(api, "auto")
    assert (
        text
        == f"""\
apiVersion: reconciler/v1
application: {APPLICATION.id}  # plant
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
    flows: {{telemetry: v2, alarms: v1}}
devices:
  {hex_id(6, "d")}: {{telemetry: v2, alarms: v1}}  # pump-6
"""
    )
    read_back(text, api, tmp_path)


@pytest.mark.parametrize(
    "odd_one",
    [pytest.param((LEEDS, TWO), id="another version"), pytest.param((LEEDS, {}), id="nothing released")],
)
def test_a_tag_that_explains_nearly_all_makes_no_group(
    odd_one: tuple[Mapping[str, tuple[str, ...]], Mapping[str, str]],
) -> None:
    text = imported(fleet((LEEDS, ONE), (LEEDS, ONE), (LEEDS, ONE), odd_one), "auto")
    assert "groups:" not in text
    assert text.count("# pump-") == 3 + bool(odd_one[1])


def test_auto_takes_the_tag_that_explains_most() -> None:
    both = {"site": ("leeds",), "rev": ("a",)}
    api = fleet((both, ONE), (both, ONE), ({"rev": ("a",)}, ONE), ({"site": ("york",), "rev": ("b",)}, TWO))
    assert "select: {tags: {rev: a}}" in imported(api, "auto")
    assert "site" not in imported(api, "auto")
    assert "select: {tags: {site: leeds}}" in imported(api, "tag:site")
    assert "groups" not in imported(api, "none")


def test_flows_that_share_a_name_get_aliases_of_their_own() -> None:
    api = fleet(({}, {"g": "v1"}))
    api.set_entry(hex_id(0, "d"), FLOWS[3], Entry("v1", "v1"))
    text = imported(api, "auto")
    assert f"  gps-{FLOWS[2][-6:]}: {FLOWS[2]}\n  gps-{FLOWS[3][-6:]}: {FLOWS[3]}\n" in text


def test_what_a_manifest_cannot_say_is_told() -> None:
    live = Live(
        {
            hex_id(1): LiveDevice({FLOWS[0]: Entry("develop", None)}),
            hex_id(2): LiveDevice({FLOWS[0]: Entry("v1", None)}),
        }
    )
    text = write_manifest(
        live, {hex_id(1): Device(hex_id(1))}, application=APPLICATION, kind=Kind.EMBEDDED, group_by="auto"
    )
    assert text.splitlines()[3:] == [
        f"# Not written: device {hex_id(1)}, flow {FLOWS[0]}: a manifest cannot declare that version",
        f"# Not written: device {hex_id(2)}: it has a deployment record, but is not in the device list",
    ]


def test_ten_thousand_devices_are_a_page_where_tags_explain_them() -> None:
    api = fleet(*[({"site": (f"s{n % 3}",), "serial": (str(n),)}, ONE if n % 3 else TWO) for n in range(3_000)])
    assert len(imported(api, "auto").splitlines()) < 20


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
