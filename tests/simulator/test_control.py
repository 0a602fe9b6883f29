"""The control endpoint: the control surface over HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from reconciler.simulator.http.commands import COMMANDS
from tests.simulator.wire import Api


def command(api: Api, name: str, arguments: Any = None) -> httpx.Response:
    return api.raw.post(f"/_simulator/{name}", json=arguments)


def result(api: Api, name: str, **arguments: Any) -> Any:
    answer = command(api, name, arguments)
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


def test_a_session_at_a_second_terminal(pumps: Api) -> None:
    before = result(pumps, "now_ms")
    result(pumps, "set_released", device="pump-1", flow="telemetry", version="v3")
    result(pumps, "advance", seconds=1)
    result(pumps, "disconnect", device="pump-2")
    result(pumps, "connect", device="pump-3")
    result(pumps, "settle")

    rows = {(row["device"], row["flow"]): row["reported"] for row in result(pumps, "rows")}
    assert rows["pump-1", "telemetry"] == "v3"
    assert result(pumps, "now_ms") >= before + 1000
    assert result(pumps, "switch", release="partial")["release"] == "partial"
    number = result(pumps, "fault", fault={"kind": "status", "status": 503, "when": {"times": 1}})
    assert pumps.raw.get(pumps.root).status_code == 503
    assert result(pumps, "faults")[0]["fired"] == 1
    result(pumps, "clear_faults", number=number)
    assert result(pumps, "counts") == {"application.get": 1}
    assert result(pumps, "requests")[0]["status"] == 503
    result(pumps, "forget_requests")
    assert result(pumps, "requests") == []


def test_devices_and_versions_come_and_go(pumps: Api) -> None:
    (own,) = result(pumps, "add_device", device={"name": "pump-5", "tags": {"site": "hull"}})
    assert pumps.get(f"/devices/{own}")["tags"] == [{"key": "site", "value": "hull"}]
    result(pumps, "add_version", flow="telemetry", version="v4")
    pumps.release("telemetry", "v4", "pump-5")
    result(pumps, "delete_version", flow="telemetry", version="v4")
    assert pumps.send("GET", f"/flows/{pumps.flow('telemetry')}/versions/v4").status_code == 404
    result(pumps, "delete_device", device="pump-5")
    assert pumps.send("GET", f"/devices/{own}").status_code == 404


def test_a_version_is_published_again_under_its_name_and_created_anew(pumps: Api) -> None:
    path = f"/flows/{pumps.flow('telemetry')}/versions/v1"
    first = pumps.get(path)
    definition = {"triggers": [{"type": "timer"}], "nodes": [{"id": "n"}], "minimumAgentVersion": "1.2.3"}
    result(pumps, "advance", seconds=5)
    result(pumps, "republish_version", flow="telemetry", version="v1", definition=definition)
    second = pumps.get(path)
    assert {key: second[key] for key in definition} == definition
    assert first["nodes"] == second["globals"] == []
    result(pumps, "add_version", flow="telemetry", version="v1", definition={})
    assert pumps.get(path) == second
    result(pumps, "delete_version", flow="telemetry", version="v1")
    result(pumps, "add_version", flow="telemetry", version="v1")
    third = pumps.get(path)
    assert third["nodes"] == []
    assert len({one["id"] for one in (first, second, third)}) == 3
    assert first["creationDate"] < second["creationDate"]
    listed = pumps.get(f"/flows/{pumps.flow('telemetry')}/versions")["items"]
    assert [one["id"] for one in listed if one["version"] == "v1"] == [third["id"]]


@pytest.mark.parametrize(
    ("name", "arguments", "status", "words"),
    [
        ("explode", {}, 404, "no command explode"),
        ("republish_version", {"flow": "telemetry", "version": "v9", "definition": {}}, 400, "has no version v9"),
        ("__init__", {}, 404, "no command"),
        ("_present", {}, 404, "no command"),
        ("connect", {"device": "nobody"}, 400, "nobody"),
        ("connect", {}, 400, "device"),
        ("connect", {"device": "pump-1", "x": 1}, 400, "x"),
        ("advance", {"seconds": "soon"}, 400, "seconds"),
        ("advance", [], 400, "arguments: "),
        ("fault", {"fault": {"kind": "earthquake"}}, 400, "earthquake"),
        ("set_released", {"device": "gateway-1", "flow": "telemetry", "version": "v1"}, 400, "gateway"),
        ("set_reported", {"device": "pump-4", "flow": "telemetry", "version": "v1"}, 400, "never deployed"),
        ("add_device", {"device": {"name": "pump-1"}}, 400, "already"),
        ("add_device", {"device": {"name": "new", "deployed": {"telemetry": "v1"}}}, 400, "must not have deployments"),
    ],
)
def test_commands_that_cannot_be(pumps: Api, name: str, arguments: Any, status: int, words: str) -> None:
    answer = command(pumps, name, arguments)

    assert answer.status_code == status
    assert words in answer.json()["error"]


def test_it_lists_its_commands_and_needs_no_token(pumps: Api) -> None:
    url = f"{pumps.server.url}/_simulator/"

    assert httpx.get(url).json()["result"]["commands"] == list(COMMANDS)
    assert httpx.get(url + "counts").status_code == 200
    assert httpx.delete(url + "counts").status_code == 405


def test_it_leaves_no_trace_in_the_log(pumps: Api) -> None:
    result(pumps, "now_ms")

    assert pumps.control.requests() == []


def test_the_log_holds_what_was_asked_and_answered(pumps: Api) -> None:
    pumps.get("/devices", query='{"name": "pump-1"}', page=1)
    pumps.post("/embedded/deployments/remove", {"flowId": None, "deviceId": None})
    pumps.raw.get("/nowhere")
    pumps.raw.post(pumps.root + "/embedded/deployments/remove", content="{")

    log = pumps.control.requests()
    assert [(one["method"], one["action"], one["status"]) for one in log] == [
        ("GET", "devices.get", 200),
        ("POST", "embeddedDeployments.remove", 400),
        ("GET", "", 405),
        ("POST", "embeddedDeployments.remove", 400),
    ]
    assert log[0]["query"] == {"query": '{"name": "pump-1"}', "page": "1"}
    assert (log[1]["body"], log[3]["body"]) == ({"flowId": None, "deviceId": None}, "{")
    assert pumps.control.counts() == {"devices.get": 1, "embeddedDeployments.remove": 2, "": 1}
    assert pumps.server.token not in str(log)
