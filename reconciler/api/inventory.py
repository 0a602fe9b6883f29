"""Devices, flows and versions: what deployments refer to."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from reconciler.api.paging import Page
from reconciler.api.wire import (
    DeviceShape,
    FlowShape,
    Missing,
    S,
    Unreadable,
    VersionShape,
    envelope,
    parse_quickly,
    shaped,
)
from reconciler.errors import UsageError
from reconciler.model.state import NO_TAGS, Device, Flow, Version
from reconciler.model.text import is_id
from reconciler.runtime import gc_paused

MAX_IN = 100  # values of one `$in`: the API's limit
MAX_QUERY = 4000  # characters of values in one request's URL, encoded: servers commonly take 8,000 in all


class DevicePages:
    """Turns the pages of one listing of devices.get into devices. Those tagged alike share their tags.

    Like deployments, devices come by the hundred thousand, so they are read by key; what this fast way cannot read is
    read, or explained, by the shape in `wire`.
    """

    def __init__(self) -> None:
        self._tags: dict[tuple[tuple[str, str], ...], Mapping[str, tuple[str, ...]]] = {}

    def page(self, body: bytes) -> Page[Device]:
        """The devices of one page.

        Raises:
            Missing: a record without id.
            Unreadable: anything else that is not as the API sends it.
        """
        with gc_paused():
            items, total, per_page = envelope(parse_quickly(body))
            devices = [self._device(item, number) for number, item in enumerate(items)]
            return Page(total, per_page, [(device.id, device) for device in devices])

    def _device(self, item: Any, number: int) -> Device:
        try:
            device_id, name, device_class = item["id"], item.get("name"), item.get("deviceClass")
            device = Device(device_id.lower(), name, device_class, self._shared(item.get("tags")))
            fits = is_id(device_id) and _is_text(name) and _is_text(device_class)
        except (AttributeError, KeyError, TypeError):
            fits = False
        return device if fits else self._by_shape(item, number)

    def _shared(self, tags: list[dict[str, str]] | None) -> Mapping[str, tuple[str, ...]]:
        """Every value of each key, in the order of the API; a key may come twice."""
        if tags is None:
            return NO_TAGS
        if type(tags) is not list:
            raise TypeError
        pairs = tuple([(tag["key"], tag["value"]) for tag in tags])
        if (known := self._tags.get(pairs)) is not None:
            return known
        made: dict[str, tuple[str, ...]] = {}
        for key, value in pairs:
            if type(key) is not str or type(value) is not str:
                raise TypeError
            made[key] = (*made.get(key, ()), value)
        return self._tags.setdefault(pairs, made)

    def _by_shape(self, item: object, number: int) -> Device:
        shape = _shaped(item, number, DeviceShape)
        tags = [{"key": tag.key, "value": tag.value} for tag in shape.tags or ()]
        return Device(shape.id, shape.name, shape.deviceClass, self._shared(tags))


def _is_text(value: object) -> bool:
    return value is None or type(value) is str


def flow_page(body: bytes) -> Page[Flow]:
    """A page of flows.get."""
    total, per_page, shapes = _shapes(body, FlowShape)
    return Page(total, per_page, [(shape.id, Flow(shape.id, shape.name, shape.flowClass)) for shape in shapes])


def version_page(body: bytes) -> Page[Version]:
    """A page of flowVersions.get."""
    total, per_page, shapes = _shapes(body, VersionShape)
    return Page(total, per_page, [(shape.id, shape.version) for shape in shapes])


def _shapes(body: bytes, shape: type[S]) -> tuple[int, int | None, list[S]]:
    items, total, per_page = envelope(parse_quickly(body))
    return total, per_page, [_shaped(item, number, shape) for number, item in enumerate(items)]


def _shaped(item: object, number: int, shape: type[S]) -> S:
    if isinstance(item, dict) and item.get("id") is None:
        raise Missing(f"record {number} has no id")
    try:
        return shaped(item, shape)
    except Unreadable as error:
        raise Unreadable(f"record {number}: {error}") from None


def queries(field: str, values: Collection[str]) -> Iterator[dict[str, object]]:
    """`{field: {"$in": […]}}` for all values, in requests short enough for the API and proxies."""
    chunk: list[str] = []
    size = 0
    for value in sorted(set(values)):
        cost = len(quote(json.dumps(value), safe="")) + 3
        if chunk and (len(chunk) == MAX_IN or size + cost > MAX_QUERY):
            yield {field: {"$in": chunk}}
            chunk, size = [], 0
        chunk.append(value)
        size += cost
    if chunk:
        yield {field: {"$in": chunk}}


def parse_query(text: str) -> dict[str, object]:
    """An advanced device query as the user wrote it.

    Raises:
        UsageError: it is not a JSON object.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise UsageError(
            "an advanced device query must be a JSON object", hint='such as {"name": {"$startsWith": "pump-"}}'
        )
    return data


def of_class(query: Mapping[str, object] | None, device_class: str | None) -> str:
    """The query's text, narrowed to a class: the API ignores its `deviceClass` parameter beside a query."""
    parts: list[Mapping[str, object]] = [{"deviceClass": device_class}] if device_class else []
    if query:
        parts.append(query)
    whole = parts[0] if len(parts) == 1 else {"$and": parts} if parts else {}
    return json.dumps(whole, separators=(",", ":"), sort_keys=True)
