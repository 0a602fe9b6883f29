"""What `plan` and `apply` tell while they run (`--events`): one JSON object a line, each declared here.

A run begins with `version`, ends with `summary`, and numbers its events from 1. The last `call` event of each call is
that call in the result; the last `rows` event of an application has the result's counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

from reconciler.errors import Problem
from reconciler.model.health import Verdict
from reconciler.model.plan import Guard, Summary, Tool, Warning
from reconciler.model.result import CallResult, Operations, Progress
from reconciler.model.state import Application, Count, DeviceId, Digest, FlowId, Kind


class VersionEvent(NamedTuple):
    """The first event: what runs."""

    seq: Count
    time: str
    type: Literal["version"]
    format_version: Literal["1"]
    command: Literal["plan", "apply"]
    tool: Tool


class ReadEvent(NamedTuple):
    """The deployments of an application were read: all, or only those with a flow, or of a device."""

    seq: Count
    time: str
    type: Literal["read"]
    application: Application
    kind: Kind
    flow_id: FlowId | None
    device_id: DeviceId | None
    devices: Count
    seconds: float


class PlanEvent(NamedTuple):
    """An application was planned. `refused`: the guards that refuse it."""

    seq: Count
    time: str
    type: Literal["plan"]
    application: Application
    kind: Kind
    digest: Digest
    review_digest: Digest
    partial: bool
    summary: Summary
    refused: tuple[Guard, ...]


class StepEvent(NamedTuple):
    """A step of rollouts begins, numbered from 1: what it sends, and how many changes are withheld."""

    seq: Count
    time: str
    type: Literal["step"]
    application: Application
    kind: Kind
    step: Count
    changes: Count
    calls: Count
    withheld: Count


class CallEvent(NamedTuple):
    """A call as it is now: its state, or a detail of it, has changed. Calls of later steps are numbered on."""

    seq: Count
    time: str
    type: Literal["call"]
    application: Application
    kind: Kind
    call: CallResult


class RowsEvent(NamedTuple):
    """How many changes there are and are confirmed; while `--wait` waits, the managed rows by verdict."""

    seq: Count
    time: str
    type: Literal["rows"]
    application: Application
    kind: Kind
    total: Count
    confirmed: Count
    verdicts: Mapping[str, Count] | None


class VerdictEvent(NamedTuple):
    """While `--wait` waits: a device failed, or is not failed or offline any more.

    `before`: its verdict until then, null if it was neither. Flow and error are those of its worst row.
    """

    seq: Count
    time: str
    type: Literal["verdict"]
    application: Application
    kind: Kind
    device_id: DeviceId
    device_name: str | None
    flow_id: FlowId | None
    flow_name: str | None
    verdict: Verdict
    before: Verdict | None
    error: str | None


class WarningEvent(NamedTuple):
    """A warning of a plan or a result, or something that went wrong meanwhile and is tried again."""

    seq: Count
    time: str
    type: Literal["warning"]
    application: Application
    kind: Kind
    warning: Warning


class PlanTotals(NamedTuple):
    """One plan of a run."""

    application: Application
    kind: Kind
    digest: Digest
    review_digest: Digest
    summary: Summary


class ResultTotals(NamedTuple):
    """One result of a run, as its document has it."""

    application: Application
    kind: Kind
    digest: Digest
    review_digest: Digest
    dry_run: bool
    interrupted: bool
    stopped_by: str | None
    exit_code: int
    rows: Progress
    operations: Operations


class SummaryEvent(NamedTuple):
    """The last event: how the run ended, and the problems that it reported. `results` is empty for `plan`."""

    seq: Count
    time: str
    type: Literal["summary"]
    exit_code: int
    problems: tuple[Problem, ...]
    plans: tuple[PlanTotals, ...]
    results: tuple[ResultTotals, ...]


Event: TypeAlias = (
    VersionEvent
    | ReadEvent
    | PlanEvent
    | StepEvent
    | CallEvent
    | RowsEvent
    | VerdictEvent
    | WarningEvent
    | SummaryEvent
)
