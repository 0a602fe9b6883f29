"""Sync and health of an application by one read: a table per flow, and the rows that lag."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from reconciler.health.verdict import expected_rows, judge, tally
from reconciler.model.health import FlowStatus, Laggard, Logged, Standing, StatusReport, Verdict, VersionStatus
from reconciler.model.log import moment
from reconciler.model.state import NOTHING, DeviceId, FlowId, Row, Version
from reconciler.model.world import World

_COLUMN = {
    Verdict.PENDING: Standing.PENDING,
    Verdict.OFFLINE: Standing.OFFLINE,
    Verdict.FAILED: Standing.FAILED,
    Verdict.DRIFT: Standing.DRIFT,
}


def summarise(world: World, *, only: Collection[DeviceId] | None = None) -> StatusReport:
    """Judge every row of a world, or those of some devices, whose log is then told too."""
    table: Counter[tuple[FlowId, Version | None, Standing]] = Counter()
    laggards: list[Laggard] = []
    managed: set[Row] = set()
    flow_names = {**world.live.flow_names, **world.flow_names}
    for row in expected_rows(world.desired, world.live):
        if (only is not None and row.device_id not in only) or world.live.only_flow not in (None, row.flow_id):
            continue
        managed.add((row.device_id, row.flow_id))
        record = world.live.devices.get(row.device_id)
        laggard = judge(
            row,
            record,
            reachable=record is not None and record.connected is True,
            flow_name=flow_names.get(row.flow_id),
            device_name=world.device_names.get(row.device_id),
        )
        table[row.flow_id, row.version, _COLUMN[laggard.verdict] if laggard else Standing.IN_SYNC] += 1
        if laggard:
            laggards.append(laggard)
    for device_id, flow_id, entry in world.live.rows():
        if (device_id, flow_id) in managed or entry == NOTHING or (only is not None and device_id not in only):
            continue
        table[flow_id, entry.released, Standing.UNMANAGED] += 1
    verdicts = tally(laggards, rows=len(managed), devices=len({device_id for device_id, _ in managed}))
    totals = Counter[Standing]()
    for (_, _, standing), number in table.items():
        totals[standing] += number
    return StatusReport(
        application=world.application,
        kind=world.kind,
        flows=_flows(table, flow_names),
        rows={standing: totals[standing] for standing in Standing},
        devices=verdicts.devices,
        laggards=verdicts.laggards,
        devices_named={one: _device_name(world, one) for one in sorted(only or ())},
        log=tuple(line for one in sorted(only or ()) for line in _log(world, one, flow_names)),
    )


def _device_name(world: World, device_id: DeviceId) -> str | None:
    record = world.live.devices.get(device_id)
    return world.device_names.get(device_id) or (record.name if record else None)


def _log(world: World, device_id: DeviceId, flow_names: Mapping[FlowId, str]) -> Iterator[Logged]:
    """The log of a device, newest first; lines of one time stay as the API sent them."""
    record = world.live.devices.get(device_id)
    name = _device_name(world, device_id)
    for entry in sorted(record.logs if record else (), key=moment, reverse=True):
        yield Logged(device_id, name, flow_names.get(entry.flow_id or ""), entry)


def _flows(
    table: Mapping[tuple[FlowId, Version | None, Standing], int], names: Mapping[FlowId, str]
) -> tuple[FlowStatus, ...]:
    lines: dict[FlowId, dict[Version | None, Counter[Standing]]] = {}
    for (flow_id, version, standing), number in table.items():
        lines.setdefault(flow_id, {}).setdefault(version, Counter())[standing] += number
    return tuple(
        FlowStatus(
            flow_id,
            names.get(flow_id),
            tuple(
                VersionStatus(version, {standing: counts[standing] for standing in Standing})
                for version, counts in sorted(versions.items(), key=lambda item: (item[0] is None, item[0] or ""))
            ),
        )
        for flow_id, versions in sorted(lines.items(), key=lambda item: (names.get(item[0]) or "", item[0]))
    )
