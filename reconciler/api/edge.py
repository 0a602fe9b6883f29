"""Edge deployments: one record per device and flow, merged into one value per device.

The API's `filterEmpty`, which leaves empty records out, is not used: what counts as empty is documented in a few words
only, and a record that it left out wrongly would be a row that nobody read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

from reconciler.api.embedded import CONNECTED, explain
from reconciler.api.paging import Page
from reconciler.api.wire import (
    EdgeShape,
    Missing,
    Unreadable,
    envelope,
    parse_quickly,
    parse_strictly,
    shaped,
)
from reconciler.model.state import NOTHING, DeviceId, Entry, FlowId, LiveDevice, LogEntry

CUSTOM_NODE = "customNode"


class EdgeRecord(NamedTuple):
    """One record: a flow of a device, with what it says of the device."""

    device_id: DeviceId
    flow_id: FlowId
    flow_name: str | None
    entry: Entry
    device_name: str | None
    connected: bool | None
    connection_time: str | None
    is_custom_node: bool
    logs: tuple[LogEntry, ...]


class EdgePages:
    """Turns the pages of one listing into records, sharing equal entries.

    `keep_logs`: also those of flows that run as released.
    """

    def __init__(self, *, keep_logs: bool = False) -> None:
        self._keep_logs = keep_logs
        self._entries: dict[Entry, Entry] = {NOTHING: NOTHING}

    def page(self, body: bytes) -> Page[EdgeRecord]:
        """The records of one page.

        Raises:
            Missing: a record without deviceId or flowId.
            Unreadable: anything else that is not as the API sends it.
        """
        items, total, per_page = envelope(parse_quickly(body))
        return Page(total, per_page, [self._record(item, number) for number, item in enumerate(items)])

    def one(self, body: bytes) -> EdgeRecord:
        """The record that an answer is.

        Raises:
            Missing, Unreadable: as for `page`.
        """
        item: Any = parse_strictly(body)
        if not isinstance(item, dict):
            raise Unreadable("the answer is not a JSON object")
        return self._record(item, 0)[1]

    def _record(self, item: dict[str, Any], number: int) -> tuple[str, EdgeRecord]:
        try:
            shape = shaped(item, EdgeShape)
        except Unreadable:
            raise explain(item, number, EdgeShape) from None
        entry = Entry(shape.desiredVersion, shape.currentVersion)
        entry = self._entries.setdefault(entry, entry)
        connection = shape.deviceConnectionInfo
        has_logs = self._keep_logs or entry.released != entry.reported
        record = EdgeRecord(
            device_id=shape.deviceId,
            flow_id=shape.flowId,
            flow_name=shape.flowName,
            entry=entry,
            device_name=shape.deviceName,
            connected=CONNECTED[connection.connected] if connection else None,
            connection_time=connection.time if connection else None,
            is_custom_node=shape.flowClass == CUSTOM_NODE,
            logs=tuple(_log_entry(log, shape.flowId) for log in shape.logs or ()) if has_logs else (),
        )
        return (shape.id or f"{shape.deviceId}/{shape.flowId}").lower(), record


def _log_entry(item: Mapping[str, Any], flow_id: FlowId) -> LogEntry:
    """A line of the log, which is about the record's own flow; a field of another type is left out."""
    log = {key: value for key, value in item.items() if isinstance(value, str)}
    return LogEntry(
        date=log.get("date"),
        change=log.get("changeType"),
        flow_id=flow_id,
        version=log.get("newValue"),
        bundle=log.get("newEtag"),
        attempted=log.get("attemptedValue"),
        error=log.get("error"),
        source_type=log.get("sourceType"),
        source_id=log.get("sourceId"),
        previous=log.get("previousValue"),
    )


def merged(found: Mapping[str, EdgeRecord]) -> dict[DeviceId, LiveDevice]:
    """Devices in the order of their ids.

    Raises:
        Missing: two records are about one flow of one device.
    """
    of_device: dict[DeviceId, list[EdgeRecord]] = defaultdict(list)
    for record in sorted(found.values(), key=lambda record: (record.device_id, record.flow_id)):
        of_device[record.device_id].append(record)
    return {device_id: _device(records) for device_id, records in of_device.items()}


def _device(records: list[EdgeRecord]) -> LiveDevice:
    """What the records of one device say together; of its connection, what was seen last."""
    flows = {record.flow_id: record.entry for record in records}
    if len(flows) != len(records):
        raise Missing(f"two records are about the same flow of device {records[0].device_id}")
    newest = max(records, key=lambda record: record.connection_time or "")
    return LiveDevice(
        flows={flow_id: entry for flow_id, entry in flows.items() if entry is not NOTHING},
        name=newest.device_name,
        connected=newest.connected,
        connection_time=newest.connection_time,
        logs=tuple(log for record in records for log in record.logs),
        unmanageable=frozenset(record.flow_id for record in records if record.is_custom_node),
    )


def flow_names(found: Mapping[str, EdgeRecord]) -> dict[FlowId, str]:
    """Names that came with the records; of several for one flow, the first by alphabet."""
    names: dict[FlowId, str] = {}
    for record in found.values():
        if record.flow_name:
            names[record.flow_id] = min(record.flow_name, names.get(record.flow_id, record.flow_name))
    return dict(sorted(names.items()))
