"""Whether devices run what they should: a row's verdict and what explains it, how a wait stands, the status table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from reconciler.errors import ExitCode
from reconciler.model.state import NOBODY, Application, ChangedBy, Count, DeviceId, FlowId, Kind, LogEntry, Row, Version


class Verdict(StrEnum):
    """Health of one row, the worst last.

    `drift`: released is not as desired, so no device can make it converge. Else `converged` when reported is as
    released; `failed` on an error later than the row's last release, or on a bundle that the platform cannot tell;
    `offline` when the device was not connected at first and not seen connected since; `pending` otherwise.
    """

    CONVERGED = "converged"
    OFFLINE = "offline"
    PENDING = "pending"
    DRIFT = "drift"
    FAILED = "failed"


class Laggard(NamedTuple):
    """A managed row that is not converged, with what explains it. Text comes from the API and is untrusted.

    `expected`, `released` and `reported` are versions, None for nothing. `since` is when the row was last released
    and `changed_by` who did it; `attempted_bundle` and `error` are those of the newest error that concerns it.
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

    @property
    def row(self) -> Row:
        """The row's key."""
        return (self.device_id, self.flow_id)


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What a set of managed rows came to.

    `rows` counts rows by verdict, `devices` counts devices by the worst verdict of their rows; every verdict is a
    key. `laggards` holds the rows that are not converged, worst first, then by device and flow.
    """

    rows: Mapping[Verdict, Count]
    devices: Mapping[Verdict, Count]
    laggards: tuple[Laggard, ...]


class Offline(StrEnum):
    """What a wait makes of devices that are offline from the start: wait for them, leave them out, or fail."""

    WAIT = "wait"
    SKIP = "skip"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Wait:
    """Where a wait stands, or how it ended.

    `verdicts` is None until a first read succeeded. `stopped_by` says why reading ended early, `read_error` how the
    newest read failed, if it did.
    """

    offline: Offline
    elapsed_s: float
    verdicts: Verdicts | None = None
    timed_out: bool = False
    stopped_by: str | None = None
    read_error: str | None = None

    @property
    def exit_code(self) -> ExitCode:
        """5 unless every row is converged, rows of offline devices left out where the policy says so."""
        if self.verdicts is None or self.stopped_by:
            return ExitCode.NOT_CONVERGED
        rows = self.verdicts.rows
        excused = rows[Verdict.OFFLINE] if self.offline is Offline.SKIP else 0
        return ExitCode.DONE if rows[Verdict.CONVERGED] + excused == sum(rows.values()) else ExitCode.NOT_CONVERGED


class Standing(StrEnum):
    """The columns of the table. Each live or managed row counts in exactly one; `in_sync` is converged."""

    IN_SYNC = "in_sync"
    PENDING = "pending"
    OFFLINE = "offline"
    FAILED = "failed"
    DRIFT = "drift"
    UNMANAGED = "unmanaged"


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """One line of a flow's table: rows by standing. `version` is the desired one, the released one of unmanaged rows.

    None stands for rows that should hold nothing.
    """

    version: Version | None
    rows: Mapping[Standing, Count]


@dataclass(frozen=True, slots=True)
class FlowStatus:
    """One flow's table, by version name; rows that should hold nothing come last."""

    flow_id: FlowId
    flow_name: str | None
    versions: tuple[VersionStatus, ...]


class Logged(NamedTuple):
    """A line of a device's log: who changed what, when, with which error. Text from the API is untrusted."""

    device_id: DeviceId
    device_name: str | None
    flow_name: str | None
    entry: LogEntry


@dataclass(frozen=True, slots=True)
class StatusReport:
    """One application and kind. `laggards`: managed rows that are not in sync, worst first.

    `devices_named`: the devices that were asked for by themselves, with their names; `log` is theirs, newest first
    for each.
    """

    application: Application
    kind: Kind
    flows: tuple[FlowStatus, ...]
    rows: Mapping[Standing, Count]
    devices: Mapping[Verdict, Count]
    laggards: tuple[Laggard, ...]
    devices_named: Mapping[DeviceId, str | None] = field(default_factory=dict)
    log: tuple[Logged, ...] = ()

    def exit_code(self, *, detailed: bool) -> ExitCode:
        """5 when a device failed; 2 on drift if `detailed`; else 0."""
        if self.rows[Standing.FAILED]:
            return ExitCode.NOT_CONVERGED
        return ExitCode.CHANGES if detailed and self.rows[Standing.DRIFT] else ExitCode.DONE
