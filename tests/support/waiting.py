"""Waiting for what happens elsewhere: in another process, on another thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

LIMIT_S = 50.0  # for the worst of machines, and less than a test may take


def until(condition: Callable[[], object], *, within_s: float = LIMIT_S) -> None:
    """Look until it holds."""
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def join(thread: threading.Thread) -> None:
    """Wait for the end of a thread, but not for ever."""
    thread.join(LIMIT_S)
    assert not thread.is_alive(), "waited in vain"
