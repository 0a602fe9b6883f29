"""Waiting for what happens elsewhere: in another process, on another thread."""

from __future__ import annotations

import time
from collections.abc import Callable

LIMIT_S = 50.0  # for the worst of machines, and less than a test may take


def until(condition: Callable[[], object], *, within_s: float = LIMIT_S) -> None:
    """Look until it holds."""
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)
