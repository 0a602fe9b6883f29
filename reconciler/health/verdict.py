"""The verdict on a managed row, from its desired, released and reported versions and the device's log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from reconciler.model.health import Laggard, Verdict, Verdicts
from reconciler.model.log import history_of
from reconciler.model.rollout import RolloutVerdict
from reconciler.model.state import NO_RECORD, NOBODY, NOTHING, Desired, DeviceId, Live, LiveDevice, Row, Version
from reconciler.planner.rollout.look import Look

_OF_DEVICE: dict[RolloutVerdict | None, Verdict] = {
    RolloutVerdict.FAILED: Verdict.FAILED,
    RolloutVerdict.SILENT: Verdict.FAILED,
    RolloutVerdict.OFFLINE: Verdict.OFFLINE,
    RolloutVerdict.WAITING: Verdict.PENDING,
}
"""In a group with a policy a row is as its device, which is judged as a whole; other devices' rows are as they are."""
_SEVERITY = {verdict: rank for rank, verdict in enumerate(Verdict)}


def expected_rows(desired: Desired, live: Live) -> dict[Row, Version | None]:
    """The managed rows and the version that each should run, without custom-node records, which never change."""
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
    rollouts: Look | None = None,
    group: str | None = None,
) -> Laggard | None:
    """The verdict on a row that has not converged, with its explanation; None if it has converged.

    `record`: the record of its device, or `NO_RECORD`. `reachable`: the device was seen connected at least once.
    `rollouts`: those of the application, judged by the same read.
    """
    device_id, flow_id = row
    released, reported = record.flows.get(flow_id, NOTHING)
    of_device = _OF_DEVICE.get(rollouts.verdict(row)) if rollouts is not None else None
    if expected == released == reported and not record.unknown_bundle and of_device is None:
        return None
    release, error = history_of(record.logs, flow_id)
    if released != expected:
        verdict = Verdict.DRIFT
    elif error or record.unknown_bundle:
        verdict = Verdict.FAILED
    else:
        verdict = Verdict.PENDING if reachable else Verdict.OFFLINE
    if verdict is Verdict.DRIFT:
        verdict = Verdict.WITHHELD if rollouts is not None and rollouts.is_withheld(row) else Verdict.DRIFT
    elif of_device is not None:
        verdict = of_device
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
        group=group,
    )


def tally(laggards: Iterable[Laggard], *, rows: int, devices: int, has_rollouts: bool = False) -> Verdicts:
    """Count the verdicts of `rows` managed rows on `devices` devices, given those that have not converged.

    `withheld` is counted only where there are rollouts.
    """
    listed = sorted(laggards, key=lambda laggard: (-_SEVERITY[laggard.verdict], laggard.row))
    by_row = Counter(laggard.verdict for laggard in listed)
    worst: dict[DeviceId, Verdict] = {}
    for laggard in listed:
        worst.setdefault(laggard.device_id, laggard.verdict)
    by_device = Counter(worst.values())
    by_row[Verdict.CONVERGED] = rows - len(listed)
    by_device[Verdict.CONVERGED] = devices - len(worst)
    verdicts = [verdict for verdict in Verdict if has_rollouts or verdict is not Verdict.WITHHELD]
    return Verdicts(
        {verdict: by_row[verdict] for verdict in verdicts},
        {verdict: by_device[verdict] for verdict in verdicts},
        tuple(listed),
    )
