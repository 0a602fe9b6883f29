"""What leaves management: rows that an earlier revision of the manifests declared, and this one does not.

Both are resolved on the same read, so a device that moved or was tagged otherwise makes no difference: only what the
manifests say does. Rows that only `prune` reached were never declared.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from reconciler.model.changes import LeavingRow
from reconciler.model.state import NO_RECORD, Decision, Desired, DeviceId, FlowId, Live

_NONE: Mapping[FlowId, Decision] = {}


class Left(NamedTuple):
    """The number of rows that were managed, and those of them that are not any more, by device, then flow."""

    managed: int
    rows: tuple[LeavingRow, ...]


def left(before: Desired, after: Desired, live: Live) -> Left:
    """Compare two resolutions. Custom nodes are never managed, declared or not."""
    managed = 0
    rows: list[LeavingRow] = []
    gone: dict[tuple[int, int], list[tuple[FlowId, Decision]]] = {}  # devices that rules decide alike share mappings
    for device_id, was in before.devices.items():
        now = after.devices.get(device_id, _NONE)
        record = live.devices.get(device_id, NO_RECORD)
        managed += len(was.keys() - record.unmanageable) if record.unmanageable else len(was)
        key = (id(was), id(now))
        if key not in gone:
            gone[key] = [item for item in was.items() if item[0] not in now]
        rows += [
            LeavingRow(device_id, flow_id, its.version, live.entry(device_id, flow_id).released, its.group, its.place)
            for flow_id, its in gone[key]
            if flow_id not in record.unmanageable
        ]
    return Left(managed, tuple(sorted(rows, key=lambda row: row[:2])))


def without(found: Left, missing: Collection[DeviceId]) -> Left:
    """The same without devices that do not exist any more: nobody can manage them."""
    rows = tuple(row for row in found.rows if row.device_id not in missing)
    return Left(found.managed - len(found.rows) + len(rows), rows)
