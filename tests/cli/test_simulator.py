"""`reconciler simulator`: its clock, from the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.simulator import Server
from tests.support.cli import run_here

START = "2026-03-02T09:00:00"


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float]]:
    """The time and the speed of each simulator that was to run; it is stopped at once."""
    found: list[tuple[str, float]] = []

    def run(server: Server, on_start: Callable[[Server], None]) -> None:
        with server:
            on_start(server)
            said = server.control.clock()
            found.append((said["now"], said["speed"]))

    monkeypatch.setattr("reconciler.simulator.run", run)
    return found


def test_the_clock_is_set_and_frozen(clocks: list[tuple[str, float]]) -> None:
    ended = run_here("simulator", "--clock", f"{START}Z", "--speed", "0")

    assert (ended.code, clocks) == (0, [(f"{START}.000Z", 0)])
    assert ended.out.startswith("LOSANT_API_URL=http://127.0.0.1:")


def test_time_runs_fast(clocks: list[tuple[str, float]]) -> None:
    assert run_here("simulator", "--clock", START, "--speed", "3600").code == 0
    ((now, speed),) = clocks
    assert now >= f"{START}.000Z"
    assert speed == 3600


def test_a_database_goes_on_by_its_clock_unless_told(clocks: list[tuple[str, float]], tmp_path: Path) -> None:
    db = ("simulator", "--db", str(tmp_path / "world.db"))
    assert run_here(*db, "--clock", f"{START}Z", "--speed", "0").code == 0
    assert run_here(*db).code == 0
    assert run_here(*db, "--clock", "2026-03-03T09:00:00Z").code == 0
    back = run_here(*db, "--clock", f"{START}Z")

    assert clocks == [(f"{START}.000Z", 0), (f"{START}.000Z", 0), ("2026-03-03T09:00:00.000Z", 0)]
    assert (back.code, back.out) == (1, "")
    assert "--clock: at must be from 2026-03-03T09:00:00.000Z" in back.err


@pytest.mark.parametrize(
    "option",
    [
        ("--clock", "soon"),
        ("--clock", ""),
        ("--clock", "0001-01-01T00:00:00+14:00"),
        ("--clock", "9999-12-31T23:59:59Z"),
        ("--speed", "-1"),
        ("--speed", "nan"),
        ("--speed", "1000001"),
    ],
)
def test_a_clock_that_cannot_be(clocks: list[tuple[str, float]], option: tuple[str, str]) -> None:
    ended = run_here("simulator", *option)

    assert (ended.code, ended.out, clocks) == (1, "", [])
    assert option[0] in ended.err
