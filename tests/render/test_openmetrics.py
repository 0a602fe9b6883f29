"""Status as OpenMetrics, read back by the library's own parsers, of OpenMetrics and of the older text format."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parsed
from prometheus_client.parser import text_string_to_metric_families as parsed_as_text

from reconciler.health import summarise
from reconciler.model.health import StatusReport
from reconciler.model.rollout import RolloutReport, RolloutState, WaveReport
from reconciler.model.state import Kind
from reconciler.render.openmetrics import FAMILIES, status_openmetrics
from tests.builders import APPLICATION, desired, live, world
from tests.hostile import NAMES

READ_AT = 1_774_429_200.5
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def report(wanted: str = "a/f=2 b/f=2 c/f=2 d/f=2 a/g=absent", **more: object) -> StatusReport:
    seen = live(
        "a/f=2 b/f=2>1 c/f=2>1 d/f=1 u/f=1 u/h=3",
        offline=["c"],
        flow_names={"f": "telemetry", "g": "alarms"},
    )
    return replace(summarise(world(desired(wanted), seen)), **more)  # type: ignore[arg-type]


def samples(families: Iterable[Metric]) -> Samples:
    found: Samples = {}
    for family in families:
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in found, "a series twice"
            found[key] = sample.value
    return found


def of(text: str, name: str, *shown: str) -> dict[tuple[str, ...], float]:
    """The samples of a family, by the values of some labels."""
    found = samples(parsed(text))
    return {tuple(dict(labels)[one] for one in shown): value for (of, labels), value in found.items() if of == name}


def test_rows_count_by_flow_version_and_state() -> None:
    text = status_openmetrics([report()], read_at=READ_AT)
    counted = of(text, "reconciler_rows", "flow", "version", "state")
    assert {key: value for key, value in counted.items() if value} == {
        ("telemetry", "2", "in_sync"): 1,
        ("telemetry", "2", "pending"): 1,
        ("telemetry", "2", "offline"): 1,
        ("telemetry", "2", "drift"): 1,
        ("telemetry", "1", "unmanaged"): 1,
        ("alarms", "absent", "in_sync"): 1,
        ("h", "3", "unmanaged"): 1,
    }
    assert of(text, "reconciler_rows", "application", "kind").keys() == {(APPLICATION.id, "embedded")}


def test_a_ratio_lacks_no_part_where_nothing_is_in_sync() -> None:
    text = status_openmetrics([report("d/f=2")], read_at=READ_AT)
    counted = of(text, "reconciler_rows", "flow", "version", "state")
    assert counted["telemetry", "2", "in_sync"] == counted["telemetry", "2", "failed"] == 0
    assert ("h", "3", "in_sync") not in counted  # which nobody wants there


def test_devices_count_by_their_worst_row_and_every_state_is_there() -> None:
    text = status_openmetrics([report()], read_at=READ_AT)
    assert of(text, "reconciler_devices", "state") == {
        ("converged",): 1, ("pending",): 1, ("offline",): 1, ("drift",): 1, ("failed",): 0, ("device_deleted",): 0,
    }  # fmt: skip


def test_the_time_of_the_read_is_that_of_each_application() -> None:
    reports = [report(), report(kind=Kind.EDGE)]
    text = status_openmetrics(reports, read_at=READ_AT)
    name = "reconciler_last_read_timestamp_seconds"
    assert of(text, name, "kind") == {("embedded",): READ_AT, ("edge",): READ_AT}
    assert of(text, "reconciler_application_info", "kind", "name") == {("embedded", "plant"): 1, ("edge", "plant"): 1}


WAVES = (
    WaveReport(1, "ring: canary", 3, 3, 2, 0, 0, 0, 1, 0, 0, open=True, passed=True),
    WaveReport(2, "10 %", 7, 7, 0, 4, 3, 0, 0, 0, 0, open=True, passed=False),
    WaveReport(3, None, 90, 90, 0, 0, 0, 0, 0, 0, 90, open=False, passed=False),
)
ROLLOUT = RolloutReport("leeds", "careful", RolloutState.OPEN, None, None, WAVES)


def test_rollouts_count_their_waves_and_the_devices_of_each() -> None:
    text = status_openmetrics([report(rollouts=(ROLLOUT,))], read_at=READ_AT)
    states = of(text, "reconciler_rollout_state", "group", "policy", "state")
    assert {key for key, value in states.items() if value == 1} == {("leeds", "careful", "open")}
    assert {key[2]: value for key, value in states.items()} == {str(one): float(one == "open") for one in RolloutState}
    assert of(text, "reconciler_rollout_waves", "state") == {("passed",): 1, ("open",): 1, ("closed",): 1}
    devices = of(text, "reconciler_rollout_wave", "wave", "state")
    assert {key: value for key, value in devices.items() if value} == {
        ("1", "proven"): 2, ("1", "failed"): 1, ("2", "soaking"): 4, ("2", "waiting"): 3, ("3", "to_release"): 90,
    }  # fmt: skip
    assert len(devices) == 3 * 7


def test_without_rollouts_nothing_is_said_of_them() -> None:
    assert "rollout" not in status_openmetrics([report()], read_at=READ_AT)


def test_the_older_format_which_the_textfile_collector_reads_has_the_same() -> None:
    text = status_openmetrics([report(rollouts=(ROLLOUT,))], read_at=READ_AT)
    assert text.endswith("# EOF\n")
    found = samples(parsed(text))
    assert found == samples(parsed_as_text(text))
    assert {name for name, _ in found} == FAMILIES.keys()
    kinds = {line.split()[-1] for line in text.splitlines() if line.startswith("# TYPE")}
    assert kinds == {"gauge"}
    for line in text.splitlines():
        assert line.startswith("# ") or len(line.rsplit("} ", 1)[1].split()) == 1  # no time after the value


def test_many_devices_are_no_more_series_than_one() -> None:
    def series(devices: int) -> int:
        wanted = " ".join(f"{number}/f=2" for number in range(devices))
        seen = live(" ".join(f"{number}/f=2" for number in range(devices)))
        return len(samples(parsed(status_openmetrics([summarise(world(desired(wanted), seen))], read_at=READ_AT))))

    assert series(1) == series(3_000)


@pytest.mark.parametrize("name", NAMES)
def test_names_are_inert_and_stay_one_label(name: str) -> None:
    seen = live("a/f=1 b/g=1", flow_names={"f": name, "g": name})
    made = summarise(world(desired("a/f=1 b/g=1"), seen))
    made = replace(made, application=made.application._replace(name=name), rollouts=(ROLLOUT._replace(group=name),))
    text = status_openmetrics([made], read_at=READ_AT)
    assert not any(char in text for char in ("\x1b", "\x07", "\r", "\u202e", "\u2028", "\x85"))
    assert samples(parsed(text)) == samples(parsed_as_text(text))
    flows = {flow for flow, _ in of(text, "reconciler_rows", "flow", "state")}
    assert len(flows) == 2  # two flows of one name are two
    assert all(flow.endswith((" (f)", " (g)")) or flow in "fg" for flow in flows)


def test_versions_that_look_the_same_are_one_series() -> None:
    made = summarise(world(desired("a/f=1\x1b b/f=1\\x1b"), live("a/f=1\x1b b/f=1\\x1b")))
    text = status_openmetrics([made], read_at=READ_AT)
    assert of(text, "reconciler_rows", "version", "state")["1\\x1b", "in_sync"] == 2
