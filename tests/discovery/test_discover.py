"""Which requests discovery sends, and what it does without the answers that the token may not read."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Collection
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from reconciler.discovery import discover
from reconciler.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    IncompleteRead,
    ManifestError,
    PermissionDenied,
    RequestRefused,
)
from reconciler.manifest.load import load_manifests
from reconciler.model.state import Entry
from reconciler.model.world import World
from tests.builders import APPLICATION, hex_id
from tests.fakes import FakeApi

FLOW, OTHER = hex_id(1, "f"), hex_id(2, "f")
HEAD = f"apiVersion: reconciler/v1\napplication: {APPLICATION.id}\n"
TODAY = date(2026, 6, 15)


@pytest.fixture
def api() -> FakeApi:
    """Ten pumps with v1 released, odd ones in leeds; a gateway."""
    api = FakeApi()
    for number in range(10):
        tags = {"site": ("leeds" if number % 2 else "york",)}
        api.add_device(hex_id(number), f"pump-{number}", tags=tags, flows={FLOW: Entry("v1", "v1")})
    api.add_device(hex_id(90), "gw", device_class="gateway")
    api.add_flow(FLOW, "telemetry", ["v1", "v2"])
    api.add_flow(OTHER, "alarms", ["v1"])
    return api


def looked_at(api: FakeApi, manifest: str, tmp_path: Path, excluded_devices: Collection[str] = ()) -> World:
    path = tmp_path / "m.yaml"
    path.write_text(HEAD + manifest)
    [rules] = load_manifests([path])
    return asyncio.run(discover(rules, api, today=TODAY, excluded_devices=excluded_devices))


def requests(api: FakeApi) -> str:
    return " ".join(f"{action}:{count}" for action, count in sorted(Counter(api.actions()).items()))


def refused(api: FakeApi, manifest: str, tmp_path: Path, **options: Any) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        looked_at(api, manifest, tmp_path, **options)
    return [str(problem).partition("m.yaml:")[2] for problem in caught.value.problems]


# --- how many requests ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("manifest", "sent"),
    [
        (f"devices: {{{hex_id(1)}: {{{FLOW}: v1}}}}", "live:1"),
        (f"devices: {{{hex_id(1)}: {{{FLOW}: v2}}}}", "devices:1 live:1 versions:1"),
        (f"devices: {{{hex_id(1)}: {{{FLOW}: absent}}}}", "devices:1 live:1"),
        (f"devices: {{{hex_id(1)}: {{{OTHER}: absent}}}}", "live:1"),
        (f"devices: {{pump-1: {{{FLOW}: v1}}}}", "devices:1 live:1"),
        (f"devices: {{pump-1: {{{FLOW}: v2}}}}", "devices:1 live:1 versions:1"),
        (f"devices: {{{hex_id(1)}: {{telemetry: v1}}}}", "flows:1 live:1"),
        (f"groups: {{a: {{select: {{all: true}}, flows: {{{FLOW}: v1}}}}}}", "devices:1 live:1"),
        (f"groups: {{a: {{select: {{tags: {{site: leeds}}}}, flows: {{{FLOW}: v1}}}}}}", "devices:1 live:1"),
        (f"groups: {{a: {{select: {{devices: ['*']}}, flows: {{{FLOW}: v2}}}}}}", "devices:1 live:1 versions:1"),
        (f"groups: {{a: {{select: {{devices: [{hex_id(1)}]}}, flows: {{{FLOW}: v1}}}}}}", "live:1"),
        (f"groups: {{a: {{select: {{devices: [{hex_id(1)}], percent: 100}}, flows: {{{FLOW}: v1}}}}}}", "live:1"),
        (f"groups: {{a: {{select: {{query: {{name: pump-1}}}}, flows: {{{FLOW}: v1}}}}}}", "devices:1 live:1"),
    ],
)
def test_no_more_is_asked_than_the_rules_need(manifest: str, sent: str, api: FakeApi, tmp_path: Path) -> None:
    looked_at(api, manifest, tmp_path)
    assert requests(api) == sent


def test_one_listing_answers_every_question_about_devices(api: FakeApi, tmp_path: Path) -> None:
    manifest = (
        f"groups:\n  a: {{select: {{tags: {{site: leeds}}}}, flows: {{{FLOW}: v2}}}}\n"
        f"  b: {{select: {{devices: [pump-2, {hex_id(4)}, '*6']}}, flows: {{{FLOW}: v2}}}}\n"
        f"  c: {{select: {{percent: 50}}, flows: {{{OTHER}: v1}}}}\n"
        f"devices: {{pump-8: {{{FLOW}: v2}}}}\nprune: application\nprotect: [{{device: pump-3}}]\n"
    )
    looked_at(api, manifest, tmp_path)
    assert requests(api) == "devices:1 live:1 versions:2"


def test_one_query_is_asked_once(api: FakeApi, tmp_path: Path) -> None:
    group = 'select: {query: \'{"name": "pump-%d"}\'}'
    manifest = "groups:\n" + "".join(
        f"  g{n}: {{{group % (n % 2)}, flows: {{{hex_id(n, 'e')}: absent}}}}\n" for n in range(6)
    )
    looked_at(api, manifest, tmp_path)
    assert requests(api) == "devices:2 live:1"


def test_versions_are_asked_for_once_a_flow_and_only_those_that_would_be_sent(api: FakeApi, tmp_path: Path) -> None:
    api.add_flow(FLOW, "telemetry", ["v1", "v2", "v3"])
    manifest = "devices:\n" + "".join(f"  {hex_id(n)}: {{{FLOW}: v{n % 3 + 1}}}\n" for n in range(9))
    looked_at(api, manifest, tmp_path)
    [asked] = [set(details["names"]) for action, details in api.log if action == "versions"]
    assert asked == {"v2", "v3"}


def test_what_is_released_counts_and_not_what_is_reported(api: FakeApi, tmp_path: Path) -> None:
    """A pending row needs no check; one whose device already runs what is to be released does."""
    api.set_entry(hex_id(1), FLOW, Entry("v2", "v1"))
    manifest = f"devices: {{{hex_id(1)}: {{{FLOW}: %s}}}}"
    looked_at(api, manifest % "v2", tmp_path)
    assert requests(api) == "live:1"
    looked_at(api, manifest % "v1", tmp_path)
    assert requests(api) == "devices:1 live:2 versions:1"


@pytest.mark.parametrize(
    ("devices", "named", "recorded", "sent"),
    [
        pytest.param(2_500, 300, True, "devices:1 live:1", id="as many pages as look-ups, known from the records"),
        pytest.param(2_500, 300, False, "device_count:1 devices:1 live:1", id="as many pages as look-ups"),
    ],
)
def test_where_both_cost_the_same_names_are_looked_up(
    devices: int, named: int, recorded: bool, sent: str, api: FakeApi, tmp_path: Path
) -> None:
    for number in range(devices):
        api.add_device(hex_id(1000 + number), f"valve-{number}", flows={} if recorded else None)
    looked_at(api, "devices:\n" + "".join(f"  valve-{n}: {{{OTHER}: absent}}\n" for n in range(named)), tmp_path)
    assert requests(api) == sent
    assert all(details["names"] is not None for action, details in api.log if action == "devices")


@pytest.mark.parametrize(
    ("devices", "named", "sent"),
    [
        (10, 10, "devices:1 live:1"),
        (350, 200, "devices:1 live:1"),
        (350, 201, "device_count:1 devices:1 live:1"),
        (350, 300, "device_count:1 devices:1 live:1"),
    ],
)
def test_names_are_looked_up_or_listed_whichever_is_fewer(
    devices: int, named: int, sent: str, api: FakeApi, tmp_path: Path
) -> None:
    """`devices` is one call of the port; behind it 100 names, or 1000 devices of a listing, are one request."""
    for number in range(devices):
        api.add_device(hex_id(1000 + number), f"valve-{number}")
    looked_at(api, "devices:\n" + "".join(f"  valve-{n}: {{{OTHER}: absent}}\n" for n in range(named)), tmp_path)
    assert requests(api) == sent
    [asked] = [details for action, details in api.log if action == "devices"]
    assert (asked["names"] is None) == ("device_count" in sent)


def test_a_large_fleet_is_not_listed_for_a_few_names(api: FakeApi, tmp_path: Path) -> None:
    for number in range(5_000):
        api.add_device(hex_id(1000 + number), f"valve-{number}", flows={})
    looked_at(api, "devices:\n" + "".join(f"  valve-{n}: {{{OTHER}: absent}}\n" for n in range(450)), tmp_path)
    assert requests(api) == "devices:1 live:1"
    assert all(details["names"] is not None for action, details in api.log if action == "devices")


# --- what may not be asked --------------------------------------------------------------------------------------

DENIED = PermissionDenied("the token may not", status=403)


def test_ids_alone_need_nothing_but_the_deployments(api: FakeApi, tmp_path: Path) -> None:
    api.forbidden = dict.fromkeys(["devices", "device_count", "flows", "versions", "application"], DENIED)
    manifest = (
        f"groups: {{a: {{select: {{devices: [{hex_id(1)}, {hex_id(2)}], exclude: {{devices: [{hex_id(2)}]}}}}, "
        f"flows: {{t: v2}}}}}}\nflows: {{t: {FLOW}}}\ndevices: {{{hex_id(77)}: {{t: v9}}}}\n"
    )
    world = looked_at(api, manifest, tmp_path)
    assert {device_id for device_id, _, _ in world.desired.rows()} == {hex_id(1), hex_id(77)}
    assert [f"{warning.message} ({warning.hint})" for warning in world.warnings] == [
        "not verified: existence and class of 2 devices (the token needs the scope devices.get)",
        "not verified: existence of the versions that would be released (the token needs the scope flowVersions.get)",
    ]


def test_what_need_not_be_verified_is_not_warned_of(api: FakeApi, tmp_path: Path) -> None:
    api.forbidden = dict.fromkeys(["devices", "versions"], DENIED)
    assert looked_at(api, f"devices: {{{hex_id(1)}: {{{FLOW}: v1}}}}", tmp_path).warnings == ()


def test_a_name_that_may_not_be_verified_is_a_warning(api: FakeApi, tmp_path: Path) -> None:
    api.forbidden = {"application": DENIED}
    path = tmp_path / "m.yaml"
    path.write_text(HEAD.replace(APPLICATION.id, f"{{id: {APPLICATION.id}, name: plant}}"))
    [rules] = load_manifests([path])
    world = asyncio.run(discover(rules, api, today=TODAY))
    [warning] = world.warnings
    assert warning.message == f'not verified: name of application {APPLICATION.id}, "plant" here'
    assert world.application.name is None


def test_another_application_is_refused_before_anything_is_read(api: FakeApi, tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(HEAD.replace(APPLICATION.id, f"{{id: {APPLICATION.id}, name: plant staging}}"))
    [rules] = load_manifests([path])
    with pytest.raises(ManifestError, match='is named "plant", not "plant staging"'):
        asyncio.run(discover(rules, api, today=TODAY))
    assert requests(api) == "application:1"


@pytest.mark.parametrize(
    ("manifest", "forbidden", "words"),
    [
        (f"devices: {{pump-1: {{{FLOW}: v1}}}}", "devices", "scope devices.get"),
        (f"groups: {{a: {{select: {{all: true}}, flows: {{{FLOW}: v1}}}}}}", "devices", "scope devices.get"),
        (f"groups: {{a: {{select: {{query: {{name: a}}}}, flows: {{{FLOW}: v1}}}}}}", "devices", "scope devices.get"),
        (f"devices: {{{hex_id(1)}: {{telemetry: v1}}}}", "flows", "scope flows.get"),
    ],
)
def test_names_that_may_not_be_resolved_are_an_error(
    manifest: str, forbidden: str, words: str, api: FakeApi, tmp_path: Path
) -> None:
    api.forbidden = {forbidden: DENIED}
    with pytest.raises(PermissionDenied, match=words):
        looked_at(api, manifest, tmp_path)


@pytest.mark.parametrize("action", ["live", "devices", "flows", "versions"])
@pytest.mark.parametrize("error", [ConnectionFailed("reset"), IncompleteRead("page 2"), AuthenticationFailed("no")])
def test_a_read_that_fails_is_an_error_as_itself(action: str, error: Exception, api: FakeApi, tmp_path: Path) -> None:
    api.forbidden = {action: error}
    with pytest.raises(type(error)) as caught:
        looked_at(api, f"groups: {{a: {{select: {{all: true}}, flows: {{telemetry: v2, {OTHER}: v1}}}}}}", tmp_path)
    assert caught.value is error


def test_a_hint_that_may_not_be_looked_up_is_left_out(api: FakeApi, tmp_path: Path) -> None:
    """The list of versions is only there for the nearest name."""
    api.fail("versions", DENIED, skip=1)
    [problem] = refused(api, f"devices: {{{hex_id(1)}: {{{FLOW}: v3}}}}", tmp_path)
    assert problem == '3:38: flow "telemetry" has no version v3 (create it in Losant, or check the spelling)'


# --- what is checked --------------------------------------------------------------------------------------------


def test_devices_that_do_not_exist_are_told_even_where_nothing_would_change(api: FakeApi, tmp_path: Path) -> None:
    found = refused(
        api, f"devices:\n  {hex_id(77)}: {{{FLOW}: absent}}\n  {hex_id(90)}: {{{FLOW}: absent}}\n", tmp_path
    )
    assert [problem.partition(" (check")[0].partition(" (embedded")[0] for problem in found] == [
        f"4:3: device {hex_id(77)} does not exist in application {APPLICATION.id}",
        f'5:3: device {hex_id(90)} ("gw") is of class gateway',
    ]


def test_a_device_that_is_gone_but_has_a_record_is_told_when_it_would_change(api: FakeApi, tmp_path: Path) -> None:
    api.devices_by_id[hex_id(3)].device_class = "deleted"
    looked_at(api, f"devices: {{{hex_id(3)}: {{{FLOW}: v1}}}}", tmp_path)
    [problem] = refused(api, f"devices: {{{hex_id(3)}: {{{FLOW}: v2}}}}", tmp_path)
    assert problem.startswith(f"3:11: device {hex_id(3)} ")


def test_every_version_and_flow_that_is_missing_is_told_at_its_first_place(api: FakeApi, tmp_path: Path) -> None:
    manifest = (
        f"flows: {{t: {FLOW}}}\ndevices:\n  {hex_id(1)}: {{t: v3, {hex_id(9, 'f')}: v1}}\n"
        f"  {hex_id(2)}: {{t: v3, {OTHER}: v2}}\n"
    )
    found = [problem.partition(" (")[0] for problem in refused(api, manifest, tmp_path)]
    assert found == [
        '5:30: flow "t" has no version v3',
        f"5:37: flow {hex_id(9, 'f')} does not exist in application {APPLICATION.id}",
        f"6:37: flow {OTHER} has no version v2",
    ]


def test_a_flow_of_another_kind_is_told_where_flows_are_listed_anyway(api: FakeApi, tmp_path: Path) -> None:
    """It has versions, so asking for those would not find it out."""
    cloud = hex_id(9, "f")
    api.versions_of[cloud] = {"v1"}
    manifest = f"devices:\n  {hex_id(1)}: {{telemetry: v1, {cloud}: v1}}\n"
    assert refused(api, manifest, tmp_path) == [
        f"4:45: flow {cloud} is not an embedded flow of application {APPLICATION.id} (check the id)"
    ]


def test_excluded_devices_are_not_checked_and_may_be_unknown(api: FakeApi, tmp_path: Path) -> None:
    manifest = (
        f"devices:\n  nobody: {{{FLOW}: v1}}\n  {hex_id(77)}: {{{FLOW}: v1}}\n  pump-1: {{{FLOW}: v9}}\n"
        f"  pump-2: {{{FLOW}: v2}}\n"
    )
    world = looked_at(api, manifest, tmp_path, excluded_devices=["nobody", hex_id(77).upper(), "pump-1"])
    assert world.excluded_devices == {"nobody"}
    assert {device_id for device_id, _, _ in world.desired.rows()} == {hex_id(1), hex_id(2), hex_id(77)}
    assert len(refused(api, manifest, tmp_path)) == 1


def test_a_missing_version_is_told_where_it_stands_first_in_the_files(api: FakeApi, tmp_path: Path) -> None:
    manifest = f"devices:\n  {hex_id(9)}: {{{FLOW}: v3}}\n  {hex_id(1)}: {{{FLOW}: v3}}\n"
    [problem] = refused(api, manifest, tmp_path)
    assert problem.startswith("4:30: ")


@pytest.mark.parametrize("group", ["", f"groups: {{all: {{select: {{all: true}}, flows: {{{OTHER}: absent}}}}}}\n"])
def test_devices_are_excluded_by_name_though_the_manifest_has_their_ids(
    group: str, api: FakeApi, tmp_path: Path
) -> None:
    """The name is known from a deployment record, or from the device list."""
    manifest = f"{group}devices: {{{hex_id(1)}: {{{FLOW}: v9}}}}\n"
    assert len(refused(api, manifest, tmp_path)) == 1
    assert looked_at(api, manifest, tmp_path, excluded_devices=["pump-1"]).excluded_devices == frozenset()
    if group:
        api.devices_by_id[hex_id(1)].flows = None
        looked_at(api, manifest, tmp_path, excluded_devices=["pump-1"])


def test_prune_asks_which_devices_still_exist(api: FakeApi, tmp_path: Path) -> None:
    api.devices_by_id[hex_id(3)].device_class = "deleted"
    world = looked_at(api, f"prune: flows\ndevices: {{{hex_id(1)}: {{{FLOW}: v1}}}}", tmp_path)
    pruned = {device_id for device_id, _, decision in world.desired.rows() if decision.rule == "prune"}
    assert pruned == {hex_id(n) for n in range(10)} - {hex_id(1), hex_id(3)}
    assert requests(api) == "devices:1 live:1"


def test_prune_goes_on_with_a_warning_where_devices_may_not_be_read(api: FakeApi, tmp_path: Path) -> None:
    api.forbidden = {"devices": DENIED}
    world = looked_at(api, f"prune: application\ndevices: {{{hex_id(1)}: {{{FLOW}: v1}}}}", tmp_path)
    assert sum(decision.rule == "prune" for _, _, decision in world.desired.rows()) == 9
    assert [warning.message for warning in world.warnings] == [
        "not verified: existence and class of 9 devices",
        "not verified: existence of 9 devices with undeclared rows",
    ]


# --- what comes out ---------------------------------------------------------------------------------------------


def test_names_come_along_for_people_to_read(api: FakeApi, tmp_path: Path) -> None:
    world = looked_at(api, f"flows: {{t: {FLOW}}}\ndevices: {{pump-1: {{t: v1}}}}", tmp_path)
    assert world.device_names[hex_id(1)] == "pump-1"
    assert world.flow_names == {FLOW: "telemetry"}
    assert world.aliases == {"t": FLOW}
    assert world.application.id == APPLICATION.id


def test_the_world_does_not_depend_on_the_order_of_answers(api: FakeApi, tmp_path: Path) -> None:
    manifest = (
        f"groups:\n  a: {{select: {{percent: 50}}, flows: {{{FLOW}: v2}}}}\n"
        f"  b: {{select: {{tags: {{site: nowhere}}}}, flows: {{{FLOW}: v2}}}}\n"
        f"pins: [{{device: pump-1, flows: {{{FLOW}: v1}}, reason: x, until: 2020-01-01}}]\n"
    )
    first = looked_at(api, manifest, tmp_path)
    items = list(api.devices_by_id.items())
    random.Random(1).shuffle(items)
    api.devices_by_id = dict(items)
    second = looked_at(api, manifest, tmp_path)
    assert list(first.desired.rows()) == list(second.desired.rows())
    assert first.warnings == second.warnings
    assert list(first.empty_groups) == list(second.empty_groups)
    assert (len(first.warnings), len(first.empty_groups)) == (1, 1)


def test_a_query_that_the_api_does_not_take_is_told_at_its_place(api: FakeApi, tmp_path: Path) -> None:
    api.fail("devices", RequestRefused("HTTP 400, no such key", status=400))
    with pytest.raises(ManifestError) as caught:
        looked_at(api, f"groups:\n  a:\n    select: {{query: {{bad: x}}}}\n    flows: {{{FLOW}: v1}}\n", tmp_path)
    (problem,) = caught.value.problems
    assert (problem.line, "rejects this query: HTTP 400, no such key" in problem.message) == (5, True)
