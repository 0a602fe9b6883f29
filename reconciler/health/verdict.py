"""How far each managed row is: what the manifests say, what is released, what the device reports, what its log says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator
from typing import NamedTuple

from reconciler.model.health import Laggard, Verdict, Verdicts
from reconciler.model.log import History, history_of
from reconciler.model.state import NOBODY, NOTHING, Desired, DeviceId, FlowId, Live, LiveDevice, Version

SEVERITY = {verdict: rank for rank, verdict in enumerate(Verdict)}


class Expected(NamedTuple):
    """One managed row and the version it should run; None is absent."""

    device_id: DeviceId
    flow_id: FlowId
    version: Version | None


def expected_rows(desired: Desired, live: Live) -> Iterator[Expected]:
    """The managed rows, without custom-node records, which deployments cannot change."""
    for device_id, decisions in desired.devices.items():
        record = live.devices.get(device_id)
        unmanageable = record.unmanageable if record else frozenset()
        for flow_id, decision in decisions.items():
            if flow_id not in unmanageable:
                yield Expected(device_id, flow_id, decision.version)


def judge(
    row: Expected,
    record: LiveDevice | None,
    *,
    reachable: bool,
    flow_name: str | None = None,
    device_name: str | None = None,
) -> Laggard | None:
    """A row's verdict by one read, with what explains it; None when it is converged.

    Args:
        row: what it should be.
        record: what was read of its device; None where there is no record.
        reachable: whether the device has been seen connected, at first or since.
        flow_name: for the reader.
        device_name: for the reader, where it is better known than from the record.
    """
    if record is None:
        verdict = Verdict.CONVERGED if row.version is None else Verdict.DRIFT
        history, released, reported = History(), None, None
    else:
        history = history_of(record.logs, row.flow_id)
        released, reported = record.flows.get(row.flow_id, NOTHING)
        verdict = _verdict(row.version, released, reported, record, history, reachable=reachable)
    if verdict is Verdict.CONVERGED:
        return None
    release, error = history
    return Laggard(
        device_id=row.device_id,
        flow_id=row.flow_id,
        verdict=verdict,
        expected=row.version,
        released=released,
        reported=reported,
        connected=record.connected if record else None,
        connection_time=record.connection_time if record else None,
        unknown_bundle=record.unknown_bundle if record else False,
        attempted_bundle=error.attempted if error else None,
        error=error.error if error else None,
        since=release.date if release else None,
        changed_by=release.changed_by if release else NOBODY,
        device_name=device_name or (record.name if record else None),
        flow_name=flow_name,
    )


def _verdict(
    wanted: Version | None,
    released: Version | None,
    reported: Version | None,
    record: LiveDevice,
    history: History,
    *,
    reachable: bool,
) -> Verdict:
    if released != wanted:
        return Verdict.DRIFT
    if record.unknown_bundle:
        return Verdict.FAILED
    if reported == released:
        return Verdict.CONVERGED
    if history.error:
        return Verdict.FAILED
    return Verdict.PENDING if reachable else Verdict.OFFLINE


def verdicts(desired: Desired, live: Live, *, reachable: Container[DeviceId] | None = None) -> Verdicts:
    """Judge every managed row by one read of everything.

    Args:
        desired: what the manifests say.
        live: a read that is not restricted.
        reachable: devices that count as connected; None means those that this read shows connected.
    """
    laggards: list[Laggard] = []
    managed = 0
    devices: set[DeviceId] = set()
    for row in expected_rows(desired, live):
        managed += 1
        devices.add(row.device_id)
        record = live.devices.get(row.device_id)
        connected = record is not None and record.connected is True
        seen = connected if reachable is None else row.device_id in reachable
        if laggard := judge(row, record, reachable=seen, flow_name=live.flow_names.get(row.flow_id)):
            laggards.append(laggard)
    return tally(laggards, rows=managed, devices=len(devices))


def tally(laggards: Iterable[Laggard], *, rows: int, devices: int) -> Verdicts:
    """Count `rows` managed rows on `devices` devices, of which these are not converged."""
    listed = sorted(laggards, key=lambda laggard: (-SEVERITY[laggard.verdict], laggard.row))
    by_row = Counter(laggard.verdict for laggard in listed)
    worst: dict[DeviceId, Verdict] = {}
    for laggard in listed:
        worst.setdefault(laggard.device_id, laggard.verdict)
    by_device = Counter(worst.values())
    by_row[Verdict.CONVERGED] = rows - len(listed)
    by_device[Verdict.CONVERGED] = devices - len(worst)
    return Verdicts(
        {verdict: by_row[verdict] for verdict in Verdict},
        {verdict: by_device[verdict] for verdict in Verdict},
        tuple(listed),
    )
