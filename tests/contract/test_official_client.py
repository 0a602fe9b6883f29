"""Losant's own Python client, unchanged, against the simulator: every action of deployments and their neighbours.

Each answer is checked against the action's schema, and its status against those that the client documents. The client
tells the API's errors as `LosantError`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from losant_rest import Client, LosantError

from reconciler.simulator import Server, serve
from reconciler.simulator.api.actions import ACTIONS
from tests.field_tables import check_answer

FLEET = """
take_up_s: 0
tokens: [{text: user, scopes: [all.User]}]
applications:
  - name: Plant
    flows:
      telemetry: [v1, v2]
      alarms: [a1]
      collect: {class: edge, versions: [v1, v2]}
      parser: {class: customNode, versions: [n1]}
      "hook/1": {class: cloud, versions: ["1.0"]}
    devices:
      - {name: pump-1, tags: {site: leeds}, deployed: {telemetry: v1}}
      - {name: pump-2, tags: {site: york}, deployed: {telemetry: v1, alarms: a1}, connected: false}
      - {name: gateway, class: edgeCompute, tags: {site: leeds}, deployed: {collect: v1, parser: n1}}
      - {name: gateway-2, class: edgeCompute, tags: {site: york}, deployed: {collect: v1}, connected: false}
      - {name: sensor, class: peripheral, connected: null}
"""
NAMES = {
    "deviceNames": "device_names",
    "tagKeys": "tag_keys",
    "tagValues": "tag_values",
    "getByVersion": "get_by_version",
}


def declared(method: Callable[..., Any]) -> set[int]:
    """The statuses that the client's own documentation of an action names as its successes."""
    return {int(text) for text in re.findall(r"^ +\*  (2\d\d) - ", method.__doc__ or "", re.MULTILINE)}


class Plant:
    """The official client, with the application's id filled in and each answer checked."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.client = Client(server.token, server.url)
        self.called: set[str] = set()

    def call(self, action: str, **arguments: Any) -> Any:
        resource, name = action.split(".")
        part = getattr(self.client, "".join(f"_{char.lower()}" if char.isupper() else char for char in resource))
        method: Callable[..., Any] = getattr(part, NAMES.get(name, name))
        body = method(applicationId=self.server.application_id, **arguments)
        status = self.server.control.requests()[-1]["status"]
        assert status in declared(method), f"the client does not know {status} from {action}"
        check_answer(action, status, body)
        self.called.add(action)
        return body

    def fails(self, action: str, **arguments: Any) -> tuple[int, Any]:
        with pytest.raises(LosantError) as caught:
            self.call(action, **arguments)
        check_answer(action, caught.value.status, caught.value.data)
        return caught.value.status, caught.value.data

    def id_of(self, kind: str, name: str) -> str:
        listing = self.call(f"{kind}s.get", query={"name": name})
        (item,) = listing["items"]
        return str(item["id"])

    def rows(self) -> dict[tuple[str, str], tuple[str | None, str | None]]:
        return {(row["device"], row["flow"]): (row["released"], row["reported"]) for row in self.server.control.rows()}


@pytest.fixture
def plant() -> Iterator[Plant]:
    with serve(FLEET) as server:
        (status,) = declared(Client("", "").embedded_deployments.release)
        server.control.switch(write_status=str(status))
        yield Plant(server)


def test_embedded_deployments(plant: Plant) -> None:
    flow, one, two = plant.id_of("flow", "telemetry"), plant.id_of("device", "pump-1"), plant.id_of("device", "pump-2")
    release = {"flowId": flow, "version": "v2", "deviceIds": [one, two], "releaseTag": None}
    assert plant.call("embeddedDeployments.release", deployment=release) == {"success": True}

    listing = plant.call("embeddedDeployments.get", sortField="id", sortDirection="asc", page="0", perPage="1000")
    entries = {item["deviceName"]: item["flows"][flow] for item in listing["items"]}
    assert entries == {
        "pump-1": {"flowName": "telemetry", "currentVersion": "v2", "desiredVersion": "v2"},
        "pump-2": {"flowName": "telemetry", "currentVersion": "v1", "desiredVersion": "v2"},
    }
    filtered = plant.call("embeddedDeployments.get", deviceId=two, flowId=flow, version="v1")
    assert [item["deviceId"] for item in filtered["items"]] == [two]
    record = plant.call("embeddedDeployment.get", embeddedDeploymentId=filtered["items"][0]["id"])
    assert record["deviceName"] == "pump-2"

    plant.call("embeddedDeployments.replace", deployment={"flowId": flow, "oldVersion": "v2", "newVersion": "v1"})
    plant.call("embeddedDeployments.remove", deployment={"flowId": None, "deviceId": two})
    plant.call("embeddedDeployments.release", deployment={**release, "version": None, "deviceIds": [one]})
    assert plant.rows()["pump-2", "telemetry"] == (None, "v1")
    assert ("pump-1", "telemetry") not in plant.rows()


def test_an_export(plant: Plant) -> None:
    job = plant.call("embeddedDeployments.export", options={"email": "me@example.com", "traceLevel": 1})

    assert len(job["jobId"]) <= 21
    assert plant.fails("embeddedDeployments.export")[0] == 429


def test_edge_deployments(plant: Plant) -> None:
    flow, gateway = plant.id_of("flow", "collect"), plant.id_of("device", "gateway")
    release = {"flowId": flow, "version": "v2", "deviceTags": [{"key": "site", "value": "leeds"}]}
    plant.call("edgeDeployments.release", deployment=release)

    listing = plant.call("edgeDeployments.get", deviceId=gateway, flowId=flow, filterEmpty=True, sortField="flowId")
    (record,) = listing["items"]
    assert (record["currentVersion"], record["desiredVersion"]) == ("v2", "v2")
    assert plant.call("edgeDeployment.get", edgeDeploymentId=record["id"])["flowName"] == "collect"
    plant.call("edgeDeployments.replace", deployment={"flowId": flow, "oldVersion": "v2", "newVersion": "v1"})
    plant.call("edgeDeployments.remove", deployment={"flowId": flow, "deviceId": gateway})
    assert plant.rows()["gateway", "collect"] == (None, None)
    assert {item["flowClass"] for item in plant.call("edgeDeployments.get")["items"]} == {"edge", "customNode"}


@pytest.mark.parametrize(
    ("resource", "names"),
    [
        ("embeddedDeployments", ("telemetry", "pump-1", "pump-2")),
        ("edgeDeployments", ("collect", "gateway", "gateway-2")),
    ],
)
def test_every_form_of_every_write(plant: Plant, resource: str, names: tuple[str, str, str]) -> None:
    name, *devices = names
    flow, one, two = plant.id_of("flow", name), plant.id_of("device", devices[0]), plant.id_of("device", devices[1])

    def after(verb: str, **body: Any) -> list[str | None]:
        assert plant.call(f"{resource}.{verb}", deployment=body) == {"success": True}
        rows = plant.rows()
        return [rows.get((device, name), (None, None))[0] for device in devices]

    def release(version: str | None, **selector: Any) -> list[str | None]:
        return after("release", flowId=flow, version=version, **selector)

    assert release("v2", deviceIds=[one]) == ["v2", "v1"]
    assert release(None, deviceIds=[one]) == [None, "v1"]
    assert release("v2", deviceTags=[{"key": "site"}]) == ["v2", "v2"]
    assert release("v1", deviceIds=[one], deviceTags=[{"value": "york"}]) == ["v1", "v1"]
    assert after("replace", flowId=flow, oldVersion="v1", newVersion="v2") == ["v2", "v2"]
    assert after("remove", flowId=flow, deviceId=one) == [None, "v2"]
    assert after("remove", flowId=None, deviceId=two) == [None, None]
    assert release("v1", deviceIds=[one, two]) == ["v1", "v1"]
    assert after("remove", flowId=flow, deviceId=None) == [None, None]
    assert release("v1", deviceIds=[one, two]) == ["v1", "v1"]
    assert after("replace", flowId=flow, oldVersion="v1", newVersion=None) == [None, None]
    assert plant.fails(f"{resource}.remove", deployment={"flowId": None, "deviceId": None})[0] == 400


def test_devices(plant: Plant) -> None:
    embedded = plant.call("devices.get", deviceClass="embedded", sortField="id", perPage=1)
    assert (embedded["count"], embedded["totalCount"], embedded["deviceClass"]) == (1, 2, "embedded")
    several = plant.call("devices.get", deviceClass=["embedded", "edgeCompute"])
    assert [item["name"] for item in several["items"]] == ["gateway", "gateway-2", "pump-1", "pump-2"]
    tagged = plant.call("devices.get", tagFilter=[{"key": "site", "value": "york"}])
    assert [item["name"] for item in tagged["items"]] == ["gateway-2", "pump-2"]
    query = {"$and": [{"deviceClass": "embedded"}, {"tags": {"site": {"$in": ["leeds", "hull"]}}}]}
    assert [item["name"] for item in plant.call("devices.get", query=query)["items"]] == ["pump-1"]
    summary = plant.call("devices.deviceNames", query={"connectionStatus": None}, startsWith="s")
    assert [one["name"] for one in summary["deviceSummary"]] == ["sensor"]
    assert plant.call("devices.tagKeys")["tagKeys"] == ["site"]
    assert plant.call("devices.tagValues", key="site")["tagValues"] == ["leeds", "york"]
    device = plant.call("device.get", deviceId=embedded["items"][0]["id"], tagsAsObject="true")
    assert device["tags"]["site"] in ("leeds", "york")


def test_workflows_and_the_application(plant: Plant) -> None:
    assert [item["name"] for item in plant.call("flows.get")["items"]] == ["hook/1"]
    (telemetry,) = plant.call("flows.get", flowClass="embedded", filterField="name", filter="tele*")["items"]
    versions = plant.call("flowVersions.get", flowId=telemetry["id"], sortDirection="desc")["items"]
    assert [item["version"] for item in versions] == ["v2", "v1"]
    by_name = plant.call("flowVersion.get", flowId=telemetry["id"], flowVersionId="v1")
    by_id = plant.call("flowVersion.get", flowId=telemetry["id"], flowVersionId=by_name["id"])
    assert by_name == by_id
    across = plant.call("flows.getByVersion", version="v1", query={"flowClass": {"$in": ["embedded", "edge"]}})
    assert across["totalCount"] == 2
    assert plant.call("flow.get", flowId=telemetry["id"])["flowClass"] == "embedded"
    assert plant.call("application.get")["name"] == "Plant"


def test_errors(plant: Plant) -> None:
    flow, device = plant.id_of("flow", "telemetry"), plant.id_of("device", "pump-1")
    release = {"flowId": flow, "version": "v1", "deviceIds": [device]}

    assert plant.fails("embeddedDeployments.release")[1]["message"] == "deployment is required"
    assert plant.fails("embeddedDeployments.release", deployment={**release, "version": "v9"})[0] == 404
    assert plant.fails("edgeDeployments.release", deployment=release) == (
        404,
        {"type": "NotFound", "message": "Flow was not found"},
    )
    assert plant.fails("devices.get", query={"serial": 1})[1]["type"] == "Validation"
    plant.client.auth_token = None
    assert plant.fails("application.get")[0] == 403
    plant.client.auth_token = "stranger"
    assert plant.fails("application.get")[0] == 401


def test_what_the_client_asks_for_around_entities(plant: Plant) -> None:
    """It sends `_actions=false&_links=true&_embedded=true`; a Python True reads as false."""
    item = plant.call("embeddedDeployments.get")["items"][0]
    assert "_links" in item
    assert "_actions" not in item
    assert "_links" not in plant.call("embeddedDeployments.get", _links=True)
    assert "_actions" in plant.call("embeddedDeployments.get", _actions="true")


def test_every_action_of_the_simulator_is_driven_somewhere_above() -> None:
    """An action that the official client does not reach here is an action that nobody has proved."""
    source = Path(__file__).read_text(encoding="utf-8")
    missing = [action.name for action in ACTIONS if f'"{action.name}"' not in source]

    assert missing == []
