"""Being interrupted at any moment, also at those where Python forgets it."""

from __future__ import annotations

import asyncio
import signal
import sys
import weakref
from collections.abc import Callable, Iterator

import pytest

from reconciler.cli.app import run
from reconciler.cli.signals import current, interruptible, run_async
from tests.support import processes
from tests.support.processes import USUAL, usual_signals

# An interrupt in the `exec` of a string, caught: CPython would now end the process by the signal, whatever it is told.
IN_AN_EXEC = """
import sys
from reconciler.cli import app
def interrupted(argv):
    try:
        exec("import signal; signal.raise_signal(signal.SIGINT)")
    except KeyboardInterrupt:
        print("all told")
        return 130
app.run = interrupted
from reconciler.__main__ import main
main()
"""


def lose_an_interrupt() -> None:
    """One that arrives where Python drops what is raised: here in the callback of a weak reference."""

    class Thing:
        pass

    thing = Thing()
    reference = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGINT))
    del thing
    assert reference() is None


@pytest.fixture(autouse=True)
def silence(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    with usual_signals():
        yield
        assert {number: signal.getsignal(number) for number in USUAL} == USUAL


async def work(then: Callable[[], None], *, sleeps: bool) -> str:
    await asyncio.sleep(0)
    then()
    if sleeps:
        await asyncio.sleep(60)
    return "done"


@pytest.mark.parametrize("sleeps", [True, False])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_work_is_interrupted(number: signal.Signals, *, sleeps: bool) -> None:
    with interruptible(), pytest.raises(KeyboardInterrupt):
        run_async(work(lambda: signal.raise_signal(number), sleeps=sleeps))


@pytest.mark.parametrize("on_sigint", [signal.default_int_handler, signal.SIG_IGN])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_work_ends_in_good_order_wherever_it_is(number: signal.Signals, on_sigint: signal._HANDLER) -> None:
    """Nothing is raised amid its steps, also where the shell has switched Ctrl-C off. Only a second signal is."""
    told: list[str] = []

    async def busy() -> None:
        signal.raise_signal(number)
        told.append("the step is done")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            told.append("cancelled")
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(number)
            raise

    before = signal.signal(signal.SIGINT, on_sigint)
    try:
        with interruptible(), pytest.raises(KeyboardInterrupt):
            run_async(busy())
    finally:
        signal.signal(signal.SIGINT, before)
    assert told == ["the step is done", "cancelled"]


def test_a_lost_interrupt_is_found_before_work_begins() -> None:
    began: list[str] = []
    with interruptible():
        lose_an_interrupt()
        with pytest.raises(KeyboardInterrupt):
            run_async(work(lambda: began.append("it"), sleeps=False))
    assert began == []


def test_a_lost_interrupt_is_found_before_a_run_is_called_done(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.cli.commands.schema.command.callback", lambda *_, **__: lose_an_interrupt())
    assert run(["schema"]) == 130
    assert capsys.readouterr().err == "Error: interrupted\n"


def test_nothing_came() -> None:
    with interruptible():
        current().check()
        assert run_async(asyncio.sleep(0, "done")) == "done"


def test_ignored_interrupts_stay_ignored_but_not_sigterm(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in a background job of a shell
    try:
        with interruptible():
            signal.raise_signal(signal.SIGINT)
            assert run_async(asyncio.sleep(0, "done")) == "done"
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_exit_code_is_ours_wherever_it_arrived() -> None:
    ended = processes.run([sys.executable, "-c", IN_AN_EXEC])
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "all told\n", "")
