"""Desired against live, row by row: the table of everything two versions and a decision can be, and the counts."""

from __future__ import annotations

from typing import Any

import pytest
from deepdiff import DeepDiff
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.changes import Change, Compared, Difference, Op, PendingRow, UnmanagedRow
from reconciler.model.state import Application, Decision, Desired, Entry, Kind, Live, LiveDevice, LogEntry
from reconciler.model.world import World
from reconciler.planner.diff import compare, difference_of
from tests.builders import PLACE, desired, live, read


def rows(found: Difference) -> dict[str, list[str]]:
    """The lists of a difference as `device/flow`."""
    lists: dict[str, Any] = {"changes": found.changes, "pending": found.pending, "unmanaged": found.unmanaged}
    return {name: [f"{row.device_id}/{row.flow_id}" for row in listed] for name, listed in lists.items()}


@pytest.mark.parametrize(
    ("wanted", "seen", "listed"),
    [
        ("1", "1", None),
        ("1", "1>-", "pending"),
        ("1", "1>2", "pending"),
        ("1", "2", "update"),
        ("1", "2>1", "update"),
        ("1", "->1", "add"),
        ("1", "-", "add"),
        ("1", None, "add"),
        ("absent", None, None),
        ("absent", "-", None),
        ("absent", "->1", "pending"),
        ("absent", "1", "remove"),
        ("absent", "1>-", "remove"),
        (None, "1", "unmanaged"),
        (None, "1>-", "unmanaged"),
        (None, "->1", "unmanaged"),
        (None, "-", None),
        (None, None, None),
    ],
)
def test_one_row(wanted: str | None, seen: str | None, listed: str | None) -> None:
    found = compare(desired(f"a/f={wanted}" if wanted else ""), live(f"a/f={seen}" if seen else "a/"))
    told = [change.op.value for change in found.changes]
    told += ["pending"] * len(found.pending) + ["unmanaged"] * len(found.unmanaged)
    assert told == ([listed] if listed else [])
    assert found.rows == found.devices == (wanted is not None)
    assert found.kept == found.rows - len(found.changes)
    assert found.released == (wanted is not None and seen is not None and seen[0] != "-")


def test_a_comparison_counts_only_for_the_very_rows_and_records_that_it_is_of() -> None:
    wanted, seen = desired("a/f=2"), live("a/f=1")
    made = Compared(wanted, seen, compare(wanted, seen))
    world = World(Application("a"), Kind.EMBEDDED, wanted, read(seen), compared=made)
    assert difference_of(world) is made.difference
    assert not difference_of(world._replace(desired=desired("a/f=1"))).changes
    assert not difference_of(world._replace(read=read(live("a/f=2")))).changes
    assert rows(difference_of(world._replace(compared=None))) == rows(made.difference)


def test_a_change_holds_what_a_reviewer_needs() -> None:
    (change,) = compare(desired("a/f=2"), live("a/f=1>0")).changes
    assert change == Change("a", "f", "1", "2", "0", PLACE)
    assert (change.op, change.row) == (Op.UPDATE, ("a", "f"))


def test_everything_is_sorted_by_device_and_flow() -> None:
    found = compare(
        desired("b/g=2 b/f=2 a/f=2 z/f=2 c/f=1"), live("c/f=1>0 c/x=1 b/x=1 b/a=1 a/f=1 b/f=1 d/f=1 b/g=2>1")
    )
    assert rows(found) == {
        "changes": ["a/f", "b/f", "z/f"],
        "pending": ["b/g", "c/f"],
        "unmanaged": ["b/a", "b/x", "c/x", "d/f"],
    }


def test_a_device_without_a_record_gets_adds() -> None:
    found = compare(desired("a/f=1 b/f=1 a/g=absent"), live())
    assert rows(found)["changes"] == ["a/f", "b/f"]
    assert (found.rows, found.released, found.devices, found.kept) == (3, 0, 2, 1)


def test_versions_are_exact_text() -> None:
    found = compare(desired("a/f=V1 b/f=1.10 c/f=01"), live("a/f=v1 b/f=1.1 c/f=1"))
    assert len(found.changes) == 3


def test_unmanageable_rows_are_never_changes() -> None:
    found = compare(desired("a/node=2 a/f=1"), live("a/node=1 a/f=1 a/gone=-", unmanageable=["a/node", "a/gone"]))
    assert rows(found) == {"changes": [], "pending": [], "unmanaged": ["a/node"]}
    assert found.rows == 1


def test_devices_alike_but_for_custom_nodes_are_told_apart() -> None:
    found = compare(desired("a/f=2 b/f=2"), live("a/f=1 b/f=1", unmanageable=["b/f"]))
    assert rows(found) == {"changes": ["a/f"], "pending": [], "unmanaged": ["b/f"]}


def test_rows_of_flows_that_were_not_read_are_left_out() -> None:
    found = compare(desired("a/f=2 a/g=2 b/g=2 c/f=1"), live("a/f=1", only_flow="f"))
    assert rows(found)["changes"] == ["a/f", "c/f"]
    assert (found.rows, found.devices) == (2, 2)


def test_a_device_whose_decisions_are_empty_is_not_managed() -> None:
    assert compare(Desired({"a": {}, "b": {}}), live("a/")).devices == 0


def test_pending_rows_tell_the_connection_and_the_last_error() -> None:
    logs = (LogEntry("2026-01-02T00:00:00Z", "current", error="out of memory"),)
    record = LiveDevice({"f": Entry("2", "1")}, connected=False, logs=logs)
    (row,) = compare(desired("a/f=2"), Live({"a": record})).pending
    assert row == PendingRow("a", "f", "2", "1", False, "out of memory")


def test_unmanaged_rows_tell_both_versions() -> None:
    assert compare(desired(), live("a/f=2>1")).unmanaged == (UnmanagedRow("a", "f", "2", "1"),)


versions = st.sampled_from([None, "1", "2"])


@given(
    st.dictionaries(st.sampled_from("abcd"), st.dictionaries(st.sampled_from("fg"), versions)),
    st.dictionaries(st.sampled_from("abcd"), st.dictionaries(st.sampled_from("fg"), st.tuples(versions, versions))),
    st.one_of(st.just(frozenset()), st.frozensets(st.sampled_from("fg"))),
)
def test_an_independent_differ_finds_the_same_rows(
    wanted: dict[str, dict[str, str | None]],
    seen: dict[str, dict[str, tuple[str | None, str | None]]],
    custom: frozenset[str],
) -> None:
    """`custom`: flows that are custom nodes wherever they run, which only edge deployments have."""
    found = compare(
        Desired({d: {f: Decision(v, PLACE, "device") for f, v in flows.items()} for d, flows in wanted.items()}),
        Live(
            {
                d: LiveDevice({f: Entry(*e) for f, e in flows.items()}, unmanageable=custom.intersection(flows))
                for d, flows in seen.items()
            }
        ),
    )
    flat = {
        f"{d}/{f}": version
        for d, flows in wanted.items()
        for f, version in flows.items()
        if not (f in custom and f in seen.get(d, {}))
    }
    released = {row: seen.get(row[0], {}).get(row[2], (None, None))[0] for row in flat}
    differing = DeepDiff(flat, released, view="tree").get("values_changed", [])
    retyped = DeepDiff(flat, released, view="tree").get("type_changes", [])
    expected = sorted(level.path(output_format="list")[0] for level in [*differing, *retyped])
    assert rows(found)["changes"] == expected
    assert found.rows == len(flat)
    assert found.released == sum(version is not None for version in released.values())


def test_rows_that_share_objects_and_rows_that_do_not_compare_alike() -> None:
    shared = {"f": Decision("2", PLACE, "group x"), "g": Decision(None, PLACE, "group x")}
    entries = {"f": Entry("1", "1"), "g": Entry("1", "1")}
    one = compare(Desired(dict.fromkeys("abc", shared)), Live(dict.fromkeys("abc", LiveDevice(entries))))
    other = compare(
        Desired({device: dict(shared) for device in "abc"}),
        Live({device: LiveDevice({flow: Entry(*entry) for flow, entry in entries.items()}) for device in "abc"}),
    )
    assert one == other
    assert len(one.changes) == 6
