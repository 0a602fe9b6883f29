"""The schemas of the API's responses, in pydantic.

For large listings it would more than double the time, and its models take a tenth of what a command takes to start. So
what every plan reads is read by key, with checks of its own; this module is loaded to explain what is wrong, and for
what is read rarely.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from reconciler.api.wire import Missing, Unreadable
from reconciler.model.text import ID_PATTERN, is_id

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


S = TypeVar("S", bound=Shape)


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


def explained(item: object, number: int, shape: type[Shape]) -> Unreadable:
    """The error for a malformed record, found by validating it against its shape."""
    if not isinstance(item, dict):
        return Unreadable(f"record {number} is not an object")
    for key in shape.identity:
        if item.get(key) is None:
            return Missing(f"record {number} has no {key}")
    device_id = item.get("deviceId")
    place = f"record {number}" + (f" (device {device_id})" if isinstance(device_id, str) and is_id(device_id) else "")
    try:
        shaped(item, shape)
    except Unreadable as error:
        return Unreadable(f"{place}: {error}")
    return Unreadable(f"{place} does not have the API's format")
