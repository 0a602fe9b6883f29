"""The published document is one, and holds: schemathesis finds no failure of the server and nothing undeclared.

It asks for what exists half of the time, so that answers get past "was not found". The advanced queries have their own
tests; here they have three keys and nest no deeper, which is what keeps this test short.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from jsonschema_rs import meta
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from reconciler.simulator import Server, serve
from reconciler.simulator.api.actions import ACTIONS, Action
from reconciler.simulator.http.openapi import document
from tests.simulator.conftest import PUMPS

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
SEMANTIC = {
    "deployment must select devices by deviceIds or deviceTags",
    "deployment must have a flowId or a deviceId",
}
"""Why the simulator refuses what the schema admits: its switches `empty_selector` and `remove_all`."""
LONGEST_TARGET = 60_000  # the server refuses longer ones before the simulator sees them


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve("tokens: [{text: user, scopes: [all.User]}]" + PUMPS) as running:
        yield running


@pytest.fixture(scope="module")
def api(server: Server) -> Any:
    """The published document, with little left of advanced queries."""
    published = httpx.get(f"{server.url}/openapi.json").json()
    for name, schema in published["components"]["schemas"].items():
        if name.startswith("advanced"):
            kept = {key: rule for key, rule in schema["properties"].items() if key in ("id", "name", "tags")}
            schema["properties"] = kept
    loaded = schemathesis.openapi.from_dict(published)
    loaded.config.update(base_url=server.url)
    return loaded


@pytest.fixture(scope="module")
def real(server: Server) -> dict[str, list[str]]:
    """Ids that exist, by the name of the parameter."""
    db = server.control.world.db

    def column(sql: str) -> list[str]:
        return sorted(row[0] for row in db.execute(sql))

    return {
        "applicationId": [server.application_id],
        "deviceId": column("select id from devices"),
        "flowId": column("select id from flows"),
        "embeddedDeploymentId": column("select id from records"),
        "edgeDeploymentId": ["0" * 24],
        "flowVersionId": ["v1", "a1"],
    }


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: mode.name.lower())
@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
def test_nothing_fails_and_nothing_is_undeclared(
    server: Server, api: Any, real: dict[str, list[str]], action: Action, mode: schemathesis.GenerationMode
) -> None:
    is_positive = mode is schemathesis.GenerationMode.POSITIVE
    session = requests.Session()

    @settings(
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=12 if is_positive else 5,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=api[action.path][action.method].as_strategy(generation_mode=mode), data=st.data())
    def ask(case: Any, data: st.DataObject) -> None:
        if is_positive:
            _aim(case, real, data)
        case.headers = None  # the document has none; odd ones are refused below HTTP's surface
        assume(len(case.as_transport_kwargs()["url"]) + len(str(case.query)) < LONGEST_TARGET)
        server.control.advance(300)  # the pause between exports
        answer = case.call(session=session, headers={"Authorization": "Bearer user"})
        case.validate_response(answer, checks=CHECKS)
        if is_positive and answer.status_code == 400:
            assert answer.json()["message"] in SEMANTIC

    with session:
        ask()


def _aim(case: Any, real: dict[str, list[str]], data: st.DataObject) -> None:
    """Put ids that exist where the case has any."""
    body = case.body if isinstance(case.body, dict) else {}
    for part in (case.path_parameters, case.query or {}, body):
        for name in sorted(part.keys() & real.keys()):
            if part[name] is not None and (name == "applicationId" or data.draw(st.booleans())):
                part[name] = data.draw(st.sampled_from(real[name]))
    if "deviceIds" in body and data.draw(st.booleans()):
        body["deviceIds"] = data.draw(st.lists(st.sampled_from(real["deviceId"]), min_size=1))
    if "version" in body and data.draw(st.booleans()):
        body["version"] = data.draw(st.sampled_from(["v1", "v2", "a1", None]))


def test_the_document_is_served_without_a_token(server: Server) -> None:
    answer = httpx.get(f"{server.url}/openapi.json")

    assert answer.status_code == 200
    assert answer.json() == document()


def test_every_action_is_in_the_document() -> None:
    published = document()
    found = {
        operation["operationId"]: (method.upper(), path)
        for path, operations in published["paths"].items()
        for method, operation in operations.items()
    }

    assert found == {action.name: (action.method, action.path) for action in ACTIONS}
    for schema in published["components"]["schemas"].values():
        meta.validate(schema)


@pytest.mark.parametrize("action", [one for one in ACTIONS if "sortField" in one.query], ids=lambda action: action.name)
def test_the_defaults_of_the_document_are_those_that_hold(
    server: Server, real: dict[str, list[str]], action: Action
) -> None:
    declared = {one["name"]: one.get("schema", {}) for one in _operation(action)["parameters"]}
    path = action.path.format(applicationId=server.application_id, flowId=real["flowId"][0])
    body = httpx.get(
        server.url + path, params={"version": "v1"}, headers={"Authorization": f"Bearer {server.token}"}
    ).json()

    defaults = {name: schema["default"] for name, schema in declared.items() if "default" in schema}
    assert {"sortField", "sortDirection", "page", "perPage"} <= set(defaults)
    assert {name: str(body[name]) for name in defaults if name in body} == {
        name: text for name, text in defaults.items() if name != "flowClass" or action.name == "flows.get"
    }


def _operation(action: Action) -> Any:
    return document()["paths"][action.path][action.method.lower()]


def test_a_parameter_tells_its_default_and_whether_it_is_required() -> None:
    def parameters(path: str) -> dict[str, Any]:
        operation = document()["paths"]["/applications/{applicationId}" + path]["get"]
        return {one["name"]: one for one in operation["parameters"]}

    embedded, values = parameters("/embedded/deployments"), parameters("/devices/tagValues")
    assert (embedded["perPage"]["schema"]["default"], embedded["sortField"]["schema"]["default"]) == (
        "1000",
        "lastUpdated",
    )
    assert (embedded["deviceId"]["required"], embedded["applicationId"]["required"]) == (False, True)
    assert (values["key"]["required"], values["startsWith"]["required"]) == (True, False)
    assert "tagFilter[0][key]" in parameters("/devices")
