"""Renders sync, health and rollouts as OpenMetrics: counts, for Prometheus.

There is a series for each version of a flow and for each wave of a rollout, never one for a device. All families are
gauges, so that the older text format, which the textfile collector reads, has them too; and no sample is dated, which
that collector refuses. Applications are told apart by their ids, which alone are unique in all outputs of a host.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from reconciler.model.health import FlowStatus, Standing, StatusReport, VersionStatus
from reconciler.model.rollout import RolloutReport, RolloutState, RolloutVerdict, WaveReport
from reconciler.model.state import FlowId
from reconciler.render.inert import inert

_LONGEST = 200
_UNMANAGED = {Standing.UNMANAGED, Standing.DEVICE_DELETED}

# Name, labels after application and kind, and help of each family. A quote in a help text would not be read by all.
FAMILIES: Final[Mapping[str, tuple[tuple[str, ...], str]]] = {
    "reconciler_rows": (
        ("flow", "version", "state"),
        "Rows (a flow on a device) by desired version and state; those that are not managed by released version.",
    ),
    "reconciler_devices": (("state",), "Managed devices by the worst state of their rows."),
    "reconciler_rollout_state": (("group", "policy", "state"), "1 for the state that a rollout is in, 0 for others."),
    "reconciler_rollout_waves": (
        ("group", "policy", "state"),
        "Waves of a rollout: passed; open, which is being sent and observed; closed, which has yet to open.",
    ),
    "reconciler_rollout_wave": (("group", "policy", "wave", "state"), "Devices of a wave of a rollout by state."),
    "reconciler_application_info": (("name",), "The name of an application."),
    "reconciler_last_read_timestamp_seconds": ((), "When the reading of what is counted here began, in Unix time."),
}
_Labels = tuple[str, ...]


def status_openmetrics(reports: Sequence[StatusReport], *, read_at: float) -> str:
    """The reports of one run as OpenMetrics text. `read_at`: the Unix time when reading began."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(reports, read_at))
    text: bytes = generate_latest(registry)
    return text.decode("utf-8")


class _Collected(Collector):
    def __init__(self, reports: Sequence[StatusReport], read_at: float) -> None:
        self._reports = reports
        self._read_at = read_at

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The families that have samples. Texts that look the same once they are inert are one series."""
        found: dict[str, dict[_Labels, float]] = {name: {} for name in FAMILIES}
        for report in self._reports:
            for name, labels, value in _samples(report, self._read_at):
                key = (report.application.id, str(report.kind), *map(_label, labels))
                found[name][key] = found[name].get(key, 0) + value
        for name, samples in found.items():
            labels, text = FAMILIES[name]
            family = GaugeMetricFamily(name, text, labels=("application", "kind", *labels))
            for values, value in samples.items():
                family.add_metric(values, value)
            if samples:
                yield family


def _label(text: str) -> str:
    return inert(text, limit=_LONGEST)


_Sample = tuple[str, _Labels, float]


def _samples(report: StatusReport, read_at: float) -> Iterator[_Sample]:
    names = _flow_names(report.flows)
    for flow in report.flows:
        for line in flow.versions:
            version = "absent" if line.version is None else line.version
            for state, number in _counts(line, report.rows):
                yield "reconciler_rows", (names[flow.flow_id], version, state), number
    for verdict, number in report.devices.items():
        yield "reconciler_devices", (str(verdict),), number
    for rollout in report.rollouts or ():
        yield from _rollout(rollout)
    yield "reconciler_application_info", (report.application.name or report.application.id,), 1
    yield "reconciler_last_read_timestamp_seconds", (), read_at


def _counts(line: VersionStatus, states: Iterable[Standing]) -> Iterator[tuple[str, int]]:
    """The rows by state: of a managed version also states without rows, so that no ratio of them lacks a part."""
    numbers = {state: int(getattr(line, state)) for state in states}
    is_managed = any(number for state, number in numbers.items() if state not in _UNMANAGED)
    for state, number in numbers.items():
        if number or (is_managed and state not in _UNMANAGED):
            yield str(state), number


def _flow_names(flows: Iterable[FlowStatus]) -> dict[FlowId, str]:
    """How each flow is called: by its name, with its id if others bear it, by its id if it has none."""
    names = {one.flow_id: one.flow_name or one.flow_id for one in flows}
    bearers = Counter(_label(name) for name in names.values())
    return {one: name if bearers[_label(name)] == 1 else f"{name[:100]} ({one})" for one, name in names.items()}


def _rollout(rollout: RolloutReport) -> Iterator[_Sample]:
    who = (rollout.group, rollout.policy)
    for state in RolloutState:
        yield "reconciler_rollout_state", (*who, str(state)), int(state is rollout.state)
    waves = Counter(_state_of(wave) for wave in rollout.waves)
    for word in ("passed", "open", "closed"):
        yield "reconciler_rollout_waves", (*who, word), waves[word]
    for wave in rollout.waves:
        for verdict in RolloutVerdict:
            yield "reconciler_rollout_wave", (*who, str(wave.wave), str(verdict)), int(getattr(wave, verdict))


def _state_of(wave: WaveReport) -> str:
    return "passed" if wave.passed else "open" if wave.open else "closed"
