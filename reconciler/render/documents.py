"""The JSON documents that commands write, as models: their published schema, and the check of a saved result."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

Count: TypeAlias = Annotated[int, Field(ge=0)]
Version: TypeAlias = str | None
Digest: TypeAlias = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class Part(BaseModel):
    """Every part: no unknown keys, no coercion."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)


class ProblemPart(Part):
    """What is wrong: where, what, and what to do about it."""

    path: str | None
    line: int | None
    column: int | None
    message: str
    hint: str | None


class ErrorPart(Part):
    """Why the exit code is neither 0 nor 2."""

    code: Literal[1, 3, 4, 5, 6, 130]
    problems: list[ProblemPart]


class ToolPart(Part):
    """What made a plan."""

    name: Literal["reconciler"]
    version: str


class ApplicationPart(Part):
    """The application; its name where it is known."""

    id: str
    name: str | None


class ManifestPart(Part):
    """A file that a plan was made from."""

    path: str
    sha256: str


class RowPart(Part):
    """One (device, flow)."""

    device_id: str
    flow_id: str


class NamedRowPart(RowPart):
    """One (device, flow), with names where they are known."""

    device_name: str | None
    flow_name: str | None


class SummaryPart(Part):
    """add + update + remove + keep = managed rows; pending is part of keep; devices = distinct managed devices."""

    add: Count
    update: Count
    remove: Count
    keep: Count
    pending: Count
    unmanaged: Count
    devices: Count
    calls: Count


class ChangePart(NamedRowPart):
    """A row whose released version moves."""

    op: Literal["add", "update", "remove"]
    from_version: Version = Field(alias="from")
    to: Version
    reported: Version
    source: str
    call: int | None


class CallPart(Part):
    """One request, and the number of changes that it carries."""

    id: Count
    action: Literal["release", "replace", "remove"]
    body: dict[str, Any]
    count: Count
    after: list[Count]


class PendingPart(NamedRowPart):
    """Released as desired, not yet reported."""

    released: Version
    reported: Version
    connected: bool | None
    last_error: str | None


class UnmanagedPart(RowPart):
    """Live, and declared by no manifest."""

    released: Version
    reported: Version


class RefusalPart(ProblemPart):
    """A guard's no."""

    guard: Literal["removals", "changes", "protect", "empty", "strict"]
    rows: list[RowPart]


class LimitPart(Part):
    """The most rows that may change, as a number and in percent (a decimal number as text); null: no such limit."""

    count: Count | None
    percent: Annotated[str, Field(pattern=r"^[0-9]{1,9}(\.[0-9]{1,99})?$")] | None


class LimitsPart(Part):
    """How much a plan may do, and where the manifests say so."""

    removals: LimitPart
    changes: LimitPart
    path: str | None
    line: int | None
    column: int | None


class ProtectionPart(Part):
    """Rows that must not be removed, or not changed; null stands for every device, or every flow."""

    device_id: str | None
    flow_id: str | None
    forbid: Literal["removal", "change"]
    path: str
    line: int
    column: int


class GuardsPart(Part):
    """What one plan is judged by, again when `apply --plan` carries it out.

    `released`: managed rows with something released, before targets; `live`: all rows with something released. Both
    are of that flow alone where `only_flow` names one. `empty`: no row is declared.
    """

    limits: LimitsPart
    protect: list[ProtectionPart]
    released: Count
    live: Count
    only_flow: str | None
    empty: bool
    allow_removals: Count
    allow_empty: bool
    strict: bool


class PlanPart(Part):
    """One application and kind."""

    tool: ToolPart
    application: ApplicationPart
    kind: Literal["embedded", "edge"]
    manifests: list[ManifestPart]
    partial: bool
    digest: Digest
    summary: SummaryPart
    changes: list[ChangePart]
    calls: list[CallPart]
    pending: list[PendingPart]
    unmanaged: list[UnmanagedPart]
    warnings: list[ProblemPart]
    refused: list[RefusalPart]


class SentCallPart(CallPart):
    """One request of an apply, and what became of it."""

    state: Literal["planned", "sent", "accepted", "confirmed", "failed", "skipped", "unknown"]
    confirmed: Count
    attempts: Count
    error: str | None
    note: str | None
    started: str | None
    ended: str | None


class UnconfirmedPart(NamedRowPart):
    """A row of the plan that was not seen at its `to`."""

    expected: Version
    actual: Version
    call: Count
    moved_by_other: bool


class MovedPart(NamedRowPart):
    """A row outside the plan that moved during the run; `call` could have done it, or null."""

    before: Version
    after: Version
    call: int | None


class RowsPart(Part):
    """Changes of a plan, and how many of them a read has confirmed."""

    total: Count
    confirmed: Count


class OperationsPart(Part):
    """Changes of a plan by what they do."""

    add: Count
    update: Count
    remove: Count


class ChangedByPart(Part):
    """Who released a row last, as the deployment's log tells."""

    type: str | None
    id: str | None


class LaggardPart(NamedRowPart):
    """A managed row that is not converged, with what explains it."""

    verdict: Literal["converged", "pending", "offline", "failed", "drift"]
    expected: Version
    released: Version
    reported: Version
    connected: bool | None
    connection_time: str | None
    unknown_bundle: bool
    attempted_bundle: str | None
    error: str | None
    since: str | None
    changed_by: ChangedByPart


class VerdictsPart(Part):
    """Rows, or devices by their worst row, by verdict."""

    converged: Count
    pending: Count
    offline: Count
    failed: Count
    drift: Count


class WaitPart(Part):
    """How a wait ended. `rows` and `devices` are null where no read succeeded."""

    offline: Literal["wait", "skip", "fail"]
    elapsed_s: float
    timed_out: bool
    stopped_by: str | None
    read_error: str | None
    rows: VerdictsPart | None
    devices: VerdictsPart | None
    laggards: list[LaggardPart]


class MovePart(Part):
    """Rows of a flow that were to move alike."""

    flow_id: str
    flow_name: str | None
    op: Literal["add", "update", "remove"]
    from_version: Version = Field(alias="from")
    to: Version
    count: Count


class RemovalPart(NamedRowPart):
    """A row that was to be removed, and where the manifests say so."""

    from_version: Version = Field(alias="from")
    source: str


class ResultPart(Part):
    """What an apply did to one application and kind."""

    application: ApplicationPart
    kind: Literal["embedded", "edge"]
    digest: Digest
    dry_run: bool
    interrupted: bool
    stopped_by: str | None
    exit_code: int
    rows: RowsPart
    operations: OperationsPart
    moves: list[MovePart]
    removals: list[RemovalPart]
    calls: list[SentCallPart]
    unconfirmed: list[UnconfirmedPart]
    collateral: list[MovedPart]
    moved_meanwhile: list[MovedPart]
    notes: list[str]
    wait: WaitPart | None


class StandingsPart(Part):
    """Rows by how they stand."""

    in_sync: Count
    pending: Count
    offline: Count
    failed: Count
    drift: Count
    unmanaged: Count


class VersionPart(StandingsPart):
    """Rows of one version of a flow; null is absence."""

    version: Version


class FlowPart(Part):
    """One flow, by version."""

    flow_id: str
    flow_name: str | None
    versions: list[VersionPart]


class LoggedPart(Part):
    """A line of a device's deployment log; what the API left out is null."""

    device_id: str
    device_name: str | None
    flow_id: str | None
    flow_name: str | None
    date: str | None
    change: str | None
    update: str | None
    version: Version
    previous: Version
    bundle: str | None
    attempted: str | None
    error: str | None
    changed_by: ChangedByPart


class StatusPart(Part):
    """Sync and health of one application and kind."""

    application: ApplicationPart
    kind: Literal["embedded", "edge"]
    rows: StandingsPart
    devices: VerdictsPart
    flows: list[FlowPart]
    laggards: list[LaggardPart]
    log: list[LoggedPart]


class DifferencePart(Part):
    """One difference in the desired state between two sides."""

    application: str
    kind: Literal["embedded", "edge"]
    what: str
    subject: str | None
    flow: str | None
    before: Any = Field(alias="from")
    after: Any = Field(alias="to")
    source: str | None


class ModulePart(Part):
    """A file in an export; its size is that when unpacked, its name is empty where there is no archive."""

    name: str
    size: Count
    wasm: bool


class FilePart(Part):
    """An exported file that was received and saved."""

    path: str
    size: Count
    sha256: Digest
    type: Literal["zip", "gzip", "wasm", "other"]
    modules: list[ModulePart]


class ExportPart(Part):
    """An export that Losant took; `options` are the body that was sent, `file` is null where none was received."""

    application: str
    job_id: str | None
    options: dict[str, str | int | bool]
    file: FilePart | None


class HeldPart(Part):
    """An application and kind that the paths hold."""

    application: str
    name: str | None
    kind: Literal["embedded", "edge"]
    paths: list[str]


class _Document(Part):
    format_version: Literal["1"]
    error: ErrorPart | None


class PlanDocument(_Document):
    """What `plan` writes, and `show` of a saved plan. `digest` and `guards` are missing where nothing could be planned.

    The keys of `guards` are application id, slash, kind.
    """

    command: Literal["plan", "show"]
    digest: Digest | None = None
    guards: dict[str, GuardsPart] | None = None
    plans: list[PlanPart]


class ResultDocument(_Document):
    """What `apply` writes, and `show` of a saved result."""

    command: Literal["apply", "show"]
    results: list[ResultPart]


class StatusDocument(_Document):
    """What `status` writes."""

    command: Literal["status"]
    status: list[StatusPart]


class DifferenceDocument(_Document):
    """What `diff` writes."""

    command: Literal["diff"]
    differences: list[DifferencePart]


class ExportDocument(_Document):
    """What `export` writes. `exports` is empty where Losant took none, or where that is not known."""

    command: Literal["export"]
    exports: list[ExportPart]


class ApplicationsDocument(_Document):
    """What `applications` and `validate` write."""

    command: Literal["applications", "validate"]
    warnings: list[ProblemPart] = []
    applications: list[HeldPart]


AnyDocument: TypeAlias = (
    PlanDocument | ResultDocument | StatusDocument | DifferenceDocument | ExportDocument | ApplicationsDocument
)
