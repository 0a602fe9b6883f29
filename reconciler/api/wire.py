"""The shapes of the API's answers, and the API's names for things.

Only this module knows `desiredVersion` and `currentVersion`; everywhere else they are `released` and `reported`.
Pydantic checks small answers. For large listings it would take more than twice the time: `embedded` and `inventory`
read their records by key and check what they use; the shape then only explains what is wrong.
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

Id = Annotated[str, StringConstraints(pattern=f"^{ID_PATTERN}$", to_lower=True)]
VersionName = Annotated[str, StringConstraints(min_length=1)]


class Shape(BaseModel):
    """What all shapes share: unknown fields are ignored, and values are not converted."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, defer_build=True)

    identity: ClassVar[tuple[str, ...]] = ("id",)  # the fields without which a record does not say what it is about


class NamedShape(Shape):
    """The answer of application.get; devices and flows have the same two fields."""

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


class SuccessShape(Shape):
    """The answer of the deployment verbs. `success` must be true."""

    success: bool = False
    jobId: str | None = None  # noqa: N815


class EntryShape(Shape):
    """The versions of one flow on a device."""

    flowName: str | None = None  # noqa: N815
    currentVersion: VersionName | None = None  # noqa: N815
    desiredVersion: VersionName | None = None  # noqa: N815


class ConnectionShape(Shape):
    """`connected` is a number or null."""

    time: str | None = None
    connected: Literal[0, 1] | None = None


class DeploymentShape(Shape):
    """What deployment records of both kinds say of their device."""

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
    """A body that is not what the API sends; the text says why without quoting it."""


class Missing(Unreadable):
    """A record that does not say what it is about, so that the listing cannot be called complete."""


S = TypeVar("S", bound=Shape)


def parse_strictly(body: bytes) -> object:
    """JSON without Python's leniency: no duplicate keys, no NaN, no lone surrogates, no unbounded depth."""
    try:
        text = body.decode("utf-8")
        data = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
        if "\\ud" in text.lower():
            json.dumps(data, ensure_ascii=False).encode()
    except UnicodeDecodeError:
        raise Unreadable("the answer is not UTF-8 text") from None
    except UnicodeEncodeError:
        raise Unreadable("the answer contains half a character (a lone surrogate)") from None
    except RecursionError:
        raise Unreadable("the answer is nested too deeply") from None
    except ValueError:
        raise Unreadable(_not_json(body)) from None
    return data


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise Unreadable("the answer contains a key twice in one object")
    return made


def _no_constant(name: str) -> object:
    raise Unreadable(f"the answer contains {name}, which is not JSON")


def _not_json(body: bytes) -> str:
    head = body[:200].lstrip().lower()
    if not head:
        return "the answer is empty"
    return "the answer is an HTML page" if head.startswith((b"<!doctype html", b"<html")) else "the answer is not JSON"


def parse_quickly(body: bytes) -> object:
    """As `parse_strictly`, but much faster, for pages of listings. Of a repeated key, the last value counts."""
    try:
        return from_json(body, allow_inf_nan=False, cache_strings="keys")
    except ValueError:
        parse_strictly(body)  # says what is wrong
        raise Unreadable(_not_json(body)) from None


def shaped(data: object, shape: type[S]) -> S:
    """`data` as `shape`.

    Raises:
        Unreadable: names the field, not its value.
    """
    try:
        return shape.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the answer"
        raise Unreadable(f"{field}: {first['msg'].lower()}") from None


def envelope(data: object) -> tuple[list[Any], int, int | None]:
    """`items`, `totalCount` and the echoed `perPage` of a listing."""
    if not isinstance(data, Mapping):
        raise Unreadable("the answer is not a JSON object")
    items, total, per_page = data.get("items"), data.get("totalCount"), data.get("perPage")
    if not isinstance(items, list):
        raise Unreadable("the answer has no list of items")
    if type(total) is not int or total < 0:
        raise Unreadable("the answer has no totalCount")
    if isinstance(per_page, str) and per_page.isascii() and per_page.isdigit():
        per_page = int(per_page[:9])  # the echo may be text, as the parameter was
    if per_page is not None and (type(per_page) is not int or per_page <= 0):
        raise Unreadable("the answer's perPage is not a size")
    return items, total, per_page
