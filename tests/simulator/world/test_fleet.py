"""Fleet files: short forms, ids that follow from names, and every mistake with its place."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.simulator import Fleet, FleetError, build_fleet, load_fleet, parse_fleet
from reconciler.simulator.world import fleet_file as module
from tests.simulator.conftest import PUMPS
from tests.simulator.wire import Api


def problems(text: str) -> list[str]:
    with pytest.raises(FleetError) as caught:
        parse_fleet(text, source="fleet.yaml")
    assert str(caught.value) == "\n".join(caught.value.problems)
    return list(caught.value.problems)


def test_versions_are_text() -> None:
    fleet = parse_fleet("applications: [{name: 1, flows: {f: [1.10, 012, 2026-01-15, no, 1_000, 1:30, 1e3, ~x]}}]")

    assert fleet.applications[0].name == "1"
    assert fleet.applications[0].flows[0].versions == (
        "1.10", "012", "2026-01-15", "no", "1_000", "1:30", "1e3", "~x",
    )  # fmt: skip


def test_everything_at_once() -> None:
    fleet = parse_fleet(
        """
        take_up_s: never
        tokens: [{text: me, scopes: [all.User]}]
        switches: {release: partial, per_page_cap: 100}
        faults: [{kind: latency, seconds: 0.5, when: {every: 3}}]
        applications:
          - name: Pumps
            id: 575EC8687AE143CD83DC4A97
            flows:
              - {name: telemetry, id: 575ed18f7ae143cd83dc4aa6, versions: [v1], deleted: [v0]}
              - {name: telemetry, id: 575ed18f7ae143cd83dc4aa7, class: edge, enabled: false}
            devices:
              - name: "pump-{n:03}"
                count: 2
                start: 9
                tags: {site: [leeds, york], role: pump}
                connected: null
                take_up_s: 2.5
                deployed: {575ed18f7ae143cd83dc4aa6: {released: v1, reported: v0}}
                fails: {575ed18f7ae143cd83dc4aa6: {v1: out of memory}}
                unknown_bundle: "true"
            tokens: [{text: narrow, expires: 2027-01-01T00:00:00Z}]
        """
    )
    application = fleet.applications[0]
    device = application.devices[0]
    assert application.object_id == "575ec8687ae143cd83dc4a97"
    assert list(device.named()) == ["pump-009", "pump-010"]
    assert device.tags == {"site": ("leeds", "york"), "role": ("pump",)}
    assert (device.connected, device.take_up_s, device.unknown_bundle) == (None, 2.5, True)
    assert (fleet.switches.per_page_cap, fleet.faults[0].when.every) == (100, 3)


def test_a_large_fleet_is_a_short_file(start: Any) -> None:
    api: Api = start(
        """
        applications:
          - name: Pumps
            flows: {telemetry: [v1.2.3, v1.2.4], alarms: [v2], leak: [v1], legacy: [v7]}
            devices:
              - {count: 1000, name: "leeds-{n:04}", tags: {site: leeds}, deployed: {telemetry: v1.2.3, alarms: v2}}
              - {count: 1000, name: "york-{n:04}", tags: {site: york}, deployed: {telemetry: v1.2.3, leak: v1}}
              - {count: 500, name: "hull-{n:04}", tags: {site: hull}, deployed: {legacy: v7}, connected: false}
        """
    )

    assert api.get("/embedded/deployments", perPage=1)["totalCount"] == 2500
    assert len(api.rows()) == 4500


def test_ids_follow_from_application_kind_and_name(start: Any) -> None:
    text = "applications: [{name: %s, flows: {x: [v1]}, devices: [{name: x}]}]"
    one, again, other = (start(text % name) for name in ("A", "A", "B"))

    assert one.device("x") == again.device("x") != other.device("x")
    assert one.device("x") != one.flow("x")


MISTAKES = yaml.safe_load(Path(__file__).with_name("mistakes.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", MISTAKES, ids=lambda case: case["problems"][0])
def test_mistakes(case: Any) -> None:
    assert problems(case["fleet"]) == [f"fleet.yaml:{problem}" for problem in case["problems"]]


def test_an_empty_file() -> None:
    assert problems("# nothing yet\n") == ["fleet.yaml: the file is empty; it needs at least `applications:`"]


@pytest.mark.parametrize("text", ["a: [", "a: b: c", "\t- x", "\0", "{", "a: *x"])
def test_what_is_no_yaml(text: str) -> None:
    (said,) = problems(text)

    assert said.startswith(("fleet.yaml:1:", "fleet.yaml:2:", "fleet.yaml: "))


@pytest.mark.parametrize("loader", [module._Loader, yaml.SafeLoader])
@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[" * 2_000, "1:51"),
        ("- " * 100_000, "1:101"),
        ("- " * 300, "1:101"),
        ("a: b\nc: " + "{a: " * 60 + "}" * 60, "2:200"),
        ("a" + "]" * 1_000 + ": " + "[" * 2_000, "1:1053"),
    ],
)
def test_a_file_that_is_too_deep(text: str, place: str, loader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_Loader", loader)

    assert problems(text) == [f"fleet.yaml:{place}: nested deeper than 50 levels"]


def test_two_flows_of_one_name_are_told_apart_by_id() -> None:
    flows = "flows: [{name: f, id: 00000000000000000000000a, versions: [v1]}, {name: f, versions: [v1]}]"
    text = f"applications: [{{name: A, {flows}, devices: [{{name: d, deployed: {{%s: v1}}}}]}}]"

    assert "2 flows are named" in problems(text % "f")[0]
    parse_fleet(text % "00000000000000000000000a")


def test_a_token_is_not_repeated_in_a_problem() -> None:
    said = problems("tokens: [{text: s3cret}, {text: s3cret}]\napplications: [{name: A}]")

    assert "s3cret" not in str(said)


def test_both_yaml_loaders_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = parse_fleet(PUMPS)
    monkeypatch.setattr(module, "_Loader", yaml.SafeLoader)

    assert parse_fleet(PUMPS) == fast


@given(st.text(max_size=200))
def test_any_text_is_a_fleet_or_a_fleet_error(text: str) -> None:
    with suppress(FleetError):
        assert parse_fleet(text).applications


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["applications", "name", "flows", "devices", "deployed", "tags", "versions", "id"]),
                inner,
            )
        ),
        max_leaves=20,
    )
)
def test_any_data_is_a_fleet_or_a_fleet_error(data: Any) -> None:
    for fleet in (data, {"applications": data}, {"applications": [data]}):
        with suppress(FleetError):
            assert build_fleet(fleet).applications


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="No such file"):
        load_fleet(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(FleetError, match=r"binary\.yaml"):
        load_fleet(tmp_path / "binary.yaml")


def test_a_fleet_in_python_is_checked_too(start: Any) -> None:
    fleet = Fleet.model_validate({"applications": [{"name": "A", "devices": [{"name": "d", "deployed": {"f": "v"}}]}]})

    with pytest.raises(FleetError, match="no flow"):
        start(fleet)
    api: Api = start(Fleet.model_validate({"applications": [{"name": "A", "devices": [{"name": "d"}]}]}))
    assert api.get("/devices")["totalCount"] == 1


def test_a_file_is_read_with_a_bound_and_its_problems_are_counted() -> None:
    with pytest.raises(FleetError, match="/dev/zero: larger than 64 MiB"):
        load_fleet("/dev/zero")
    told = problems("applications:\n" + "- {name: 1, nme: 1}\n" * 600)
    assert len(told) == 501
    assert told[-1] == "100 more problems are not shown"
