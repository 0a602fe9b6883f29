"""Edge deployments: one record per device and flow, merged into one value per device.

The API's `filterEmpty` parameter, which omits empty records, is not used: its meaning of empty is barely documented,
and a record omitted by mistake would be a row that was never read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from reconciler.api.deployments import CONNECTED, DeploymentPages, log_entry, log_fields
from reconciler.api.evidence import Bundles, Log
from reconciler.api.shapes import EdgeShape, shaped
from reconciler.api.wire import Missing
from reconciler.model.state import (
    NO_EVIDENCE,
    NOTHING,
    DeviceId,
    EdgeEvidence,
    Entry,
    Evidence,
    FlowId,
    LiveDevice,
    LogEntry,
)

CUSTOM_NODE = "customNode"
_LOG_FIELDS: Final = log_fields(
    version="newValue", bundle="newEtag", attempted="attemptedValue", previous="previousValue"
)


class EdgeRecord(NamedTuple):
    """One record: a flow of a device, with the data about the device."""

    device_id: DeviceId
    flow_id: FlowId
    entry: Entry
    device_name: str | None
    connected: bool | None
    connection_time: str | None
    is_custom_node: bool
    logs: tuple[LogEntry, ...]
    evidence: Evidence = NO_EVIDENCE  # of this record alone
    etag: str | None = None


class EdgePages(DeploymentPages[EdgeRecord]):
    """The pages of edgeDeployments.get."""

    line_fields = ("change", "version", "bundle", "error", "previous")

    @staticmethod
    def shape() -> type[EdgeShape]:
        """See `Pages.shape`."""
        return EdgeShape

    def record(self, item: Any) -> tuple[str, EdgeRecord]:
        """See `Pages.record`."""
        shape = shaped(item, EdgeShape)
        flow_id = shape.flowId
        self._names.setdefault(flow_id, (flow_id, set()))[1].add(shape.flowName)
        entry = Entry(shape.desiredVersion, shape.currentVersion)
        connection = shape.deviceConnectionInfo
        logs = shape.logs or () if self._keep_logs or entry.released != entry.reported else ()
        record = EdgeRecord(
            device_id=shape.deviceId,
            flow_id=flow_id,
            entry=self._entries.setdefault(entry, entry),
            device_name=shape.deviceName,
            connected=CONNECTED[connection.connected] if connection else None,
            connection_time=connection.time if connection else None,
            is_custom_node=shape.flowClass == CUSTOM_NODE,
            logs=tuple(log_entry(log, _LOG_FIELDS, flow_id) for log in logs),
        )
        if self._condenser:
            etag = item.get("currentEtag")
            evidence = self._condenser.evidence(shape.logs or (), item.get("lastUpdated"), flow_id)
            record = record._replace(evidence=evidence, etag=etag if isinstance(etag, str) else None)
        return (shape.id or f"{shape.deviceId}/{flow_id}").lower(), record

    @staticmethod
    def line_values(log: Log, bundles: Bundles) -> list[tuple[object, ...]]:  # noqa: ARG004 - etags are not numbered
        """See `DeploymentPages.line_values`."""
        return [
            (get("changeType"), get("newValue"), get("newEtag"), get("error"), get("previousValue"))
            for get in [entry.get for entry in log]
        ]

    def merged(self, found: dict[str, EdgeRecord]) -> dict[DeviceId, LiveDevice]:
        """See `DeploymentPages.merged`."""
        of_device: dict[DeviceId, list[EdgeRecord]] = defaultdict(list)
        for record in sorted(found.values(), key=lambda record: (record.device_id, record.flow_id)):
            of_device[record.device_id].append(record)
        found.clear()
        devices = {}
        for device_id in [*of_device]:
            records = of_device.pop(device_id)
            devices[device_id] = _device(records, self._evidence(records))
        return devices

    def _evidence(self, records: Sequence[EdgeRecord]) -> Evidence:
        if self._condenser is None:
            return NO_EVIDENCE
        of_flows = {record.flow_id: EdgeEvidence(record.etag, record.evidence.updated) for record in records}
        return self._condenser.together([record.evidence for record in records])._replace(records=of_flows)


def _device(records: Sequence[EdgeRecord], evidence: Evidence) -> LiveDevice:
    """Merge the records of one device; its connection state is that of the newest report."""
    flows = {record.flow_id: record.entry for record in records}
    if len(flows) != len(records):
        raise Missing(f"two records describe the same flow of device {records[0].device_id}")
    newest = max(records, key=lambda record: record.connection_time or "")
    return LiveDevice(
        flows={flow_id: entry for flow_id, entry in flows.items() if entry is not NOTHING},
        name=newest.device_name,
        connected=newest.connected,
        connection_time=newest.connection_time,
        logs=tuple(log for record in records for log in record.logs),
        unmanageable=frozenset(record.flow_id for record in records if record.is_custom_node),
        evidence=evidence,
    )
