"""Ctrl-C, and the signals that mean the same: none is lost, wherever it arrives."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Coroutine, Iterable, Iterator
from types import FrameType
from typing import Any, Final, TypeVar

T = TypeVar("T")

_SIGNALS: Final = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Interrupts:
    """Handles the signals: ends the work in good order where work runs, else raises KeyboardInterrupt; and remembers.

    What is raised in a signal handler is lost where native code was running that drops exceptions, as pydantic's does
    while it compiles a model at import.
    """

    def __init__(self) -> None:
        self._came = False
        self._cancel: Callable[[], object] | None = None

    def __call__(self, _signum: int, _frame: FrameType | None) -> None:
        """Called by Python at a signal."""
        again, self._came = self._came, True
        if self._cancel is None or again:
            raise KeyboardInterrupt
        self._cancel()

    def check(self) -> None:
        """Raise KeyboardInterrupt if there was one: before work begins, and before it is called done."""
        if self._came:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def cancelling(self, cancel: Callable[[], object]) -> Iterator[None]:
        """The first signal inside calls `cancel`, which must not raise; a second one does not wait for its effect."""
        self._cancel = cancel
        try:
            yield
        finally:
            self._cancel = None

    @contextlib.contextmanager
    def raising(self) -> Iterator[None]:
        """A signal inside raises at once, though work runs: for a question, or for output that may block."""
        cancel, self._cancel = self._cancel, None
        try:
            self.check()
            yield
            self.check()
        finally:
            self._cancel = cancel


def interruptible() -> contextlib.AbstractContextManager[None]:
    """SIGTERM, and a terminal that is closed, end a run the way Ctrl-C does: with the result of what was done.

    What is ignored stays so, as Ctrl-C is in a background job, or a hang-up under `nohup`.
    """
    usual = (signal.SIG_DFL, signal.default_int_handler)
    return _handled([number for number in _SIGNALS if signal.getsignal(number) in usual], Interrupts())


def undisturbed() -> contextlib.AbstractContextManager[None]:
    """No signal that means an interrupt gets through: for the report of one."""
    return _handled(_SIGNALS, signal.SIG_IGN)


@contextlib.contextmanager
def _handled(numbers: Iterable[int], handler: signal._HANDLER) -> Iterator[None]:
    before: dict[int, signal._HANDLER] = {}
    try:
        with contextlib.suppress(ValueError):  # not in the main thread: left to the caller
            for number in numbers:
                before[number] = signal.signal(number, handler)
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def current() -> Interrupts:
    """What handles the signals now; where it is not ours, one that never gets a signal."""
    handlers = map(signal.getsignal, _SIGNALS)
    return next((handler for handler in handlers if isinstance(handler, Interrupts)), Interrupts())


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; an interrupt cancels the work and becomes KeyboardInterrupt."""
    import asyncio

    interrupts = current()

    async def cancellable() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.create_task(work)
        with interrupts.cancelling(lambda: loop.call_soon_threadsafe(task.cancel)):
            return await task

    try:
        interrupts.check()
        result = asyncio.run(cancellable())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        work.close()  # where it never began
    interrupts.check()
    return result
