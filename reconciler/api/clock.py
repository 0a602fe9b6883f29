"""The real clock behind `ports.Clock`."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime


class SystemClock:
    """The machine's own time."""

    def monotonic(self) -> float:
        """Seconds that only go forward."""
        return time.monotonic()

    def utc_now(self) -> str:
        """RFC 3339 in UTC with milliseconds."""
        return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    async def sleep(self, seconds: float) -> None:
        """Wait; cancellation ends it at once."""
        await asyncio.sleep(seconds)
