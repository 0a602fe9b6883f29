"""How long to wait before something is sent again: what the server asks for, else exponential with full jitter.

Reads are repeated behind their port, by the client; writes by the executor, because only the run knows when that is
harmless. Each has numbers of its own, and both have this formula.
"""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Any time from 0 up to `base_s` before the first repetition, up to twice as much before each further, to a cap."""

    base_s: float
    cap_s: float
    rng: random.Random

    def wait_s(self, tries: int, *, asked_s: float | None = None) -> float:
        """Seconds to wait after so many tries, 1 or more. `asked_s` is the server's `Retry-After`, which wins."""
        if asked_s is not None:
            return asked_s
        return self.rng.uniform(0, min(self.cap_s, self.base_s * 2 ** (tries - 1)))
