"""What the documents share: the words and numbers that they are made of, problems, rows, and how rows stand."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeAlias, cast

from pydantic import Field, GetPydanticSchema
from pydantic_core import core_schema
from typing_extensions import TypedDict

from reconciler.model.changes import Op
from reconciler.model.health import Laggard, Verdict
from reconciler.model.result import Moved, Unconfirmed
from reconciler.model.state import Application, Kind

OWN = "own"  # the type of those errors whose message is ours


_TEXT = core_schema.str_schema(min_length=1)


def _published(schema: core_schema.CoreSchema, **published: object) -> GetPydanticSchema:
    """Checked by a schema of pydantic's core, for speed, and published as something wider."""
    # A copy, since pydantic notes in it what is published.
    return GetPydanticSchema(lambda *_: cast("Any", dict(schema)), lambda *_: {**published, "type": "string"})


def rule(message: str, pattern: str, *, published: bool = False) -> GetPydanticSchema:
    """Text that fits a pattern, and what to say of text that does not."""
    fitting = core_schema.str_schema(pattern=pattern)
    told = core_schema.custom_error_schema(fitting, custom_error_type=OWN, custom_error_message=message)
    return _published(core_schema.chain_schema([_TEXT, told]), **({"pattern": pattern} if published else {}))


def word(kind: type[StrEnum], *order: str) -> GetPydanticSchema:
    """One of an enum's words, in the order that the schema lists them in."""
    members = list(kind)
    schema = core_schema.enum_schema(kind, members, sub_type="str", strict=False)
    return _published(schema, enum=[*(order or map(str, members))])


Count: TypeAlias = Annotated[int, Field(ge=0)]
Text: TypeAlias = Annotated[str, _published(_TEXT)]
Id: TypeAlias = Annotated[str, rule("must be an id", "^[0-9A-Za-z_-]{1,64}$")]  # goes into URLs
Version: TypeAlias = Text | None
_DIGEST = "^sha256:[0-9a-f]{64}$"
Digest: TypeAlias = Annotated[str, rule("must be a digest", _DIGEST, published=True)]
StatedDigest: TypeAlias = Annotated[str, _published(_TEXT, pattern=_DIGEST)]  # compared with that of the changes
KindWord: TypeAlias = Annotated[Kind, word(Kind)]
OpWord: TypeAlias = Annotated[Op, word(Op)]
VerdictWord: TypeAlias = Annotated[Verdict, word(Verdict, "converged", "pending", "offline", "failed", "drift")]


class PlacePart(TypedDict):
    """A spot in a file, or null where there is none."""

    path: str | None
    line: int | None
    column: int | None


class ProblemPart(PlacePart):
    """What is wrong: where, what, and what to do about it."""

    message: str
    hint: str | None


class ErrorPart(TypedDict):
    """Why the exit code is neither 0 nor 2."""

    code: Literal[1, 3, 4, 5, 6, 130]
    problems: list[ProblemPart]


class Document(TypedDict):
    """What all documents begin with."""

    format_version: Literal["1"]
    error: ErrorPart | None


class ApplicationPart(TypedDict):
    """The application; its name where it is known."""

    id: Id
    name: str | None


def application_part(application: Application) -> ApplicationPart:
    """An application as data."""
    return {"id": application.id, "name": application.name}


class RowPart(TypedDict):
    """One (device, flow)."""

    device_id: Id
    flow_id: Id


class NamedRowPart(RowPart):
    """One (device, flow), with names where they are known."""

    device_name: str | None
    flow_name: str | None


From = TypedDict("From", {"from": Version})
Step = TypedDict("Step", {"op": OpWord, "from": Version, "to": Version})


class ChangedByPart(TypedDict):
    """Who released a row last, as the deployment's log tells."""

    type: str | None
    id: str | None


class VerdictsPart(TypedDict):
    """Rows, or devices by their worst row, by verdict."""

    converged: Count
    pending: Count
    offline: Count
    failed: Count
    drift: Count


class LaggardPart(NamedRowPart):
    """A managed row that is not converged, with what explains it."""

    verdict: VerdictWord
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


def row_part(row: Unconfirmed | Moved | Laggard) -> dict[str, Any]:
    """A row's values as data, the names beside the ids."""
    data = row._asdict()
    return {key: data.pop(key) for key in ("device_id", "device_name", "flow_id", "flow_name")} | data


def laggard_part(row: Laggard) -> LaggardPart:
    """A laggard as data."""
    return cast("LaggardPart", row_part(row) | {"changed_by": row.changed_by._asdict()})


def verdicts_part(counts: Mapping[Verdict, int]) -> VerdictsPart:
    """Counts by verdict, as data."""
    return cast("VerdictsPart", {verdict.value: counts[verdict] for verdict in Verdict})
