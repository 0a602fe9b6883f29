"""The time of the simulated world: it can be set, stand still, or run faster than the wall clock."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from typing import Final

LATEST_MS: Final = round(datetime(9000, 1, 1, tzinfo=UTC).timestamp() * 1000)
"""Where every clock ends: dates with more digits have no text."""
FASTEST: Final = 1_000_000
"""The most times that a clock may run as fast as the wall clock: twelve days a second."""


class Clock:
    """Milliseconds since the epoch, counted from a moment that was set, so many times as fast as the wall clock.

    Attributes:
        speed: 0 stands still; 1 runs as fast as the wall clock.
    """

    def __init__(self, *, frozen_at: datetime | None = None, at: datetime | None = None, speed: float = 1.0) -> None:
        """A clock that stands still at `frozen_at`, or one that runs from `at`; by default the wall clock."""
        begin = at if frozen_at is None else frozen_at
        self._wall_ms = _wall_ms()
        self._at_ms = self._wall_ms if begin is None else to_ms(begin)
        self.speed = float(speed) if frozen_at is None else 0.0

    def now_ms(self) -> int:
        """The current time in the simulated world."""
        passed_ms = max(0, _wall_ms() - self._wall_ms)
        return min(LATEST_MS, self._at_ms + round(passed_ms * self.speed))

    def set(self, at_ms: int, speed: float) -> None:
        """Run on from a moment at a speed."""
        self._wall_ms, self._at_ms, self.speed = _wall_ms(), at_ms, float(speed)

    def dump(self) -> str:
        """What `load` needs to go on."""
        return json.dumps([self._wall_ms, self._at_ms, self.speed])

    def load(self, text: str) -> None:
        """Go on like the clock that was dumped: what ran has run on meanwhile."""
        self._wall_ms, self._at_ms, self.speed = json.loads(text)


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


def to_ms(moment: datetime) -> int:
    """Milliseconds since the epoch; no time zone means UTC."""
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


@lru_cache(maxsize=65536)
def rfc3339(ms: int) -> str:
    """Format a time like the API: UTC, milliseconds, `Z`."""
    moment = datetime.fromtimestamp(ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03}Z"


def http_date(ms: int) -> str:
    """Format a time like a `Date` header."""
    return format_datetime(datetime.fromtimestamp(ms // 1000, UTC), usegmt=True)


def parse_ms(text: str) -> int | None:
    """Parse RFC 3339 text to milliseconds; None if it is invalid. No time zone means UTC."""
    try:
        return to_ms(datetime.fromisoformat(text))
    except ValueError:
        return None
