"""The framework's order of refusals, and its words: each row was observed with its own validator."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.simulator.wire import Api

F = "575ed18f7ae143cd83dc4aa6"
RELEASE, REPLACE, REMOVE, EXPORT = ("release", "replace", "remove", "export")


@pytest.mark.parametrize(
    ("verb", "body", "message"),
    [
        (RELEASE, None, "deployment is required"),
        (RELEASE, {"version": "v1"}, "deployment.flowId is required"),
        (RELEASE, {"flowId": F}, "deployment.version is required"),
        (RELEASE, {"flowId": F, "version": ""}, "deployment.version has less length than allowed"),
        (RELEASE, {"flowId": F, "version": 5}, "deployment.version is the wrong type"),
        (RELEASE, {"flowId": F, "version": True}, "deployment.version is the wrong type"),
        (RELEASE, {"flowId": F, "version": "x" * 256}, "deployment.version has longer length than allowed"),
        (RELEASE, {"flowId": "xyz", "version": "v1"}, "deployment.flowId pattern mismatch"),
        (RELEASE, {"flowId": F + "\n", "version": "v1"}, "deployment.flowId pattern mismatch"),
        (RELEASE, {"flowId": F, "version": "v1", "deviceIds": ["x"]}, "deployment.deviceIds.0 pattern mismatch"),
        (
            RELEASE,
            {"flowId": F, "version": "v1", "deviceIds": [F] * 1001},
            "deployment.deviceIds has more items than allowed",
        ),
        (RELEASE, {"flowId": F, "version": "v1", "deviceIds": F}, "deployment.deviceIds is the wrong type"),
        (RELEASE, {"flowId": F, "version": "v1", "dryRun": True}, "deployment has additional properties"),
        (
            RELEASE,
            {"flowId": F, "version": "v1", "deviceTags": [{"key": "k", "x": "y"}]},
            "deployment.deviceTags.0 has additional properties",
        ),
        (
            RELEASE,
            {"flowId": F, "version": "v1", "deviceTags": [{}] * 101},
            "deployment.deviceTags has more items than allowed",
        ),
        (RELEASE, [], "deployment is the wrong type"),
        (REPLACE, {"flowId": F, "newVersion": "v2"}, "deployment.oldVersion is required"),
        (REPLACE, {"flowId": F, "oldVersion": "v1"}, "deployment.newVersion is required"),
        (REPLACE, {"flowId": F, "oldVersion": None, "newVersion": "v2"}, "deployment.oldVersion is the wrong type"),
        (REMOVE, {"flowId": F}, "deployment.deviceId is required"),
        (REMOVE, {"flowId": F, "deviceId": "x"}, "deployment.deviceId pattern mismatch"),
        (EXPORT, {"stackSize": 100}, "options.stackSize is less than minimum"),
        (EXPORT, {"stackSize": 2147483649}, "options.stackSize is more than maximum"),
        (EXPORT, {"stackSize": 1600.5}, "options.stackSize is the wrong type"),
        (EXPORT, {"traceLevel": 3}, "options.traceLevel must be an enum value"),
        (EXPORT, {"traceLevel": False}, "options.traceLevel must be an enum value"),
        (EXPORT, {"email": "nobody"}, "options.email must be email format"),
        (EXPORT, {"callbackUrl": "not a url"}, "options.callbackUrl must be uri format"),
        (EXPORT, {"gzip": "yes"}, "options.gzip is the wrong type"),
    ],
)
def test_a_body_that_breaks_its_schema(pumps: Api, verb: str, body: Any, message: str) -> None:
    path = f"/embedded/deployments/{verb}"
    answer = pumps.send("POST", path) if body is None else pumps.post(path, body)

    assert answer.status_code == 400
    assert answer.json() == {"type": "Validation", "message": message}


@pytest.mark.parametrize(
    ("path", "query", "message"),
    [
        ("/embedded/deployments", "sortField=zz", "sortField must be an enum value"),
        ("/embedded/deployments", "sortField=deviceId", "sortField must be an enum value"),
        ("/embedded/deployments", "deviceId=", "deviceId pattern mismatch"),
        ("/embedded/deployments", "page=1&page=2", "page is the wrong type"),
        ("/embedded/deployments", "perPage=-1", "perPage pattern mismatch"),
        ("/devices", "query=x", "query is the wrong type"),
        ("/devices", "query=[]", "query is the wrong type"),
        ("/devices", "deviceClass=robot", "deviceClass no (or more than one) schemas match"),
        ("/devices", "tagFilter[0][key]=a%20b", "tagFilter.0.key pattern mismatch"),
        ("/devices/tagValues", "", "key is required"),
        ("/flows/version", "", "version is required"),
        ("/flows", "flowClass=robot", "flowClass must be an enum value"),
    ],
)
def test_a_query_that_breaks_its_schema(pumps: Api, path: str, query: str, message: str) -> None:
    answer = pumps.send("GET", f"{path}?{query}")

    assert (answer.status_code, answer.json()) == (400, {"type": "Validation", "message": message})


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        (RELEASE, {"flowId": F, "version": None, "deviceIds": [F]}),
        (RELEASE, {"flowId": F, "version": "v1", "deviceIds": [F], "releaseTag": None}),
        (RELEASE, {"flowId": F, "version": "v1", "deviceTags": [{"value": "leeds"}]}),
        (REPLACE, {"flowId": F, "oldVersion": "v1", "newVersion": None}),
    ],
)
def test_a_body_that_passes_its_schema_gets_as_far_as_the_unknown_flow(pumps: Api, verb: str, body: Any) -> None:
    answer = pumps.post(f"/embedded/deployments/{verb}", body)

    assert (answer.status_code, answer.json()) == (404, {"type": "NotFound", "message": "Flow was not found"})


def test_the_order_of_refusals(pumps: Api) -> None:
    """Route, body, schema, token, scope, application, action: each fault hides those after it."""
    stranger = {"Authorization": "Bearer stranger", "Content-Type": "application/json"}

    def outcome(method: str, path: str, content: str, headers: dict[str, str]) -> tuple[int, str]:
        answer = pumps.raw.request(method, path, content=content, headers=headers)
        return answer.status_code, answer.json().get("type") or answer.json()["code"]

    release = f"{pumps.root}/embedded/deployments/release"
    nowhere = f"/applications/{'0' * 24}/embedded/deployments/release"
    good = json.dumps({"flowId": F, "version": "v1", "deviceIds": [F]})
    own = {**stranger, "Authorization": pumps.raw.headers["Authorization"]}

    assert outcome("PUT", release, "{", stranger) == (405, "MethodNotAllowed")
    assert outcome("POST", release, "{", stranger) == (400, "InvalidContent")
    assert outcome("POST", release, "{}", stranger) == (400, "Validation")
    assert outcome("POST", release, good, stranger) == (401, "Unauthorized")
    assert outcome("POST", release, good, {**own, "Authorization": ""}) == (403, "Forbidden")
    assert outcome("POST", nowhere, good, own) == (404, "NotFound")
    assert outcome("POST", release, good, own) == (404, "NotFound")


def test_bodies_that_are_not_json(pumps: Api) -> None:
    path = "/embedded/deployments/release"
    as_text = pumps.send("POST", path, content='{"flowId": 1}', headers={"Content-Type": "text/plain"})
    constant = pumps.send("POST", path, content='{"version": NaN}', headers={"Content-Type": "application/json"})
    deep = pumps.send("POST", path, content="[" * 100_000, headers={"Content-Type": "application/json"})

    assert as_text.json()["message"] == "deployment is the wrong type"
    assert constant.json()["code"] == deep.json()["code"] == "InvalidContent"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_method_that_no_action_has(pumps: Api, method: str) -> None:
    answer = pumps.raw.request(method, f"{pumps.root}/embedded/deployments")

    assert answer.status_code == 405
    assert answer.json() == {"type": "MethodNotAllowed", "message": f"{method} is not allowed"}


@pytest.mark.parametrize("path", ["/nonsense", "/applications", f"/applications/{F}/embedded"])
def test_an_unknown_path_is_a_method_that_is_not_allowed(pumps: Api, path: str) -> None:
    assert pumps.raw.get(path).json() == {"type": "MethodNotAllowed", "message": "GET is not allowed"}


def test_paths_are_matched_before_they_are_decoded(start: Callable[..., Api]) -> None:
    api = start("applications: [{name: A, flows: {f: ['1/2', 'a b?#', '%41']}}]")
    versions = f"/flows/{api.flow('f')}/versions"

    for quoted, name in (("1%2F2", "1/2"), ("a%20b%3F%23", "a b?#"), ("%2541", "%41")):
        assert api.get(f"{versions}/{quoted}")["version"] == name
    assert api.send("GET", f"{versions}/1/2").status_code == 405


def test_a_path_parameter_over_100_characters_is_no_route(start: Callable[..., Api]) -> None:
    name = "x" * 101
    api = start({"applications": [{"name": "A", "flows": {"f": [name, name[:100]]}}]})
    versions = f"/flows/{api.flow('f')}/versions"

    assert api.get(f"{versions}/{name[:100]}")["version"] == name[:100]
    assert api.send("GET", f"{versions}/{name}").status_code == 405
    assert [item["version"] for item in api.get(versions)["items"]] == [name[:100], name]


def test_a_trailing_slash_and_unknown_parameters_are_ignored(pumps: Api) -> None:
    assert pumps.get("/embedded/deployments/", color="red")["totalCount"] == 3


@pytest.mark.parametrize(
    ("path", "thing"),
    [
        ("/embedded/deployments/{id}", "Embedded deployment"),
        ("/edge/deployments/{id}", "Edge deployment"),
        ("/embedded/deployments?deviceId={id}", "Device"),
        ("/devices/{id}", "Device"),
        ("/flows/{id}", "Flow"),
        ("/flows/{id}/versions", "Flow"),
        ("/flows/{id}/versions/v1", "Flow"),
    ],
)
def test_what_is_not_there(pumps: Api, path: str, thing: str) -> None:
    answer = pumps.send("GET", path.format(id="0" * 24))

    assert (answer.status_code, answer.json()) == (404, {"type": "NotFound", "message": f"{thing} was not found"})


def test_an_unknown_version_of_a_flow(pumps: Api) -> None:
    answer = pumps.send("GET", f"/flows/{pumps.flow('telemetry')}/versions/v9")

    assert (answer.status_code, answer.json()["message"]) == (404, "Flow version was not found")


def test_an_edge_list_does_not_mind_an_unknown_device(pumps: Api) -> None:
    assert pumps.get("/edge/deployments", deviceId="0" * 24)["totalCount"] == 0


def test_ids_of_another_application_are_not_found(start: Callable[..., Api]) -> None:
    api = start(
        """
        tokens: [{text: everywhere, scopes: [all.User]}]
        applications:
          - {name: A, flows: {f: [v1]}, devices: [{name: a, deployed: {f: v1}}]}
          - {name: B, flows: {g: [v1]}, devices: [{name: b, deployed: {g: v1}}]}
        """
    )
    anyone = Api(api.server, token="everywhere")
    record = api.record("a")["id"]
    other = anyone.raw.get("/applications/" + _other(api)).json()["id"]
    paths = (f"embedded/deployments/{record}", f"devices/{api.device('a')}", f"flows/{api.flow('f')}")

    assert [anyone.raw.get(f"{anyone.root}/{path}").status_code for path in paths] == [200, 200, 200]
    assert [anyone.raw.get(f"/applications/{other}/{path}").status_code for path in paths] == [404, 404, 404]
    anyone.close()


def _other(api: Api) -> str:
    row = api.control.world.db.execute("select id from applications where name = 'B'").fetchone()
    return str(row[0])
