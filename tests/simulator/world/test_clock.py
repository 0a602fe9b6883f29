"""The clock of the simulated world: set, frozen, moved on, run fast; every date that is told comes from it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from reconciler.simulator import Clock, ControlError, faults, serve
from reconciler.simulator.world import clock as module
from reconciler.simulator.world.fleet import Device
from tests.simulator.conftest import PUMPS, START
from tests.simulator.wire import Api

BOTH = """
take_up_s: 5
applications:
  - name: A
    flows: {telemetry: [v1, v2], collect: {class: edge, versions: [c1, c2]}}
    devices:
      - {name: pump, deployed: {telemetry: v1}}
      - {name: gateway, class: edgeCompute, deployed: {collect: c1}}
"""
DATES = re.compile(r'"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)"')


def told(api: Api) -> datetime:
    """The `Date` of an answer."""
    return parsedate_to_datetime(api.raw.get(api.root).headers["Date"])


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A wall clock that stands still until the test moves it: `wall(seconds)`."""
    now = [1_800_000_000_000]
    monkeypatch.setattr(module, "_wall_ms", lambda: now[0])
    return lambda seconds: now.__setitem__(0, now[0] + round(seconds * 1000))


def test_every_answer_has_the_date_of_the_simulated_world(pumps: Api) -> None:
    pumps.control.fault(faults.Status(status=503, when=faults.When(action="flows.get")))
    pumps.control.fault(faults.Redirect(when=faults.When(action="flow.get")))
    pumps.control.fault(faults.SlowHeaders(seconds=0.001, when=faults.When(action="device.get")))
    pumps.control.fault(faults.Garble(how="truncated", when=faults.When(action="devices.tagKeys")))
    pumps.control.advance(hours=24)
    answers = [
        pumps.raw.get(pumps.root),
        pumps.raw.get("/openapi.json"),
        pumps.raw.get("/nowhere"),
        pumps.raw.post(f"{pumps.root}/embedded/deployments/release", content="{"),
        pumps.raw.get(f"{pumps.root}/flows"),
        pumps.raw.get(f"{pumps.root}/flows/{pumps.flow('telemetry')}"),
        pumps.raw.get(f"{pumps.root}/devices/{pumps.device('pump-1')}"),
        pumps.raw.get("/_simulator/counts"),
        pumps.raw.get("/", headers={"Origin": "http://elsewhere.invalid"}),
    ]
    with pumps.raw.stream("GET", f"{pumps.root}/devices/tagKeys") as truncated:
        answers.append(truncated)

    assert {answer.status_code for answer in answers} == {200, 302, 400, 403, 405, 503}
    assert [answer.headers.get_list("Date") for answer in answers] == [["Tue, 03 Mar 2026 09:00:00 GMT"]] * 10


def test_no_date_comes_from_elsewhere(start: Callable[..., Api]) -> None:
    """Whatever happens in a world of the past: no date of any answer is of today."""
    api = start(BOTH)
    api.control.advance(hours=1)
    api.release("telemetry", "v2", "pump")
    api.release("collect", "c2", "gateway", kind="edge")
    api.control.advance(hours=1)
    api.control.add_device(Device(name="new"))
    api.control.add_version("telemetry", "v3")
    api.control.set_released("pump", "telemetry", "v3")
    api.control.disconnect("gateway")
    lists = ("/devices", "/flows?flowClass=embedded", "/embedded/deployments", "/edge/deployments")
    paths = ("", *lists, f"/flows/{api.flow('telemetry')}/versions")
    dates = [date for path in paths for date in DATES.findall(api.send("GET", path).text)]

    day_before = "2026-03-01T09"  # that of a version which is not the newest
    assert {date[:13] for date in dates} == {day_before, "2026-03-02T09", "2026-03-02T10", "2026-03-02T11"}
    assert len(dates) >= 30


def test_the_clock_runs_so_many_times_as_fast(wall: Callable[[float], None]) -> None:
    clock = Clock(at=START, speed=3600)
    wall(24)
    assert clock.now_ms() == module.to_ms(START + timedelta(hours=24))
    wall(-5)  # somebody set the wall clock
    assert clock.now_ms() == module.to_ms(START + timedelta(hours=19))
    wall(-100)
    assert clock.now_ms() == module.to_ms(START)
    wall(1e12)
    assert clock.now_ms() == module.LATEST_MS


def test_by_default_it_is_the_wall_clock(wall: Callable[[float], None]) -> None:
    clock = Clock()
    wall(1.5)

    assert clock.now_ms() == 1_800_000_001_500


def test_a_running_clock_is_frozen_set_and_let_run(wall: Callable[[float], None]) -> None:
    with serve(PUMPS, clock=Clock(at=START)) as server:
        api = Api(server)
        wall(10)
        assert api.control.clock(speed=0) == {"now": "2026-03-02T09:00:10.000Z", "speed": 0}
        wall(10)
        assert told(api) == START + timedelta(seconds=10)
        api.control.clock(at=datetime(2026, 3, 3, 9, tzinfo=UTC))
        assert told(api) == START + timedelta(days=1)
        api.control.clock(speed=60)
        wall(60)
        assert told(api) == START + timedelta(days=1, hours=1)
        api.control.advance(hours=1)
        wall(60)
        assert told(api) == START + timedelta(days=1, hours=3)
        assert api.raw.get("/_simulator/clock").json() == {"result": {"now": "2026-03-03T12:00:00.000Z", "speed": 60}}
        api.close()


def test_what_is_due_happens_at_its_time_when_the_clock_is_set(start: Callable[..., Api]) -> None:
    api = start(BOTH)
    api.release("telemetry", "v2", "pump")
    api.raw.post("/_simulator/clock", json={"at": "2026-03-05T09:00:00Z"})

    assert api.record("pump")["logs"][0]["date"] == "2026-03-02T09:00:05.000Z"
    assert told(api) == START + timedelta(days=3)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"at": datetime(2026, 3, 2, 8, 59, tzinfo=UTC)}, "time does not go back"),
        ({"at": datetime(9999, 1, 1, tzinfo=UTC)}, "to 9000-01-01"),
        ({"speed": -1}, "speed must be between 0 and 1,000,000"),
        ({"speed": float("nan")}, "speed"),
        ({"speed": float("inf")}, "speed"),
    ],
)
def test_a_clock_that_cannot_be(pumps: Api, values: dict[str, Any], words: str) -> None:
    with pytest.raises(ControlError, match=words):
        pumps.control.clock(**values)
    assert pumps.control.clock() == {"now": "2026-03-02T09:00:00.000Z", "speed": 0}


def test_time_ends_before_its_dates_have_no_text(pumps: Api) -> None:
    for _ in range(250):
        pumps.control.advance(10**9)
    pumps.control.disconnect("pump-1")

    assert pumps.record("pump-1")["deviceConnectionInfo"]["time"] == "9000-01-01T00:00:00.000Z"


def test_a_restart_goes_on_by_the_same_clock(tmp_path: Path, wall: Callable[[float], None]) -> None:
    db = tmp_path / "world.db"
    with serve(PUMPS, db=db, clock=Clock(at=START, speed=60)):
        wall(60)
    wall(60)
    with serve(db=db) as server:
        assert server.control.clock() == {"now": "2026-03-02T11:00:00.000Z", "speed": 60}
        server.control.clock(speed=0)
    wall(60)
    with serve(db=db) as server:
        assert server.control.clock()["now"] == "2026-03-02T11:00:00.000Z"


@pytest.mark.parametrize(
    ("fault", "date"),
    [
        (faults.Date(absent=True), None),
        (faults.Date(text="soon"), "soon"),
        (faults.Date(seconds=-3600), "Mon, 02 Mar 2026 08:00:00 GMT"),
    ],
)
def test_a_date_may_be_wrong(pumps: Api, fault: faults.Date, date: str | None) -> None:
    pumps.control.fault(fault)

    answer = pumps.raw.get(pumps.root)
    assert (answer.status_code, answer.headers.get("Date")) == (200, date)
