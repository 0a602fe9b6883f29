"""Differences: rows whose released version must change, and other rows that a reviewer must know about."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from reconciler.model.state import DeviceId, FlowId, Place, Row, Version


class Op(StrEnum):
    """The operation on a row."""

    ADD = "add"
    UPDATE = "update"
    REMOVE = "remove"


class Change(NamedTuple):
    """A row whose released version must change. Sorts by device, then flow."""

    device_id: DeviceId
    flow_id: FlowId
    from_version: Version | None
    to_version: Version | None
    reported: Version | None
    source: Place

    @property
    def op(self) -> Op:
        """`add` if nothing is released, `remove` if nothing should be, else `update`."""
        if self.from_version is None:
            return Op.ADD
        return Op.REMOVE if self.to_version is None else Op.UPDATE

    @property
    def row(self) -> Row:
        """The row's key."""
        return (self.device_id, self.flow_id)


class PendingRow(NamedTuple):
    """A managed row that is released as desired but not yet reported."""

    device_id: DeviceId
    flow_id: FlowId
    released: Version | None
    reported: Version | None
    connected: bool | None
    last_error: str | None


class UnmanagedRow(NamedTuple):
    """A live row that no manifest declares."""

    device_id: DeviceId
    flow_id: FlowId
    released: Version | None
    reported: Version | None
