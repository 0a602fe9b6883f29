"""A plan, as `plan` and `show` write it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from reconciler.documents.parts import ApplicationPart, Count, Digest, NamedRowPart, Part, ProblemPart, RowPart, Version


class ToolPart(Part):
    """What made a plan."""

    name: Literal["reconciler"]
    version: str


class ManifestPart(Part):
    """A file that a plan was made from."""

    path: str
    sha256: str


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
