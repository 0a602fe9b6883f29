"""When a rollout may send: a window of the week in some time zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from reconciler.model.rules import Window

_LOOK_AHEAD = 15  # days; a window opens at least once a week
_MINUTES = 24 * 60


def opens(window: Window | None, now: float) -> float | None:
    """When a window opens next, in Unix time; None within it, and without a window."""
    if window is None:
        return None
    zone = ZoneInfo(window.zone)
    today = datetime.fromtimestamp(now, zone).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    length = (window.end_min - window.start_min) % _MINUTES
    for day in range(-1, _LOOK_AHEAD):
        midnight = today + timedelta(days=day)
        if midnight.weekday() not in window.days:
            continue
        begin = _unix_time(midnight + timedelta(minutes=window.start_min), zone)
        if now < begin:
            return begin
        if now < _unix_time(midnight + timedelta(minutes=window.start_min + length), zone):
            return None
    raise AssertionError("a window without a day")  # the manifest's reader refuses it


def _unix_time(local: datetime, zone: ZoneInfo) -> float:
    """The Unix time of a wall clock; of one that daylight saving skips, the first minute after."""
    while (at := local.replace(tzinfo=zone).astimezone(UTC)).astimezone(zone).replace(tzinfo=None) != local:
        local += timedelta(minutes=1)
    return at.timestamp()
