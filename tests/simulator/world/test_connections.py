"""Devices that sleep and wake in turns, and what is logged when they connect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from reconciler.simulator import ControlError
from tests.simulator.wire import Api
from tests.simulator.world.test_outcomes import KINDS, fleet, record, reported

SLEEPS = {"awake_s": 600, "asleep_s": 3000}


def connection(api: Api, device: str = "pump", kind: str = "embedded") -> tuple[str, int]:
    """Hours to seconds of the time of its last connection or disconnection, and whether it is connected."""
    info = record(api, kind, device)["deviceConnectionInfo"]
    return info["time"][11:19], info["connected"]


def by_file(start: Callable[..., Api], kind: str) -> Api:
    return start(fleet(kind, {"name": "pump", "sleeps": SLEEPS}))


def by_command(start: Callable[..., Api], kind: str) -> Api:
    api = start(fleet(kind, {"name": "pump"}))
    assert api.raw.post("/_simulator/sleep", json={"device": "pump", **SLEEPS}).json() == {"result": None}
    return api


def by_switch_in_file(start: Callable[..., Api], kind: str) -> Api:
    return start(fleet(kind, {"name": "pump"}, switches={"sleeps": SLEEPS}))


def by_switch(start: Callable[..., Api], kind: str) -> Api:
    api = start(fleet(kind, {"name": "pump"}))
    api.control.switch(sleeps=SLEEPS)
    return api


@KINDS
@pytest.mark.parametrize("way", [by_file, by_command, by_switch_in_file, by_switch])
def test_a_device_sleeps_and_wakes(start: Callable[..., Api], kind: str, way: Any) -> None:
    api = way(start, kind)
    api.control.advance(599)
    assert connection(api, kind=kind) == ("09:00:00", 1)
    api.control.advance(1)
    assert connection(api, kind=kind) == ("09:10:00", 0)
    api.release("telemetry", "v2", "pump", kind=kind)
    api.control.advance(2999)
    assert (connection(api, kind=kind), reported(api)) == (("09:10:00", 0), "v1")
    api.control.advance(6)
    assert (connection(api, kind=kind), reported(api)) == (("10:00:00", 1), "v2")
    assert record(api, kind)["logs"][0]["date"] == "2026-03-02T10:00:05.000Z"
    api.control.advance(hours=24)
    assert connection(api, kind=kind) == ("10:00:00", 1)


def test_a_device_may_begin_asleep(start: Callable[..., Api]) -> None:
    api = start(fleet("embedded", {"name": "pump", "connected": False, "sleeps": SLEEPS}))
    api.control.advance(3000)

    assert connection(api) == ("09:50:00", 1)


def test_who_is_awake_too_briefly_takes_nothing_up(start: Callable[..., Api]) -> None:
    api = start(fleet("embedded", {"name": "pump", "take_up_s": 700, "sleeps": SLEEPS}))
    api.release("telemetry", "v2", "pump")
    before = api.control.now_ms()
    api.control.settle()
    assert api.control.now_ms() == before
    api.control.advance(hours=24)
    assert reported(api) == "v1"


def test_who_falls_asleep_first_takes_nothing_up_though_others_do(start: Callable[..., Api]) -> None:
    api = start(fleet("embedded", {"name": "quick"}, {"name": "pump", "take_up_s": 700, "sleeps": SLEEPS}))
    api.release("telemetry", "v2", "quick", "pump")
    api.control.advance(hours=1)

    assert (reported(api, "quick"), reported(api)) == ("v2", "v1")


def test_the_dead_and_the_deleted_have_no_turns(start: Callable[..., Api]) -> None:
    dying = {"name": "pump", "dies": {"telemetry": {"v2": 0}}}
    api = start(fleet("embedded", dying, {"name": "gone", "sleeps": SLEEPS}, {"name": "off"}))
    api.release("telemetry", "v2", "pump")
    api.control.advance(60)
    own = {name: api.device(name) for name in ("gone", "off")}
    api.control.delete_device("gone")
    api.control.delete_device("off")
    api.control.switch(sleeps={"awake_s": 60, "asleep_s": 60})
    api.control.advance(hours=3)

    assert connection(api) == ("09:00:05", 0)
    records = {item["deviceId"]: item["deviceConnectionInfo"] for item in api.get("/embedded/deployments")["items"]}
    assert [records[device]["connected"] for device in own.values()] == [0, 0]


def test_connecting_and_disconnecting_begin_the_next_turn(start: Callable[..., Api]) -> None:
    api = start(fleet("embedded", {"name": "pump", "sleeps": SLEEPS}))
    api.control.advance(300)
    api.control.disconnect("pump")
    api.control.advance(2999)
    assert connection(api) == ("09:05:00", 0)
    api.control.advance(1)
    assert connection(api) == ("09:55:00", 1)
    api.control.advance(300)
    api.control.connect("pump")
    api.control.advance(599)
    assert connection(api) == ("10:00:00", 1)


def test_a_schedule_of_its_own_wins_and_the_switch_speaks_for_all_others(start: Callable[..., Api]) -> None:
    api = start(fleet("embedded", {"name": "pump", "sleeps": SLEEPS}, {"name": "other"}, {"name": "off"}))
    api.control.delete_device("off")
    api.control.switch(sleeps={"awake_s": 60, "asleep_s": 60})
    api.raw.post("/_simulator/add_device", json={"device": {"name": "new"}})
    api.release("telemetry", "v1", "new")
    api.control.advance(60)
    assert [connection(api, name)[1] for name in ("pump", "other", "new")] == [1, 0, 0]
    api.control.advance(3480)
    assert [connection(api, name) for name in ("pump", "other")] == [("09:10:00", 0), ("09:59:00", 0)]
    api.control.advance(60)
    api.control.switch(sleeps=None)
    api.control.advance(hours=1)
    assert [connection(api, name) for name in ("pump", "other", "new")] == [
        ("11:00:00", 1), ("10:00:00", 1), ("10:00:00", 1),
    ]  # fmt: skip
    api.control.sleep("pump")
    api.control.advance(hours=24)
    assert connection(api) == ("11:00:00", 1)


@pytest.mark.parametrize("values", [{"awake_s": 5}, {"awake_s": 0, "asleep_s": 5}])
def test_a_schedule_that_cannot_be(start: Callable[..., Api], values: dict[str, float]) -> None:
    api = start(fleet("embedded", {"name": "pump"}))

    with pytest.raises(ControlError, match="Sleeps"):
        api.control.sleep("pump", **values)


def test_what_never_settles_is_told(start: Callable[..., Api], monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the two is always trying."""
    monkeypatch.setattr("reconciler.simulator.control._MOST_STEPS", 50)
    common = {"fails": {"telemetry": {"v2": "no"}}, "take_up_s": 400}
    api = start(
        fleet(
            "embedded",
            {"name": "one", "sleeps": {"awake_s": 400, "asleep_s": 400}, **common},
            {"name": "two", "sleeps": {"awake_s": 400, "asleep_s": 400}, "connected": False, **common},
        )
    )
    api.release("telemetry", "v2", "one", "two")

    with pytest.raises(ControlError, match="never ends"):
        api.control.settle()


@KINDS
def test_who_connects_may_say_what_it_runs(start: Callable[..., Api], kind: str) -> None:
    api = start(fleet(kind, {"name": "pump"}))
    api.control.disconnect("pump")
    api.control.advance(60)
    silent = record(api, kind)
    api.control.connect("pump")
    assert (record(api, kind)["logs"], record(api, kind)["lastUpdated"]) == ([], silent["lastUpdated"])

    api.control.switch(reconnect="log")
    api.control.advance(60)
    api.control.connect("pump")
    after = record(api, kind)
    (told,) = after["logs"]
    assert told["date"] == after["lastUpdated"] == after["deviceConnectionInfo"]["time"] == "2026-03-02T09:02:00.000Z"
    if kind == "embedded":
        assert (told["updateType"], told["newBundle"]) == ("device", after["currentBundleVersion"])
    else:
        assert (told["newValue"], told["newEtag"]) == ("v1", after["currentEtag"])
