"""The executor and the wait against the simulator, for both kinds, under each reading of what the API leaves open."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.errors import ExitCode
from reconciler.model.health import Offline, Verdict
from reconciler.model.result import CallState
from reconciler.model.state import Kind
from reconciler.model.world import CallMode
from reconciler.simulator import faults
from reconciler.simulator.faults import When
from tests.executor.loopback import Site

WRITE = "/deployments/re"
READ = "/deployments$"
kinds = pytest.mark.parametrize("kind", list(Kind))


def fleet(kind: Kind) -> dict[str, Any]:
    """Nine pumps: a cohort, a chain of two versions, removals, and bystanders that must not move."""
    device_class = kind.device_class
    pumps: list[dict[str, Any]] = [
        {"name": f"pump-{number}", "class": device_class, "deployed": deployed}
        for number, deployed in enumerate(
            [
                *[{"telemetry": "v2", "alarms": "a1"}] * 3,
                *[{"telemetry": "v1", "alarms": "a1"}] * 3,
                {"telemetry": "v9", "alarms": "a9"},
                {"telemetry": {"released": "v9", "reported": "v1"}},
                {},
            ]
        )
    ]
    pumps[7]["connected"] = False
    flows = {
        "telemetry": {"class": str(kind), "versions": ["v1", "v2", "v3", "v9"]},
        "alarms": {"class": str(kind), "versions": ["a1", "a9"]},
    }
    return {"applications": [{"name": "Pumps", "flows": flows, "devices": pumps}]}


GOAL = " ".join(
    [
        *[f"pump-{number}/telemetry=v3" for number in (0, 1, 2)],
        *[f"pump-{number}/telemetry=v2" for number in (3, 4, 5)],
        *[f"pump-{number}/alarms=absent" for number in (0, 1, 2)],
        "pump-8/telemetry=v1",
    ]
)
DONE = {
    **{f"pump-{number}/telemetry": "v3" for number in (0, 1, 2)},
    **{f"pump-{number}/telemetry": "v2" for number in (3, 4, 5)},
    **{f"pump-{number}/alarms": "a1" for number in (3, 4, 5)},
    "pump-6/telemetry": "v9",
    "pump-6/alarms": "a9",
    "pump-7/telemetry": "v9",
    "pump-8/telemetry": "v1",
}
READINGS: list[dict[str, Any]] = [
    {},
    *({"replace_matches": reading} for reading in ("reported", "either", "both")),
    {"replace_unknown_bundles": "reached"},
    {"empty_entries": "kept"},
    {"empty_records": "dropped"},
    {"empty_edge_records": "dropped"},
    {"release": "partial", "unknown_device": "skip"},
    {"per_page_cap": 2},
    {"per_page_fixed": 2},
    {"write_status": "202"},
    {"effect_delay_s": 3.0},
    {"rerelease": "silent"},
    {"empty_bundle": "null"},
]


@pytest.mark.parametrize("reading", READINGS, ids=str)
@pytest.mark.parametrize("calls", CallMode)
@pytest.mark.parametrize(("kind", "age_s"), [(Kind.EMBEDDED, 0.0), (Kind.EMBEDDED, 31.0), (Kind.EDGE, 31.0)])
def test_every_reading_of_the_api(reading: dict[str, Any], calls: CallMode, kind: Kind, age_s: float) -> None:
    with Site(fleet(kind), kind=kind) as site:
        site.control.switch(**reading)
        result = site.apply(GOAL, calls=calls, chunk=2, age_s=age_s)
        assert result.exit_code is ExitCode.DONE, result
        assert site.rows() == DONE
        assert site.changes(GOAL) == 0
        waited = site.wait(GOAL, timeout_s=900)
        assert waited.exit_code is ExitCode.DONE, waited


PASSING: dict[str, faults.Fault] = {
    "reset before": faults.Reset(when=When(path=WRITE, times=1)),
    "reset after": faults.Reset(after_effect=True, when=When(path=WRITE, times=1)),
    "500": faults.Status(status=500, when=When(path=WRITE, times=1)),
    "502 html": faults.Status(status=502, body="html", when=When(path=WRITE, times=1)),
    "503": faults.Status(status=503, retry_after="3", when=When(path=WRITE, times=1)),
    "429": faults.Status(status=429, when=When(path=WRITE, times=3)),
    "429 seconds": faults.Status(status=429, retry_after="20", when=When(path=WRITE, times=2)),
    "429 date": faults.Status(status=429, retry_after="Mon, 02 Mar 2026 09:00:20 GMT", when=When(path=WRITE, times=2)),
    "html": faults.Garble(how="html", when=When(path=WRITE, times=1)),
    "truncated": faults.Garble(how="truncated", when=When(path=WRITE, times=1)),
    "gzip": faults.Garble(how="gzip", when=When(path=WRITE, times=1)),
    "utf8": faults.Garble(how="utf8", when=When(path=WRITE, times=1)),
    "huge": faults.Status(status=500, body="huge", when=When(path=WRITE, times=1)),
    "redirect": faults.Redirect(when=When(path=WRITE, times=1)),
    "slow headers": faults.SlowHeaders(seconds=4, when=When(path=WRITE, times=1)),
    "slow body": faults.SlowBody(seconds=4, when=When(path=WRITE, times=1)),
    "read reset": faults.Reset(when=When(path=READ, times=3)),
    "read page missing": faults.Missing(when=When(path=READ, times=1)),
    "read 503": faults.Status(status=503, when=When(path=READ, times=12)),
    "reports": faults.Reports(devices=3, when=When(path=READ)),
    "late": faults.Late(seconds=8, when=When(path=WRITE)),
}


@kinds
@pytest.mark.parametrize("name", PASSING)
def test_what_passes_ends_well_for_explicit_calls(name: str, kind: Kind) -> None:
    with Site(fleet(kind), kind=kind) as site:
        result = site.apply(GOAL, calls=CallMode.EXPLICIT, chunk=2, faults=[PASSING[name]])
        assert result.exit_code is ExitCode.DONE, result
        assert site.rows() == DONE


@kinds
@pytest.mark.parametrize("name", PASSING)
def test_what_passes_never_moves_a_bystander_and_the_next_run_does_the_rest(name: str, kind: Kind) -> None:
    with Site(fleet(kind), kind=kind) as site:
        result = site.apply(GOAL, chunk=2, faults=[PASSING[name]])
        assert result.exit_code in (ExitCode.DONE, ExitCode.NOT_CONFIRMED)
        for row in ("pump-6/telemetry", "pump-6/alarms", "pump-7/telemetry"):
            assert site.rows()[row] == DONE[row]
        if result.exit_code is ExitCode.DONE:
            assert site.rows() == DONE
        assert site.apply(GOAL, chunk=2).exit_code is ExitCode.DONE
        assert site.rows() == DONE


@kinds
def test_lost_and_partial_writes_are_told(kind: Kind) -> None:
    with Site(fleet(kind), kind=kind) as site:
        result = site.apply(
            GOAL, calls=CallMode.EXPLICIT, faults=[faults.Partial(when=When(path="/deployments/release$"))]
        )
        assert result.exit_code is ExitCode.NOT_CONFIRMED
        states = {call.count: call.state for call in result.calls}
        assert states == {3: CallState.FAILED, 1: CallState.FAILED}
        listed = {(row.device_id, row.flow_id) for row in result.unconfirmed}
        assert len(listed) == len(result.unconfirmed) == site.changes(GOAL)


@kinds
def test_a_wait_tells_failed_offline_and_converged_apart(kind: Kind) -> None:
    with Site(fleet(kind), kind=kind) as site:
        site.control.fail("pump-3", "telemetry", "v2", "out of memory")
        site.control.disconnect("pump-4")
        assert site.apply(GOAL).exit_code is ExitCode.DONE
        waited = site.wait(GOAL, timeout_s=900, offline=Offline.SKIP)
        assert waited.exit_code is ExitCode.NOT_CONVERGED
        assert waited.verdicts is not None
        laggards = {laggard.device_name: laggard for laggard in waited.verdicts.laggards}
        assert {name: laggard.verdict for name, laggard in laggards.items()} == {
            "pump-3": Verdict.FAILED,
            "pump-4": Verdict.OFFLINE,
        }
        assert "out of memory" in (laggards["pump-3"].error or "")
        assert laggards["pump-3"].attempted_bundle
        assert laggards["pump-3"].changed_by.type == "apiToken"
        site.control.heal("pump-3")
        site.control.disconnect("pump-3")
        site.control.connect("pump-3")
        site.control.settle()
        assert site.wait(GOAL, timeout_s=900).exit_code is ExitCode.DONE
