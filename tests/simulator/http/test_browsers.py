"""A web page that somebody has open can reach the simulator's port: it is not served."""

from __future__ import annotations

import httpx
import pytest

from reconciler.simulator.faults import Reset, When
from tests.simulator.wire import Api

OTHERS = [
    "evil.example",
    "evil.example:80",
    "127.0.0.1.evil.example",
    "localhost.evil.example:1",
    "10.0.0.1",
    "[::2]:1",
    "",
]


@pytest.mark.parametrize("host", OTHERS)
def test_another_host_is_refused(host: str, pumps: Api) -> None:
    """As after a name of the page's own was pointed at this machine."""
    before = pumps.rows()
    headers = {"Host": host}
    for answer in (
        pumps.raw.get(f"{pumps.root}/devices", headers=headers),
        pumps.raw.get("/_simulator/rows", headers=headers),
        pumps.raw.post("/_simulator/delete_device", json={"device": "pump-1"}, headers=headers),
        pumps.raw.post(
            f"{pumps.root}/embedded/deployments/remove",
            json={"flowId": pumps.flow("telemetry"), "deviceId": None},
            headers=headers,
        ),
    ):
        assert (answer.status_code, answer.json()["type"]) == (403, "Forbidden")
        assert "Host" in answer.json()["message"]
    assert pumps.rows() == before
    assert pumps.control.requests() == []


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:8080", "localhost", "LOCALHOST:1", "[::1]", "[::1]:8080", "127.8.9.1"]
)
def test_every_name_of_this_machine_is_served(host: str, pumps: Api) -> None:
    assert pumps.raw.get(f"{pumps.root}/devices", headers={"Host": host}).status_code == 200
    assert pumps.raw.get("/_simulator/rows", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:3000", ""])
def test_what_a_page_sends_is_refused(origin: str, pumps: Api) -> None:
    headers = {"Origin": origin}
    for answer in (
        pumps.raw.get(f"{pumps.root}/devices", headers=headers),
        pumps.raw.post("/_simulator/settle", json={}, headers=headers),
    ):
        assert answer.status_code == 403
        assert "Origin" in answer.json()["message"]


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_form_commands_nothing(kind: str | None, pumps: Api) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    answer = pumps.raw.post("/_simulator/delete_device", content='{"device": "pump-1"}', headers=headers)
    assert answer.status_code == 403
    assert "application/json" in answer.json()["message"]
    assert len(pumps.all("/devices")) == 5


def test_a_get_changes_nothing(pumps: Api) -> None:
    """An image of a page is fetched without an Origin."""
    pumps.control.switch(per_page_cap=7)
    pumps.control.fault(Reset(when=When(action="devices.get")))
    for command in ("clear_faults", "forget_requests", "settle", "change_globals", "switch?per_page_cap=1"):
        pumps.raw.get(f"/_simulator/{command}")
    answer = httpx.request("GET", f"{pumps.server.url}/_simulator/switch", json={"per_page_cap": 1})
    assert answer.json()["result"]["per_page_cap"] == 7
    assert httpx.get(f"{pumps.server.url}/_simulator/settle").status_code == 405
    assert len(pumps.control.faults()) == 1
