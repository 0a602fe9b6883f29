"""Verdicts by one read, as a table: what is desired, released, reported and logged, and what that amounts to."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.documents.values import data
from reconciler.health.verdict import expected_rows, judge, tally
from reconciler.model.health import Verdict, Verdicts
from reconciler.model.state import NO_RECORD, Desired, DeviceId, Entry, Live, LiveDevice, LogEntry
from reconciler.planner.diff import compare
from tests.builders import desired, entry, live


def verdicts(wanted: Desired, seen: Live, *, reachable: Collection[DeviceId] = ()) -> Verdicts:
    """Every managed row by one read of everything; `reachable` are devices that were seen connected before."""
    rows = expected_rows(wanted, seen)
    laggards = []
    for row, version in rows.items():
        record = seen.devices.get(row[0], NO_RECORD)
        connected = record.connected is True or row[0] in reachable
        name = seen.flow_names.get(row[1])
        laggards.append(judge(row, version, record, reachable=connected, flow_name=name, device_name=record.name))
    return tally(filter(None, laggards), rows=len(rows), devices=len({row[0] for row in rows}))


def released_at(date: str | None, flow: str | None = "f") -> LogEntry:
    return LogEntry(date, "desired", flow, "2", source_type="user", source_id="ada")


def failed_at(date: str | None, flow: str | None = None) -> LogEntry:
    return LogEntry(date, "current", flow, attempted="17", error="out of memory")


NOON, LATER, LATEST = "2026-06-01T12:00:00.000Z", "2026-06-01T12:00:01Z", "2026-06-01T14:00:02.5+02:00"


def one(text: str, *, logs: Sequence[LogEntry] = (), connected: bool | None = True, unknown: bool = False) -> Live:
    return Live(
        {"a": LiveDevice({"f": entry(text)}, "pump", connected, NOON, unknown, logs=tuple(logs))}, {"f": "flow"}
    )


@pytest.mark.parametrize(
    ("wanted", "seen", "verdict"),
    [
        ("2", one("2"), Verdict.CONVERGED),
        ("2", one("2", connected=False), Verdict.CONVERGED),
        ("2", one("2>1"), Verdict.PENDING),
        ("2", one("2>-"), Verdict.PENDING),
        ("2", one("1"), Verdict.DRIFT),
        ("2", one("1>2"), Verdict.DRIFT),
        ("2", Live({}), Verdict.DRIFT),
        ("absent", Live({}), Verdict.CONVERGED),
        ("absent", one("-"), Verdict.CONVERGED),
        ("absent", one("->1"), Verdict.PENDING),
        ("2", one("2>1", connected=False), Verdict.OFFLINE),
        ("2", one("2>1", connected=None), Verdict.OFFLINE),
        ("2", one("2>1", unknown=True), Verdict.FAILED),
        ("2", one("2", unknown=True), Verdict.FAILED),
        ("2", one("2>1", connected=False, unknown=True), Verdict.FAILED),
        ("2", one("1", unknown=True), Verdict.DRIFT),
        ("2", one("2>1", logs=[released_at(NOON), failed_at(LATER)]), Verdict.FAILED),
        ("2", one("2>1", logs=[failed_at(LATER), released_at(LATEST)]), Verdict.PENDING),
        ("2", one("2>1", logs=[failed_at(LATER), released_at(NOON)]), Verdict.FAILED),
        ("2", one("2>1", logs=[released_at(LATER), failed_at(NOON)]), Verdict.PENDING),
        ("2", one("2>1", logs=[released_at(LATER), failed_at(LATER)]), Verdict.FAILED),
        ("2", one("2>1", logs=[failed_at(NOON)]), Verdict.FAILED),
        ("2", one("2>1", logs=[released_at(NOON), failed_at(LATER, flow="g")]), Verdict.PENDING),
        ("2", one("2>1", logs=[released_at(NOON), released_at(LATEST, flow="g"), failed_at(LATER)]), Verdict.FAILED),
        ("2", one("2>1", logs=[released_at(NOON), failed_at(None)]), Verdict.FAILED),
        ("2", one("2>1", logs=[released_at(NOON), failed_at("yesterday")]), Verdict.FAILED),
        ("2", one("2>1", logs=[released_at("2026-06-01T12:00:00"), failed_at(LATER)]), Verdict.FAILED),
        ("2", one("2>1", logs=[released_at(NOON), failed_at(LATER), released_at(LATEST)]), Verdict.FAILED),
        ("2", one("2>1", logs=[released_at(NOON), failed_at(LATER), released_at(LATEST, flow=None)]), Verdict.FAILED),
        ("2", one("2", logs=[released_at(NOON), failed_at(LATER)]), Verdict.CONVERGED),
        ("2", one("2>1", connected=False, logs=[released_at(NOON), failed_at(LATER)]), Verdict.FAILED),
    ],
)
def test_a_row(wanted: str, seen: Live, verdict: Verdict) -> None:
    told = verdicts(desired(f"a/f={wanted}"), seen)
    assert told.rows[verdict] == 1
    assert sum(told.rows.values()) == 1
    assert [laggard.verdict for laggard in told.laggards] == ([] if verdict is Verdict.CONVERGED else [verdict])


dates = st.sampled_from([None, NOON, LATER, LATEST])
flows = st.sampled_from(["f", "g", None])


@given(st.lists(st.builds(released_at, dates, flows) | st.builds(failed_at, dates, flows), max_size=5))
def test_plan_and_status_agree_on_the_last_error(logs: list[LogEntry]) -> None:
    seen = one("2>1", logs=logs)
    (pending,) = compare(desired("a/f=2"), seen).pending
    (laggard,) = verdicts(desired("a/f=2"), seen).laggards
    assert pending.last_error == laggard.error
    assert (laggard.verdict is Verdict.FAILED) == (pending.last_error is not None)


def test_a_laggard_carries_what_explains_it() -> None:
    seen = one("2>1", connected=False, logs=[released_at(NOON), failed_at(LATER)])
    (laggard,) = verdicts(desired("a/f=2"), seen).laggards
    assert data(laggard) == {
        "device_id": "a",
        "device_name": "pump",
        "flow_id": "f",
        "flow_name": "flow",
        "verdict": "failed",
        "expected": "2",
        "released": "2",
        "reported": "1",
        "connected": False,
        "connection_time": NOON,
        "unknown_bundle": False,
        "attempted_bundle": "17",
        "error": "out of memory",
        "since": NOON,
        "changed_by": {"type": "user", "id": "ada"},
        "group": None,
    }


def test_rows_and_devices_are_counted_and_the_worst_comes_first() -> None:
    seen = live("a/f=2>1 a/g=1 b/f=2>1 c/f=2 c/g=1>2 d/f=2>1", offline=["b"], unknown=["d"])
    told = verdicts(desired("a/f=2 a/g=1 b/f=2 c/f=2 c/g=2 d/f=2"), seen)
    assert told.rows == {
        Verdict.CONVERGED: 2,
        Verdict.DEVICE_DELETED: 0,
        Verdict.OFFLINE: 1,
        Verdict.PENDING: 1,
        Verdict.DRIFT: 1,
        Verdict.FAILED: 1,
    }
    assert told.devices == {
        Verdict.CONVERGED: 0,
        Verdict.DEVICE_DELETED: 0,
        Verdict.OFFLINE: 1,
        Verdict.PENDING: 1,
        Verdict.DRIFT: 1,
        Verdict.FAILED: 1,
    }
    assert [laggard.row for laggard in told.laggards] == [("d", "f"), ("c", "g"), ("a", "f"), ("b", "f")]


def test_rows_that_deployments_cannot_change_are_not_judged() -> None:
    seen = live("a/f=1 a/node=7", unmanageable=["a/node"])
    assert sum(verdicts(desired("a/f=1 a/node=8"), seen).rows.values()) == 1


def test_a_device_seen_connected_before_is_pending() -> None:
    told = verdicts(desired("a/f=2"), one("2>1", connected=False), reachable={"a"})
    assert told.rows[Verdict.PENDING] == 1


def test_one_entry_for_nothing_is_the_same_as_none() -> None:
    seen = Live({"a": LiveDevice({"f": Entry(None, None)})})
    assert verdicts(desired("a/f=absent"), seen).rows[Verdict.CONVERGED] == 1
