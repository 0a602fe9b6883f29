"""The page of a status: how many devices run what Git says, a bar for each flow, rollouts, then the laggards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from reconciler.model.health import FlowStatus, Laggard, Logged, Standing, StatusReport, Verdict
from reconciler.model.state import DeletedDevice, FlowId, Version
from reconciler.render.html.bars import Bar, bar, count, name, segments
from reconciler.render.html.engine import page
from reconciler.render.html.rollouts import RolloutView, attention, next_time, rollout_views
from reconciler.render.html.room import Listed, Room
from reconciler.render.inert import words

_SETTLED = (Verdict.CONVERGED, Verdict.DEVICE_DELETED)
_MANAGED = tuple(one for one in Standing if one not in (Standing.UNMANAGED, Standing.DEVICE_DELETED))
_RELEASED = tuple(one for one in _MANAGED if one not in (Standing.DRIFT, Standing.WITHHELD))


class VersionView(NamedTuple):
    """A version of a flow: how many managed rows should have, were given and report it, and the rows by state."""

    version: str
    desired: int
    released: int
    reported: int
    counts: tuple[int, ...]


class FlowView(NamedTuple):
    """A flow."""

    name: str | None
    id: FlowId
    total: int
    bar: Bar
    states: tuple[Standing, ...]
    versions: Listed[VersionView]


class LogView(NamedTuple):
    """The log of a device that was asked for."""

    device: str
    lines: Listed[Logged]


class ReportView(NamedTuple):
    """An application and kind."""

    report: StatusReport
    flows: Listed[FlowView]
    rollouts: Listed[RolloutView]
    laggards: Listed[Laggard]
    deleted: Listed[DeletedDevice]
    logs: tuple[LogView, ...]


def status_html(reports: Sequence[StatusReport], *, commit: str | None = None, read: str | None = None) -> str:
    """The reports of one run; `commit` is the commit of the manifests, `read` when the live state was read."""
    room = Room()
    devices: Counter[Verdict] = Counter()
    for report in reports:
        devices.update(report.devices)
    told = [one for report in reports for one in report.rollouts or ()]
    # Where rollouts stand has room before everything that lags.
    rollouts = [rollout_views(report.rollouts or (), _flow_names(report), room) for report in reports]
    return page(
        "status.html",
        title=sentence(devices),
        good=not any(number for verdict, number in devices.items() if verdict not in _SETTLED),
        devices=[(verdict, devices[verdict]) for verdict in Verdict if devices[verdict]],
        meter=segments([(one, devices[one], words(one)) for one in Verdict]),
        total=devices.total(),
        attention=attention(told),
        next=next_time(told),
        reports=[_report(report, waves, room) for report, waves in zip(reports, rollouts, strict=True)],
        commit=commit,
        read=read,
        room=room,
    )


def sentence(devices: Counter[Verdict]) -> str:
    """`2,480 of 2,500 devices run what Git says; 14 offline, 6 failed`."""
    total, converged = devices.total(), devices[Verdict.CONVERGED]
    if not total:
        return "No device is managed here"
    noun = "device" if total == 1 else "devices"
    if total == converged:
        return f"All {total:,} devices run what Git says" if total > 1 else "The only device runs what Git says"
    runs = "runs" if total == 1 else "run"
    others = [f"{devices[one]:,} {words(one)}" for one in Verdict if one is not Verdict.CONVERGED and devices[one]]
    return f"{converged:,} of {total:,} {noun} {runs} what Git says; {', '.join(others)}"


def _report(report: StatusReport, rollouts: Listed[RolloutView], room: Room) -> ReportView:
    reported, released = _elsewhere(report.laggards)
    flows = [_flow(flow, released, reported, room) for flow in report.flows[: room.most]]
    return ReportView(
        report=report,
        flows=Listed(flows, len(report.flows)),
        rollouts=rollouts,
        laggards=room.all(report.laggards),
        deleted=room.all(report.deleted_devices),
        logs=tuple(
            LogView(device_name or device_id, room.all([line for line in report.log if line.device_id == device_id]))
            for device_id, device_name in report.devices_named.items()
        ),
    )


def _flow_names(report: StatusReport) -> Mapping[FlowId, str]:
    return {flow.flow_id: flow.flow_name for flow in report.flows if flow.flow_name}


_At = Counter[tuple[FlowId, Version | None]]


def _elsewhere(laggards: Sequence[Laggard]) -> tuple[_At, _At]:
    """How many laggards report each version, and how many of those that were given another were given each."""
    reported = Counter((row.flow_id, row.reported) for row in laggards)
    released = Counter(
        (row.flow_id, row.released) for row in laggards if row.verdict in (Verdict.DRIFT, Verdict.WITHHELD)
    )
    return reported, released


def _flow(flow: FlowStatus, released: _At, reported: _At, room: Room) -> FlowView:
    states = tuple(one for one in Standing if any(count(line, one) for line in flow.versions))
    lines = list(_versions(flow, states, released, reported))
    total = sum(count(line, one) for line in flow.versions for one in Standing)
    return FlowView(flow.flow_name, flow.flow_id, total, bar(flow), states, room.all(lines))


def _versions(flow: FlowStatus, states: Sequence[Standing], released: _At, reported: _At) -> Iterator[VersionView]:
    seen = set()
    for line in flow.versions:
        key = (flow.flow_id, line.version)
        seen.add(key)
        yield VersionView(
            name(line),
            sum(count(line, one) for one in _MANAGED),
            sum(count(line, one) for one in _RELEASED) + released[key],
            line.in_sync + reported[key],
            tuple(count(line, one) for one in states),
        )
    others = {key for key in (*released, *reported) if key[0] == flow.flow_id} - seen
    for key in sorted(others, key=lambda key: (key[1] is None, key[1] or "")):
        yield VersionView(key[1] or "nothing", 0, released[key], reported[key], (0,) * len(states))
