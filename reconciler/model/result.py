"""What an apply did, as data: one `Result` per application, valid at every moment of the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from reconciler.errors import ExitCode
from reconciler.model.state import Application, DeviceId, FlowId, Kind, Version


class CallState(StrEnum):
    """How far a call came.

    `accepted` is the API's 201, which promises nothing; `confirmed` was seen in a read. `failed` did not have its
    whole effect; `skipped` was never sent; of `unknown` nobody can say whether it had an effect, or still will.
    """

    PLANNED = "planned"
    SENT = "sent"
    ACCEPTED = "accepted"
    CONFIRMED = "confirmed"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class CallResult:
    """One call. `body` is what was sent last, or would be; `count` the changes it carries, `confirmed` those seen.

    `attempts` counts requests on the wire. Times are RFC 3339 text in UTC. `error` tells what went wrong; its text may
    come from the API and is untrusted. `note` tells why a call is not as the plan has it.
    """

    id: int
    action: str
    body: Mapping[str, object]
    count: int
    after: tuple[int, ...]
    state: CallState
    confirmed: int = 0
    attempts: int = 0
    error: str | None = None
    note: str | None = None
    started: str | None = None
    ended: str | None = None


class Unconfirmed(NamedTuple):
    """A row of the plan that was not seen at its `to`. `actual` is its released version in the newest read."""

    device_id: DeviceId
    flow_id: FlowId
    expected: Version | None
    actual: Version | None
    call: int
    moved_by_other: bool


class Moved(NamedTuple):
    """A row outside the plan whose released version changed during the run. `call` could have done it, or None."""

    device_id: DeviceId
    flow_id: FlowId
    before: Version | None
    after: Version | None
    call: int | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What carrying out one plan came to. Rows are sorted by device, then flow; calls by id.

    `stopped_by` says why the run ended before its time (an expired token, say); `notes` what else a reader should
    know. Names are the plan's.
    """

    application: Application
    kind: Kind
    digest: str
    calls: tuple[CallResult, ...]
    total: int
    confirmed: int
    unconfirmed: tuple[Unconfirmed, ...] = ()
    collateral: tuple[Moved, ...] = ()
    moved_meanwhile: tuple[Moved, ...] = ()
    dry_run: bool = False
    interrupted: bool = False
    stopped_by: str | None = None
    notes: tuple[str, ...] = ()
    device_names: Mapping[DeviceId, str] | None = None
    flow_names: Mapping[FlowId, str] | None = None

    @property
    def wrote(self) -> bool:
        """Whether any request that writes left this process."""
        return any(call.attempts for call in self.calls)

    @property
    def exit_code(self) -> ExitCode:
        """130 when interrupted; 6 when anything of the plan is not confirmed or moved besides it; else 0."""
        if self.interrupted:
            return ExitCode.INTERRUPTED
        if self.dry_run:
            return ExitCode.DONE
        loose = any(call.state is not CallState.CONFIRMED for call in self.calls)
        return ExitCode.NOT_CONFIRMED if loose or self.unconfirmed or self.collateral else ExitCode.DONE

    def to_data(self) -> dict[str, object]:
        """Plain data for JSON, one element of the document's `results`."""
        return {
            "application": {"id": self.application.id, "name": self.application.name},
            "kind": str(self.kind),
            "digest": self.digest,
            "dry_run": self.dry_run,
            "interrupted": self.interrupted,
            "stopped_by": self.stopped_by,
            "exit_code": int(self.exit_code),
            "rows": {"total": self.total, "confirmed": self.confirmed},
            "calls": [_call_data(call) for call in self.calls],
            "unconfirmed": [self._unconfirmed_data(row) for row in self.unconfirmed],
            "collateral": [self._moved_data(row) for row in self.collateral],
            "moved_meanwhile": [self._moved_data(row) for row in self.moved_meanwhile],
            "notes": list(self.notes),
        }

    def _unconfirmed_data(self, row: Unconfirmed) -> dict[str, object]:
        return {
            **self._names(row.device_id, row.flow_id),
            "expected": row.expected,
            "actual": row.actual,
            "call": row.call,
            "moved_by_other": row.moved_by_other,
        }

    def _moved_data(self, row: Moved) -> dict[str, object]:
        names = self._names(row.device_id, row.flow_id)
        return {**names, "before": row.before, "after": row.after, "call": row.call}

    def _names(self, device_id: DeviceId, flow_id: FlowId) -> dict[str, object]:
        return {
            "device_id": device_id,
            "device_name": (self.device_names or {}).get(device_id),
            "flow_id": flow_id,
            "flow_name": (self.flow_names or {}).get(flow_id),
        }


def _call_data(call: CallResult) -> dict[str, object]:
    return {
        "id": call.id,
        "action": call.action,
        "body": dict(call.body),
        "count": call.count,
        "after": list(call.after),
        "state": str(call.state),
        "confirmed": call.confirmed,
        "attempts": call.attempts,
        "error": call.error,
        "note": call.note,
        "started": call.started,
        "ended": call.ended,
    }
