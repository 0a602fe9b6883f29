"""At a terminal of 60 columns: the question and its answers, colours, the progress bar."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconciler.simulator import faults, serve
from reconciler.simulator.world.seed import default_token
from tests.support import processes
from tests.support.fleet import APPLICATION, FLEET, MANIFEST, Shop
from tests.support.waiting import LIMIT_S, until

COLUMNS = 60
OTHER = "5f0c8a1b2d3e4f5061728395"
QUESTION = "Only 'yes' is accepted: "
CTRL_C, CTRL_D = "\x03", "\x04"
_ON_ITS_TERMINAL = """
import fcntl, os, signal, termios
if os.environ.get("HANG_UP") == "ignored":  # by the shell's `trap '' HUP`
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C reaches it
from reconciler.__main__ import main
main()
"""


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with serve(FLEET) as server:
        yield Shop(server, tmp_path)


class Terminal:
    """A command with a terminal of its own, and what it has shown so far."""

    def __init__(self, process: subprocess.Popen[str], master: int) -> None:
        self.process = process
        self.shown = ""
        self._master: int | None = master

    def read_until(self, text: str, *, within_s: float = LIMIT_S) -> None:
        """Wait until the terminal shows a text."""
        end = time.monotonic() + within_s
        while text not in self.shown:
            assert self._read(max(0.0, end - time.monotonic())), self.shown

    def type(self, keys: str) -> None:
        """Press keys."""
        assert self._master is not None
        os.write(self._master, keys.encode())

    def close(self) -> None:
        """Close the terminal's window."""
        if self._master is not None:
            os.close(self._master)
            self._master = None

    def end(self) -> int:
        """Wait for the end; the exit code."""
        while self._read(LIMIT_S):
            pass
        return self.process.wait(LIMIT_S)

    def _read(self, within_s: float) -> bool:
        if self._master is None:
            return False
        ready, _, _ = select.select([self._master], [], [], within_s)
        if not ready:
            return False
        try:
            piece = os.read(self._master, 65_536)
        except OSError:  # how Linux tells that nobody has the other side open any more
            return False
        self.shown += piece.decode("utf-8", "replace").replace("\r\n", "\n")
        return bool(piece)


@contextmanager
def terminal(shop: Shop, *argv: str, **env: str) -> Iterator[Terminal]:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))

    process = processes.start(
        [sys.executable, "-c", _ON_ITS_TERMINAL, *argv],
        cwd=shop.folder,
        env=shop.env(**{"TERM": "xterm", **env}),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    screen = Terminal(process, master)
    try:
        yield screen
    finally:
        process.kill()
        process.wait(LIMIT_S)
        screen.close()


def test_yes(shop: Shop) -> None:
    with terminal(shop, "apply", "shop.yaml") as screen:
        screen.read_until(QUESTION)
        assert shop.writes() == []
        screen.type("yes\n")
        assert screen.end() == 0
    assert "Apply complete!" in screen.shown
    assert shop.released()["leeds-1/telemetry"] == "v2"


@pytest.mark.parametrize(
    ("keys", "code", "told"),
    [
        ("no\n", 1, "Error: not applied: the answer was not 'yes'"),
        ("y\n", 1, "Error: not applied"),
        ("\n", 1, "Error: not applied"),
        (CTRL_D, 1, "Error: not applied"),
        (
            CTRL_C,
            130,
            "Error: interrupted (plan shows what is left to send, status what is pending)",
        ),
    ],
)
def test_other_answers(keys: str, code: int, told: str, shop: Shop) -> None:
    with terminal(shop, "apply", "shop.yaml", "--result", "result.json") as screen:
        screen.read_until(QUESTION)
        screen.type(keys)
        assert screen.end() == code
    # Linux shows ^C only after it has sent the signal.
    assert re.search(rf"\n(\^C)?{re.escape(told)}", screen.shown)
    assert "Traceback" not in screen.shown
    assert shop.read_json("result.json")["error"]["code"] == code
    assert shop.writes() == []


def test_sigterm_while_the_question_stands(shop: Shop) -> None:
    with terminal(shop, "apply", "shop.yaml", "--result", "result.json") as screen:
        screen.read_until(QUESTION)
        screen.process.send_signal(signal.SIGTERM)
        assert screen.end() == 130
    assert shop.read_json("result.json")["error"]["code"] == 130
    assert shop.writes() == []


@pytest.mark.parametrize("saved", [False, True])
def test_the_world_moves_while_the_question_stands(shop: Shop, *, saved: bool) -> None:
    assert shop.run("plan", "shop.yaml", "--out", "plan.json").code == 0
    with terminal(shop, "apply", *(["--plan", "plan.json"] if saved else ["shop.yaml"])) as screen:
        screen.read_until(QUESTION)
        shop.control.set_released("leeds-1", "telemetry", "v3")
        screen.type("yes\n")
        assert screen.end() == 4
    assert (
        "leeds-1 / telemetry is at v3" if saved else "the fleet changed before the plan was approved"
    ) in screen.shown
    assert shop.writes() == []


def test_nothing_is_asked_where_nothing_changes(shop: Shop) -> None:
    assert shop.run("apply", "shop.yaml", "--yes").code == 0
    with terminal(shop, "apply", "shop.yaml") as screen:
        assert screen.end() == 0
    assert QUESTION not in screen.shown
    assert "No changes." in screen.shown


def test_the_plan_is_shown_before_the_question_when_stdout_is_for_programs(shop: Shop) -> None:
    with terminal(shop, "apply", "shop.yaml", "--format", "json") as screen:
        screen.read_until(QUESTION)
        assert "Plan: 1 to add, 8 to change, 1 to destroy." in screen.shown
        screen.type("no\n")
        assert screen.end() == 1
    assert screen.shown.count('{"format_version"') == 1


@pytest.mark.parametrize("command", ["plan", "status"])
def test_a_slow_reading_is_shown_and_leaves_nothing_behind(shop: Shop, command: str) -> None:
    shop.control.fault(faults.Latency(seconds=1.1, when=faults.When(action="embeddedDeployments.get")))
    with terminal(shop, command, "shop.yaml") as screen:
        assert screen.end() == 0
    shown, _, result = screen.shown.partition("Application shop")
    assert re.search(r"reading records.*18/18", shown)
    assert shown.endswith("\x1b[2K\x1b[1m")  # the line of the bar is erased
    assert "reading" not in result


def test_colours(shop: Shop) -> None:
    def shown(*argv: str, **env: str) -> str:
        with terminal(shop, *argv, **env) as screen:
            assert screen.end() == 0
        return screen.shown

    coloured = shown("plan", "shop.yaml")
    assert "\x1b[32m+ v1\x1b[0m" in coloured
    plain = re.sub(r"\x1b\[\d*m", "", coloured)
    assert "\x1b" not in plain
    assert shown("plan", "shop.yaml", "--no-color") == plain
    assert shown("--no-color", "plan", "shop.yaml") == plain
    assert shown("plan", "shop.yaml", NO_COLOR="1") == plain
    assert shown("plan", "shop.yaml", TERM="dumb") == plain
    assert shown("plan", "shop.yaml", "--color", "always", TERM="dumb") == coloured


def test_60_columns(shop: Shop) -> None:
    """Nothing that is aligned or indented runs over; only a digest and lines with ids do."""
    for command in ("plan", "status"):
        with terminal(shop, command, "shop.yaml", "--no-color") as screen:
            assert screen.end() == 0
        for line in screen.shown.splitlines():
            assert len(line) <= COLUMNS or re.search(r"[0-9a-f]{24}|^Digest: ", line), line


def test_a_terminal_and_a_pipe_get_the_same_status(shop: Shop) -> None:
    for number in range(1, 5):
        shop.control.disconnect(f"leeds-{number}")
    assert shop.run("apply", "shop.yaml", "--yes").code == 0
    piped = shop.run("status", "shop.yaml").out
    with terminal(shop, "status", "shop.yaml", "--color", "never") as screen:
        assert screen.end() == 0
    assert screen.shown == piped
    assert piped.isascii()
    assert re.search(
        r"\n    3 devices offline since .*Z\n        leeds-2, leeds-3, leeds-4\n        alarms: v1 -> v2\n", piped
    )
    assert shop.start("status", "shop.yaml", by='"$@" | head -n 1').communicate(timeout=LIMIT_S)[0].count("\n") == 1


def test_a_bar_while_it_works(tmp_path: Path) -> None:
    with serve(FLEET.replace("name: shop", 'name: "[/b]\\u202eshop"')) as server:
        shop = Shop(server, tmp_path)
        shop.write("shop.yaml", MANIFEST.replace("name: shop", 'name: "[/b]\\u202eshop"'))
        with terminal(shop, "apply", "shop.yaml", "--yes", "--wait") as screen:
            assert screen.end() == 0, screen.shown
    assert re.search(r"\[/b\]\\u202eshop: (applying|converging)", screen.shown)
    assert screen.shown.rstrip().endswith("Resources: 1 added, 8 changed, 1 destroyed.")


def test_under_the_bar_it_names_what_it_waits_for(shop: Shop) -> None:
    shop.control.fault(faults.Latency(seconds=0.5, when=faults.When(method="POST")))
    shop.control.take_up("leeds-4", "telemetry", "v2", "silent")
    with terminal(shop, "apply", "shop.yaml", "--yes", "--wait", "--timeout", "1.5s") as screen:
        assert screen.end() == 5, screen.shown
    lines = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", screen.shown)
    assert re.search(r"^waiting for \d calls?: #\d \w+ (alarms|telemetry|control)", lines, re.MULTILINE)
    assert re.search(r"^waiting for 1 of 5: leeds-4$", lines, re.MULTILINE)


def test_each_application_names_what_it_waits_for(tmp_path: Path) -> None:
    other = FLEET.partition("applications:")[2].replace(APPLICATION, OTHER).replace("name: shop", "name: depot")
    with serve(FLEET + other) as server:
        shop = Shop(server, tmp_path)
        shop.write("depot.yaml", MANIFEST.replace(APPLICATION, OTHER).replace("name: shop", "name: depot"))
        shop.control.fault(faults.Latency(seconds=0.5, when=faults.When(method="POST")))
        tokens = {f"LOSANT_API_TOKEN_{one.upper()}": default_token(one) for one in (APPLICATION, OTHER)}
        with terminal(shop, "apply", "shop.yaml", "depot.yaml", "--yes", **tokens) as screen:
            assert screen.end() == 0, screen.shown
    lines = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", screen.shown)
    assert re.search(r"^depot: applying", lines, re.MULTILINE)
    assert re.search(r"^waiting for \d calls?: #\d \w+ (alarms|telemetry|control)", lines, re.MULTILINE)


def test_pauses_are_told_above_the_bar(shop: Shop) -> None:
    when = faults.When(action="embeddedDeployments.release", times=1)
    shop.control.fault(faults.Status(status=429, retry_after="0", when=when))
    shop.control.fault(faults.Status(status=503, retry_after="0", when=faults.When(method="GET", nth=7)))
    with terminal(shop, "-vv", "apply", "shop.yaml", "--yes", "--wait", "--no-color") as screen:
        assert screen.end() == 0
    cleared = r"\r\x1b\[2K(?:\x1b\[1A\x1b\[2K)*"  # the bar, and the line below it
    assert re.search(rf"{cleared}POST \S+: 429 in .*\nshop: applying", screen.shown)
    assert re.search(rf"{cleared}GET .*HTTP 503.*; trying again in 0\.0 s\nshop: ", screen.shown)


# The window is closed


WAYS = pytest.mark.parametrize("more", [[], ["--wait"], ["-vv"], ["--format", "json"]], ids=" ".join)
APPLY = ["apply", "shop.yaml", "--yes", "--result", "result.json"]


def is_sending(shop: Shop) -> bool:
    return bool(shop.writes())


@WAYS
def test_a_window_closed_amid_an_apply_interrupts_it(more: list[str], shop: Shop) -> None:
    shop.control.fault(faults.Latency(seconds=0.5, when=faults.When(method="POST")))
    with terminal(shop, *APPLY, *more) as screen:
        until(lambda: is_sending(shop))
        screen.close()
        assert screen.end() == 130
    error = shop.read_json("result.json")["error"]
    assert error["code"] == 130
    assert [problem["message"] for problem in error["problems"]] == ["interrupted"]


@WAYS
def test_an_apply_that_ignores_a_closed_window_does_all_and_says_so(more: list[str], shop: Shop) -> None:
    shop.control.fault(faults.Latency(seconds=0.5, when=faults.When(method="POST")))
    with terminal(shop, *APPLY, *more, HANG_UP="ignored") as screen:
        until(lambda: is_sending(shop))
        screen.close()
        shop.control.clear_faults()
        assert screen.end() == 0
    result = shop.read_json("result.json")
    assert result["error"] is None
    assert {call["state"] for one in result["results"] for call in one["calls"]} == {"confirmed"}
    assert shop.released()["leeds-1/telemetry"] == "v2"


def test_an_apply_with_nothing_to_do_is_done_without_a_window(shop: Shop) -> None:
    assert shop.run("apply", "shop.yaml", "--yes").code == 0
    asked = len(shop.control.requests())
    shop.control.fault(faults.Latency(seconds=0.5, when=faults.When(method="GET")))
    with terminal(shop, *APPLY, "--format", "json", HANG_UP="ignored") as screen:
        until(lambda: len(shop.control.requests()) > asked)
        screen.close()
        shop.control.clear_faults()
        assert screen.end() == 0
    assert shop.read_json("result.json")["error"] is None


def test_a_plan_that_nobody_can_see_is_not_carried_out(shop: Shop) -> None:
    shop.control.fault(faults.Latency(seconds=0.5, when=faults.When(method="GET")))
    with terminal(shop, *APPLY, HANG_UP="ignored") as screen:
        until(shop.control.requests)
        screen.close()
        shop.control.clear_faults()
        assert screen.end() == 1
    (problem,) = shop.read_json("result.json")["error"]["problems"]
    assert problem["message"] == "stdout was closed by its reader, so nothing was sent"
    assert shop.writes() == []


@pytest.mark.parametrize(("hang_up", "code"), [("", 130), ("ignored", 1)])
def test_a_window_closed_while_the_question_stands_is_no_yes(hang_up: str, code: int, shop: Shop) -> None:
    with terminal(shop, "apply", "shop.yaml", "--result", "result.json", HANG_UP=hang_up) as screen:
        screen.read_until(QUESTION)
        screen.close()
        assert screen.end() == code
    (problem,) = shop.read_json("result.json")["error"]["problems"]
    assert problem["message"] == ("interrupted" if code == 130 else "not applied: the answer was not 'yes'")
    assert shop.writes() == []
