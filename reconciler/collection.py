"""Garbage collection held back while much is made that is no garbage.

Reading pages, loading YAML and planning make hundreds of thousands of objects and hardly a cycle. Looking for cycles
among them again and again is up to a third of a large plan's time.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def at_rest() -> Iterator[None]:
    """No collection inside; afterwards as before."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
