"""What a call does to one row, by reading: the model that a plan proves itself on."""

from __future__ import annotations

import pytest

from reconciler.model.requests import Release, RemoveDevice, RemoveFlow, RemoveRow, Replace, Request
from reconciler.model.state import Entry, Version
from reconciler.planner.calls.effects import Reading, RowState, as_read

REPLACE = Replace("f", "1", "2")
# How a row was read, whether the bundle is unknown, and what may be released after `REPLACE`, by reading.
AFTER_REPLACE: list[tuple[Entry, bool, dict[Reading, set[Version | None]]]] = [
    (
        Entry("1", "1"),
        False,
        {Reading.RELEASED: {"2"}, Reading.REPORTED: {"2"}, Reading.EITHER: {"2"}, Reading.BOTH: {"2"}},
    ),
    (
        Entry("1", "7"),
        False,
        {Reading.RELEASED: {"2"}, Reading.REPORTED: {"1", "2"}, Reading.EITHER: {"2"}, Reading.BOTH: {"1", "2"}},
    ),
    (
        Entry("7", "1"),
        False,
        {Reading.RELEASED: {"7"}, Reading.REPORTED: {"7", "2"}, Reading.EITHER: {"7", "2"}, Reading.BOTH: {"7"}},
    ),
    (
        Entry("1", None),
        False,
        {Reading.RELEASED: {"2"}, Reading.REPORTED: {"1", "2"}, Reading.EITHER: {"2"}, Reading.BOTH: {"1", "2"}},
    ),
    (Entry("7", "8"), False, {reading: {"7"} for reading in Reading}),
    (Entry(None, None), False, {reading: {None} for reading in Reading}),
    (
        Entry("1", "1"),
        True,
        {Reading.RELEASED: {"2"}, Reading.REPORTED: {"1", "2"}, Reading.EITHER: {"2"}, Reading.BOTH: {"1", "2"}},
    ),
    (
        Entry("7", "8"),
        True,
        {Reading.RELEASED: {"7"}, Reading.REPORTED: {"7", "2"}, Reading.EITHER: {"7", "2"}, Reading.BOTH: {"7"}},
    ),
]


@pytest.mark.parametrize("reading", Reading)
@pytest.mark.parametrize(("entry", "unknown", "after"), AFTER_REPLACE)
def test_replace(entry: Entry, unknown: bool, after: dict[Reading, set[Version | None]], reading: Reading) -> None:
    state = as_read(entry, unknown_bundle=unknown)
    assert state == RowState(frozenset({entry.released}), frozenset(entry), unknown)
    moved = state.after(REPLACE, reading)
    assert moved.released == after[reading]
    assert moved.reported == {*entry, *after[reading]}
    assert moved.reports_anything is unknown


def test_a_row_that_is_sure_to_report_the_old_version_is_moved_whatever_is_released() -> None:
    """Not from any read, since a device may always come to report what is released; but by the meaning of the words."""
    state = RowState(frozenset({"7"}), frozenset({"1"}), reports_anything=False)
    assert state.after(REPLACE, Reading.REPORTED).released == {"2"}
    assert state.after(REPLACE, Reading.EITHER).released == {"2"}
    assert state.after(REPLACE, Reading.BOTH).released == {"7"}
    anything = RowState(frozenset({"7"}), frozenset({"1"}), reports_anything=True)
    assert anything.after(REPLACE, Reading.REPORTED).released == {"7", "2"}


def test_each_version_that_may_be_released_is_followed() -> None:
    state = RowState(frozenset({"1", "7", None}), frozenset({"1", "7", None}), reports_anything=False)
    assert state.after(REPLACE, Reading.RELEASED).released == {"2", "7", None}
    assert state.after(REPLACE, Reading.BOTH).released == {"1", "2", "7", None}


@pytest.mark.parametrize("reading", Reading)
@pytest.mark.parametrize(
    ("call", "version"),
    [
        (Release("f", "3", ("a",)), "3"),
        (Release("f", None, ("a",)), None),
        (RemoveRow("f", "a"), None),
        (RemoveDevice("a"), None),
        (RemoveFlow("f"), None),
    ],
)
def test_other_calls_move_the_row_whatever_it_was(call: Request, version: Version | None, reading: Reading) -> None:
    moved = as_read(Entry("1", "7"), unknown_bundle=True).after(call, reading)
    assert moved == RowState(frozenset({version}), frozenset({"1", "7", version}), reports_anything=True)
