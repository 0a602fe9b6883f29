"""The verdict on a managed row, from its desired, released and reported versions and the device's log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reconciler.model.health import Laggard, Verdict, Verdicts
from reconciler.model.log import DeviceLog
from reconciler.model.rollout import RolloutVerdict
from reconciler.model.state import (
    NO_RECORD,
    NOBODY,
    NOTHING,
    Decision,
    Desired,
    DeviceId,
    FlowId,
    Live,
    LiveDevice,
    Row,
    Version,
)
from reconciler.planner.rollout.look import Look

_OF_DEVICE: dict[RolloutVerdict | None, Verdict] = {
    RolloutVerdict.FAILED: Verdict.FAILED,
    RolloutVerdict.SILENT: Verdict.FAILED,
    RolloutVerdict.OFFLINE: Verdict.OFFLINE,
    RolloutVerdict.WAITING: Verdict.PENDING,
}
"""In a group with a policy a row is as its device, which is judged as a whole; other devices' rows are as they are."""


def expected_rows(desired: Desired, live: Live) -> dict[Row, Version | None]:
    """The managed rows and the version that each should run, without custom-node records, which never change."""
    return {
        (device_id, flow_id): decision.version
        for device_id, flows in open_rows(desired, live).items()
        for flow_id, decision in flows.items()
    }


def open_rows(desired: Desired, live: Live) -> dict[DeviceId, Mapping[FlowId, Decision]]:
    """The same rows by device; devices that the same rules decide share one mapping."""
    found: dict[DeviceId, Mapping[FlowId, Decision]] = {}
    for device_id, flows in desired.devices.items():
        if unmanageable := live.devices.get(device_id, NO_RECORD).unmanageable:
            flows = {flow_id: flows[flow_id] for flow_id in flows if flow_id not in unmanageable}  # noqa: PLW2901
        if flows:
            found[device_id] = flows
    return found


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
    log: DeviceLog | None = None,
) -> Laggard | None:
    """The verdict on a row that has not converged, with its explanation; None if it has converged.

    `record`: the record of its device, or `NO_RECORD`. `reachable`: the device was seen connected at least once.
    `rollouts`: those of the application, judged by the same read. `log`: the record's, if other rows share it.
    """
    device_id, flow_id = row
    released, reported = record.flows.get(flow_id, NOTHING)
    of_device = _OF_DEVICE.get(rollouts.verdict(row)) if rollouts is not None else None
    if expected == released == reported and not record.unknown_bundle and of_device is None:
        return None
    release, error = (log or DeviceLog(record.logs)).history_of(flow_id)
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
    return Laggard(  # by position: there may be 300,000 of them, and by name each takes twice as long
        device_id,
        flow_id,
        verdict,
        expected,
        released,
        reported,
        record.connected,
        record.connection_time,
        record.unknown_bundle,
        error.attempted if error else None,
        error.error if error else None,
        release.date if release else None,
        release.changed_by if release else NOBODY,
        device_name,
        flow_name,
        group,
    )


def tally(laggards: Iterable[Laggard], *, rows: int, devices: int, has_rollouts: bool = False) -> Verdicts:
    """Count the verdicts of `rows` managed rows on `devices` devices, given those that have not converged.

    `withheld` is counted only where there are rollouts.
    """
    alike: dict[Verdict, list[Laggard]] = {verdict: [] for verdict in Verdict}
    for laggard in laggards:
        alike[laggard.verdict].append(laggard)
    listed: list[Laggard] = []
    by_device, counted = dict.fromkeys(Verdict, 0), set[DeviceId]()
    for verdict in reversed(Verdict):
        listed += sorted(alike[verdict])  # by device and flow, of which no two are equal
        its_devices = {laggard.device_id for laggard in alike[verdict]} - counted
        by_device[verdict] = len(its_devices)
        counted |= its_devices
    by_row = {verdict: len(found) for verdict, found in alike.items()}
    by_row[Verdict.CONVERGED], by_device[Verdict.CONVERGED] = rows - len(listed), devices - len(counted)
    verdicts = [verdict for verdict in Verdict if has_rollouts or verdict is not Verdict.WITHHELD]
    return Verdicts(
        {verdict: by_row[verdict] for verdict in verdicts},
        {verdict: by_device[verdict] for verdict in verdicts},
        tuple(listed),
    )
