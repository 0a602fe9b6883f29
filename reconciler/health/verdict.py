"""How far each managed row is: what the manifests say, what is released, what the device reports, what its log says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from reconciler.model.health import Laggard, Verdict, Verdicts
from reconciler.model.log import history_of
from reconciler.model.state import NO_RECORD, NOBODY, NOTHING, Desired, DeviceId, Live, LiveDevice, Row, Version

_SEVERITY = {verdict: rank for rank, verdict in enumerate(Verdict)}


def expected_rows(desired: Desired, live: Live) -> dict[Row, Version | None]:
    """The managed rows with the version that each should run, without custom-node records, which never change."""
    records = live.devices
    return {
        (device_id, flow_id): decision.version
        for device_id, flow_id, decision in desired.rows()
        if flow_id not in records.get(device_id, NO_RECORD).unmanageable
    }


def judge(
    row: Row,
    expected: Version | None,
    record: LiveDevice,
    *,
    reachable: bool,
    flow_name: str | None,
    device_name: str | None,
) -> Laggard | None:
    """A row's verdict by one read, with what explains it; None when it is converged.

    `record` is what was read of its device, or `NO_RECORD`; `reachable`: it has been seen connected, at first or since.
    """
    device_id, flow_id = row
    released, reported = record.flows.get(flow_id, NOTHING)
    if expected == released == reported and not record.unknown_bundle:
        return None
    release, error = history_of(record.logs, flow_id)
    if released != expected:
        verdict = Verdict.DRIFT
    elif error or record.unknown_bundle:
        verdict = Verdict.FAILED
    else:
        verdict = Verdict.PENDING if reachable else Verdict.OFFLINE
    return Laggard(
        device_id=device_id,
        flow_id=flow_id,
        verdict=verdict,
        expected=expected,
        released=released,
        reported=reported,
        connected=record.connected,
        connection_time=record.connection_time,
        unknown_bundle=record.unknown_bundle,
        attempted_bundle=error.attempted if error else None,
        error=error.error if error else None,
        since=release.date if release else None,
        changed_by=release.changed_by if release else NOBODY,
        device_name=device_name,
        flow_name=flow_name,
    )


def tally(laggards: Iterable[Laggard], *, rows: int, devices: int) -> Verdicts:
    """Count `rows` managed rows on `devices` devices, of which these are not converged."""
    listed = sorted(laggards, key=lambda laggard: (-_SEVERITY[laggard.verdict], laggard.row))
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
