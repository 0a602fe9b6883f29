"""The status table."""

from __future__ import annotations

from reconciler.documents.values import data
from reconciler.errors import ExitCode
from reconciler.health import summarise
from reconciler.model.health import Standing, StatusReport
from tests.builders import desired, live, world


def table(report: StatusReport) -> dict[str, dict[str | None, dict[str, int]]]:
    return {
        flow.flow_id: {
            line.version: {str(column): number for column in Standing if (number := getattr(line, column))}
            for line in flow.versions
        }
        for flow in report.flows
    }


def test_each_row_counts_once() -> None:
    seen = live(
        "a/f=2 b/f=2>1 c/f=2>1 d/f=1 e/f=2>1 u/f=1 u/g=3 v/g=->3 w/f=-",
        offline=["c"],
        unknown=["e"],
        flow_names={"f": "telemetry"},
    )
    report = summarise(world(desired("a/f=2 b/f=2 c/f=2 d/f=2 e/f=2 a/g=absent"), seen))
    assert table(report) == {
        "f": {
            "1": {"unmanaged": 1},
            "2": {"in_sync": 1, "pending": 1, "offline": 1, "drift": 1, "failed": 1},
        },
        "g": {"3": {"unmanaged": 1}, None: {"in_sync": 1, "unmanaged": 1}},
    }
    assert report.rows == {
        Standing.IN_SYNC: 2,
        Standing.PENDING: 1,
        Standing.OFFLINE: 1,
        Standing.FAILED: 1,
        Standing.DRIFT: 1,
        Standing.UNMANAGED: 3,
        Standing.DEVICE_DELETED: 0,
    }
    assert [laggard.device_id for laggard in report.laggards] == ["e", "d", "b", "c"]
    assert [flow.flow_name for flow in report.flows] == [None, "telemetry"]


def test_only_some_devices() -> None:
    seen = live("a/f=1 b/f=1 c/f=1")
    report = summarise(world(desired("a/f=1 b/f=2"), seen), only={"a", "c"})
    assert table(report) == {"f": {"1": {"in_sync": 1, "unmanaged": 1}}}


def test_names_of_the_inventory_win() -> None:
    base = world(desired("a/f=2"), live("a/f=1", names={"a": "old"}, flow_names={"f": "older"}))
    report = summarise(base._replace(device_names={"a": "new"}, flow_names={"f": "newer"}))
    assert (report.laggards[0].device_name, report.laggards[0].flow_name) == ("new", "newer")
    assert report.flows[0].flow_name == "newer"


def test_exit_codes() -> None:
    in_sync = summarise(world(desired("a/f=1"), live("a/f=1")))
    drift = summarise(world(desired("a/f=2"), live("a/f=1")))
    failed = summarise(world(desired("a/f=2 b/f=2"), live("a/f=1 b/f=2>1", unknown=["b"])))
    offline = summarise(world(desired("a/f=2"), live("a/f=2>1", offline=["a"])))
    assert [report.exit_code(detailed=False) for report in (in_sync, drift, failed, offline)] == [
        ExitCode.DONE,
        ExitCode.DONE,
        ExitCode.NOT_CONVERGED,
        ExitCode.DONE,
    ]
    assert [report.exit_code(detailed=True) for report in (in_sync, drift, failed, offline)] == [
        ExitCode.DONE,
        ExitCode.CHANGES,
        ExitCode.NOT_CONVERGED,
        ExitCode.DONE,
    ]


def test_data() -> None:
    told = data(summarise(world(desired("a/f=2"), live("a/f=1"))))
    assert told["rows"] == {
        "in_sync": 0,
        "pending": 0,
        "offline": 0,
        "failed": 0,
        "drift": 1,
        "unmanaged": 0,
        "device_deleted": 0,
    }
    assert told["flows"] == [
        {
            "flow_id": "f",
            "flow_name": None,
            "versions": [
                {
                    "version": "2",
                    "in_sync": 0,
                    "pending": 0,
                    "offline": 0,
                    "failed": 0,
                    "drift": 1,
                    "unmanaged": 0,
                    "device_deleted": 0,
                }
            ],
        }
    ]
