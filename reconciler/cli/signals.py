"""Ctrl-C and equivalent signals, handled so that none is lost."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Coroutine, Iterable, Iterator
from types import FrameType
from typing import Any, Final, TypeVar

T = TypeVar("T")

_SIGNALS: Final = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Interrupts:
    """The signal handler: cancels running work gracefully, otherwise raises KeyboardInterrupt; remembers either way.

    An exception raised in a signal handler is lost if native code discards it, as pydantic's does while it compiles a
    model during an import.
    """

    def __init__(self) -> None:
        self._came = False
        self._cancel: Callable[[], object] | None = None

    def __call__(self, _signum: int, _frame: FrameType | None) -> None:
        """Handle a signal."""
        again, self._came = self._came, True
        if self._cancel is None or again:
            raise KeyboardInterrupt
        self._cancel()

    def check(self) -> None:
        """Raise KeyboardInterrupt if a signal came: called before work starts, and before it counts as done."""
        if self._came:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def cancelling(self, cancel: Callable[[], object]) -> Iterator[None]:
        """Inside, the first signal calls `cancel`, which must not raise; a second one interrupts at once."""
        self._cancel = cancel
        try:
            yield
        finally:
            self._cancel = None

    @contextlib.contextmanager
    def raising(self) -> Iterator[None]:
        """Inside, a signal raises at once although work runs: for a prompt, or for output that may block."""
        cancel, self._cancel = self._cancel, None
        try:
            self.check()
            yield
            self.check()
        finally:
            self._cancel = cancel


def interruptible() -> contextlib.AbstractContextManager[None]:
    """Treat SIGTERM, and a terminal that is closed, like Ctrl-C: the run ends and reports what was done.

    Signals that are ignored stay ignored, such as Ctrl-C in a background job, or a hang-up under `nohup`.
    """
    usual = (signal.SIG_DFL, signal.default_int_handler)
    return _handled([number for number in _SIGNALS if signal.getsignal(number) in usual], Interrupts())


def undisturbed() -> contextlib.AbstractContextManager[None]:
    """Ignore all interrupt signals: for reporting an interrupt."""
    return _handled(_SIGNALS, signal.SIG_IGN)


@contextlib.contextmanager
def _handled(numbers: Iterable[int], handler: signal._HANDLER) -> Iterator[None]:
    before: dict[int, signal._HANDLER] = {}
    try:
        with contextlib.suppress(ValueError):  # not in the main thread: the caller is responsible
            for number in numbers:
                before[number] = signal.signal(number, handler)
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def current() -> Interrupts:
    """The current handler; if it is not ours, one that never gets a signal."""
    handlers = map(signal.getsignal, _SIGNALS)
    return next((handler for handler in handlers if isinstance(handler, Interrupts)), Interrupts())


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to completion; an interrupt cancels it and becomes KeyboardInterrupt."""
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
        work.close()  # if it never started
    interrupts.check()
    return result
