"""Time in the simulator: the wall clock, or a frozen time, plus an offset."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import lru_cache


class Clock:
    """Milliseconds since the epoch. A frozen clock advances only by its offset."""

    def __init__(self, *, frozen_at: datetime | None = None) -> None:
        self._frozen_ms = None if frozen_at is None else round(frozen_at.timestamp() * 1000)
        self.offset_ms = 0

    def now_ms(self) -> int:
        """The current time in the simulated world."""
        base = time.time_ns() // 1_000_000 if self._frozen_ms is None else self._frozen_ms
        return base + self.offset_ms


@lru_cache(maxsize=65536)
def rfc3339(ms: int) -> str:
    """Format a time like the API: UTC, milliseconds, `Z`."""
    moment = datetime.fromtimestamp(ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03}Z"


def parse_ms(text: str) -> int | None:
    """Parse RFC 3339 text to milliseconds; None if it is invalid. No time zone means UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
