"""The shape of a manifest document, checked by pydantic. `jsonschema` publishes the same shape for editors.

Input is what `syntax.parse` made: maps, lists, text and None. So every number, date and boolean is still text here,
and is read by the rules below, never by YAML's. Meaning that needs other documents is checked after merging.
"""

from __future__ import annotations

import json
import re
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

API_VERSION = "reconciler/v1"
OWN = "manifest"  # type of the errors whose message is ours, whole

_ID = re.compile(r"[0-9A-Fa-f]{24}")
_INTEGER = re.compile(r"-?\d{1,9}")
_DECIMAL = re.compile(r"\d{1,9}(\.\d{1,30})?")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def is_id(text: str) -> bool:
    """Whether text is an id of the API: 24 hex digits."""
    return len(text) == 24 and _ID.fullmatch(text) is not None


def wrong(message: str, hint: str | None = None) -> PydanticCustomError:
    """An error with our own words."""
    return PydanticCustomError(OWN, "{message}", {"message": message, "hint": hint})


def _version(text: str) -> str:
    if text in ("develop", "default"):
        raise wrong(f'"{text}" is not deployable', "name a version of the flow")
    return text


def _application_id(text: str) -> str:
    if not is_id(text):
        raise wrong(
            f"an application is named by its id, 24 hex digits, not {json.dumps(text)}",
            "{id: …, name: …} checks the name too",
        )
    return text.lower()


def _integer(text: Any) -> int:
    if not isinstance(text, str) or not _INTEGER.fullmatch(text):
        raise wrong("expected a whole number")
    return int(text)


def _count(text: Any) -> int:
    if not isinstance(text, str) or not _INTEGER.fullmatch(text) or text.startswith("-"):
        raise wrong("expected a whole number, 0 or more")
    return int(text)


def _percent(text: Any) -> Decimal:
    if not isinstance(text, str) or not _DECIMAL.fullmatch(text) or Decimal(text) > 100:
        raise wrong("expected a percentage from 0 to 100, such as 10 or 0.5")
    return Decimal(text)


def _day(text: Any) -> date:
    if isinstance(text, str) and _DATE.fullmatch(text):
        try:
            return date.fromisoformat(text)
        except ValueError:
            pass
    raise wrong("expected a day as YYYY-MM-DD")


def _query(value: Any) -> str:
    """An advanced device query, as JSON text or written as YAML; returned as JSON text in one spelling."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise wrong("a query in text must be JSON", "see Losant's advanced device queries") from None
    if not isinstance(value, dict) or not value:
        raise wrong("a query is a map that is not empty", "to select every device write `all: true`")
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _identified(value: Any) -> Any:
    return {"id": value} if isinstance(value, str) else value


def _alias(text: str) -> str:
    if is_id(text):
        raise wrong("an alias may not look like an id", "give it a name")
    return text


Text = Annotated[str, Field(min_length=1, max_length=255)]
Version = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_version)]
Flows = Annotated[dict[Text, Version], Field(min_length=1)]
Percent = Annotated[Decimal, BeforeValidator(_percent)]
Count = Annotated[int, BeforeValidator(_count)]


class Part(BaseModel):
    """Any map of fixed keys."""

    model_config = ConfigDict(extra="forbid")


class ApplicationPart(Part):
    """`application`, in its long form."""

    id: Annotated[str, AfterValidator(_application_id)]
    name: Text | None = None


class SelectPart(Part):
    """`select` of a group, and `exclude` inside one."""

    devices: Annotated[list[Text], Field(min_length=1)] | None = None
    tags: (
        Annotated[dict[Text, Annotated[list[Text], Field(min_length=1), BeforeValidator(_listed)]], Field(min_length=1)]
        | None
    ) = None
    query: Annotated[str, BeforeValidator(_query)] | None = None
    all: Literal["true"] | None = None
    percent: Percent | None = None
    exclude: SelectPart | None = None


class GroupPart(Part):
    """One of `groups`. `select` and `flows` may come from a base, so both may be missing here."""

    select: SelectPart | None = None
    flows: Flows | None = None
    priority: Annotated[int, BeforeValidator(_integer)] | None = None
    salt: Text | None = None


class PinPart(Part):
    """One of `pins`."""

    device: Text
    flows: Flows
    reason: Text
    until: Annotated[date, BeforeValidator(_day)] | None = None


class ProtectPart(Part):
    """One of `protect`."""

    device: Text | None = None
    flow: Text | None = None
    forbid: Literal["removal", "change"] | None = None


class LimitPart(Part):
    """A pair of limits; crossing either refuses."""

    count: Count | None = None
    percent: Percent | None = None


class LimitsPart(Part):
    """`limits`."""

    removals: LimitPart | None = None
    changes: LimitPart | None = None


class Document(Part):
    """A whole document."""

    apiVersion: Literal["reconciler/v1"]  # noqa: N815 - the manifest's own spelling
    extends: Text | None = None
    application: Annotated[ApplicationPart, BeforeValidator(_identified)] | None = None
    kind: Literal["embedded", "edge"] | None = None
    prune: Literal["false", "devices", "flows", "application"] | None = None
    flows: dict[Annotated[Text, AfterValidator(_alias)], Text] | None = None
    groups: dict[Text, GroupPart] | None = None
    devices: dict[Text, Flows] | None = None
    pins: list[PinPart] | None = None
    protect: list[ProtectPart] | None = None
    limits: LimitsPart | None = None
