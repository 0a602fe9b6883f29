"""Listings of devices, flows and versions, which deployments refer to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from sys import intern
from typing import TYPE_CHECKING, Any

from reconciler.api.pages import Pages
from reconciler.api.wire import Unreadable, parse_strictly
from reconciler.model.state import NO_TAGS, Application, Device, Flow, FlowId, Version
from reconciler.model.text import is_id
from reconciler.model.versions import Content, Published

if TYPE_CHECKING:
    from reconciler.api.shapes import Shape


def _text(item: Any, key: str) -> str | None:
    value = item.get(key)
    if value is not None and type(value) is not str:
        raise Unreadable
    return value


def _id(item: Any) -> str:
    found = item["id"]
    if not is_id(found):
        raise Unreadable
    return str(found).lower()


def application_of(body: bytes) -> Application:
    """What a response of application.get says.

    Raises:
        Unreadable: it does not have the API's format.
    """
    item = parse_strictly(body)
    try:
        return Application(_id(item), _text(item, "name"))
    except (AttributeError, KeyError, TypeError, Unreadable):
        from reconciler.api.shapes import NamedShape, shaped

        shape = shaped(item, NamedShape)  # says what is wrong
        return Application(shape.id, shape.name)


class DevicePages(Pages[Device]):
    """The pages of devices.get. Devices with equal tags share one mapping.

    As with deployments, there may be 100,000 devices, so records are read by key instead of with pydantic.
    """

    def __init__(self) -> None:
        self._tags: dict[tuple[tuple[str, str], ...], Mapping[str, tuple[str, ...]]] = {}

    def record(self, item: Any) -> tuple[str, Device]:
        """See `Pages.record`."""
        device_id, name, device_class = item["id"], item.get("name"), item.get("deviceClass")
        for text in (name, device_class):
            if text is not None and type(text) is not str:
                raise Unreadable
        if not is_id(device_id):
            raise Unreadable
        tags = self._shared(item.get("tags"))
        device = Device(device_id.lower(), name, device_class and intern(device_class), tags)
        return device.id, device

    @staticmethod
    def shape() -> type[Shape]:
        """See `Pages.shape`."""
        from reconciler.api.shapes import DeviceShape

        return DeviceShape

    def _shared(self, tags: list[dict[str, str]] | None) -> Mapping[str, tuple[str, ...]]:
        """All values of each key, in the API's order; a key may occur more than once."""
        if tags is None:
            return NO_TAGS
        if type(tags) is not list:
            raise Unreadable
        pairs = tuple([(tag["key"], tag["value"]) for tag in tags])
        if (known := self._tags.get(pairs)) is not None:
            return known
        made: dict[str, tuple[str, ...]] = {}
        for key, value in pairs:
            if type(key) is not str or type(value) is not str:
                raise Unreadable
            made[key] = (*made.get(key, ()), value)
        return self._tags.setdefault(pairs, made)


class FlowPages(Pages[Flow]):
    """The pages of flows.get."""

    def record(self, item: Any) -> tuple[str, Flow]:
        """See `Pages.record`."""
        flow = Flow(_id(item), _text(item, "name"), _text(item, "flowClass"))
        return flow.id, flow

    @staticmethod
    def shape() -> type[Shape]:
        """See `Pages.shape`."""
        from reconciler.api.shapes import FlowShape

        return FlowShape


class VersionPages(Pages[Version]):
    """The pages of flowVersions.get."""

    def record(self, item: Any) -> tuple[str, Version]:
        """See `Pages.record`."""
        record_id, version = item["id"], item["version"]
        if type(record_id) is not str or type(version) is not str:
            raise Unreadable
        return record_id, version

    @staticmethod
    def shape() -> type[Shape]:
        """See `Pages.shape`."""
        from reconciler.api.shapes import VersionShape

        return VersionShape


class PublishedPages(Pages[Published]):
    """The pages of flowVersions.get, with the ids and dates of the versions."""

    def record(self, item: Any) -> tuple[str, Published]:
        """See `Pages.record`."""
        from reconciler.api.shapes import PublishedShape, shaped

        shape = shaped(item, PublishedShape)
        return shape.id, Published(shape.version, shape.id, shape.creationDate)

    @staticmethod
    def shape() -> type[Shape]:
        """See `Pages.shape`."""
        from reconciler.api.shapes import PublishedShape

        return PublishedShape


_DEFINITION = ("triggers", "nodes", "globals", "minimumAgentVersion")


def content_of(body: bytes, flow_id: FlowId) -> Content:
    """What a response of flowVersion.get says of a version; the hash is over its definition alone.

    Raises:
        Unreadable: it does not have the API's format.
    """
    from reconciler.api.shapes import PublishedShape, shaped

    data = parse_strictly(body)
    shape = shaped(data, PublishedShape)
    if not isinstance(data, dict):  # `shaped` accepts nothing else
        raise Unreadable("the response is not a JSON object")
    try:
        definition = canonical({key: data.get(key) for key in _DEFINITION})
    except (ValueError, RecursionError):
        raise Unreadable("the definition of the version is not valid JSON") from None
    return Content(flow_id, shape.version, shape.id, shape.creationDate, sha256(definition).hexdigest())


def canonical(data: object) -> bytes:
    """JSON data as the same bytes, however it was written: keys sorted, no spaces, UTF-8, 1.0 as 1."""
    return json.dumps(_plain(data), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _plain(data: object) -> object:
    if isinstance(data, dict):
        return {key: _plain(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_plain(value) for value in data]
    return int(data) if isinstance(data, float) and data.is_integer() else data
