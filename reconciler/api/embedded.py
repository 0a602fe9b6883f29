"""Embedded deployments: one record per device, read by key.

A fleet has few distinct versions, so `Entry` values and flow ids are shared: a listing of 100,000 devices costs little
more than its JSON. What this fast way cannot read is explained by the shape in `wire`.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any, Final, TypeAlias

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
    parse_quickly,
    parse_strictly,
    shaped,
)
from reconciler.model.state import NOTHING, DeviceId, Entry, FlowId, LiveDevice, LogEntry, Version
from reconciler.model.text import is_id
from reconciler.runtime import gc_paused

CONNECTED: Final[Mapping[object, bool | None]] = {1: True, 0: False, None: None}
_NO_FLOWS: Final[dict[str, dict[str, Any]]] = {}

Record: TypeAlias = tuple[DeviceId, LiveDevice]


class EmbeddedPages:
    """Turns the pages of one listing into records, sharing what they have in common.

    `keep_logs`: also those of devices that run what was released to them.
    """

    def __init__(self, *, keep_logs: bool = False) -> None:
        self._keep_logs = keep_logs
        self._entries: dict[tuple[object, object], Entry] = {NOTHING: NOTHING}
        self._flows: dict[str, tuple[FlowId, set[object]]] = {}
        self._raw = (
            _NO_FLOWS  # of the device before: the next one often has the same, and may share what was made of it
        )
        self._made = self._entries_of(_NO_FLOWS)

    @property
    def flow_names(self) -> dict[FlowId, str]:
        """Names that came with the records; of several for one flow, the first by alphabet."""
        named: dict[FlowId, str] = {}
        for flow_id, names in self._flows.values():
            for name in names:
                if isinstance(name, str):
                    named[flow_id] = min(name, named.get(flow_id, name))
        return dict(sorted(named.items()))

    def page(self, body: bytes) -> Page[Record]:
        """The records of one page.

        Raises:
            Missing: a record without deviceId.
            Unreadable: anything else that is not as the API sends it.
        """
        with gc_paused():
            return self._page(body)

    def _page(self, body: bytes) -> Page[Record]:
        items, total, per_page = envelope(parse_quickly(body))
        records = []
        for number, item in enumerate(items):
            try:
                records.append(self._record(item))
            except (AttributeError, KeyError, TypeError, Unreadable):
                raise explain(item, number, EmbeddedShape) from None
        return Page(total, per_page, records)

    def one(self, body: bytes) -> Record:
        """The record that an answer is.

        Raises:
            Missing, Unreadable: as for `page`.
        """
        item: Any = parse_strictly(body)
        try:
            return self._record(item)[1]
        except (AttributeError, KeyError, TypeError, Unreadable):
            raise explain(item, 0, EmbeddedShape) from None

    def _record(self, item: dict[str, Any]) -> tuple[str, Record]:
        """The record's id and its value. This runs once a device: every look-up counts."""
        get = item.get
        device_id, name, unknown = item["deviceId"], get("deviceName"), get("unknownBundle")
        released_bundle, reported_bundle = get(RELEASED_BUNDLE), get(REPORTED_BUNDLE)
        if (raw := get("flows") or _NO_FLOWS) != self._raw:
            self._made, self._raw = self._entries_of(raw), raw
        flows, settled = self._made
        time = connected = None
        if connection := get("deviceConnectionInfo"):
            time, connected = connection.get("time"), CONNECTED[connection.get("connected")]
        kept: tuple[LogEntry, ...] = ()
        if logs := get("logs"):
            if type(logs) is not list:
                raise Unreadable
            if unknown or not settled or self._keep_logs:
                kept = tuple(map(log_entry, logs))
        for text in (name, time, released_bundle, reported_bundle):
            if text is not None and type(text) is not str:
                raise Unreadable
        if not is_id(device_id) or (unknown is not None and type(unknown) is not bool):
            raise Unreadable
        device = LiveDevice(flows, name, connected, time, bool(unknown), released_bundle, reported_bundle, kept)
        return record_id_of(item, device_id), (device_id.lower(), device)

    def _entries_of(self, flows: dict[str, dict[str, Any]]) -> tuple[dict[FlowId, Entry], bool]:
        """The entries that hold something, and whether all are reported as released."""
        made: dict[FlowId, Entry] = {}
        empty, settled = 0, True
        entries, known = self._entries, self._flows
        for text, item in flows.items():
            flow_id, names = known.get(text) or self._flow(text)
            names.add(item.get("flowName"))
            released = item.get(RELEASED)
            reported = item.get(REPORTED)
            entry = entries.get((released, reported)) or self._entry(released, reported)
            if entry is NOTHING:
                empty += 1
            else:
                made[flow_id] = entry
                if released != reported:
                    settled = False
        if len(made) + empty != len(flows):
            raise Unreadable
        return made, settled

    def _flow(self, text: str) -> tuple[FlowId, set[object]]:
        if not is_id(text):
            raise Unreadable
        return self._flows.setdefault(text, (text.lower(), set()))

    def _entry(self, released: object, reported: object) -> Entry:
        entry = Entry(_version(released), _version(reported))
        return self._entries.setdefault(entry, entry)


def _version(value: object) -> Version | None:
    if value is None or (isinstance(value, str) and value):
        return value
    raise Unreadable


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
    place = f"record {number}" + (f" (device {device_id})" if isinstance(device_id, str) and is_id(device_id) else "")
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
        update=log.get("updateType"),
    )


def merged(found: Mapping[str, Record]) -> dict[DeviceId, LiveDevice]:
    """Devices in the order of their ids.

    Raises:
        Missing: two records are about one device, which nothing says how to read.
    """
    devices: dict[DeviceId, LiveDevice] = {}
    for device_id, device in sorted(found.values(), key=itemgetter(0)):
        if device_id in devices:
            raise Missing(f"two records are about device {device_id}")
        devices[device_id] = device
    return devices
