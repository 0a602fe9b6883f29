"""What the documents share: problems, rows, and how rows stand."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

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


class ApplicationPart(Part):
    """The application; its name where it is known."""

    id: str
    name: str | None


class RowPart(Part):
    """One (device, flow)."""

    device_id: str
    flow_id: str


class NamedRowPart(RowPart):
    """One (device, flow), with names where they are known."""

    device_name: str | None
    flow_name: str | None


class ChangedByPart(Part):
    """Who released a row last, as the deployment's log tells."""

    type: str | None
    id: str | None


class VerdictsPart(Part):
    """Rows, or devices by their worst row, by verdict."""

    converged: Count
    pending: Count
    offline: Count
    failed: Count
    drift: Count


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
