"""Controls a run: concurrency, pauses, the end of the run, and retries of writes.

Reads are retried behind their port. Writes are retried here, because only the run knows when that is safe.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from reconciler.errors import ApiError
from reconciler.ports import Clock
from reconciler.runtime import Backoff

TRIES = 5
BASE_S = 2.0
CAP_S = 60.0
LONGEST_S = 300.0  # longer Retry-After values are not waited for


class RetryBudget:
    """The retries of one run: 5 tries per call, and in total no more retries than calls (at least 10)."""

    def __init__(self, calls: int, *, rng: random.Random) -> None:
        self._left = max(10, calls)
        self._backoff = Backoff(BASE_S, CAP_S, rng)

    def delay_s(self, attempts: int, error: ApiError | None) -> float | str:
        """Seconds to wait before the next try, or why there is none, after 1 or more tries that failed."""
        asked = error.retry_after_s if error else None
        if attempts >= TRIES:
            return f"gave up after {attempts} tries"
        if not self._left:
            return "gave up: the retry budget of this run is used up"
        if asked is not None and asked > LONGEST_S:
            return f"gave up: the server requires a wait of {asked:.0f} s"
        self._left -= 1
        return self._backoff.wait_s(attempts, retry_after_s=asked)


@dataclass(slots=True)
class RunControl:
    """The shared state that controls a run.

    Attributes:
        clock: the run's only source of time.
        limit: maximum requests in flight; it only decreases.
        retries: whether, and after how long, a call is resent.
        pause_until: monotonic time before which nothing is sent.
        stopped_by: why sending has stopped, or None.
        read_error: the error of the newest read, or None if it succeeded.
        unseen: a call may have taken effect since the last read of everything began.
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
        """Remaining seconds of the pause; 0 or less if there is none."""
        return self.pause_until - self.clock.monotonic()

    def hold(self, delay_s: float) -> None:
        """Pause sending for that long; the longest pause wins."""
        self.pause_until = max(self.pause_until, self.clock.monotonic() + delay_s)

    def stop(self, reason: str) -> None:
        """Stop sending; the first reason is kept."""
        self.stopped_by = self.stopped_by or reason
