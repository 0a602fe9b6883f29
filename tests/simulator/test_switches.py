"""Each open question of the API, answered both ways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from reconciler.simulator import ControlError
from tests.simulator.wire import Api

NOBODY = "0" * 24


def release(
    api: Api, *devices: str, flow: str = "telemetry", version: str | None = "v3", **more: Any
) -> tuple[int, str]:
    body = {"flowId": api.flow(flow), "version": version, "deviceIds": [api.device(name) for name in devices], **more}
    answer = api.post("/embedded/deployments/release", body)
    return answer.status_code, answer.json().get("message", "")


def released(api: Api, version: str = "v3") -> set[str]:
    return {device for (device, _), (wanted, _) in api.rows().items() if wanted == version}


def test_an_unknown_device_spoils_a_release_that_is_atomic(pumps: Api) -> None:
    assert release(pumps, "pump-1", NOBODY, "pump-2") == (404, "Device was not found")
    assert released(pumps) == set()


def test_an_unknown_device_stops_a_release_that_is_not(pumps: Api) -> None:
    pumps.control.switch(release="partial")
    assert release(pumps, "pump-1", NOBODY, "pump-2") == (404, "Device was not found")
    assert released(pumps) == {"pump-1"}


@pytest.mark.parametrize("stranger", [NOBODY, "gateway-1"])
def test_unknown_devices_may_be_skipped(pumps: Api, stranger: str) -> None:
    pumps.control.switch(unknown_device="skip")
    assert release(pumps, "pump-1", stranger, "pump-2")[0] == 201
    assert released(pumps) == {"pump-1", "pump-2"}


def test_deleted_devices_are_unknown(pumps: Api) -> None:
    device = pumps.device("pump-1")
    pumps.control.delete_device("pump-1")
    assert release(pumps, device)[0] == 404


def test_a_remove_may_name_an_unknown_device(pumps: Api) -> None:
    body = {"flowId": None, "deviceId": NOBODY}
    assert pumps.post("/embedded/deployments/remove", body).status_code == 404
    pumps.control.switch(unknown_device="skip")
    assert pumps.post("/embedded/deployments/remove", body).status_code == 201


@pytest.mark.parametrize("flow", [NOBODY, "other"])
def test_unknown_flows_may_be_accepted(pumps: Api, flow: str) -> None:
    assert release(pumps, "pump-1", flow=flow, version=None) == (404, "Flow was not found")
    pumps.control.switch(unknown_flow="accept", unknown_version="accept")
    assert release(pumps, "pump-1", flow=flow)[0] == 201
    assert pumps.record("pump-1")["flows"][pumps.flow(flow)]["desiredVersion"] == "v3"


def test_unknown_versions_may_be_accepted(pumps: Api) -> None:
    assert release(pumps, "pump-1", version="v9") == (404, "Flow version was not found")
    body = {"flowId": pumps.flow("telemetry"), "oldVersion": "v1", "newVersion": "v9"}
    assert pumps.post("/embedded/deployments/replace", body).status_code == 404
    pumps.control.switch(unknown_version="accept")
    assert release(pumps, "pump-1", version="v9")[0] == 201
    pumps.replace("telemetry", "v1", "v9")
    assert released(pumps, "v9") == {"pump-1", "pump-2"}


@pytest.mark.parametrize("version", ["develop", "default"])
def test_reserved_versions_may_be_accepted(pumps: Api, version: str) -> None:
    assert release(pumps, "pump-1", version=version) == (400, f"deployment.version cannot be {version}")
    body = {"flowId": pumps.flow("telemetry"), "oldVersion": "v1", "newVersion": version}
    assert pumps.post("/embedded/deployments/replace", body).status_code == 400
    pumps.control.switch(develop="accept")
    assert release(pumps, "pump-1", version=version)[0] == 201


@pytest.mark.parametrize(
    "selector", [{"deviceIds": []}, {"deviceTags": []}, {"deviceTags": [{}]}, {"deviceIds": [], "deviceTags": []}]
)
def test_a_release_that_names_nobody(pumps: Api, selector: dict[str, Any]) -> None:
    body = {"flowId": pumps.flow("telemetry"), "version": "v3", **selector}

    def send() -> int:
        return pumps.post("/embedded/deployments/release", body).status_code

    assert send() == 400
    pumps.control.switch(empty_selector="nothing")
    assert (send(), released(pumps)) == (201, set())
    pumps.control.switch(empty_selector="everything")
    assert (send(), released(pumps)) == (201, {"pump-1", "pump-2", "pump-3", "pump-4"})


def test_remove_of_nothing_in_particular(pumps: Api) -> None:
    body = {"flowId": None, "deviceId": None}
    assert pumps.post("/embedded/deployments/remove", body).status_code == 400
    pumps.control.switch(remove_all="everything")
    assert pumps.post("/embedded/deployments/remove", body).status_code == 201
    assert {wanted for wanted, _ in pumps.rows().values()} == {None}


MIXED = """
applications:
  - name: A
    flows: {f: [old, new, x], g: [old, x]}
    devices:
      - {name: both, connected: false, deployed: {f: old}}
      - {name: released, connected: false, deployed: {f: {released: old, reported: x}}}
      - {name: reported, connected: false, deployed: {f: {released: x, reported: old}}}
      - {name: removed, connected: false, deployed: {f: {reported: old}}}
      - {name: other, connected: false, deployed: {g: old, f: x}}
      - {name: unknown, connected: false, deployed: {f: x}, unknown_bundle: true}
"""


@pytest.mark.parametrize(
    ("side", "moved"),
    [
        ("released", {"both", "released"}),
        ("reported", {"both", "reported", "removed"}),
        ("either", {"both", "released", "reported", "removed"}),
        ("both", {"both"}),
    ],
)
def test_what_a_replace_compares(start: Callable[..., Api], side: str, moved: set[str]) -> None:
    api = start(MIXED)
    api.control.switch(replace_matches=side)
    api.replace("f", "old", "new")

    assert released(api, "new") == moved


def test_a_replace_may_reach_unknown_bundles(start: Callable[..., Api]) -> None:
    api = start(MIXED)
    api.control.switch(replace_unknown_bundles="reached")
    api.replace("f", "old", "new")

    assert released(api, "new") == {"both", "released", "unknown"}


@pytest.mark.parametrize(
    ("reading", "found"),
    [
        ("any_flow", {"both", "released", "reported", "removed", "other"}),
        ("same_flow", {"both", "released", "reported", "removed"}),
        ("released", {"both", "released", "other"}),
        ("reported", {"both", "reported", "removed", "other"}),
    ],
)
def test_what_the_version_filter_looks_at(start: Callable[..., Api], reading: str, found: set[str]) -> None:
    api = start(MIXED)
    api.control.switch(version_filter=reading)
    items = api.get("/embedded/deployments", version="old", flowId=api.flow("f"))["items"]

    assert {item["deviceName"] for item in items} == found


def test_empty_entries_may_be_kept(pumps: Api) -> None:
    pumps.control.switch(empty_entries="kept")
    pumps.remove(None, "pump-1")
    pumps.control.settle()

    assert pumps.record("pump-1")["flows"][pumps.flow("telemetry")] == {
        "flowName": "telemetry",
        "currentVersion": None,
        "desiredVersion": None,
    }


def test_empty_records_may_be_dropped(pumps: Api) -> None:
    pumps.control.switch(empty_records="dropped")
    pumps.remove(None, "pump-1")
    assert pumps.get("/embedded/deployments")["totalCount"] == 3

    pumps.control.settle()
    assert pumps.get("/embedded/deployments")["totalCount"] == 2


def test_a_record_with_kept_entries_is_not_empty(pumps: Api) -> None:
    pumps.control.switch(empty_records="dropped", empty_entries="kept")
    pumps.remove(None, "pump-1")
    pumps.control.settle()

    assert pumps.get("/embedded/deployments")["totalCount"] == 3


def test_the_bundle_of_no_flows(pumps: Api) -> None:
    pumps.remove(None, "pump-1")
    assert pumps.record("pump-1")["desiredBundleVersion"] == "nullVersion"

    pumps.control.switch(empty_bundle="null")
    pumps.remove(None, "pump-2")
    pumps.control.settle()
    record = pumps.record("pump-2")
    assert record["desiredBundleVersion"] is record["currentBundleVersion"] is None


def test_releasing_again_what_is_released(pumps: Api) -> None:
    before = pumps.record("pump-1")
    pumps.control.advance(1)
    release(pumps, "pump-1", version="v1")
    again = pumps.record("pump-1")
    assert len(again["logs"]) == len(before["logs"]) + 1
    assert again["lastUpdated"] > before["lastUpdated"]
    assert again["desiredBundleVersion"] == before["desiredBundleVersion"]

    pumps.control.switch(rerelease="silent")
    pumps.control.advance(1)
    release(pumps, "pump-1", version="v1")
    assert pumps.record("pump-1") == again


def test_effects_may_come_late(pumps: Api) -> None:
    pumps.control.switch(effect_delay_s=3)
    assert release(pumps, "pump-1")[0] == 201
    assert release(pumps, "pump-2", version="v9")[0] == 404
    assert released(pumps) == set()

    pumps.control.advance(3)
    assert released(pumps) == {"pump-1"}
    assert pumps.record("pump-1")["logs"][0]["date"] == "2026-03-02T09:00:03.000Z"


def test_a_late_write_that_has_become_impossible_is_passed_over(pumps: Api) -> None:
    pumps.control.switch(effect_delay_s=3)
    assert release(pumps, "pump-1")[0] == 201
    pumps.control.delete_version("telemetry", "v3")
    pumps.control.advance(10)

    assert released(pumps) == set()


def test_late_writes_and_take_ups_happen_in_the_order_of_their_times(pumps: Api) -> None:
    """Written at 0, effective at 3, taken up at 4; meanwhile the old release is taken up at 1."""
    release(pumps, "pump-1", version="v2")
    pumps.control.switch(effect_delay_s=3)
    release(pumps, "pump-1", version="v3")
    pumps.control.advance(60)

    logs = pumps.record("pump-1")["logs"]
    assert [(log["date"][17:19], log["changeType"]) for log in logs] == [
        ("04", "current"), ("03", "desired"), ("01", "current"), ("00", "desired"),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["embedded", "edge"])
def test_the_oldest_entries_of_a_log_are_dropped_for_good(start: Callable[..., Api], kind: str) -> None:
    device_class = "embedded" if kind == "embedded" else "edgeCompute"
    devices = [{"name": name, "class": device_class, "deployed": {"f": "v1"}} for name in ("d", "e")]
    flow = {"class": kind, "versions": ["v1", "v2"]}
    api = start({"take_up_s": "never", "applications": [{"name": "A", "flows": {"f": flow}, "devices": devices}]})

    def dates(device: str) -> list[str]:
        items = api.get(f"/{kind}/deployments")["items"]
        return [log["date"][14:16] for item in items if item["deviceName"] == device for log in item["logs"]]

    for _ in range(4):
        api.control.advance(60)
        api.release("f", "v2", "d", "e", kind=kind)
    assert dates("d") == dates("e") == ["04", "03", "02", "01"]
    api.control.switch(log_cap=2)
    assert dates("d") == dates("e") == ["04", "03"]
    api.control.advance(60)
    api.release("f", "v1", "d", kind=kind)
    api.control.switch(log_cap=None)
    assert (dates("d"), dates("e")) == (["05", "04"], ["04", "03"])


@pytest.mark.parametrize(
    "values",
    [
        {"release": "maybe"},
        {"log_cap": 0},
        {"per_page_cap": 0},
        {"per_page_fixed": 0},
        {"nonsense": 1},
        {"effect_delay_s": -1},
        {"take_up": "explodes"},
        {"dies_after_s": -1},
        {"sleeps": {"awake_s": 60}},
        {"sleeps": {"awake_s": 0, "asleep_s": 1}},
        {"reconnect": "shout"},
    ],
)
def test_a_switch_that_cannot_be(pumps: Api, values: dict[str, Any]) -> None:
    with pytest.raises(ControlError, match=next(iter(values))):
        pumps.control.switch(**values)
