"""How often, and after how long, a write is sent again.

The formula is that of reads (`backoff.py`). Who sends again is another: only the run knows when that is harmless.
"""

from __future__ import annotations

import random

from reconciler.backoff import Backoff
from reconciler.errors import ApiError, RateLimited, ServerFailed

TRIES = 5
BASE_S = 2.0
CAP_S = 60.0
LONGEST_S = 300.0  # a server that asks for more is not waited for


class Patience:
    """The retries of one run: 5 tries a call, and over all calls no more retries than calls (10 at least)."""

    def __init__(self, calls: int, *, rng: random.Random) -> None:
        self._left = max(10, calls)
        self._backoff = Backoff(BASE_S, CAP_S, rng)

    def delay_s(self, attempts: int, error: ApiError | None) -> float | str:
        """Seconds to wait before the next try, or why there is none.

        Args:
            attempts: tries made so far, 1 or more.
            error: how the last one ended.
        """
        asked = error.retry_after_s if isinstance(error, RateLimited | ServerFailed) else None
        if attempts >= TRIES:
            return f"gave up after {attempts} tries"
        if not self._left:
            return "gave up: this run's budget of retries is used up"
        if asked is not None and asked > LONGEST_S:
            return f"gave up: the server asks to wait {asked:.0f} s"
        self._left -= 1
        return self._backoff.wait_s(attempts, asked_s=asked)
