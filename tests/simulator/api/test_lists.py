"""Lists, beyond the conformance tables: all pages together, long summaries, where links lead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.simulator import serve
from tests.simulator.wire import Api

MANY = "applications: [{name: A, flows: {f: [v1]}, devices: [{count: 25, name: 'd{n:02}', deployed: {f: v1}}]}]"


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


def test_deleted_devices_have_a_list_of_their_own_and_leave_their_record(pumps: Api) -> None:
    pumps.control.delete_device("pump-2")

    assert [item["name"] for item in pumps.get("/devices", queryDeleted="true")["items"]] == ["pump-2"]
    assert "pump-2" not in [item["name"] for item in pumps.get("/devices")["items"]]
    assert "pump-2" in [item["deviceName"] for item in pumps.get("/embedded/deployments")["items"]]


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


def test_several_pairs_in_a_tag_filter_are_a_switch(pumps: Api) -> None:
    pairs = {"tagFilter[0][value]": "leeds", "tagFilter[1][key]": "role"}

    def names() -> list[str]:
        return [item["name"] for item in pumps.get("/devices", **pairs)["items"]]

    assert names() == ["pump-1", "pump-2"]
    pumps.control.switch(tag_filter="all")
    assert names() == ["pump-2"]


def test_summaries_end_at_a_thousand(start: Callable[..., Api]) -> None:
    devices = [
        {"count": 1001, "name": "d{n}"},
        *({"name": f"x{n}", "tags": {f"k{n}": "v", "s": f"{n}"}} for n in range(1001)),
    ]
    api = start({"applications": [{"name": "A", "devices": devices}]})

    assert len(api.get("/devices/deviceNames")["deviceSummary"]) == 1000
    assert len(api.get("/devices/tagKeys")["tagKeys"]) == 1000
    assert len(api.get("/devices/tagValues", key="s")["tagValues"]) == 1000
