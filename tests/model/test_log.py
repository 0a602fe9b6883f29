"""The last release of a flow and the error since, as a table: one rule for `plan` and `status`."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.log import History, history_of
from reconciler.model.state import LogEntry

NOON, LATER = "2026-06-01T12:00:00.000Z", "2026-06-01T12:00:01Z"
BEFORE, LATEST = "2026-06-01T13:59:59.5+02:00", "2026-06-01T14:00:02.5+02:00"


def release(date: str | None, version: str | None = "2", flow: str | None = "f", **more: str) -> LogEntry:
    return LogEntry(date, "desired", flow, version, **more)


def report(date: str | None, flow: str | None = None) -> LogEntry:
    return LogEntry(date, "current", flow, bundle="17")


def error(date: str | None, text: str = "full", flow: str | None = None) -> LogEntry:
    return LogEntry(date, "current", flow, attempted="17", error=text)


@pytest.mark.parametrize(
    ("logs", "text"),
    [
        ([], None),
        ([report(NOON)], None),
        ([error(NOON)], "full"),
        ([error(NOON, "a"), error(LATER, "b")], "b"),
        ([error(LATER, "b"), error(NOON, "a")], "b"),
        # what happened before the flow was last released is past; the order of the log does not matter
        ([error(NOON), release(LATER)], None),
        ([release(LATER), error(NOON)], None),
        ([release(NOON), error(LATER)], "full"),
        ([release(NOON, "1"), error(LATER), release(LATEST, "2")], None),
        # a report between does not excuse it
        ([release(NOON), error(LATER), report(LATEST)], "full"),
        # an error of the same instant, or without a readable date, counts as later
        ([release(LATER), error(LATER)], "full"),
        ([release(NOON), error(None)], "full"),
        ([release(NOON), error("yesterday")], "full"),
        ([release(None), error(NOON)], "full"),
        # of several, one without a date counts as the newest
        ([error(None, "a"), error(NOON, "b")], "a"),
        ([error("soon", "a")], "a"),
        # an error that names a flow is about that one; one that names none is about all
        ([release(NOON), error(LATER, flow="f")], "full"),
        ([release(NOON), error(LATER, flow="g")], None),
        ([release(NOON), error(LATER), release(LATEST, flow="g")], "full"),
        # repeats are no releases: the bundle was compiled again
        ([release(NOON), error(LATER), release(LATEST)], "full"),
        ([release(NOON, previous="1"), error(LATER), release(LATEST, previous="2")], "full"),
        ([error(NOON), release(LATER, previous="2")], "full"),
        ([error(NOON), release(LATER, previous="1")], None),
        ([release(NOON, "1"), release(LATER, None), error(BEFORE), release(LATEST, "1")], None),
        # entries without a flow are none, but for `clear`: a release of nothing
        ([release(NOON), error(LATER), release(LATEST, flow=None, update="globals")], "full"),
        ([release(NOON), error(LATER), release(LATEST, None, None, update="clear")], None),
        ([release(NOON), release(LATER, None, None, update="clear"), error(LATER), release(LATEST)], None),
        ([release(NOON, None), error(LATER), release(LATEST, None, None, update="clear")], "full"),
        # times are compared as times, whatever their form
        ([error("2026-01-01T12:00:00+00:00", "a"), error("2026-01-01T11:59:59.5Z", "b")], "a"),
        ([error("2026-01-01T12:00:00+02:00", "a"), error("2026-01-01T11:00:00Z", "b")], "b"),
        ([error("2026-01-01T12:00:00", "a"), error("2026-01-01T11:00:00Z", "b")], "a"),
        ([error("2026-01-01T12:00:00.500Z", "a"), error("2026-01-01T12:00:00Z", "b")], "a"),
        ([release("2026-06-01T12:00:00"), error(LATER)], "full"),
    ],
)
def test_the_last_error(logs: list[LogEntry], text: str | None) -> None:
    found = history_of(logs, "f").error
    assert (found.error if found else None) == text


def test_the_last_release_is_the_entry_that_made_the_version_the_target() -> None:
    made, repeated = release(NOON, source_id="ada"), release(LATER, source_id="ci")
    assert history_of([release(BEFORE, "1"), repeated, made], "f").release == made
    assert history_of([repeated, release(NOON, flow="g")], "f").release == repeated
    assert history_of([release(NOON, flow=None)], "f") == History()


def test_times_without_a_zone_are_utc_wherever_we_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        logs = [error("2026-01-01T12:00:00", "naive"), error("2026-01-01T11:00:00Z", "earlier")]
        assert history_of(logs, "f").error == history_of(logs[::-1], "f").error == logs[0]
    finally:
        monkeypatch.undo()
        time.tzset()


dates = st.sampled_from([None, "soon", BEFORE, NOON, LATER, LATEST])
entries = st.builds(release, dates, st.sampled_from([None, "1", "2"]), st.sampled_from(["f", "g", None])) | st.builds(
    error, dates, st.sampled_from("ab"), st.sampled_from(["f", "g", None])
)


@given(st.lists(entries, max_size=6).flatmap(lambda logs: st.tuples(st.just(logs), st.permutations(logs))))
def test_the_order_of_the_log_does_not_matter(logs: tuple[list[LogEntry], list[LogEntry]]) -> None:
    one, other = (history_of(each, "f") for each in logs)
    assert (one.error and one.error.error) == (other.error and other.error.error)
    assert (one.release and one.release.version) == (other.release and other.release.version)
