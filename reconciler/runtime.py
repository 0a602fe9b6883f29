"""What is the process's own: its garbage collector, its coroutines, its date."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Coroutine, Iterator
from datetime import UTC, date, datetime
from typing import Any


@contextlib.contextmanager
def gc_paused() -> Iterator[None]:
    """Collect no garbage inside; afterwards as before.

    Reading pages, loading YAML and planning make hundreds of thousands of objects and hardly a cycle. Looking for
    cycles among them again and again is up to a third of a large plan's time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def utc_today() -> date:
    """The date that pins are judged by."""
    return datetime.now(UTC).date()


async def gather(*coroutines: Coroutine[Any, Any, Any]) -> list[Any]:
    """Run at the same time; the first failure cancels the rest and is raised as itself."""
    import asyncio  # noqa: PLC0415 - dear to import, and commands that ask nothing do without

    if len(coroutines) == 1:
        return [await coroutines[0]]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(coroutine) for coroutine in coroutines]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
