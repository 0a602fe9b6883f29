"""Progress where there is no terminal: a line now and then, and what goes wrong at once."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.api.pages import PageRead
from reconciler.cli.console import Console
from reconciler.cli.progress import QUIET_S, Display
from reconciler.cli.reading import PATIENCE_S, Reading
from reconciler.model.health import Laggard, Offline, Verdict, Verdicts, Wait
from reconciler.model.log import unix_time
from reconciler.model.result import CallResult, CallState
from reconciler.model.rollout import RolloutReport, RolloutState, WaveReport, Withheld
from reconciler.render.awaited import awaited_devices
from tests.fakes import FakeClock


def told(capsys: pytest.CaptureFixture[str]) -> list[str]:
    out, err = capsys.readouterr()
    assert out == ""
    return err.splitlines()


def standing(converged: int, failed: int) -> Wait:
    rows = dict.fromkeys(Verdict, 0) | {Verdict.CONVERGED: converged, Verdict.FAILED: failed}
    return Wait(Offline.SKIP, 1.0, Verdicts(rows, rows, ()))


def test_a_line_every_half_minute(capsys: pytest.CaptureFixture[str]) -> None:
    clock = FakeClock()
    display = Display(Console([]), clock)
    with display.shown():
        phase = display.phase("::pl\x1b[1mant: applying", 2_000)
        phase.rows(10, 2_000)
        assert told(capsys) == []
        clock.advance(QUIET_S)
        phase.rows(1_200, 2_000)
        phase.rows(1_300, 2_000)
        assert told(capsys) == [r"\x3a:pl\x1b[1mant: applying: 1,200 of 2,000"]
        converging = display.phase("plant: converging", 0)
        converging.waiting(Wait(Offline.SKIP, 0.0))  # nothing read yet
        clock.advance(QUIET_S)
        converging.waiting(standing(7, 1))
        assert told(capsys) == ["plant: converging: 7 of 8 (1 failed)"]


def test_what_is_withheld_is_told_where_there_are_rollouts(capsys: pytest.CaptureFixture[str]) -> None:
    clock = FakeClock()
    display = Display(Console([]), clock)
    rows: dict[Verdict, int] = dict.fromkeys(Verdict, 0)
    rows |= {Verdict.CONVERGED: 2, Verdict.PENDING: 1, Verdict.WITHHELD: 1_200}
    without: dict[Verdict, int] = {
        verdict: number for verdict, number in rows.items() if verdict is not Verdict.WITHHELD
    }
    with display.shown():
        for counts, line in (
            (rows, "plant: converging: 2 of 1,203 (1 pending, 1,200 withheld)"),
            (without, "plant: converging: 2 of 3 (1 pending)"),
        ):
            converging = display.phase("plant: converging", 0)
            clock.advance(QUIET_S)
            converging.waiting(Wait(Offline.SKIP, 1.0, Verdicts(counts, counts, ())))
            assert told(capsys) == [line]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Of each drawing at a terminal, how many records were read, of how many."""
    found: list[tuple[int, int]] = []
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr(Display, "draw", lambda _, phase, done, suffix: found.append((done, phase.total)))
    return found


def test_a_reading_that_lasts_is_shown_on_a_terminal_with_all_its_listings(drawn: list[tuple[int, int]]) -> None:
    clock = FakeClock()
    deployments, devices = object(), object()
    with Reading(Console(["plan"]), clock) as reading:
        reading.page_read(PageRead(deployments, 0, 1_000, 2_500))
        reading.page_read(PageRead(devices, 0, 100, 100))
        assert drawn == []
        clock.advance(PATIENCE_S)
        reading.page_read(PageRead(deployments, 1, 999, 2_500))
        reading.page_read(PageRead(deployments, 2, 998, 2_500))  # pages overlap
        reading.page_read(PageRead(deployments, 0, 1_000, 2_400))  # the list has changed: read again
        assert drawn == [(2_099, 2_600), (2_600, 2_600), (1_100, 2_500)]
        reading.end()
        reading.page_read(PageRead(deployments, 1, 999, 2_400))
    assert len(drawn) == 3


@pytest.mark.parametrize("argv", [["plan", "--format", "json"], ["plan", "--events", "-"], ["status", "--format=json"]])
def test_a_reading_for_programs_is_not_shown(argv: list[str], drawn: list[tuple[int, int]]) -> None:
    clock = FakeClock()
    with Reading(Console(argv), clock) as reading:
        clock.advance(PATIENCE_S)
        reading.page_read(PageRead(object(), 0, 1_000, 2_500))
    assert drawn == []


def lagging(number: int, verdict: Verdict, flow: str = "f", name: str | None = None) -> Laggard:
    return Laggard(f"{number:024}", flow, verdict, "2", "2", "1", device_name=name or f"york-pump-{number:04}")


def waits(laggards: list[Laggard], devices: int, offline: Offline = Offline.SKIP) -> Wait:
    rows = {verdict: sum(one.verdict is verdict for one in laggards) for verdict in Verdict}
    return Wait(offline, 1.0, Verdicts(rows, {Verdict.CONVERGED: devices - 1, Verdict.PENDING: 1}, tuple(laggards)))


@pytest.mark.parametrize(
    ("laggards", "offline", "line"),
    [
        ([], Offline.SKIP, ""),
        ([lagging(899, Verdict.PENDING)], Offline.SKIP, "waiting for 1 of 2,500: york-pump-0899"),
        (
            [lagging(n, Verdict.PENDING) for n in (901, 900, 899)],
            Offline.SKIP,
            "waiting for 3 of 2,500: york-pump-0899 and 2 more",
        ),
        (
            [lagging(1, Verdict.PENDING), lagging(1, Verdict.PENDING, "g")],
            Offline.SKIP,
            "waiting for 1 of 2,500: york-pump-0001",
        ),
        ([lagging(1, Verdict.FAILED), lagging(2, Verdict.OFFLINE)], Offline.SKIP, ""),
        (
            [lagging(1, Verdict.FAILED), lagging(2, Verdict.OFFLINE)],
            Offline.WAIT,
            "waiting for 1 of 2,500: york-pump-0002",
        ),
        ([lagging(1, Verdict.DRIFT, name="::x\x1b[1m")], Offline.SKIP, r"waiting for 1 of 2,500: \x3a:x\x1b[1m"),
        ([lagging(1, Verdict.PENDING, name="x" * 99)], Offline.SKIP, f"waiting for 1 of 2,500: {'x' * 39}…"),
    ],
)
def test_a_wait_names_the_devices_that_it_waits_for(laggards: list[Laggard], offline: Offline, line: str) -> None:
    assert awaited_devices(waits(laggards, 2_500, offline)) == line


def test_who_is_waited_for_is_told_without_a_terminal_too(capsys: pytest.CaptureFixture[str]) -> None:
    clock = FakeClock()
    display = Display(Console([]), clock)
    with display.shown():
        applying = display.phase("plant: applying", 3, {"f1": "telemetry"})
        applying.call(CallResult(3, "release", {"flowId": "f1"}, 1, (), CallState.ACCEPTED))
        applying.call(CallResult(4, "remove", {"deviceId": "d", "flowId": None}, 2, (), CallState.SENT))
        applying.call(CallResult(5, "release", {"flowId": "f2"}, 1, (), CallState.PLANNED))
        clock.advance(QUIET_S)
        applying.rows(0, 3)
        assert told(capsys) == ["plant: applying: 0 of 3; waiting for 2 calls: #3 release telemetry, #4 remove"]
        applying.call(CallResult(3, "release", {"flowId": "f1"}, 1, (), CallState.CONFIRMED))
        clock.advance(QUIET_S)
        applying.rows(1, 3)
        assert told(capsys) == ["plant: applying: 1 of 3; waiting for 1 call: #4 remove"]
        clock.advance(QUIET_S)
        display.phase("plant: converging", 0).waiting(waits([lagging(899, Verdict.PENDING)], 9))
        assert told(capsys) == ["plant: converging: 0 of 1 (1 pending); waiting for 1 of 9: york-pump-0899"]


def test_what_goes_wrong_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    phase = Display(Console([]), FakeClock()).phase("plant: applying", 1)
    for state in CallState:
        phase.call(CallResult(3, "release", {}, 1, (), state, error="\x1bboom" if state is CallState.FAILED else None))
    phase.note("slower\x07")
    assert told(capsys) == [
        r"call #3 (release) failed: \x1bboom",
        "call #3 (release) skipped",
        "call #3 (release) unknown",
        r"slower\x07",
    ]


@pytest.mark.parametrize(
    "error", [OSError(5, "Input/output error"), BrokenPipeError(), ValueError("closed"), SystemExit(1)]
)
@pytest.mark.parametrize("broken", ["start", "update", "stop", "add_task"])
def test_what_goes_wrong_with_progress_stops_nothing(
    broken: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def fail(*_: object, **__: object) -> None:
        tried.append(broken)
        raise error

    monkeypatch.setattr(f"rich.progress.Progress.{broken}", fail)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    display = Display(Console([]), FakeClock())
    done = []
    with display.shown():
        phase = display.phase("plant: applying", 3)
        for number in range(3):
            phase.rows(number, 3)
            phase.note("slower")
            done.append(number)
    assert done == [0, 1, 2]
    assert tried == [broken]  # and not again


def rollout(**more: Any) -> RolloutReport:
    wave = WaveReport(1, None, 53, 53, 41, 12, 0, 0, 0, 0, 0, open=True, passed=False)
    reason = "wave 1 has not passed: 41 of 51 proven"
    told = {"state": RolloutState.HELD, "reason": reason, "earliest": "2026-03-02T14:10:00Z", **more}
    return RolloutReport(group="le\x1b[1meds", policy="careful", up_to=None, waves=(wave,), **told)


@pytest.mark.parametrize(
    ("earlier_s", "left"),
    [
        (-5, ", 0 min left"),
        (1, ", 1 min left"),
        (54 * 60, ", 54 min left"),
        (7_200, ", 2 h left"),
        (7_260, ", 2 h 1 min left"),
        (86_400, ", 1 d left"),
        (100_000, ", 1 d 3 h left"),
        (None, ""),
    ],
)
def test_what_a_rollout_waits_for_is_told_with_how_long(
    earlier_s: float | None, left: str, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = FakeClock()
    display = Display(Console([]), clock)
    with display.shown():
        phase = display.phase("plant: converging", 0)
        clock.advance(QUIET_S)
        phase.rolling([rollout()], None if earlier_s is None else unix_time("2026-03-02T14:10:00Z") - earlier_s)
        phase.waiting(standing(7, 1))
        reason = "wave 1 has not passed: 41 of 51 proven"
        assert told(capsys) == [rf"plant: converging: 7 of 8 (1 failed; le\x1b[1meds: {reason}{left})"]
        clock.advance(QUIET_S)
        phase.rolling([rollout(state=RolloutState.OPEN)], 0.0)
        phase.waiting(standing(7, 1))
        assert told(capsys) == ["plant: converging: 7 of 8 (1 failed)"]


def test_on_a_terminal_each_rollout_has_a_bar_while_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    display = Display(Console([]), FakeClock())
    with display.shown():
        phase = display.phase("plant: converging", 0)
        now = unix_time("2026-03-02T13:10:00Z")

        def bars() -> list[tuple[str, float, float | None]]:
            assert display.bars is not None
            return [(one.description, one.completed, one.total) for one in display.bars.tasks]

        phase.rolling([rollout()], now)
        phase.waiting(standing(7, 1))
        assert bars() == [
            ("plant: converging (1 failed)", 7, 8),
            (r"  le\x1b[1meds, wave 1: proving, 1 h left", 41, 53),
        ]
        phase.rolling([rollout(held_by=Withheld.WINDOW)], now)
        assert bars()[1:] == [(r"  le\x1b[1meds, wave 1: window, 1 h left", 41, 53)]
        phase.rolling([rollout(state=RolloutState.STOPPED)], now)
        assert len(bars()) == 1
