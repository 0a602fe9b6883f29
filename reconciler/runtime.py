"""What a run needs of its process: time, pauses between tries, concurrency, and garbage collection out of the way."""

from __future__ import annotations

import contextlib
import gc
import random
import time
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any


class SystemClock:
    """`ports.Clock` by the machine's own time."""

    def monotonic(self) -> float:
        """Seconds that only go forward."""
        return time.monotonic()

    def utc_now(self) -> str:
        """RFC 3339 in UTC with milliseconds."""
        return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    async def sleep(self, seconds: float) -> None:
        """Wait; cancellation ends it at once."""
        import asyncio  # noqa: PLC0415 - slow to import, and commands without network do not need it

        await asyncio.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential back-off with full jitter: from 0 to `base_s`, doubled with each further try, up to `cap_s`."""

    base_s: float
    cap_s: float
    rng: random.Random

    def wait_s(self, tries: int, *, retry_after_s: float | None = None) -> float:
        """Seconds to wait after `tries` tries (1 or more). What the server asks for, `retry_after_s`, wins."""
        if retry_after_s is not None:
            return retry_after_s
        return self.rng.uniform(0, min(self.cap_s, self.base_s * 2 ** (tries - 1)))


@contextlib.contextmanager
def gc_paused() -> Iterator[None]:
    """Collect no garbage inside.

    Reading pages, loading YAML and planning make hundreds of thousands of objects and hardly a cycle. Looking for
    cycles among them again and again takes up to a third of a large plan's time.
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
    """Run concurrently; the first failure cancels the others and is raised as itself."""
    import asyncio  # noqa: PLC0415 - as above

    if len(coroutines) == 1:
        return [await coroutines[0]]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(coroutine) for coroutine in coroutines]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
