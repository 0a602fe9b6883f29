"""What came of a plan, as `apply` and `show` write it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from reconciler.documents.parts import (
    ApplicationPart,
    Count,
    Digest,
    LaggardPart,
    NamedRowPart,
    Part,
    VerdictsPart,
    Version,
)
from reconciler.documents.plan import CallPart


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
