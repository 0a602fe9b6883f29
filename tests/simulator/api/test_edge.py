"""Edge deployments: one record for each device and workflow, each taken up alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.simulator.wire import Api

EDGE = """
applications:
  - name: Plant
    flows:
      collect: {class: edge, versions: [v1, v2]}
      filter: {class: edge, versions: [v1, v2]}
      parser: {class: customNode, versions: [n1]}
      embedded: [v1]
    devices:
      - {name: gw-1, class: edgeCompute, tags: {site: leeds}, deployed: {collect: v1, filter: v1, parser: n1}}
      - {name: gw-2, class: edgeCompute, tags: {site: york}, deployed: {collect: v1}, connected: false}
      - {name: gw-3, class: edgeCompute, fails: {collect: {v2: no space}}, deployed: {collect: v1, filter: v1}}
      - {name: pump, tags: {site: leeds}, deployed: {embedded: v1}}
"""


@pytest.fixture
def plant(start: Callable[..., Api]) -> Api:
    return start(EDGE)


def records(api: Api, device: str) -> dict[str, Any]:
    items = api.get("/edge/deployments", deviceId=api.device(device))["items"]
    return {item["flowName"]: item for item in items}


def test_records_are_per_device_and_flow(plant: Api) -> None:
    found = records(plant, "gw-1")

    assert set(found) == {"collect", "filter", "parser"}
    assert found["parser"]["flowClass"] == "customNode"
    assert found["collect"]["currentEtag"] == found["collect"]["desiredEtag"]
    assert plant.get(f"/edge/deployments/{found['collect']['id']}")["flowName"] == "collect"


def test_a_release_is_taken_up_flow_by_flow(plant: Api) -> None:
    plant.release("collect", "v2", "gw-1", "gw-3", kind="edge")
    plant.release("filter", "v2", "gw-3", kind="edge")
    pending = records(plant, "gw-1")["collect"]
    assert (pending["desiredVersion"], pending["currentVersion"]) == ("v2", "v1")
    assert pending["desiredEtag"] != pending["currentEtag"]

    plant.control.settle()
    rows = plant.rows()
    assert rows["gw-1", "collect"] == ("v2", "v2")
    assert rows["gw-3", "collect"] == ("v2", "v1")
    assert rows["gw-3", "filter"] == ("v2", "v2")
    log = records(plant, "gw-3")["collect"]["logs"][0]
    assert (log["attemptedValue"], log["error"], log["changeType"]) == ("v2", "no space", "current")
    assert "newValue" not in log


def test_logs_hold_the_value_before_and_after(plant: Api) -> None:
    plant.release("collect", "v2", "gw-1", kind="edge")
    plant.control.settle()
    current, desired = records(plant, "gw-1")["collect"]["logs"]

    for log, kind in ((current, "current"), (desired, "desired")):
        assert (log["changeType"], log["previousValue"], log["newValue"]) == (kind, "v1", "v2")
        assert log["newEtag"] != log["previousEtag"]


def test_the_embedded_and_the_edge_world_do_not_mix(plant: Api) -> None:
    assert plant.get("/embedded/deployments")["totalCount"] == 1
    assert plant.get("/edge/deployments")["totalCount"] == 6
    for kind, flow, device in (("edge", "collect", "pump"), ("embedded", "embedded", "gw-1")):
        version = "v1"
        body = {"flowId": plant.flow(flow), "version": version, "deviceIds": [plant.device(device)]}
        answer = plant.post(f"/{kind}/deployments/release", body)
        assert (answer.status_code, answer.json()["message"]) == (404, "Device was not found")
    body = {"flowId": plant.flow("embedded"), "version": "v1", "deviceIds": [plant.device("gw-1")]}
    assert plant.post("/edge/deployments/release", body).json()["message"] == "Flow was not found"


def test_tags_pass_over_devices_of_another_class(plant: Api) -> None:
    plant.release("collect", "v2", kind="edge", deviceTags=[{"value": "leeds"}])

    assert ("pump", "collect") not in plant.rows()
    assert plant.rows()["gw-1", "collect"][0] == "v2"


def test_replace_and_remove(plant: Api) -> None:
    plant.replace("collect", "v1", "v2", kind="edge")
    assert {row for row, (released, _) in plant.rows().items() if released == "v2"} == {
        ("gw-1", "collect"), ("gw-2", "collect"), ("gw-3", "collect"),
    }  # fmt: skip
    plant.remove(None, "gw-1", kind="edge")
    plant.remove("filter", None, kind="edge")
    plant.control.settle()

    assert {flow: item["desiredVersion"] for flow, item in records(plant, "gw-1").items()} == dict.fromkeys(
        ("collect", "filter", "parser")
    )
    assert plant.get("/edge/deployments", filterEmpty="true")["totalCount"] == 2
    assert "desiredEtag" not in records(plant, "gw-1")["collect"]


def test_removed_records_may_vanish_instead(plant: Api) -> None:
    plant.control.switch(empty_edge_records="dropped")
    plant.remove(None, "gw-1", kind="edge")
    plant.control.settle()

    assert records(plant, "gw-1") == {}


def test_the_version_filter_looks_at_both_sides(plant: Api) -> None:
    plant.release("collect", "v2", "gw-2", kind="edge")

    def found(version: str) -> set[tuple[str, str]]:
        items = plant.get("/edge/deployments", version=version, flowId=plant.flow("collect"))["items"]
        return {(item["deviceName"], item["flowName"]) for item in items}

    assert found("v2") == {("gw-2", "collect")}
    assert found("v1") == {("gw-1", "collect"), ("gw-2", "collect"), ("gw-3", "collect")}
    plant.control.switch(version_filter="released")
    assert found("v1") == {("gw-1", "collect"), ("gw-3", "collect")}
