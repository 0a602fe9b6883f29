"""What tests start, and this process where they signal it, do not care how the tests were started."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.processes import USUAL, usual_signals

TESTS = Path(__file__).parents[1]
TOLD = "import signal; print(*[signal.getsignal(number) is not signal.SIG_IGN for number in (1, 2, 15)])"


@pytest.fixture(autouse=True)
def nohup() -> Iterator[None]:
    """As in a background job of a script that was started with nohup, for the length of a test."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in USUAL}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_process_is_as_at_a_terminal() -> None:
    ask = [sys.executable, "-c", TOLD]
    assert subprocess.run(ask, capture_output=True, check=True).stdout.split() == [b"False"] * 3
    assert processes.run(ask).stdout.split() == ["True"] * 3
    assert processes.end(processes.start(ask, stdout=subprocess.PIPE))[0].split() == ["True"] * 3
    assert {signal.getsignal(number) for number in USUAL} == {signal.SIG_IGN}


def test_this_process_is_too_while_it_is_asked_to_be() -> None:
    with usual_signals(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)


def test_one_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LIMIT_S", 0.01)
    sleep = [sys.executable, "-c", "import time; time.sleep(3600)"]
    process = processes.start(sleep)
    with pytest.raises(subprocess.TimeoutExpired):
        processes.end(process)
    assert process.wait(50) == -signal.SIGKILL
    with pytest.raises(subprocess.TimeoutExpired):
        processes.run(sleep)


STARTS = re.compile(r"subprocess\.(run|Popen|call|check_\w+)\(|os\.(system|popen|fork|spawn\w*)\(")


def test_nothing_is_started_in_another_way() -> None:
    """The benchmark aside, which is no test."""
    others = [path for path in TESTS.rglob("*.py") if TESTS / "bench" not in path.parents]
    starting = {path for path in others if STARTS.search(path.read_text(encoding="utf-8"))}
    assert starting == {Path(processes.__file__), Path(__file__), TESTS / "support/warm_server.py"}


LONG = re.compile(r"mark\.timeout|LIMIT_S \*|\.join\(\)|\btimeout=([6-9]\d|\d{3,})\b")


def test_nothing_is_waited_for_longer_than_a_minute() -> None:
    """A test has 60 s as a whole (pyproject.toml): none gives itself more, and what it waits for has less."""
    others = [path for path in TESTS.rglob("*.py") if TESTS / "bench" not in path.parents]
    assert [path for path in others if LONG.search(path.read_text(encoding="utf-8"))] == []
