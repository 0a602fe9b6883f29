"""The log of a device in a report: inert wherever it is shown, and never larger than the page."""

from __future__ import annotations

import pytest

from reconciler.health import summarise
from reconciler.model.health import StatusReport
from reconciler.model.state import LogEntry
from reconciler.render.status import status_markdown, status_text
from tests.builders import desired, live, world
from tests.hostile import NAMES, check_page


def report(*log: LogEntry) -> StatusReport:
    seen = live("a/f=1", names={"a": "pump-1"}, flow_names={"f": "telemetry"})
    devices = {"a": seen.devices["a"]._replace(logs=log)}
    return summarise(world(desired("a/f=1"), seen._replace(devices=devices)), only={"a"})


def entry(number: int) -> LogEntry:
    date = f"2026-03-02T09:{number // 60:02}:{number % 60:02}Z"
    return LogEntry(date, "desired", "f", f"v{number}", source_type="user", source_id="5" * 24)


@pytest.mark.parametrize("text", NAMES)
def test_text_of_the_api_does_nothing(text: str) -> None:
    odd = LogEntry(text, text, text, text, text, text, text, text, text, text, text)
    shown = status_text([report(odd, odd._replace(change="desired"), odd._replace(change="current"))])
    assert not any(char in shown for char in ("\x1b", "\x07", "\r", "\u202e", "\u2028"))
    assert not any(line.startswith(("::", "##[")) for line in map(str.lstrip, shown.splitlines()))
    check_page(status_markdown([report(odd)]), 65_000)


def test_the_newest_twenty_are_shown_and_the_rest_is_counted() -> None:
    text = status_text([report(*map(entry, range(30)))])
    assert "Log of pump-1 (a): 30 lines, newest first" in text
    assert "v29" in text
    assert "v10\n" in text
    assert "v9\n" not in text
    assert "    and 10 older lines\n" in text


def test_lines_without_a_date_come_last_and_nothing_missing_is_made_up() -> None:
    lines = status_text([report(LogEntry(), entry(1))]).splitlines()
    assert lines.index("    no date") > lines.index("    2026-03-02 09:00:01Z")
    assert "        no details" in lines


@pytest.mark.parametrize("limit", [1_000, 2_000, 20_000])
def test_a_long_log_keeps_the_limit_of_the_page(limit: int) -> None:
    page = status_markdown([report(*map(entry, range(2_000)))], max_bytes=limit)
    check_page(page, limit)
    assert "2,000 lines of logs" in page
