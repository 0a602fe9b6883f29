"""Lists: order, pages, filters, echoes, and what the framework puts around entities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.simulator import serve
from tests.simulator.wire import Api

MANY = "applications: [{name: A, flows: {f: [v1]}, devices: [{count: 25, name: 'd{n:02}', deployed: {f: v1}}]}]"


def test_the_defaults_of_the_embedded_list(pumps: Api) -> None:
    pumps.control.advance(10)
    pumps.release("telemetry", "v3", "pump-2")
    body = pumps.get("/embedded/deployments")

    assert {key: body[key] for key in ("perPage", "page", "sortField", "sortDirection", "totalCount", "count")} == {
        "perPage": 1000,
        "page": 0,
        "sortField": "lastUpdated",
        "sortDirection": "desc",
        "totalCount": 3,
        "count": 3,
    }
    assert body["items"][0]["deviceName"] == "pump-2"
    dates = [item["lastUpdated"] for item in body["items"]]
    assert dates == sorted(dates, reverse=True)


def test_the_defaults_of_the_edge_list(start: Callable[..., Api]) -> None:
    api = start(
        "applications: [{name: A, flows: {f: {class: edge, versions: [v1]}},"
        " devices: [{count: 3, name: 'd{n}', class: edgeCompute, deployed: {f: v1}}]}]"
    )
    body = api.get("/edge/deployments")

    assert (body["perPage"], body["sortField"], body["sortDirection"]) == (100, "id", "asc")
    ids = [item["id"] for item in body["items"]]
    assert ids == sorted(ids)


@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("field", ["id", "creationDate", "lastUpdated"])
def test_every_order_of_the_embedded_list(pumps: Api, field: str, direction: str) -> None:
    items = pumps.get("/embedded/deployments", sortField=field, sortDirection=direction)["items"]

    keys = [(item[field], item["id"]) for item in items]
    assert keys == sorted(keys, reverse=direction == "desc")


@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("field", ["deviceId", "flowId", "desiredVersion", "currentVersion"])
def test_every_order_of_the_edge_list(start: Callable[..., Api], field: str, direction: str) -> None:
    api = start(EDGE)
    items = api.get("/edge/deployments", sortField=field, sortDirection=direction)["items"]

    keys = [(item[field] or "", item["id"]) for item in items]
    assert len(keys) == 4
    assert keys == sorted(keys, reverse=direction == "desc")


EDGE = """
applications:
  - name: A
    flows: {f: {class: edge, versions: [v1, v2]}, g: {class: edge, versions: [v1, v2]}}
    devices:
      - {name: d1, class: edgeCompute, deployed: {f: v1, g: {released: v2, reported: v1}}, connected: false}
      - {name: d2, class: edgeCompute, deployed: {f: v2, g: {released: v1}}, connected: false}
"""


@pytest.fixture(scope="module")
def many() -> Any:
    with serve(MANY) as server:
        api = Api(server)
        yield api
        api.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(size=st.integers(1, 30), path=st.sampled_from(["/embedded/deployments", "/devices"]))
def test_pages_add_up_whatever_their_size(many: Api, size: int, path: str) -> None:
    whole = many.get(path, sortField="id", sortDirection="asc", perPage=1000)["items"]
    pages = many.all(path, sortField="id", sortDirection="asc", perPage=size)

    assert pages == whole
    assert len({item["id"] for item in pages}) == 25


def test_a_page_past_the_last_is_empty_and_keeps_the_total(many: Api) -> None:
    for page in (3, 10**30):
        body = many.get("/devices", page=page, perPage=10)
        assert (body["items"], body["count"], body["totalCount"]) == ([], 0, 25)


def test_no_size_is_the_default_size(many: Api) -> None:
    assert many.get("/devices", perPage=0)["perPage"] == many.get("/devices", perPage="")["perPage"] == 100
    assert many.get("/devices", perPage=10**30)["count"] == 25


def test_filters_of_the_embedded_list_are_echoed(pumps: Api) -> None:
    device, flow = pumps.device("pump-2"), pumps.flow("alarms")
    body = pumps.get("/embedded/deployments", deviceId=device, flowId=flow, version="a1")

    assert [item["deviceName"] for item in body["items"]] == ["pump-2"]
    assert (body["deviceId"], body["flowId"], body["version"]) == (device, flow, "a1")


def test_a_flow_filter_finds_devices_with_that_flow_and_shows_all_of_their_flows(pumps: Api) -> None:
    (item,) = pumps.get("/embedded/deployments", flowId=pumps.flow("alarms"))["items"]

    assert set(item["flows"]) == {pumps.flow("alarms"), pumps.flow("telemetry")}


def test_ids_are_matched_in_any_case(pumps: Api) -> None:
    device = pumps.device("pump-1").upper()

    assert pumps.get(f"/devices/{device}")["name"] == "pump-1"
    assert pumps.get("/embedded/deployments", deviceId=device)["totalCount"] == 1


def test_the_edge_list_can_leave_out_empty_records(start: Callable[..., Api]) -> None:
    api = start(EDGE)
    api.release("g", None, "d2", kind="edge")

    assert api.get("/edge/deployments")["totalCount"] == 4
    assert api.get("/edge/deployments", filterEmpty="true")["totalCount"] == 3
    assert api.get("/edge/deployments", filterEmpty="True")["totalCount"] == 4


def test_device_filters(pumps: Api) -> None:
    def names(**params: Any) -> list[str]:
        return [item["name"] for item in pumps.get("/devices", **params)["items"]]

    assert names() == ["gateway-1", "pump-1", "pump-2", "pump-3", "pump-4"]
    assert names(deviceClass="embedded", sortDirection="desc") == ["pump-4", "pump-3", "pump-2", "pump-1"]
    assert names(**{"deviceClass[0]": "gateway", "deviceClass[1]": "system"}) == ["gateway-1"]
    assert names(filterField="name", filter="PUMP-*") == ["pump-1", "pump-2", "pump-3", "pump-4"]
    assert names(filterField="name", filter="pump-?") == []
    assert names(filter="pump-1") == names(filterField="name", filter="") == names()
    assert names(**{"tagFilter[0][key]": "role"}) == ["pump-2"]
    assert names(**{"tagFilter[0][key]": "site", "tagFilter[0][value]": "leeds"}) == ["pump-1", "pump-2"]
    assert names(**{"tagFilter[0][value]": "york", "tagFilter[1][key]": "role"}) == [
        "gateway-1", "pump-2", "pump-3", "pump-4",
    ]  # fmt: skip
    pumps.control.switch(tag_filter="all")
    assert names(**{"tagFilter[0][value]": "leeds", "tagFilter[1][key]": "role"}) == ["pump-2"]


def test_a_query_overrides_the_plain_device_filters(pumps: Api) -> None:
    body = pumps.get("/devices", query='{"name": "gateway-1"}', deviceClass="embedded", filterField="name", filter="x")

    assert [item["name"] for item in body["items"]] == ["gateway-1"]


def test_devices_in_other_forms(pumps: Api) -> None:
    plain, other = (
        pumps.get(f"/devices/{pumps.device('pump-2')}", **form)
        for form in ({}, {"tagsAsObject": "true", "excludeConnectionInfo": "1", "attributesAsObject": "yes"})
    )

    assert plain["tags"] == [{"key": "site", "value": "leeds"}, {"key": "role", "value": "spare"}]
    assert plain["connectionInfo"] == {"time": "2026-03-02T09:00:00.000Z", "connected": 1}
    assert other["tags"] == {"site": "leeds", "role": "spare"}
    assert other["attributes"] == {}
    assert "connectionInfo" not in other


def test_deleted_devices_have_a_list_of_their_own_and_leave_their_record(pumps: Api) -> None:
    pumps.control.delete_device("pump-2")

    assert [item["name"] for item in pumps.get("/devices", queryDeleted="true")["items"]] == ["pump-2"]
    assert "pump-2" not in [item["name"] for item in pumps.get("/devices")["items"]]
    assert "pump-2" in [item["deviceName"] for item in pumps.get("/embedded/deployments")["items"]]


def test_a_device_that_was_never_seen(start: Callable[..., Api]) -> None:
    api = start("applications: [{name: A, devices: [{name: d, connected: null}]}]")

    assert api.get("/devices")["items"][0]["connectionInfo"] == {"connected": None}


def test_summaries(pumps: Api) -> None:
    assert [one["name"] for one in pumps.get("/devices/deviceNames", startsWith="PUMP-")["deviceSummary"]] == [
        "pump-1", "pump-2", "pump-3", "pump-4",
    ]  # fmt: skip
    assert pumps.get("/devices/tagKeys") == {"tagKeys": ["role", "site"]}
    assert pumps.get("/devices/tagValues", key="site", startsWith="y") == {"tagKey": "site", "tagValues": ["york"]}
    query = '{"name": {"$contains": "pump"}, "tags": {"role": "spare"}}'
    assert pumps.get("/devices/tagValues", key="site", query=query)["tagValues"] == ["leeds"]


def test_flows_are_cloud_flows_unless_asked_otherwise(pumps: Api) -> None:
    def names(**params: Any) -> list[str]:
        return [item["name"] for item in pumps.get("/flows", **params)["items"]]

    assert names() == ["other"]
    assert names(flowClass="embedded") == ["alarms", "telemetry"]
    assert names(query='{"name": {"$startsWith": "t"}}') == ["telemetry"]
    assert names(query='{"enabled": true}') == ["alarms", "other", "telemetry"]
    assert names(query='{"enabled": "true"}') == []
    assert names(flowClass="embedded", filterField="name", filter="a*") == ["alarms"]


def test_versions_across_flows(pumps: Api) -> None:
    body = pumps.get("/flows/version", version="v1", flowClass="embedded")

    assert [(item["flowId"], item["version"]) for item in body["items"]] == [(pumps.flow("telemetry"), "v1")]
    assert pumps.get("/flows/version", version="v1")["items"] == []
    query = f'{{"flowId": "{pumps.flow("telemetry")}"}}'
    assert pumps.get("/flows/version", version="v2", query=query)["count"] == 1


def test_versions_of_a_flow_by_id_and_by_name(pumps: Api) -> None:
    base = f"/flows/{pumps.flow('telemetry')}/versions"
    items = pumps.get(base)["items"]

    assert [item["version"] for item in items] == ["v1", "v2", "v3"]
    assert pumps.get(f"{base}/v2")["id"] == pumps.get(f"{base}/{items[1]['id']}")["id"] == items[1]["id"]
    assert [one["version"] for one in pumps.get(base, filterField="version", filter="*3")["items"]] == ["v3"]
    assert [one["version"] for one in pumps.get(base, query='{"version": {"$in": ["v1", "v9"]}}')["items"]] == ["v1"]
    assert [one["version"] for one in pumps.get(base, sortDirection="desc", perPage=1)["items"]] == ["v3"]


def test_the_cap_on_pages_is_echoed(pumps: Api) -> None:
    pumps.control.switch(per_page_cap=2)
    body = pumps.get("/embedded/deployments", perPage=1000)

    assert (body["perPage"], body["count"], body["totalCount"]) == (2, 2, 3)


@pytest.mark.parametrize(
    ("flags", "present"),
    [
        ({}, {"_actions", "_links"}),
        ({"_actions": "false", "_links": "true"}, {"_links"}),
        ({"_actions": "1", "_links": "no"}, {"_actions"}),
        ({"_actions": "yes", "_links": ""}, {"_actions", "_links"}),
        ({"_actions": "True", "_links": "TRUE", "_embedded": "true"}, set()),
    ],
)
def test_flags(pumps: Api, flags: dict[str, str], present: set[str]) -> None:
    body = pumps.get("/embedded/deployments", **flags)

    for entity, type_ in ((body, "embeddedDeployments"), (body["items"][0], "embeddedDeployment")):
        assert entity["_type"] == type_
        assert {key for key in entity if key.startswith("_")} - {"_type", "_etag"} == present


def test_links_lead_to_entities(pumps: Api) -> None:
    for path in ("/embedded/deployments", "/devices", "/flows?flowClass=embedded", ""):
        body = pumps.get(path)
        for entity in (body, *body.get("items", [])[:1]):
            assert {"self", "application"} <= set(entity["_links"])
            for link in entity["_links"].values():
                assert pumps.raw.get(link["href"]).status_code == 200


def test_actions_are_those_that_the_token_may_do(start: Callable[..., Api]) -> None:
    api = start(
        "applications: [{name: A, tokens: [{text: narrow, scopes: [embeddedDeployments.get, devices.*]}],"
        " devices: [{name: d}]}]"
    )
    narrow = Api(api.server, token="narrow")

    assert set(narrow.get("/embedded/deployments")["_actions"]) == {"get"}
    assert set(narrow.get("/devices")["_actions"]) == {"get", "deviceNames", "tagKeys", "tagValues"}
    assert set(api.get("/embedded/deployments")["_actions"]) == {"get", "release", "remove", "replace", "export"}
    narrow.close()


def test_the_root_describes_the_api_without_a_token(pumps: Api) -> None:
    body = pumps.raw.get("/", headers={"Authorization": ""}).json()

    assert body["resources"]["embeddedDeployments"]["actions"]["replace"]["method"] == "POST"
