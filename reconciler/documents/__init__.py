"""The JSON documents that commands write, as models: their published schema, and the check of a saved result."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from pydantic import Field

from reconciler.documents.parts import Count, Digest, Part, ProblemPart
from reconciler.documents.plan import GuardsPart, PlanPart
from reconciler.documents.result import ResultPart
from reconciler.documents.status import StatusPart


class ErrorPart(Part):
    """Why the exit code is neither 0 nor 2."""

    code: Literal[1, 3, 4, 5, 6, 130]
    problems: list[ProblemPart]


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
    warnings: list[ProblemPart] = Field(default=[])
    applications: list[HeldPart]


AnyDocument: TypeAlias = (
    PlanDocument | ResultDocument | StatusDocument | DifferenceDocument | ExportDocument | ApplicationsDocument
)
