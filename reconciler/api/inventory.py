"""Devices, flows and versions: what deployments are about."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
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
    parse_strictly,
    shaped,
)
from reconciler.errors import UsageError
from reconciler.planner.state import Device, Flow, Version

MAX_IN = 100  # values of one `$in` (losant/api.md 5.1)
MAX_QUERY = 4000  # characters of values in one request's URL, encoded: servers commonly take 8,000 in all


def device_page(body: bytes) -> Page[Device]:
    """A page of devices.get."""
    total, per_page, shapes = _shapes(body, DeviceShape)
    devices = [Device(shape.id, shape.name, shape.deviceClass, _tags(shape)) for shape in shapes]
    return Page(total, per_page, [(device.id, device) for device in devices])


def flow_page(body: bytes) -> Page[Flow]:
    """A page of flows.get."""
    total, per_page, shapes = _shapes(body, FlowShape)
    return Page(total, per_page, [(shape.id, Flow(shape.id, shape.name, shape.flowClass)) for shape in shapes])


def version_page(body: bytes) -> Page[Version]:
    """A page of flowVersions.get."""
    total, per_page, shapes = _shapes(body, VersionShape)
    return Page(total, per_page, [(shape.id, shape.version) for shape in shapes])


def _shapes(body: bytes, shape: type[S]) -> tuple[int, int | None, list[S]]:
    items, total, per_page = envelope(parse_strictly(body))
    return total, per_page, [_shaped(item, number, shape) for number, item in enumerate(items)]


def _shaped(item: object, number: int, shape: type[S]) -> S:
    if isinstance(item, dict) and item.get("id") is None:
        raise Missing(f"record {number} has no id")
    try:
        return shaped(item, shape)
    except Unreadable as error:
        raise Unreadable(f"record {number}: {error}") from None


def _tags(shape: DeviceShape) -> Mapping[str, tuple[str, ...]]:
    """Every value of each key, in the order of the API; a key may come twice."""
    tags: dict[str, tuple[str, ...]] = {}
    for tag in shape.tags or ():
        tags[tag.key] = (*tags.get(tag.key, ()), tag.value)
    return tags


def queries(field: str, values: Collection[str]) -> Iterator[dict[str, object]]:
    """`{field: {"$in": […]}}` for all values, in requests that the API and its proxies take."""
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
