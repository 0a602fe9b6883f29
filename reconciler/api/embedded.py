"""Embedded deployments: one record per device, read by key.

A fleet has few distinct versions, so `Entry` values and flow ids are shared: a listing of 100,000 devices costs little
more than its JSON. What the fast way can not take is explained by the shape in `wire`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from reconciler.api.paging import Page
from reconciler.api.wire import (
    RELEASED,
    RELEASED_BUNDLE,
    REPORTED,
    REPORTED_BUNDLE,
    EdgeShape,
    EmbeddedShape,
    Missing,
    Unreadable,
    envelope,
    may_repeat_keys,
    parse_quickly,
    parse_strictly,
    shaped,
)
from reconciler.planner.state import NOTHING, DeviceId, Entry, FlowId, LiveDevice, LogEntry

CONNECTED: Final[Mapping[object, bool | None]] = {1: True, 0: False, None: None}
_is_id = re.compile(r"[0-9A-Fa-f]{24}").fullmatch
_TEXT_OR_NULL = frozenset({str, type(None)})


class Record(NamedTuple):
    """One device's deployments, still with its record's id beside it in the page."""

    device_id: DeviceId
    device: LiveDevice


class _Flow(NamedTuple):
    """A flow that was met: its id in lower case, and every name that records gave it."""

    id: FlowId
    names: set[object]


class EmbeddedPages:
    """Turns the pages of one listing into records, sharing what they have in common."""

    def __init__(self) -> None:
        self._entries: dict[tuple[object, object], Entry] = {(None, None): NOTHING}
        self._flows: dict[str, _Flow] = {}

    @property
    def flow_names(self) -> dict[FlowId, str]:
        """Names that came with the records; of several for one flow, the first by alphabet."""
        named = {flow.id: sorted(name for name in flow.names if isinstance(name, str)) for flow in self._flows.values()}
        return {flow_id: names[0] for flow_id, names in sorted(named.items()) if names}

    def page(self, body: bytes) -> Page[Record]:
        """The records of one page.

        Raises:
            Missing: a record without deviceId.
            Unreadable: anything else that is not as the API sends it.
        """
        data = parse_quickly(body)
        items, total, per_page = envelope(data)
        keys = len(data)  # type: ignore[arg-type]  # envelope saw to it that this is a map
        records = []
        for number, item in enumerate(items):
            try:
                record_id, record, seen = self._record(item)
            except (AttributeError, KeyError, TypeError, Unreadable):
                raise explain(item, number, EmbeddedShape) from None
            records.append((record_id, record))
            keys += seen
        if may_repeat_keys(body, keys):
            parse_strictly(body)
        return Page(total, per_page, records)

    def _record(self, item: dict[str, Any]) -> tuple[str, Record, int]:
        """The record's id, its value, and how many keys it holds."""
        get = item.get
        device_id, name = item["deviceId"], get("deviceName")
        unknown, connection, logs = get("unknownBundle"), get("deviceConnectionInfo"), get("logs")
        released_bundle, reported_bundle = get(RELEASED_BUNDLE), get(REPORTED_BUNDLE)
        flows, keys, settled = self._entries_of(get("flows"))
        keys += len(item)
        time = connected = None
        if connection:
            time, connected = connection.get("time"), CONNECTED[connection.get("connected")]
            keys += len(connection)
        if logs:
            keys += sum(map(len, logs))
        texts = {type(name), type(time), type(released_bundle), type(reported_bundle)}
        if not _is_id(device_id) or not texts <= _TEXT_OR_NULL or type(unknown) not in _BOOLEAN_OR_NULL:
            raise Unreadable
        kept = () if not logs or (settled and not unknown) else tuple(map(log_entry, logs))
        device = LiveDevice(flows, name, connected, time, bool(unknown), released_bundle, reported_bundle, kept)
        return record_id_of(item, device_id), Record(device_id.lower(), device), keys

    def _entries_of(self, flows: dict[str, dict[str, Any]] | None) -> tuple[dict[FlowId, Entry], int, bool]:
        """The entries that hold something, the number of keys, and whether all are released as reported."""
        if not flows:
            return {}, 0, True
        made: dict[FlowId, Entry] = {}
        keys, empty, settled = len(flows), 0, True
        for text, item in flows.items():
            flow = self._flows.get(text) or self._flow(text)
            flow.names.add(item.get("flowName"))
            pair = (item.get(RELEASED), item.get(REPORTED))
            entry = self._entries.get(pair) or self._entry(pair)
            if entry is NOTHING:
                empty += 1
            else:
                made[flow.id] = entry
            settled = settled and entry[0] == entry[1]
            keys += len(item)
        if len(made) + empty != len(flows):
            raise Unreadable
        return made, keys, settled

    def _flow(self, text: str) -> _Flow:
        if not _is_id(text):
            raise Unreadable
        return self._flows.setdefault(text, _Flow(text.lower(), set()))

    def _entry(self, pair: tuple[object, object]) -> Entry:
        released, reported = pair
        if not (_is_version(released) and _is_version(reported)):
            raise Unreadable
        return self._entries.setdefault(pair, Entry(*pair))  # type: ignore[arg-type]  # just checked


_BOOLEAN_OR_NULL = frozenset({bool, type(None)})


def _is_version(value: object) -> bool:
    return value is None or (isinstance(value, str) and value != "")


def record_id_of(item: Mapping[str, Any], device_id: str) -> str:
    """The official example of a record has no deviceId, the schema demands no id: so take what there is."""
    record_id = item.get("id")
    if record_id is None:
        return device_id.lower()
    if not isinstance(record_id, str):
        raise Unreadable
    return record_id.lower()


def explain(item: object, number: int, shape: type[EmbeddedShape] | type[EdgeShape]) -> Unreadable:
    """What is wrong with a record, by the shape that it should have; names the record as well as it can."""
    if not isinstance(item, dict):
        return Unreadable(f"record {number} is not an object")
    for key in ("deviceId", "flowId"):
        if item.get(key) is None and shape.model_fields.get(key):
            return Missing(f"record {number} has no {key}")
    device_id = item["deviceId"]
    place = f"record {number}" + (f" (device {device_id})" if isinstance(device_id, str) and _is_id(device_id) else "")
    try:
        shaped(item, shape)
    except Unreadable as error:
        return Unreadable(f"{place}: {error}")
    return Unreadable(f"{place} is not as the API sends it")


def log_entry(item: Mapping[str, Any]) -> LogEntry:
    """A line of the log. It only informs people, so a field of another type is left out and stops nobody's plan."""
    log = {key: value for key, value in item.items() if isinstance(value, str)}
    return LogEntry(
        date=log.get("date"),
        change=log.get("changeType"),
        flow_id=log["updateFlowId"].lower() if "updateFlowId" in log else None,
        version=log.get(RELEASED),
        bundle=log.get("newBundle"),
        attempted=log.get("attemptedBundle"),
        error=log.get("error"),
        source_type=log.get("sourceType"),
        source_id=log.get("sourceId"),
    )


def merged(found: Mapping[str, Record]) -> dict[DeviceId, LiveDevice]:
    """Devices in the order of their ids.

    Raises:
        Missing: two records are about one device, which nothing says how to read.
    """
    devices: dict[DeviceId, LiveDevice] = {}
    for device_id, device in sorted(found.values(), key=lambda record: record.device_id):
        if device_id in devices:
            raise Missing(f"two records are about device {device_id}")
        devices[device_id] = device
    return devices
