"""What becomes of versions: devices fail them, die of them, go silent, or report the unknown; of both kinds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from reconciler.simulator import ControlError, FleetError
from tests.simulator.wire import Api

KINDS = pytest.mark.parametrize("kind", ["embedded", "edge"])
OUTCOMES = ("fails", "silent", "unknown", "dies", "loads")
RULES: dict[str, Any] = {
    "fails": {"telemetry": {"v2": "out of memory"}},
    "silent": {"telemetry": ["v2"]},
    "unknown": {"telemetry": ["v2"]},
    "dies": {"telemetry": {"v2": 60}},
}


def fleet(kind: str, *devices: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Devices that run two flows, in an application of one kind."""
    flows = {"telemetry": ["v1", "v2", "v3"], "alarms": ["v1", "v2"]}
    own = {"class": "embedded" if kind == "embedded" else "edgeCompute"}
    ran = {"deployed": {"telemetry": "v1", "alarms": "v1"}}
    application = {
        "name": "A",
        "flows": {name: {"class": kind, "versions": versions} for name, versions in flows.items()},
        "devices": [{**own, **ran, **device} for device in devices],
    }
    return {"take_up_s": 5, "applications": [application], **more}


def record(api: Api, kind: str, device: str = "pump", flow: str = "telemetry") -> Any:
    """The embedded record of a device, or its edge record of the flow."""
    items = api.get(f"/{kind}/deployments", deviceId=api.device(device))["items"]
    (found,) = (item for item in items if item.get("flowName", flow) == flow)
    return found


def reported(api: Api, device: str = "pump", flow: str = "telemetry") -> str | None:
    return api.rows()[device, flow][1]


def by_file(start: Callable[..., Api], kind: str, outcome: str) -> Api:
    rules = {outcome: RULES[outcome]} if outcome in RULES else {}
    return start(fleet(kind, {"name": "pump", **rules}, {"name": "other"}))


def by_command(start: Callable[..., Api], kind: str, outcome: str) -> Api:
    api = start(fleet(kind, {"name": "pump"}, {"name": "other"}))
    arguments = {"device": "pump", "flow": "telemetry", "version": "v2", "outcome": outcome}
    assert api.raw.post("/_simulator/take_up", json=arguments).json() == {"result": None}
    return api


def by_command_for_all(start: Callable[..., Api], kind: str, outcome: str) -> Api:
    api = start(fleet(kind, {"name": "pump"}, {"name": "other"}))
    api.control.take_up(None, "telemetry", "v2", outcome)  # type: ignore[arg-type]
    return api


def by_switch_in_file(start: Callable[..., Api], kind: str, outcome: str) -> Api:
    return start(fleet(kind, {"name": "pump"}, {"name": "other"}, switches={"take_up": outcome}))


def by_switch(start: Callable[..., Api], kind: str, outcome: str) -> Api:
    api = start(fleet(kind, {"name": "pump"}, {"name": "other"}))
    api.control.switch(take_up=outcome)
    return api


WAYS = [by_file, by_command, by_command_for_all, by_switch_in_file, by_switch]
FOR_ALL = [by_command_for_all, by_switch_in_file, by_switch]


@KINDS
@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("way", WAYS)
def test_each_outcome_each_way(start: Callable[..., Api], kind: str, outcome: str, way: Any) -> None:
    """Whatever a rollout is judged by: versions, bundle, log, dates, connection."""
    api = way(start, kind, outcome)
    before = record(api, kind)
    api.control.advance(hours=1)
    api.release("telemetry", "v2", "pump", "other", kind=kind)
    wanted = record(api, kind)
    api.control.advance(hours=24)
    after = record(api, kind)
    loads = outcome in ("loads", "dies")
    target, now = (
        ("desiredBundleVersion", "currentBundleVersion") if kind == "embedded" else ("desiredEtag", "currentEtag")
    )

    assert [log["changeType"] for log in after["logs"]] == (
        ["desired"] if outcome == "silent" else ["current", "desired"]
    )
    taken_up = "2026-03-02T10:00:05.000Z"
    assert after["lastUpdated"] == (wanted["lastUpdated"] if outcome == "silent" else taken_up)
    told = after["logs"][0]
    if outcome != "silent":
        assert told["date"] == taken_up
    assert (after[now] == after[target]) is loads
    assert (reported(api) == "v2") is (loads or (outcome, kind) == ("unknown", "edge"))
    assert ("error" in told) is (outcome == "fails")
    if kind == "embedded":
        attempted, new = told.get("attemptedBundle"), told.get("newBundle")
        assert after["unknownBundle"] is (outcome == "unknown")
    else:
        attempted, new = told.get("attemptedEtag"), told.get("newEtag")
        assert told.get("attemptedValue") == ("v2" if outcome == "fails" else None)
    assert attempted == (after[target] if outcome == "fails" else None)
    assert (new == after[now]) is (outcome not in ("fails", "silent"))
    assert (after[now] == before[now]) is (outcome in ("fails", "silent"))
    died = {"time": "2026-03-02T10:01:05.000Z", "connected": 0}
    assert after["deviceConnectionInfo"] == (died if outcome == "dies" else before["deviceConnectionInfo"])
    assert (reported(api, "other") == "v2") is (way not in FOR_ALL or loads or (outcome, kind) == ("unknown", "edge"))


@KINDS
def test_the_dead_stay_dead(start: Callable[..., Api], kind: str) -> None:
    api = start(fleet(kind, {"name": "pump", "dies": RULES["dies"], "sleeps": {"awake_s": 600, "asleep_s": 600}}))
    api.release("telemetry", "v2", "pump", kind=kind)
    api.control.advance(hours=100)
    lost = {"time": "2026-03-02T09:01:05.000Z", "connected": 0}
    assert record(api, kind)["deviceConnectionInfo"] == lost
    with pytest.raises(ControlError, match="pump is dead: heal it"):
        api.control.connect("pump")
    api.release("telemetry", "v3", "pump", kind=kind)
    api.control.advance(hours=1)
    assert reported(api) == "v2"
    assert record(api, kind)["deviceConnectionInfo"] == lost

    api.control.heal("pump")
    api.control.advance(599)
    assert record(api, kind)["deviceConnectionInfo"] == lost
    api.control.advance(10)
    assert record(api, kind)["deviceConnectionInfo"]["connected"] == 1
    assert reported(api) == "v3"


@KINDS
def test_a_device_that_goes_back_in_time_lives_on(start: Callable[..., Api], kind: str) -> None:
    api = start(fleet(kind, {"name": "pump", "dies": RULES["dies"]}))
    api.release("telemetry", "v2", "pump", kind=kind)
    api.control.advance(30)
    api.release("telemetry", "v1", "pump", kind=kind)
    api.control.advance(hours=1)

    assert reported(api) == "v1"
    assert record(api, kind)["deviceConnectionInfo"] == {"time": "2026-03-02T09:00:00.000Z", "connected": 1}


@KINDS
def test_a_device_may_die_asleep(start: Callable[..., Api], kind: str) -> None:
    api = start(fleet(kind, {"name": "pump", "dies": RULES["dies"], "sleeps": {"awake_s": 30, "asleep_s": 600}}))
    api.release("telemetry", "v2", "pump", kind=kind)
    api.control.advance(hours=1)

    assert record(api, kind)["deviceConnectionInfo"] == {"time": "2026-03-02T09:00:30.000Z", "connected": 0}


@KINDS
@pytest.mark.parametrize("outcome", ["fails", "silent", "unknown"])
def test_what_was_not_loaded_is_tried_again(start: Callable[..., Api], kind: str, outcome: str) -> None:
    api = by_command(start, kind, outcome)
    api.release("telemetry", "v2", "pump", kind=kind)
    api.control.settle()
    api.control.heal("pump")
    api.control.disconnect("pump")
    api.control.connect("pump")
    api.control.settle()
    record_ = record(api, kind)

    assert reported(api) == "v2"
    assert record_.get("unknownBundle", False) is False
    if kind == "embedded":
        assert record_["logs"][0]["updateType"] == ("knownBundle" if outcome == "unknown" else "device")


def test_a_rule_of_a_device_wins_and_may_exempt_it(start: Callable[..., Api]) -> None:
    api = start(fleet("embedded", {"name": "pump", "silent": RULES["silent"]}, {"name": "other"}, {"name": "good"}))
    api.control.fail(None, "telemetry", "v2", "a bad version")
    api.control.take_up("good", "telemetry", "v2", "loads")
    api.release("telemetry", "v2", "pump", "other", "good")
    api.control.settle()

    assert [len(api.record(name)["logs"]) for name in ("pump", "other", "good")] == [1, 2, 2]
    assert api.record("other")["logs"][0]["error"] == "a bad version"
    assert reported(api, "good") == "v2"


def test_a_rule_for_all_counts_for_newcomers_until_all_are_healed(start: Callable[..., Api]) -> None:
    api = start(fleet("embedded", {"name": "pump"}))
    api.control.fail(None, "telemetry", "v2", "a bad version")
    api.raw.post("/_simulator/add_device", json={"device": {"name": "new"}})
    api.release("telemetry", "v2", "new")
    api.control.settle()
    assert api.record("new")["logs"][0]["error"] == "a bad version"

    api.control.heal("new")
    api.release("telemetry", "v2", "new")
    api.control.settle()
    assert reported(api, "new") is None
    api.control.heal()
    api.release("telemetry", "v2", "new")
    api.control.settle()
    assert reported(api, "new") == "v2"


def test_the_worst_flow_of_a_bundle_decides(start: Callable[..., Api]) -> None:
    api = start(fleet("embedded", {"name": "pump", "unknown": {"alarms": ["v2"]}, "fails": RULES["fails"]}))
    api.release("alarms", "v2", "pump")
    api.release("telemetry", "v2", "pump")
    api.control.settle()

    assert "error" in api.record("pump")["logs"][0]


def test_on_edge_each_flow_has_its_own_outcome(start: Callable[..., Api]) -> None:
    api = start(fleet("edge", {"name": "pump", "silent": {"alarms": ["v2"]}, "fails": RULES["fails"]}, {"name": "x"}))
    for flow in ("alarms", "telemetry"):
        api.release(flow, "v2", "pump", kind="edge")
    api.control.settle()
    assert len(record(api, "edge", flow="alarms")["logs"]) == 1
    assert "error" in record(api, "edge", flow="telemetry")["logs"][0]


@pytest.mark.parametrize(
    ("device", "problem"),
    [
        ({"fails": RULES["fails"], "dies": RULES["dies"]}, "dies.telemetry: v2 is already in `fails`"),
        ({"silent": RULES["silent"], "unknown": RULES["unknown"]}, "unknown.telemetry: v2 is already in `silent`"),
        ({"silent": {"telemetry": ["v9"]}}, 'silent.telemetry: flow "telemetry" has no version v9'),
        ({"dies": {"tele": {"v1": 1}}}, 'dies.tele: there is no flow "tele"'),
        ({"dies": {"telemetry": {"v1": -1}}}, "dies.telemetry.v1: input should be greater than or equal to 0"),
        ({"sleeps": {"awake_s": 5}}, "sleeps.asleep_s: this is required"),
        (
            {"class": "edgeCompute", "deployed": {}, "unknown_bundle": True},
            "a device of class edgeCompute has no bundle",
        ),
    ],
)
def test_a_fleet_that_cannot_be(start: Callable[..., Api], device: dict[str, Any], problem: str) -> None:
    with pytest.raises(FleetError) as caught:
        start(fleet("embedded", {"name": "pump", **device}))
    (said,) = caught.value.problems

    assert problem in said


def test_an_edge_device_has_no_bundle(start: Callable[..., Api]) -> None:
    api = start(fleet("edge", {"name": "pump"}))

    with pytest.raises(ControlError, match="class edgeCompute has no bundle"):
        api.control.report_unknown_bundle("pump")
    assert api.get("/embedded/deployments")["totalCount"] == 0


@KINDS
def test_what_a_device_reports_by_itself_is_in_record_and_log(start: Callable[..., Api], kind: str) -> None:
    api = start(fleet(kind, {"name": "pump"}))
    before = record(api, kind)
    api.control.advance(60)
    api.control.set_reported("pump", "telemetry", "v3")
    odd = record(api, kind)
    api.control.set_reported("pump", "telemetry", "v1")
    again = record(api, kind)
    key, new = ("currentBundleVersion", "newBundle") if kind == "embedded" else ("currentEtag", "newEtag")

    assert odd[key] != before[key] == again[key]
    assert [log[new] for log in again["logs"]] == [again[key], odd[key]]
    assert {log["date"] for log in again["logs"]} == {again["lastUpdated"]} == {"2026-03-02T09:01:00.000Z"}
