"""What survives a restart, how a simulator starts and stops."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from reconciler.simulator import Clock, FleetError, faults, serve
from tests.simulator.conftest import PUMPS, START
from tests.simulator.wire import Api
from tests.support import processes
from tests.support.waiting import LIMIT_S, until


def test_a_database_keeps_the_world(tmp_path: Path) -> None:
    db = tmp_path / "world.db"
    with serve(PUMPS, db=db, clock=Clock(frozen_at=START)) as server:
        api = Api(server)
        api.release("telemetry", "v3", "pump-1", "pump-3")
        api.control.switch(per_page_cap=2, effect_delay_s=50)
        api.release("alarms", "a1", "pump-1")
        api.control.advance(40)
        before, token = api.all("/embedded/deployments"), server.token
        api.close()

    with serve(db=db, clock=Clock(frozen_at=START)) as server:
        api = Api(server)
        assert (server.token, api.control.now_ms()) == (token, round(START.timestamp() * 1000) + 40_000)
        assert api.all("/embedded/deployments") == before
        assert api.get("/devices")["perPage"] == 2
        api.control.advance(20)
        assert api.rows()["pump-1", "telemetry"] == ("v3", "v3")
        assert api.rows()["pump-1", "alarms"] == ("a1", "a1")
        api.close()


def test_a_database_wins_over_a_fleet(tmp_path: Path) -> None:
    db = tmp_path / "world.db"
    with serve(PUMPS, db=db) as server:
        first = server.application_id
    with serve("applications: [{name: Other}]", db=db) as server:
        assert server.application_id == first


def test_a_fleet_that_fails_leaves_no_half_filled_database(tmp_path: Path) -> None:
    db = tmp_path / "world.db"
    with pytest.raises(FleetError):
        serve("applications: [{name: A, colour: red}]", db=db)
    with pytest.raises(ValueError, match="needs a fleet"):
        serve(db=db)
    with serve(PUMPS, db=db) as server:
        assert httpx.get(server.url).status_code == 200


def test_two_simulators_side_by_side() -> None:
    with serve(PUMPS) as one, serve(PUMPS) as other:
        one.control.disconnect("pump-1")
        assert one.url != other.url
        assert other.control.counts() == {}
        api = Api(other)
        assert api.record("pump-1")["deviceConnectionInfo"]["connected"] == 1
        api.close()


def test_a_port_that_is_taken() -> None:
    with serve(PUMPS) as server, pytest.raises(OSError, match="in use"):
        serve(PUMPS, port=int(server.url.rpartition(":")[2]))


def test_stopping_cuts_what_is_open() -> None:
    failures: list[Exception] = []
    with serve(PUMPS) as server, httpx.Client(base_url=server.url) as idle:
        idle.get("/")
        server.control.fault(faults.Latency(seconds=60))

        def wait() -> None:
            try:
                httpx.get(f"{server.url}/applications", timeout=30)
            except httpx.TransportError as error:
                failures.append(error)

        waiting = threading.Thread(target=wait)
        waiting.start()
        until(lambda: server.control.faults()[0]["fired"])
        server.stop()
        waiting.join(LIMIT_S)
    assert not waiting.is_alive()
    assert len(failures) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_serves_until_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    fleet = tmp_path / "fleet.yaml"
    fleet.write_text(PUMPS, encoding="utf-8")
    script = (
        "import sys; from pathlib import Path; from reconciler.simulator import Server, run; "
        "run(Server(Path(sys.argv[1]), db=Path(sys.argv[2])), lambda s: print(s.url, flush=True)); print('done')"
    )
    process = processes.start(
        [sys.executable, "-W", "error", "-c", script, str(fleet), str(tmp_path / "w.db")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert httpx.get(url).status_code == 200
    process.send_signal(number)
    out, err = processes.end(process)

    assert (out, err, process.returncode) == ("done\n", "", 0)


def test_a_killed_simulator_loses_nothing_it_answered_for(tmp_path: Path) -> None:
    script = (
        "import sys; from reconciler.simulator import Server, run; "
        "run(Server(sys.argv[1], db=sys.argv[2]), lambda s: print(s.url, s.token, s.application_id, flush=True))"
    )
    db = str(tmp_path / "w.db")
    process = processes.start(
        [sys.executable, "-c", script, PUMPS, db],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    url, token, application = process.stdout.readline().split()
    answer = httpx.post(
        f"{url}/_simulator/set_released", json={"device": "pump-1", "flow": "telemetry", "version": "v3"}
    )
    assert answer.json() == {"result": None}
    process.kill()
    processes.end(process)

    with serve(db=db) as server:
        assert (server.token, server.application_id) == (token, application)
        (row,) = (row for row in server.control.rows() if row["device"] == "pump-1")
        assert row["released"] == "v3"
