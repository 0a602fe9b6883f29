"""The schemas of the API's responses, and the API's field names.

Only this module knows `desiredVersion` and `currentVersion`; everywhere else they are `released` and `reported`.
Pydantic checks small responses. For large listings it would more than double the time: `embedded` and `inventory`
read their records by key and check what they use; the shape is then used only to explain what is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError
from pydantic_core import from_json

from reconciler.model.text import ID_PATTERN

RELEASED: Final = "desiredVersion"
REPORTED: Final = "currentVersion"
RELEASED_BUNDLE: Final = "desiredBundleVersion"
REPORTED_BUNDLE: Final = "currentBundleVersion"

_CONTAINERS, _BYTES_EACH = 100_000, 8
"""Lists and objects that any body may have, and how many bytes there must be for each further one."""
_HARMLESS = 2 * 1024 * 1024  # bytes; most pages are smaller, and need no counting

Id = Annotated[str, StringConstraints(pattern=f"^{ID_PATTERN}$", to_lower=True)]
VersionName = Annotated[str, StringConstraints(min_length=1)]


class Shape(BaseModel):
    """The base of all shapes: unknown fields are ignored, and values are not converted."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, defer_build=True)

    identity: ClassVar[tuple[str, ...]] = ("id",)  # the fields that identify a record


class NamedShape(Shape):
    """The response of application.get, and the two fields that devices and flows share with it."""

    id: Id
    name: str | None = None


class TagShape(Shape):
    """A device's tag; keys may repeat."""

    key: str
    value: str


class DeviceShape(NamedShape):
    """An item of devices.get."""

    deviceClass: str | None = None  # noqa: N815 - the API's spelling
    tags: list[TagShape] | None = None


class FlowShape(NamedShape):
    """An item of flows.get."""

    flowClass: str | None = None  # noqa: N815


class VersionShape(Shape):
    """An item of flowVersions.get."""

    id: str
    version: str


class PublishedShape(VersionShape):
    """The same with its date, and what flowVersion.get answers."""

    id: Id
    version: VersionName
    creationDate: Annotated[str, StringConstraints(min_length=1, max_length=40)]  # noqa: N815


class SuccessShape(Shape):
    """The response of the deployment actions. `success` must be true."""

    success: bool = False
    jobId: str | None = None  # noqa: N815


class EntryShape(Shape):
    """The versions of one flow on a device."""

    flowName: str | None = None  # noqa: N815
    currentVersion: VersionName | None = None  # noqa: N815
    desiredVersion: VersionName | None = None  # noqa: N815


class ConnectionShape(Shape):
    """A device's connection state. `connected` is a number or null."""

    time: str | None = None
    connected: Literal[0, 1] | None = None


class DeploymentShape(Shape):
    """The device fields of deployment records of both kinds."""

    id: str | None = None
    deviceId: Id  # noqa: N815
    deviceName: str | None = None  # noqa: N815
    deviceConnectionInfo: ConnectionShape | None = None  # noqa: N815
    logs: list[dict[str, Any]] | None = None

    identity: ClassVar[tuple[str, ...]] = ("deviceId",)


class EmbeddedShape(DeploymentShape):
    """An item of embeddedDeployments.get: one per device."""

    flows: dict[Id, EntryShape] | None = None
    currentBundleVersion: str | None = None  # noqa: N815
    desiredBundleVersion: str | None = None  # noqa: N815
    unknownBundle: bool | None = None  # noqa: N815


class EdgeShape(DeploymentShape, EntryShape):
    """An item of edgeDeployments.get: one per device and flow."""

    flowId: Id  # noqa: N815
    flowClass: str | None = None  # noqa: N815

    identity: ClassVar[tuple[str, ...]] = ("deviceId", "flowId")


class Unreadable(Exception):
    """A body that does not have the API's format; the message says why without quoting it."""


class Missing(Unreadable):
    """A record without an identifying field, or a duplicate: the listing cannot be trusted to be complete."""


S = TypeVar("S", bound=Shape)


def parse_strictly(body: bytes) -> object:
    """Parse JSON without Python's leniency: no duplicate keys, NaN, lone surrogates or unbounded depth."""
    _check_density(body)
    try:
        text = body.decode("utf-8")
        data = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
        if "\\ud" in text.lower():
            json.dumps(data, ensure_ascii=False).encode()
    except UnicodeDecodeError:
        raise Unreadable("the response is not UTF-8 text") from None
    except UnicodeEncodeError:
        raise Unreadable("the response contains a lone surrogate") from None
    except RecursionError:
        raise Unreadable("the response is nested too deeply") from None
    except ValueError:
        raise Unreadable(_not_json(body)) from None
    return data


def _check_density(body: bytes) -> None:
    """Refuse a body that is hardly more than brackets: each takes 60 bytes or more, however short its text."""
    if len(body) > _HARMLESS and body.count(b"[") + body.count(b"{") > _CONTAINERS + len(body) // _BYTES_EACH:
        raise Unreadable("the response has more lists and objects than text")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise Unreadable("the response has a duplicate key in an object")
    return made


def _no_constant(name: str) -> object:
    raise Unreadable(f"the response contains {name}, which is not valid JSON")


def _not_json(body: bytes) -> str:
    head = body[:200].lstrip().lower()
    if not head:
        return "the response is empty"
    return "the response is HTML" if head.startswith((b"<!doctype html", b"<html")) else "the response is not JSON"


def parse_quickly(body: bytes) -> object:
    """Like `parse_strictly`, but much faster, for pages of listings. The last of duplicate keys wins."""
    _check_density(body)
    try:
        return from_json(body, allow_inf_nan=False, cache_strings="keys")
    except ValueError:
        parse_strictly(body)  # says what is wrong
        raise Unreadable(_not_json(body)) from None


def shaped(data: object, shape: type[S]) -> S:
    """Validate `data` as `shape`.

    Raises:
        Unreadable: the message names the field, not its value.
    """
    try:
        return shape.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the response"
        raise Unreadable(f"{field}: {first['msg'].lower()}") from None


def envelope(data: object) -> tuple[list[Any], int, int | None]:
    """`items`, `totalCount` and the echoed `perPage` of a listing."""
    if not isinstance(data, Mapping):
        raise Unreadable("the response is not a JSON object")
    items, total, per_page = data.get("items"), data.get("totalCount"), data.get("perPage")
    if not isinstance(items, list):
        raise Unreadable("the response has no list of items")
    if type(total) is not int or total < 0:
        raise Unreadable("the response has no totalCount")
    if isinstance(per_page, str) and per_page.isascii() and per_page.isdigit():
        per_page = int(per_page[:9])  # the echo may be text, like the parameter
    if per_page is not None and (type(per_page) is not int or per_page <= 0):
        raise Unreadable("the response's perPage is not a positive number")
    return items, total, per_page
