"""The schema of a manifest document, validated by pydantic. `json_schema` publishes it for editors.

The input comes from `syntax.parse`: maps, lists, text and `EMPTY`. So numbers, dates and booleans are still text, and
are parsed by the rules below, never by YAML's. Constraints across documents are checked after merging.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from reconciler.model.text import ID_PATTERN, is_id

OWN = "manifest"  # type of the errors that bring their own message

_INTEGER = "-?[0-9]{1,9}"
_COUNT = "[0-9]{1,9}"
_PERCENT = "(100([.]0{1,30})?|[0-9]{1,2}([.][0-9]{1,30})?)"
_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"


def wrong(message: str, hint: str | None = None) -> PydanticCustomError:
    """An error with its own message."""
    return PydanticCustomError(OWN, "{message}", {"message": message, "hint": hint})


def _matching(pattern: str, read: Callable[[str], Any], expected: str) -> BeforeValidator:
    """Text that matches a pattern, converted with `read`."""

    def check(text: Any) -> Any:
        if isinstance(text, str) and re.fullmatch(pattern, text):
            try:
                return read(text)
            except ValueError:  # an invalid calendar date
                pass
        raise wrong(f"expected {expected}")

    return BeforeValidator(check)


def _version(text: str) -> str:
    if text in ("develop", "default"):
        raise wrong(f'"{text}" is not deployable', "use a version of the flow")
    return text


def _application_id(text: str) -> str:
    if not is_id(text):
        raise wrong(
            f"expected an id, 24 hex digits, found {json.dumps(text)}",
            "a name can be added: {id: …, name: …}",
        )
    return text.lower()


def _query(value: Any) -> str:
    """An advanced device query, as JSON text or as YAML; returned as canonical JSON text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise wrong("a query given as text must be JSON", "see Losant's advanced device queries") from None
    if not isinstance(value, dict) or not value:
        raise wrong("a query must be a non-empty map", "to select every device write `all: true`")
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        text.encode()
    except UnicodeEncodeError:
        raise wrong("a query holds half of a surrogate pair, which is not text", "write the character itself") from None
    except ValueError:
        raise wrong(
            "a query holds a number that JSON cannot hold", "write a finite number, or text in quotes"
        ) from None
    return text


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _identified(value: Any) -> Any:
    return {"id": value} if isinstance(value, str) else value


def _alias(text: str) -> str:
    if is_id(text):
        raise wrong("an alias must not look like an id", "choose another name")
    return text


# Editors use YAML 1.2, where an unquoted 1.10 is a number: text here may be any scalar in the JSON Schema.
_SCALARS = ["string", "number", "boolean"]
_ANY_TEXT = {"type": _SCALARS, "minLength": 1, "maxLength": 255}
WHOLE_ID = f"^{ID_PATTERN}$"


def _or_number(pattern: str, *, kind: str = "number", **bounds: float) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [{"type": "string", "pattern": f"^{pattern}$"}, {"type": kind, **bounds}]})


_NO_CONTROLS = r"^[^\x00-\x1f\x7f-\x9f]*$"
_NAME_SCHEMA = {**_ANY_TEXT, "pattern": _NO_CONTROLS}
Name = Annotated[str, Field(min_length=1, max_length=255, pattern=_NO_CONTROLS), WithJsonSchema(_NAME_SCHEMA)]
Text = Annotated[str, Field(min_length=1, max_length=255), WithJsonSchema(_ANY_TEXT)]
LongText = Annotated[str, Field(min_length=1), WithJsonSchema({"type": _SCALARS, "minLength": 1})]
_VERSION_SCHEMA = {
    **_NAME_SCHEMA,
    "not": {"enum": ["develop", "default"]},
    "description": "A version's name, or `absent` if the flow must not run here.",
}
Version = Annotated[
    str,
    Field(min_length=1, max_length=255, pattern=_NO_CONTROLS),
    AfterValidator(_version),
    WithJsonSchema(_VERSION_SCHEMA),
]
AliasName = Annotated[Name, AfterValidator(_alias)]
ApplicationId = Annotated[str, AfterValidator(_application_id), _or_number(ID_PATTERN, minimum=1e20)]
Percent = Annotated[
    Decimal,
    _matching(_PERCENT, Decimal, "a percentage from 0 to 100, such as 10 or 0.5"),
    _or_number(_PERCENT, minimum=0, maximum=100),
]
Count = Annotated[
    int,
    _matching(_COUNT, int, "a whole number, 0 or more"),
    _or_number(_COUNT, kind="integer", minimum=0, maximum=999_999_999),
]
Priority = Annotated[
    int,
    _matching(_INTEGER, int, "a whole number"),
    _or_number(_INTEGER, kind="integer", minimum=-999_999_999, maximum=999_999_999),
]
Day = Annotated[
    date,
    _matching(_DAY, date.fromisoformat, "a day as YYYY-MM-DD"),
    WithJsonSchema({"type": "string", "pattern": f"^{_DAY}$", "format": "date"}),
]
_QUERY_SCHEMA = {"anyOf": [{"type": "string"}, {"type": "object", "minProperties": 1}]}
Query = Annotated[str, BeforeValidator(_query), WithJsonSchema(_QUERY_SCHEMA)]
True_ = Annotated[Literal["true"], WithJsonSchema({"enum": [True, "true"]})]
YesNo = Annotated[
    bool,
    _matching("true|false", lambda text: text == "true", "true or false"),
    WithJsonSchema({"enum": [True, False, "true", "false"]}),
]
PruneSetting = Annotated[
    Literal["false", "devices", "flows", "application"],
    WithJsonSchema({"enum": [False, "false", "devices", "flows", "application"]}),
]
Flows = Annotated[dict[Name, Version], Field(min_length=1)]
TagValues = Annotated[
    list[Text],
    Field(min_length=1),
    BeforeValidator(_listed),
    WithJsonSchema({"anyOf": [_ANY_TEXT, {"type": "array", "minItems": 1, "items": _ANY_TEXT}]}),
]


class Part(BaseModel):
    """The base of all maps with fixed keys."""

    model_config = ConfigDict(extra="forbid", defer_build=True)  # built once, within the document


class ApplicationPart(Part):
    """`application` in its long form."""

    id: ApplicationId = Field(description="The application's id, 24 hex digits.")
    name: Name | None = Field(None, description="The application's name, verified before anything else is read.")


class SelectPart(Part):
    """Selects devices. Keys are ANDed."""

    devices: Annotated[list[Name], Field(min_length=1)] | None = Field(
        None, description="Ids or names; names may contain `*`."
    )
    tags: Annotated[dict[Text, TagValues], Field(min_length=1)] | None = Field(
        None, description="Tags: AND across keys, OR within a list."
    )
    query: Query | None = Field(None, description="An advanced device query of Losant, as JSON text or as a map.")
    all: True_ | None = Field(None, description="Every device of the kind's class.")
    percent: Percent | None = Field(None, description="Keep this percentage of the devices, always the same ones.")
    exclude: SelectPart | None = Field(None, description="Devices to leave out.")

    @model_validator(mode="after")
    def _selects_something(self) -> SelectPart:
        if not SELECTING & self.model_fields_set:
            raise wrong("has no key that picks devices", "add `devices`, `tags`, `query`, `all: true` or `percent`")
        return self


SELECTING = frozenset(SelectPart.model_fields) - {"exclude"}  # one of them is required: `exclude` only removes devices


class GroupPart(Part):
    """Devices by selector, and the flows they run."""

    select: SelectPart | None = Field(None, description="Which devices. Required here or in the base.")
    flows: Flows | None = Field(None, description="Flow to version. Required here or in the base.")
    priority: Priority | None = Field(None, description="The highest decides where groups overlap. Default: 0.")
    salt: Text | None = Field(None, description="The salt that `percent` hashes with. Default: the group's name.")
    may_be_empty: YesNo | None = Field(None, description="Whether it may select nothing. Default: false.")


class PinPart(Part):
    """An exception for one device."""

    device: Name = Field(description="Id or name.")
    flows: Flows = Field(description="Flow to version.")
    reason: LongText = Field(description="Why.")
    until: Day | None = Field(None, description="Last day (UTC). After it the pin stays in force, with a warning.")


class ProtectPart(Part):
    """Rows that must not be removed, or not be changed at all. Keys are ANDed."""

    device: Name | None = Field(None, description="Id or name.")
    flow: Name | None = Field(None, description="Alias, id or name.")
    forbid: Literal["removal", "change"] | None = Field(None, description="Default: removal.")

    @model_validator(mode="after")
    def _names_something(self) -> ProtectPart:
        if self.device is None and self.flow is None:
            raise wrong("has neither a device nor a flow", "add `device`, `flow` or both")
        return self


class LimitPart(Part):
    """A pair of limits; exceeding either refuses the plan."""

    count: Count | None = Field(None, description="Maximum number of rows.")
    percent: Percent | None = Field(
        None,
        description="Maximum percentage of managed rows with a released version; for `leaving`, of the rows that were "
        "managed before.",
    )


class LimitsPart(Part):
    """How much one plan may change."""

    removals: LimitPart | None = Field(None, description="Default: 10, and 10 percent.")
    changes: LimitPart | None = Field(None, description="Adds, updates and removals together. Off by default.")
    leaving: LimitPart | None = Field(
        None, description="Rows that leave management, with `--against`. Default: 10, and 10 percent."
    )


class Document(Part):
    """A manifest document."""

    apiVersion: Literal["reconciler/v1"] = Field(description="The version of this format.")  # noqa: N815 - its spelling
    extends: LongText | None = Field(None, description="Path of a base, relative to this file.")
    application: Annotated[ApplicationPart, BeforeValidator(_identified)] | None = Field(
        None, description="Id of the application, or its id and name. A file without one is a base."
    )
    kind: Literal["embedded", "edge"] | None = Field(None, description="Kind of deployments. Default: embedded.")
    prune: PruneSetting | None = Field(None, description="Which undeclared rows to remove. Default: false.")
    flows: dict[AliasName, Name] | None = Field(None, description="Alias to flow id or name. Declares nothing.")
    groups: dict[Name, GroupPart] | None = Field(None, description="Group name to selector and flows.")
    devices: dict[Name, Flows] | None = Field(None, description="Device id or name to flow to version.")
    pins: list[PinPart] | None = Field(None, description="Exceptions, which win over devices and groups.")
    protect: list[ProtectPart] | None = Field(None, description="Rows that a plan must not touch.")
    limits: LimitsPart | None = Field(None, description="How much one plan may change.")
