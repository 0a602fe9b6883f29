"""What has not converged: alike devices together, worst first, by name, in 60 columns."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.health import FlowStatus, Laggard, Logged, Standing, StatusReport, Verdict, VersionStatus
from reconciler.model.state import ChangedBy, DeletedDevice, Kind
from reconciler.render.inert import LISTED, WIDTH
from reconciler.render.laggards import laggards
from reconciler.render.status import status_markdown, status_text
from tests.builders import APPLICATION, hex_id
from tests.hostile import NAMES

FLOW, OTHER = hex_id(1, "f"), hex_id(2, "f")


def lagging(number: int, verdict: Verdict = Verdict.OFFLINE, at: str = "2026-03-02T03:10:00Z", **more: Any) -> Laggard:
    offline: dict[str, Any] = {"connected": verdict is not Verdict.OFFLINE}
    if verdict is Verdict.OFFLINE:
        offline["connection_time"] = at
    row = Laggard(hex_id(number), FLOW, verdict, "v2", "v2", "v1", flow_name="telemetry")
    row = row._replace(device_name=f"pump-{number:04}")
    return row._replace(**{**offline, **more})


def shown(rows: Iterable[Laggard]) -> list[str]:
    return [line.removeprefix("    ") for line in laggards(rows)]


def test_many_that_dropped_out_together_are_one_entry() -> None:
    site = [lagging(n, at=f"2026-03-02T03:{10 + n % 5}:{n % 60:02}.123Z") for n in range(900)]
    other = [lagging(n + 1000, at="2026-01-07T12:00:00Z") for n in range(2)]
    assert shown([*site, *other]) == [
        "900 devices offline since 2026-03-02 03:10 to 03:14Z",
        "    pump-0000, pump-0001, pump-0002 and 897 more",
        "    telemetry: v1 -> v2",
        "2 devices offline since 2026-01-07 12:00Z",
        "    pump-1000, pump-1001",
        "    telemetry: v1 -> v2",
    ]


def test_devices_that_lag_alike_in_several_flows_are_one_entry() -> None:
    rows = [
        lagging(number, flow_id=flow_id, flow_name=name, reported=reported)
        for number in (3, 1, 2)
        for flow_id, name, reported in ((FLOW, "telemetry", "v1"), (OTHER, "alarms", None))
    ]
    assert shown(rows) == [
        "3 devices offline since 2026-03-02 03:10Z",
        "    pump-0001, pump-0002, pump-0003",
        "    alarms: nothing -> v2",
        "    telemetry: v1 -> v2",
    ]


def test_the_rows_of_one_device_that_lag_alike_are_one_entry() -> None:
    rows = [lagging(1, Verdict.FAILED, error="boom", flow_id=FLOW + name, flow_name=name) for name in ("b", "a")]
    assert shown([*rows, lagging(1, flow_name="c", flow_id=OTHER)]) == [
        "pump-0001: failed",
        "    a: v1 -> v2",
        "    b: v1 -> v2",
        "    error: boom",
        "pump-0001 / c: offline, v1 -> v2",
        "    not connected, last change 2026-03-02 03:10Z",
    ]


def test_what_differs_keeps_rows_apart() -> None:
    same = lagging(1, Verdict.FAILED, error="boom")
    for other in (
        lagging(2, Verdict.FAILED, error="out of memory"),
        lagging(2, Verdict.FAILED, error="boom", expected="v3"),
        lagging(2, Verdict.FAILED, error="boom", reported="v0"),
        lagging(2, Verdict.FAILED, error="boom", flow_id=OTHER, flow_name="alarms"),
        lagging(2, Verdict.FAILED, error="boom", unknown_bundle=True),
        lagging(2, Verdict.PENDING, error="boom"),
        lagging(2, Verdict.FAILED, error="boom", connected=False),
    ):
        assert not any("devices" in line for line in shown([same, other])), other
    assert shown([same, lagging(2, Verdict.FAILED, error="boom", attempted_bundle="b2")])[0] == "2 devices failed"


def test_what_they_have_in_common_is_told() -> None:
    by = ChangedBy("apiToken", "ci")
    rows = [
        lagging(n, Verdict.FAILED, error="boom", changed_by=by, since=f"2026-03-0{n}T23:59:00Z", connected=False)
        for n in (1, 2)
    ]
    assert shown(rows) == [
        "2 devices failed, never connected",
        "    pump-0001, pump-0002",
        "    telemetry: v1 -> v2",
        "    error: boom",
        "    released by apiToken ci at 2026-03-01 23:59 to",
        "      2026-03-02 23:59Z",
    ]
    differ = [rows[0], rows[1]._replace(changed_by=ChangedBy("user", "ann"))]
    assert not any("released" in line for line in shown(differ))


def test_worst_first_then_by_name_then_by_id() -> None:
    rows = [
        lagging(5, Verdict.PENDING, device_name="b"),
        lagging(4, Verdict.FAILED, device_name="z", error="1"),
        lagging(3, Verdict.FAILED, device_name="a", error="2"),
        lagging(2, Verdict.FAILED, device_name="a", error="3"),
        lagging(1, Verdict.DRIFT, device_name=None),
    ]
    heads = [line.partition(" /")[0] for line in shown(rows) if not line.startswith(" ")]
    errors = [line.strip() for line in shown(rows) if "error" in line]
    assert heads == ["a", "a", "z", hex_id(1), "b"]
    assert errors == ["error: 3", "error: 2", "error: 1"]
    page = status_markdown([report(rows)])
    assert re.findall(r"^- `(\w+)` `telemetry`: (\w+)", page, re.MULTILINE) == [
        ("a", "failed"), ("a", "failed"), ("z", "failed"), (hex_id(1), "drift"), ("b", "pending"),
    ]  # fmt: skip


def test_only_so_many_are_listed_and_the_rows_of_others_counted() -> None:
    rows = [lagging(n, Verdict.FAILED, error=f"error {n // 2:02}") for n in range(2 * LISTED + 6)]
    assert shown(rows)[-1] == "and 6 more rows"


def report(rows: Iterable[Laggard], *flows: FlowStatus) -> StatusReport:
    return StatusReport(APPLICATION, Kind.EMBEDDED, flows, dict.fromkeys(Standing, 0), {}, tuple(rows))


def test_deleted_devices_and_logs_go_by_name() -> None:
    made = replace(
        report([]),
        deleted_devices=(DeletedDevice(hex_id(1), "z"), DeletedDevice(hex_id(2), "a")),
        devices_named={hex_id(3): "y", hex_id(4): "b"},
    )
    text = status_text([made])
    assert text.index("    a (") < text.index("    z (")
    assert text.index("Log of b") < text.index("Log of y")


def some(*names: str | None) -> st.SearchStrategy[list[Laggard]]:
    row = st.builds(
        lagging,
        st.integers(0, 9),
        st.sampled_from(Verdict),
        st.sampled_from(["2026-03-02T03:10:00Z", "2026-03-05T03:10:00Z", "no date", ""]),
        error=st.sampled_from([None, "boom " * 30, *filter(None, names)]),
        device_name=st.sampled_from(names),
        connected=st.sampled_from([True, False, None]),
        changed_by=st.sampled_from([ChangedBy(None, None), ChangedBy("apiToken", "ci")]),
    )
    return st.lists(row, max_size=12, unique_by=lambda one: one.row)


@given(some(None, "pump", "york-pump-0001"))
def test_every_row_is_shown_or_counted_in_60_columns(rows: list[Laggard]) -> None:
    lines = shown(rows)
    groups = [int(match[1]) for line in lines if (match := re.match(r"(\d+) devices ", line))]
    singles = [line for line in lines if re.match(r"\S+ / telemetry: ", line)]
    assert sum(groups) + len(singles) == len(rows)
    assert all(len(line) <= WIDTH for line in laggards(rows))


@given(some(*NAMES))
def test_whatever_a_device_is_called_it_stays_text(rows: list[Laggard]) -> None:
    for line in laggards(rows):
        assert line.isprintable()
        assert not line.lstrip().startswith("::")
        assert "##[" not in line


def test_a_table_that_is_too_wide_becomes_lines() -> None:
    def table(version: str) -> str:
        counts = dict.fromkeys(map(str, Standing), 0) | {"in_sync": 2_480, "offline": 14}
        rows: dict[Standing, int] = dict.fromkeys((one for one in Standing if one is not Standing.WITHHELD), 0)
        made = report([], FlowStatus(FLOW, "telemetry", (VersionStatus(version, **counts),)))
        return status_text([replace(made, rows=rows)])

    assert "    version   in sync pending offline" in table("v1.2.3456")
    wide = table("v1.2.3-rc.1+build.20260302")
    assert "    v1.2.3-rc.1+build.20260302: 2,480 in sync, 14 offline\n" in wide
    assert all(len(line) <= WIDTH or FLOW in line for line in wide.splitlines()[1:])


def test_totals_and_logs_are_wrapped() -> None:
    many = replace(report([]), rows=dict.fromkeys(Standing, 123_456))
    said = Logged(
        hex_id(1), "pump", FLOW, "telemetry", "2026-03-02T09:00:00Z", "desired", None, "v2", "v1", None, None,
        "no space left " * 10, ChangedBy("apiToken", hex_id(2)),
    )  # fmt: skip
    lines = status_text([replace(many, devices_named={hex_id(1): "pump"}, log=(said,))]).splitlines()
    assert [line for line in lines if len(line) > WIDTH and not re.search("[0-9a-f]{24}", line)] == []
    assert "        released telemetry: v1 -> v2" in lines
    assert any(line.startswith("Rows: 123,456 in sync, ") for line in lines[-4:])
