"""Fleets with a past: the logs and dates that a fleet file asks for are those that a life in the simulator leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from reconciler.simulator import Clock
from tests.simulator.conftest import START
from tests.simulator.wire import Api
from tests.simulator.world.test_outcomes import KINDS

DAY_S = 86_400


def begin(start: Callable[..., Api], kind: str, device: dict[str, Any], *, at: Clock, **more: Any) -> Api:
    device_class = "embedded" if kind == "embedded" else "edgeCompute"
    application = {
        "name": "A",
        "flows": {"telemetry": {"class": kind, "versions": ["v1", "v2"]}},
        "devices": [{"name": "pump", "class": device_class, **device}],
    }
    return start({"applications": [application], **more}, clock=at)


def told(api: Api, kind: str) -> dict[str, Any]:
    """The record, without who it was that released."""
    (found,) = api.get(f"/{kind}/deployments")["items"]
    for log in found["logs"]:
        if log["sourceType"] != "device":
            del log["sourceType"], log["sourceId"]
    return {key: value for key, value in found.items() if key != "_etag"}


@KINDS
def test_a_past_is_what_a_life_would_have_left(start: Callable[..., Api], kind: str) -> None:
    lived = begin(start, kind, {}, at=Clock(frozen_at=START))
    lived.release("telemetry", "v1", "pump", kind=kind)
    lived.control.advance(hours=24)
    deployed = {"deployed": {"telemetry": "v1"}}
    at = Clock(frozen_at=START)
    at.set(at.now_ms() + DAY_S * 1000, 0)
    given = begin(start, kind, deployed, at=at, deployed_for_s=DAY_S)

    assert told(given, kind) == told(lived, kind)
    lived.release("telemetry", "v2", "pump", kind=kind)
    pending = {"deployed": {"telemetry": {"released": "v2", "reported": "v1"}}, "deployed_for_s": DAY_S}
    given = begin(start, kind, pending, at=at)
    assert told(given, kind) == told(lived, kind)
    for api in (given, lived):
        api.control.advance(60)
    assert told(given, kind) == told(lived, kind)
    assert len(told(given, kind)["logs"]) == 4


@KINDS
@pytest.mark.parametrize("device", [{"connected": False}, {"connected": None}, {"deployed_for_s": 60}])
def test_who_is_away_was_there_until_now(start: Callable[..., Api], kind: str, device: dict[str, Any]) -> None:
    at, past = Clock(frozen_at=START), {"deployed": {"telemetry": "v1"}}
    found = told(begin(start, kind, {**past, **device}, at=at, deployed_for_s=DAY_S), kind)

    days = {None: "2026-03-01T09:00", 60: "2026-03-02T08:59"}
    assert found["creationDate"].startswith(days[device.get("deployed_for_s")])
    assert (
        found["deviceConnectionInfo"]
        == {
            False: {"time": "2026-03-02T09:00:00.000Z", "connected": 0},
            None: {"connected": None},
            True: {"time": "2026-03-02T08:59:00.000Z", "connected": 1},
        }[device.get("connected", True)]
    )


def test_an_unknown_bundle_came_after_the_known_one(start: Callable[..., Api]) -> None:
    device = {"deployed": {"telemetry": "v1"}, "unknown_bundle": "strange"}
    found = told(begin(start, "embedded", device, at=Clock(frozen_at=START), deployed_for_s=DAY_S), "embedded")

    assert [log.get("updateType") for log in found["logs"]] == ["unknownBundle", "device", "newFlow"]
    assert found["logs"][0]["newBundle"] == found["currentBundleVersion"] == "strange"
    assert found["logs"][0]["date"] == found["lastUpdated"] == "2026-03-02T09:00:00.000Z"


@KINDS
def test_without_one_nothing_is_known_of_the_past(start: Callable[..., Api], kind: str) -> None:
    found = told(begin(start, kind, {"deployed": {"telemetry": "v1"}}, at=Clock(frozen_at=START)), kind)

    assert found["logs"] == []
    assert found["creationDate"] == found["lastUpdated"] == "2026-03-02T09:00:00.000Z"


def test_of_several_flows_one_was_released_after_the_other(start: Callable[..., Api]) -> None:
    """Each entry names the bundle of what was released by then, as if lived; no two have the same date."""

    def fleet(**deployed: Any) -> dict[str, Any]:
        flows = {"alarms": ["a1"], "telemetry": ["v1"]}
        return {"applications": [{"name": "A", "flows": flows, "devices": [{"name": "pump", **deployed}]}]}

    def bundles(api: Api) -> list[str]:
        (found,) = api.get("/embedded/deployments")["items"]
        released = [log for log in found["logs"] if log["changeType"] == "desired"]
        assert len({log["date"] for log in released}) == 2
        return [log["newBundle"] for log in released]

    given = start({**fleet(deployed={"alarms": "a1", "telemetry": "v1"}), "deployed_for_s": DAY_S})
    order = [log["updateFlowId"] for log in given.get("/embedded/deployments")["items"][0]["logs"][:0:-1]]
    names = {given.flow(name): name for name in ("alarms", "telemetry")}
    lived = start(fleet(), clock=Clock(frozen_at=START))
    for flow_id in order:
        name = names[flow_id]
        lived.release(name, "a1" if name == "alarms" else "v1", "pump")
        lived.control.advance(1)
    assert bundles(given) == bundles(lived)
