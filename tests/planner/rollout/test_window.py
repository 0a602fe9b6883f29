"""When a window is open: over midnight, and both ways over daylight saving in London."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.model.rules import Window
from reconciler.planner.rollout.window import opens
from tests.planner.rollout.oracle import in_window

LONDON, EVERY_DAY, MON_FRI = "Europe/London", (0, 1, 2, 3, 4, 5, 6), (0, 1, 2, 3, 4)
SPRING = datetime(2026, 3, 28, tzinfo=UTC)  # a Saturday; on Sunday 01:00 becomes 02:00 at 01:00Z
AUTUMN = datetime(2026, 10, 24, tzinfo=UTC)  # a Saturday; on Sunday 02:00 becomes 01:00 at 01:00Z


def minute(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def window(span: str, days: tuple[int, ...] = EVERY_DAY, zone: str = LONDON) -> Window:
    begin, end = span.split("-")
    return Window(days, minute(begin), minute(end), zone)


def unix(text: str) -> float:
    return datetime.fromisoformat(f"2026-{text}Z").timestamp()


@pytest.mark.parametrize(
    ("own", "now", "expected"),
    [
        (window("01:00-05:00"), "01-05T00:59:59", "01-05T01:00"),
        (window("01:00-05:00"), "01-05T01:00", None),
        (window("01:00-05:00"), "01-05T04:59:59", None),
        (window("01:00-05:00"), "01-05T05:00", "01-06T01:00"),
        (window("01:00-05:00"), "07-06T00:00", None),  # summer time
        (window("01:00-05:00"), "07-06T04:00", "07-07T00:00"),
        (window("01:00-05:00", MON_FRI), "01-09T05:00", "01-12T01:00"),  # from Friday to Monday
        (window("22:00-02:00", (4,)), "01-10T01:59", None),  # belongs to Friday, on which it began
        (window("22:00-02:00", (4,)), "01-10T02:00", "01-16T22:00"),
        (window("22:00-02:00", (4,)), "01-10T22:30", "01-16T22:00"),  # Saturday evening
        (window("22:00-02:00", (4,)), "01-09T01:00", "01-09T22:00"),  # Friday's small hours are Thursday's
        (window("01:30-05:00"), "03-29T00:59", "03-29T01:00"),  # skipped: the first minute after, 02:00 there
        (window("01:30-05:00"), "03-29T01:00", None),
        (window("01:30-05:00"), "03-29T04:00", "03-30T00:30"),
        (window("00:30-01:30"), "03-29T00:59", None),  # its end is skipped: it ends at the first minute after
        (window("00:30-01:30"), "03-29T01:00", "03-29T23:30"),
        (window("01:15-01:45"), "03-29T01:00", "03-30T00:15"),  # all of it is skipped
        (window("22:00-04:00"), "03-29T02:59", None),  # over the night that is an hour shorter
        (window("22:00-04:00"), "03-29T03:00", "03-29T21:00"),
        (window("01:00-05:00"), "10-25T00:00", None),  # the first 01:00 of the two
        (window("01:00-05:00"), "10-25T04:59", None),
        (window("01:00-05:00"), "10-25T05:00", "10-26T01:00"),
        (window("00:30-01:30"), "10-25T00:29", None),
        (window("00:30-01:30"), "10-25T01:15", "10-26T00:30"),  # closed in the second 01:15 of the two
        (window("01:30-05:00"), "10-25T01:10", None),  # open in the second 01:10, since it began before
        (window("22:00-04:00"), "10-25T03:59", None),  # over the night that is an hour longer
        (window("22:00-04:00"), "10-25T04:00", "10-25T22:00"),
        (window("00:00-23:59", zone="UTC"), "01-05T23:59", "01-06T00:00"),
        (window("01:00-02:00", zone="Asia/Kathmandu"), "01-05T19:14", "01-05T19:15"),
        (window("01:00-02:00", zone="Asia/Kathmandu"), "01-05T19:15", None),
    ],
)  # fmt: skip
def test_table(own: Window, now: str, expected: str | None) -> None:
    assert opens(own, unix(now)) == (None if expected is None else unix(expected))


def test_without_a_window_it_is_always_open() -> None:
    assert opens(None, 0.0) is None


minutes = st.integers(0, 24 * 60 - 1)
windows = st.builds(
    Window,
    st.sets(st.integers(0, 6), min_size=1).map(lambda days: tuple(sorted(days))),
    minutes,
    minutes,
    st.sampled_from([LONDON, "UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
).filter(lambda one: one.start_min != one.end_min)


@given(windows, st.sampled_from([SPRING, AUTUMN]), st.integers(0, 9 * 24 * 60))
@example(window("01:30-05:00"), SPRING, 25 * 60)
def test_a_window_is_open_by_the_clock_on_the_wall(own: Window, begin: datetime, later: int) -> None:
    """Wherever the clock does not show one time twice; and the moment that is told is the first that is open."""
    now = begin.timestamp() + later * 60
    at = opens(own, now)
    if _is_plain(own, now):
        assert (at is None) == in_window(own, now)
    if at is not None:
        assert at > now
        assert opens(own, at) is None
        assert opens(own, at - 60) is not None


def _is_plain(own: Window, now: float) -> bool:
    """Whether no clock is put back, or has been put back, in the day around."""
    zone = ZoneInfo(own.zone)
    offsets = [datetime.fromtimestamp(now + hours * 3600, zone).utcoffset() for hours in range(-27, 28)]
    known = [one for one in offsets if one is not None]
    return all(one <= other for one, other in pairwise(known))
