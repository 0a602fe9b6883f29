"""The shapes of the API's answers, and the API's names for things.

This is the only place that knows `desiredVersion` and `currentVersion`; past it they are `released` and `reported`.
Small answers are checked by pydantic. Large listings are not, because that would cost more than twice as much:
`embedded` and `inventory` read their records by key, and check what they use.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from pydantic_core import from_json

from reconciler.model.text import ID_PATTERN

RELEASED: Final = "desiredVersion"
REPORTED: Final = "currentVersion"
RELEASED_BUNDLE: Final = "desiredBundleVersion"
REPORTED_BUNDLE: Final = "currentBundleVersion"

Id = Annotated[str, StringConstraints(pattern=f"^{ID_PATTERN}$", to_lower=True)]


VersionName = Annotated[str, StringConstraints(min_length=1)]


class Shape(BaseModel):
    """What all shapes share: unknown fields are ignored, and values are not converted."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, defer_build=True)


class Tag(Shape):
    """A device's tag; keys may repeat."""

    key: str
    value: str


class DeviceShape(Shape):
    """An item of devices.get."""

    id: Id
    name: str | None = None
    deviceClass: str | None = None  # noqa: N815 - the API's spelling
    tags: list[Tag] | None = None


class FlowShape(Shape):
    """An item of flows.get."""

    id: Id
    name: str | None = None
    flowClass: str | None = None  # noqa: N815


class VersionShape(Shape):
    """An item of flowVersions.get."""

    id: str
    version: str


class ApplicationShape(Shape):
    """The answer of application.get."""

    id: Id
    name: str | None = None


class SuccessShape(Shape):
    """The answer of the deployment verbs. `success` must be true."""

    success: Annotated[bool, Field(strict=True)] = False
    jobId: str | None = None  # noqa: N815


class EntryShape(Shape):
    """One flow of an embedded deployment."""

    flowName: str | None = None  # noqa: N815
    currentVersion: VersionName | None = None  # noqa: N815
    desiredVersion: VersionName | None = None  # noqa: N815


class ConnectionShape(Shape):
    """`connected` is a number or null."""

    time: str | None = None
    connected: Literal[0, 1] | None = None


class EmbeddedShape(Shape):
    """An item of embeddedDeployments.get: one per device."""

    id: str | None = None
    deviceId: Id  # noqa: N815
    deviceName: str | None = None  # noqa: N815
    deviceConnectionInfo: ConnectionShape | None = None  # noqa: N815
    flows: dict[Id, EntryShape] | None = None
    currentBundleVersion: str | None = None  # noqa: N815
    desiredBundleVersion: str | None = None  # noqa: N815
    unknownBundle: bool | None = None  # noqa: N815
    logs: list[dict[str, Any]] | None = None


class EdgeShape(Shape):
    """An item of edgeDeployments.get: one per device and flow."""

    id: str | None = None
    deviceId: Id  # noqa: N815
    deviceName: str | None = None  # noqa: N815
    deviceConnectionInfo: ConnectionShape | None = None  # noqa: N815
    flowId: Id  # noqa: N815
    flowName: str | None = None  # noqa: N815
    flowClass: str | None = None  # noqa: N815
    currentVersion: VersionName | None = None  # noqa: N815
    desiredVersion: VersionName | None = None  # noqa: N815
    logs: list[dict[str, Any]] | None = None


class Unreadable(Exception):
    """A body that is not what the API sends; the text says why and quotes nothing of it."""


class Missing(Unreadable):
    """A record that does not say what it is about, so that the listing cannot be called complete."""


S = TypeVar("S")


def parse_strictly(body: bytes) -> object:
    """JSON with none of Python's leniency: no duplicate keys, no NaN, no lone surrogates, no depth without end."""
    try:
        text = body.decode("utf-8")
        data = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
        if "\\ud" in text.lower():
            json.dumps(data, ensure_ascii=False).encode()
    except UnicodeDecodeError:
        raise Unreadable("the answer is not UTF-8 text") from None
    except UnicodeEncodeError:
        raise Unreadable("the answer holds half a character (a lone surrogate)") from None
    except RecursionError:
        raise Unreadable("the answer is nested too deeply") from None
    except ValueError:
        raise Unreadable(_not_json(body)) from None
    return data


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise Unreadable("the answer holds a key twice in one object")
    return made


def _no_constant(name: str) -> object:
    raise Unreadable(f"the answer holds {name}, which is not JSON")


def _not_json(body: bytes) -> str:
    head = body[:200].lstrip().lower()
    if not head:
        return "the answer is empty"
    return "the answer is an HTML page" if head.startswith((b"<!doctype html", b"<html")) else "the answer is not JSON"


def parse_quickly(body: bytes) -> object:
    """As `parse_strictly` and much faster, for pages of listings. Of a key that comes twice, the last value counts."""
    try:
        return from_json(body, allow_inf_nan=False, cache_strings="keys")
    except ValueError:
        parse_strictly(body)  # says what is wrong
        raise Unreadable(_not_json(body)) from None


_shapes: dict[type, TypeAdapter[Any]] = {}


def shaped(data: object, shape: type[S]) -> S:
    """`data` as `shape`.

    Raises:
        Unreadable: names the field, not its value.
    """
    adapter = _shapes.get(shape) or _shapes.setdefault(shape, TypeAdapter(shape))
    try:
        made: S = adapter.validate_python(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the answer"
        raise Unreadable(f"{field}: {first['msg'].lower()}") from None
    return made


def envelope(data: object) -> tuple[list[Any], int, int | None]:
    """`items`, `totalCount` and the echoed `perPage` of a listing."""
    if not isinstance(data, Mapping):
        raise Unreadable("the answer is not a JSON object")
    items, total = data.get("items"), _count(data.get("totalCount"))
    if not isinstance(items, list):
        raise Unreadable("the answer has no list of items")
    if total is None:
        raise Unreadable("the answer has no totalCount")
    return items, total, _page_size(data.get("perPage"))


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _page_size(value: object) -> int | None:
    """The echo may be text, as the parameter was."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:9])
    if value is None:
        return None
    size = _count(value)
    if not size:
        raise Unreadable("the answer's perPage is not a size")
    return size
