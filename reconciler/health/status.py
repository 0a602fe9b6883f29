"""Sync and health of an application from one read: a table per flow, and the rows that lag."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from operator import attrgetter

from reconciler.health.verdict import expected_rows, judge, tally
from reconciler.model.health import FlowStatus, Laggard, Logged, Standing, StatusReport, Verdict, VersionStatus
from reconciler.model.log import unix_time
from reconciler.model.state import NO_RECORD, NOTHING, DeviceId, FlowId, Version
from reconciler.model.world import World
from reconciler.planner.diff import difference_of
from reconciler.planner.rollout.look import look

_DETAILS = attrgetter("date", "change", "update", "version", "previous", "bundle", "attempted", "error", "changed_by")


def summarise(world: World, *, only: Collection[DeviceId] | None = None) -> StatusReport:
    """Report on every row of a world, or on those of some devices, then including their logs."""
    table: Counter[tuple[FlowId, Version | None, Standing]] = Counter()
    laggards: list[Laggard] = []
    deleted: set[DeviceId] = set()
    live = world.live
    flow_names = {**live.flow_names, **world.flow_names}
    managed = {
        row: version
        for row, version in expected_rows(world.desired, live).items()
        if (only is None or row[0] in only) and live.only_flow in (None, row[1])  # others were not read
    }
    looked = None
    if world.rollouts:
        looked = look(world.rollouts, difference_of(world).changes, world.read, flow_names)
    has_rollouts = looked is not None or bool(world.waved)
    for row, version in managed.items():
        record = live.devices.get(row[0], NO_RECORD)
        laggard = judge(
            row,
            version,
            record,
            reachable=record.connected is True,
            flow_name=flow_names.get(row[1]),
            device_name=world.device_name(row[0]),
            rollouts=looked,
            group=world.desired.devices[row[0]][row[1]].group,
        )
        if looked is None and laggard and laggard.verdict is Verdict.DRIFT and laggard.group in world.waved:
            # Its rollout decides when it is sent, which a read of single devices cannot tell.
            laggard = laggard._replace(verdict=Verdict.WITHHELD)
        table[row[1], version, Standing(laggard.verdict) if laggard else Standing.IN_SYNC] += 1
        if laggard:
            laggards.append(laggard)
    for device_id, flow_id, entry in live.rows():
        if (device_id, flow_id) not in managed and entry != NOTHING and (only is None or device_id in only):
            is_deleted = device_id in world.deleted_devices
            table[flow_id, entry.released, Standing.DEVICE_DELETED if is_deleted else Standing.UNMANAGED] += 1
            if is_deleted:
                deleted.add(device_id)
    devices = len({device_id for device_id, _ in managed})
    verdicts = tally(laggards, rows=len(managed), devices=devices, has_rollouts=has_rollouts)
    standings = [one for one in Standing if has_rollouts or one is not Standing.WITHHELD]
    return StatusReport(
        application=world.application,
        kind=world.kind,
        flows=_flows(table, flow_names),
        rows={one: sum(number for key, number in table.items() if key[2] is one) for one in standings},
        devices=verdicts.devices,
        laggards=verdicts.laggards,
        devices_named={one: world.device_name(one) for one in sorted(only or ())},
        deleted_devices=world.deleted(deleted),
        rollouts=looked.reports(world.device_names) if looked else None,
        log=tuple(line for one in sorted(only or ()) for line in _log(world, one, flow_names)),
    )


def _log(world: World, device_id: DeviceId, flow_names: Mapping[FlowId, str]) -> Iterator[Logged]:
    """The log of a device, newest first; entries of the same time keep the API's order."""
    name, logs = world.device_name(device_id), world.live.devices.get(device_id, NO_RECORD).logs
    for entry in sorted(logs, key=lambda log: unix_time(log.date), reverse=True):
        flow_name = flow_names.get(entry.flow_id or "")
        yield Logged(device_id, name, entry.flow_id, flow_name, *_DETAILS(entry))


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
                VersionStatus(version, **{str(standing): counts[standing] for standing in Standing})
                for version, counts in sorted(versions.items(), key=lambda item: (item[0] is None, item[0] or ""))
            ),
        )
        for flow_id, versions in sorted(lines.items(), key=lambda item: (names.get(item[0]) or "", item[0]))
    )
