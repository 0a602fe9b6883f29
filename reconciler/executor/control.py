"""What steers a run besides its journal: how many requests go at once, when to pause or stop, what is sent again.

Reads are retried behind their port. Writes are retried here, because only the run knows when that is harmless.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from reconciler.errors import ApiError, ReconcilerError
from reconciler.ports import Clock
from reconciler.runtime import Backoff

TRIES = 5
BASE_S = 2.0
CAP_S = 60.0
LONGEST_S = 300.0  # a server that asks for more is not waited for


class RetryBudget:
    """The retries of one run: 5 tries a call, and over all calls no more retries than calls (10 at least)."""

    def __init__(self, calls: int, *, rng: random.Random) -> None:
        self._left = max(10, calls)
        self._backoff = Backoff(BASE_S, CAP_S, rng)

    def delay_s(self, attempts: int, error: ApiError | None) -> float | str:
        """Seconds to wait before the next try, or why there is none, after 1 or more that ended like this."""
        asked = error.retry_after_s if error else None
        if attempts >= TRIES:
            return f"gave up after {attempts} tries"
        if not self._left:
            return "gave up: this run's budget of retries is used up"
        if asked is not None and asked > LONGEST_S:
            return f"gave up: the server asks to wait {asked:.0f} s"
        self._left -= 1
        return self._backoff.wait_s(attempts, retry_after_s=asked)


@dataclass(slots=True)
class RunControl:
    """The run's time, pace and end.

    Attributes:
        clock: all time of the run.
        limit: requests in flight at most; only ever falls.
        retries: whether, and after how long, a call is sent again.
        pause_until: monotonic time before which nothing is sent.
        stopped_by: why nothing is sent any more, or None.
        read_error: how the newest read failed, or None if it did not.
        unseen: a call may have had an effect since the last read of everything began.
    """

    clock: Clock
    limit: int
    retries: RetryBudget
    pause_until: float = 0.0
    stopped_by: str | None = None
    read_error: str | None = None
    unseen: bool = False

    @property
    def pause_s(self) -> float:
        """Seconds for which nothing is sent; 0 or less where there is no pause."""
        return self.pause_until - self.clock.monotonic()

    def hold(self, delay_s: float) -> None:
        """Send nothing for that long; the longest pause wins."""
        self.pause_until = max(self.pause_until, self.clock.monotonic() + delay_s)

    def stop(self, reason: str) -> None:
        """Send nothing more; the first reason stays."""
        self.stopped_by = self.stopped_by or reason


def message(error: ReconcilerError) -> str:
    """An error in one line, with its remedy."""
    problem = error.problems[0]
    return f"{problem.message} ({problem.hint})" if problem.hint else problem.message
