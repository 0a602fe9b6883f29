"""The devices: when they take up what is released, and what they say about it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reconciler.simulator import ControlError
from tests.simulator.wire import Api

SLOW = """
applications:
  - name: Pumps
    flows: {telemetry: [v1, v2, v3], alarms: [a1, a2]}
    devices:
      - {name: pump, take_up_s: 5, deployed: {telemetry: v1}}
      - {name: brittle, take_up_s: 5, deployed: {telemetry: v1, alarms: a1}, fails: {telemetry: {v2: out of memory}}}
      - {name: away, take_up_s: 5, deployed: {telemetry: v1}, connected: false}
      - {name: stuck, take_up_s: never, deployed: {telemetry: v1}}
      - {name: behind, take_up_s: 5, deployed: {telemetry: {released: v2, reported: v1}}}
"""


@pytest.fixture
def slow(start: Callable[..., Api]) -> Api:
    return start(SLOW)


def test_a_connected_device_takes_up_a_release_after_its_time(slow: Api) -> None:
    slow.release("telemetry", "v2", "pump")
    slow.control.advance(4.9)
    assert slow.rows()["pump", "telemetry"] == ("v2", "v1")

    slow.control.advance(0.1)
    record = slow.record("pump")
    assert slow.rows()["pump", "telemetry"] == ("v2", "v2")
    assert record["currentBundleVersion"] == record["desiredBundleVersion"]
    assert record["lastUpdated"] == "2026-03-02T09:00:05.000Z"
    assert record["logs"][0] == {
        "sourceType": "device",
        "sourceId": record["deviceId"],
        "date": "2026-03-02T09:00:05.000Z",
        "changeType": "current",
        "updateType": "device",
        "newBundle": record["desiredBundleVersion"],
    }


def test_what_was_behind_at_the_start_catches_up(slow: Api) -> None:
    assert slow.rows()["behind", "telemetry"] == ("v2", "v1")
    slow.control.advance(5)
    assert slow.rows()["behind", "telemetry"] == ("v2", "v2")


def test_take_ups_carry_their_own_time_however_late_somebody_looks(slow: Api) -> None:
    slow.release("telemetry", "v2", "pump")
    slow.control.advance(3600)

    assert slow.record("pump")["logs"][0]["date"] == "2026-03-02T09:00:05.000Z"


def test_several_releases_travel_in_one_bundle(slow: Api) -> None:
    slow.release("telemetry", "v2", "pump")
    slow.control.advance(3)
    slow.release("alarms", "a1", "pump")
    slow.control.advance(4)
    assert slow.rows()["pump", "telemetry"] == ("v2", "v1")

    slow.control.advance(1)
    assert slow.rows()["pump", "telemetry"] == ("v2", "v2")
    assert slow.rows()["pump", "alarms"] == ("a1", "a1")
    assert [log["changeType"] for log in slow.record("pump")["logs"]] == ["current", "desired", "desired"]


def test_an_offline_device_waits_until_it_connects(slow: Api) -> None:
    slow.release("telemetry", "v2", "away")
    slow.control.advance(1000)
    assert slow.rows()["away", "telemetry"] == ("v2", "v1")
    assert slow.record("away")["deviceConnectionInfo"]["connected"] == 0

    slow.control.connect("away")
    assert slow.rows()["away", "telemetry"] == ("v2", "v1")
    slow.control.advance(5)
    assert slow.rows()["away", "telemetry"] == ("v2", "v2")
    assert slow.record("away")["deviceConnectionInfo"] == {"time": "2026-03-02T09:16:40.000Z", "connected": 1}


def test_a_device_that_drops_out_takes_nothing_up(slow: Api) -> None:
    slow.release("telemetry", "v2", "pump")
    slow.control.advance(4)
    slow.control.disconnect("pump")
    slow.control.advance(1000)

    assert slow.rows()["pump", "telemetry"] == ("v2", "v1")


def test_a_device_that_never_takes_anything_up(slow: Api) -> None:
    slow.release("telemetry", "v2", "stuck")
    slow.control.settle()

    assert slow.rows()["stuck", "telemetry"] == ("v2", "v1")


def test_a_version_that_fails_keeps_the_whole_bundle_off(slow: Api) -> None:
    slow.release("telemetry", "v2", "brittle")
    slow.release("alarms", "a2", "brittle")
    slow.control.settle()
    record = slow.record("brittle")

    assert slow.rows()["brittle", "telemetry"] == ("v2", "v1")
    assert slow.rows()["brittle", "alarms"] == ("a2", "a1")
    assert record["currentBundleVersion"] != record["desiredBundleVersion"]
    assert {key: record["logs"][0][key] for key in ("changeType", "error", "attemptedBundle")} == {
        "changeType": "current",
        "error": "out of memory",
        "attemptedBundle": record["desiredBundleVersion"],
    }
    assert "newBundle" not in record["logs"][0]


def test_a_failure_is_tried_again_at_the_next_connect_only(slow: Api) -> None:
    slow.release("telemetry", "v2", "brittle")
    slow.control.settle()
    slow.control.heal("brittle")
    slow.control.advance(1000)
    assert slow.rows()["brittle", "telemetry"] == ("v2", "v1")

    slow.control.disconnect("brittle")
    slow.control.connect("brittle")
    slow.control.settle()
    assert slow.rows()["brittle", "telemetry"] == ("v2", "v2")


def test_a_healthy_version_after_a_failed_one_is_taken_up(slow: Api) -> None:
    slow.release("telemetry", "v2", "brittle")
    slow.control.settle()
    slow.release("telemetry", "v3", "brittle")
    slow.control.settle()

    assert slow.rows()["brittle", "telemetry"] == ("v3", "v3")


def test_a_failure_can_begin_while_it_runs(slow: Api) -> None:
    slow.control.fail("pump", "telemetry", "v3", "bad luck")
    slow.release("telemetry", "v3", "pump")
    slow.control.settle()

    assert slow.record("pump")["logs"][0]["error"] == "bad luck"


def test_an_unknown_bundle_stays_until_the_next_release(slow: Api) -> None:
    slow.control.report_unknown_bundle("pump", "mystery")
    slow.control.settle()
    record = slow.record("pump")
    assert (record["unknownBundle"], record["currentBundleVersion"]) == (True, "mystery")
    assert record["logs"][0]["updateType"] == "unknownBundle"
    assert slow.rows()["pump", "telemetry"] == ("v1", "v1")

    slow.release("telemetry", "v2", "pump")
    slow.control.settle()
    record = slow.record("pump")
    assert record["unknownBundle"] is False
    assert record["logs"][0]["updateType"] == "knownBundle"
    assert slow.rows()["pump", "telemetry"] == ("v2", "v2")


def test_a_fleet_may_begin_with_unknown_bundles(start: Callable[..., Api]) -> None:
    api = start(
        "applications: [{name: A, flows: {f: [v1]}, devices: ["
        "{name: d, deployed: {f: v1}, unknown_bundle: true}, {name: e, unknown_bundle: b7}]}]"
    )
    api.control.settle()

    assert api.record("d")["unknownBundle"] is True
    assert api.record("e")["currentBundleVersion"] == "b7"


def test_a_device_may_report_something_nobody_released(slow: Api) -> None:
    slow.control.set_reported("pump", "telemetry", "v3")

    assert slow.rows()["pump", "telemetry"] == ("v1", "v3")


@pytest.mark.parametrize("name", ["nobody", "twin"])
def test_the_control_surface_names_one_thing_or_refuses(start: Callable[..., Api], name: str) -> None:
    ids = [f"{n:024x}" for n in range(2)]
    api = start({"applications": [{"name": "A", "devices": [{"name": "twin", "id": own} for own in ids]}]})

    with pytest.raises(ControlError, match=name):
        api.control.connect(name)
    api.control.connect(ids[0])


def test_time_does_not_go_back(slow: Api) -> None:
    with pytest.raises(ControlError, match="between 0 and"):
        slow.control.advance(-1)
