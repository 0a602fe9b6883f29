"""Runtime support: the system clock, back-off, concurrency, and pausing the garbage collector."""

from __future__ import annotations

import contextlib
import gc
import random
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, NamedTuple, TypeVar, cast

DEFAULT_PARALLELISM, MAX_PARALLELISM = 4, 32  # requests in flight

T = TypeVar("T")


class SystemClock:
    """`ports.Clock` with the system's time."""

    def monotonic(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    def utc_now(self) -> str:
        """RFC 3339 in UTC with milliseconds."""
        return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    async def sleep(self, seconds: float) -> None:
        """Wait; cancellation ends it at once."""
        import asyncio  # noqa: PLC0415 - slow to import, and commands without network do not need it

        await asyncio.sleep(seconds)

    def deadline(self, seconds: float) -> contextlib.AbstractAsyncContextManager[object]:
        """What still runs inside after so many seconds is cancelled, and the block ends with a TimeoutError."""
        import asyncio  # noqa: PLC0415 - as above

        return asyncio.timeout(seconds)


class Backoff(NamedTuple):
    """Exponential back-off with full jitter: 0 to `base_s`, doubled with each further try, capped at `cap_s`."""

    base_s: float
    cap_s: float
    rng: random.Random

    def wait_s(self, tries: int, *, retry_after_s: float | None = None) -> float:
        """Seconds to wait after `tries` (1 or more) tries. The server's `retry_after_s` takes precedence."""
        if retry_after_s is not None:
            return retry_after_s
        return self.rng.uniform(0, min(self.cap_s, self.base_s * 2 ** (tries - 1)))


@dataclass(slots=True)
class PollPause:
    """The pause between two reads: `first_s`, multiplied by `growth` each time, capped at `cap_s`."""

    first_s: float
    growth: float
    cap_s: float
    _next_s: float = 0.0

    def restart(self) -> None:
        """Begin again with the first pause."""
        self._next_s = 0.0

    def wait_s(self, *, took_s: float, left_s: float) -> float:
        """Seconds to wait after a read that took `took_s`, with `left_s` until the timeout.

        A slow read lengthens the pause, so that polling does not dominate the load on the API.
        """
        pause_s = self._next_s or self.first_s
        self._next_s = min(pause_s * self.growth, self.cap_s)
        return min(max(pause_s, took_s), left_s)


@contextlib.contextmanager
def gc_paused() -> Iterator[None]:
    """Pause garbage collection.

    Reading pages, loading YAML and planning create hundreds of thousands of objects with hardly a cycle. Searching
    them for cycles again and again takes up to a third of a large plan's time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextlib.contextmanager
def gc_spared() -> Iterator[None]:
    """Pause garbage collection, and never search what is made meanwhile: the process needs it to its end."""
    with gc_paused():
        yield
        gc.freeze()


def utc_today() -> date:
    """The current UTC date, which decides whether pins have expired."""
    return datetime.now(UTC).date()


async def turns() -> None:
    """Let others send what they are about to, before a computation that holds everything up.

    It takes a request four turns of the event loop from getting a slot to being written to its socket.
    """
    import asyncio  # noqa: PLC0415 - as above

    for _ in range(4):
        await asyncio.sleep(0)


async def gather_in_order(works: Sequence[Callable[[], Coroutine[Any, Any, T]]]) -> list[T]:
    """Run concurrently what could be run one after the other, and fail as that would.

    The failure that is raised is that of the first in their order that fails, whichever failed first in time. It
    cancels those that come after it.
    """
    import asyncio  # noqa: PLC0415 - as above

    failures: dict[int, Exception] = {}

    async def run(place: int, work: Callable[[], Coroutine[Any, Any, T]]) -> T | None:
        try:
            return await work()
        except Exception as error:  # noqa: BLE001 - kept, and raised below
            failures[place] = error
            for later in tasks[place + 1 :]:
                later.cancel()
            return None

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run(place, work)) for place, work in enumerate(works)]
    if failures:
        raise failures[min(failures)]
    return [cast("T", task.result()) for task in tasks]


async def gather(*coroutines: Coroutine[Any, Any, Any]) -> list[Any]:
    """Run concurrently; the first failure cancels the others and is raised unchanged."""
    import asyncio  # noqa: PLC0415 - as above

    if len(coroutines) == 1:
        return [await coroutines[0]]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(coroutine) for coroutine in coroutines]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
