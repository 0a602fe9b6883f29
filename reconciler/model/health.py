"""Device health: the verdict on a row and its explanation, the state of a wait, the status table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from reconciler.errors import ExitCode
from reconciler.model.rollout import RolloutReport, need_attention
from reconciler.model.state import (
    NOBODY,
    Application,
    ChangedBy,
    Count,
    DeletedDevice,
    DeviceId,
    FlowId,
    Kind,
    Row,
    Version,
)


class Verdict(StrEnum):
    """Health of one row, worst last.

    `device_deleted`: the device does not exist any more, so nothing is expected of it.
    `drift`: the released version is not the desired one, so the device cannot make it converge. Otherwise `converged`
    if the reported version equals the released one; `failed` on an error after the row's last release, or on an unknown
    bundle; `offline` if the device was not connected at first nor seen connected since; else `pending`.
    In a group with a rollout, a row that has not converged is `withheld` if its change is; else `failed`, `offline` or
    `pending` like its device, which is judged as a whole (a silent one has failed).
    """

    CONVERGED = "converged"
    DEVICE_DELETED = "device_deleted"
    OFFLINE = "offline"
    WITHHELD = "withheld"
    PENDING = "pending"
    DRIFT = "drift"
    FAILED = "failed"


class Laggard(NamedTuple):
    """A managed row that has not converged, with its explanation. Text comes from the API and is untrusted.

    `expected`, `released` and `reported` are versions, None for nothing. `since` is when the row was last released
    and `changed_by` who did it; `attempted_bundle` and `error` are those of the newest error that concerns it.
    `group` is the group of the manifests that decided the row, if one did.
    """

    device_id: DeviceId
    flow_id: FlowId
    verdict: Verdict
    expected: Version | None
    released: Version | None
    reported: Version | None
    connected: bool | None = None
    connection_time: str | None = None
    unknown_bundle: bool = False
    attempted_bundle: str | None = None
    error: str | None = None
    since: str | None = None
    changed_by: ChangedBy = NOBODY
    device_name: str | None = None
    flow_name: str | None = None
    group: str | None = None

    @property
    def row(self) -> Row:
        """The row's key."""
        return (self.device_id, self.flow_id)


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The verdicts on a set of managed rows.

    `rows` counts rows by verdict, `devices` counts devices by the worst verdict of their rows; every verdict is a
    key, `withheld` only where there are rollouts. `laggards`: the rows that have not converged, worst first, then by
    device and flow.
    """

    rows: Mapping[Verdict, Count]
    devices: Mapping[Verdict, Count]
    laggards: tuple[Laggard, ...]


class Offline(StrEnum):
    """How a wait treats devices that are offline from the start: wait for them, skip them, or fail."""

    WAIT = "wait"
    SKIP = "skip"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Wait:
    """The progress or outcome of a wait.

    `verdicts` is None until a first read succeeded. `stopped_by`: why reading ended early. `read_error`: the error of
    the newest read, if it failed. `tolerated`: rows that failed on devices that may fail, as their rollouts say.
    """

    offline: Offline
    elapsed_s: float
    verdicts: Verdicts | None = None
    timed_out: bool = False
    stopped_by: str | None = None
    read_error: str | None = None
    tolerated: Count = 0

    @property
    def rows(self) -> Mapping[Verdict, Count] | None:
        """The rows by verdict."""
        return self.verdicts.rows if self.verdicts else None

    @property
    def devices(self) -> Mapping[Verdict, Count] | None:
        """The devices by the worst verdict of their rows."""
        return self.verdicts.devices if self.verdicts else None

    @property
    def laggards(self) -> tuple[Laggard, ...]:
        """The rows that have not converged."""
        return self.verdicts.laggards if self.verdicts else ()

    @property
    def exit_code(self) -> ExitCode:
        """5 unless every row has converged; rows of offline devices are ignored if the policy says so.

        Rows of deleted devices, withheld ones and those that may fail are always ignored.
        """
        if self.verdicts is None or self.stopped_by:
            return ExitCode.NOT_CONVERGED
        rows = self.verdicts.rows
        excused = rows[Verdict.DEVICE_DELETED] + rows.get(Verdict.WITHHELD, 0) + self.tolerated
        excused += rows[Verdict.OFFLINE] if self.offline == Offline.SKIP else 0
        return ExitCode.DONE if rows[Verdict.CONVERGED] + excused == sum(rows.values()) else ExitCode.NOT_CONVERGED


class Standing(StrEnum):
    """The columns of the status table. Each live or managed row counts in exactly one; `in_sync` means converged.

    `device_deleted`: what is left of a device that was deleted, which is never managed.
    """

    IN_SYNC = "in_sync"
    PENDING = "pending"
    OFFLINE = "offline"
    FAILED = "failed"
    WITHHELD = "withheld"
    DRIFT = "drift"
    UNMANAGED = "unmanaged"
    DEVICE_DELETED = "device_deleted"


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """One line of a flow's table: rows by column. `version` is the desired one, or for unmanaged rows the released one.

    `version` is None for rows that should be absent.
    """

    version: Version | None
    in_sync: Count
    pending: Count
    offline: Count
    failed: Count
    drift: Count
    unmanaged: Count
    device_deleted: Count = 0
    withheld: Count = 0


@dataclass(frozen=True, slots=True)
class FlowStatus:
    """One flow's table, by version name; rows that should be absent come last."""

    flow_id: FlowId
    flow_name: str | None
    versions: tuple[VersionStatus, ...]


class Logged(NamedTuple):
    """An entry of a device's log: who changed what, when, with which error. Text from the API is untrusted."""

    device_id: DeviceId
    device_name: str | None
    flow_id: FlowId | None
    flow_name: str | None
    date: str | None
    change: str | None
    update: str | None
    version: Version | None
    previous: Version | None
    bundle: str | None
    attempted: str | None
    error: str | None
    changed_by: ChangedBy


@dataclass(frozen=True, slots=True)
class StatusReport:
    """One application and kind. `laggards`: managed rows that are not in sync, worst first.

    `devices_named`: the devices that the report was restricted to, with their names; `log` is theirs, newest first
    for each. `deleted_devices`: the devices that were deleted and still have a record. `rollouts`: None if no group
    has a policy.
    """

    application: Application
    kind: Kind
    flows: tuple[FlowStatus, ...]
    rows: Mapping[Standing, Count]
    devices: Mapping[Verdict, Count]
    laggards: tuple[Laggard, ...]
    devices_named: Mapping[DeviceId, str | None] = field(default_factory=dict)
    log: tuple[Logged, ...] = ()
    deleted_devices: tuple[DeletedDevice, ...] = ()
    rollouts: tuple[RolloutReport, ...] | None = None

    def exit_code(self, *, detailed: bool) -> ExitCode:
        """7 if a rollout is stopped or stalled; 5 if a device failed; 2 on drift if `detailed`; else 0."""
        if need_attention(self.rollouts or ()):
            return ExitCode.ROLLOUT_STOPPED
        if self.rows[Standing.FAILED]:
            return ExitCode.NOT_CONVERGED
        return ExitCode.CHANGES if detailed and self.rows[Standing.DRIFT] else ExitCode.DONE
