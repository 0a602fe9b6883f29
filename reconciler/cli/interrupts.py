"""Ctrl-C, and the signals that mean the same: none is lost, wherever it arrives."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType


class Interrupts:
    """Handles SIGINT: raises KeyboardInterrupt, and remembers.

    What is raised in a signal handler is lost where native code was running that drops exceptions, as pydantic's does
    while it compiles a model at import.
    """

    def __init__(self) -> None:
        self._came = False

    def __call__(self, _signum: int, _frame: FrameType | None) -> None:
        """Called by Python at a SIGINT."""
        self._came = True
        raise KeyboardInterrupt

    def check(self) -> None:
        """Raise KeyboardInterrupt if there was one: before work begins, and before it is called done."""
        if self._came:
            raise KeyboardInterrupt


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM, and a terminal that is closed, end a run the way Ctrl-C does: with the result of what was done."""
    with contextlib.ExitStack() as stack:
        try:
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                stack.enter_context(_handled(signal.SIGINT, Interrupts()))
            for number in (signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])):
                if signal.getsignal(number) is not signal.SIG_IGN:  # as under `nohup`
                    stack.enter_context(_handled(number, _interrupt))
        except ValueError:  # not in the main thread: the caller's business
            pass
        yield


def check() -> None:
    """Raise KeyboardInterrupt if there was one that got lost."""
    handler = signal.getsignal(signal.SIGINT)
    if isinstance(handler, Interrupts):
        handler.check()


@contextlib.contextmanager
def left_to_asyncio() -> Iterator[None]:
    """Python's own handler inside, which is the one that asyncio replaces by its cancelling of the work."""
    check()
    handler = signal.getsignal(signal.SIGINT)
    if not isinstance(handler, Interrupts):
        yield
        return
    with _handled(signal.SIGINT, signal.default_int_handler):
        yield


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """No signal that means an interrupt gets through: for the report of one."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(ValueError):  # not in the main thread
            for number in (signal.SIGINT, signal.SIGTERM):
                stack.enter_context(_handled(number, signal.SIG_IGN))
        yield


def _interrupt(signum: int, frame: FrameType | None) -> None:
    # Whoever handles Ctrl-C at this moment: asyncio while it runs, else the handler above.
    # In a background job Ctrl-C is ignored, which must not hold for these.
    on_interrupt = signal.getsignal(signal.SIGINT)
    if callable(on_interrupt):
        on_interrupt(signum, frame)
    else:
        raise KeyboardInterrupt


@contextlib.contextmanager
def _handled(number: int, handler: signal._HANDLER) -> Iterator[None]:
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)
