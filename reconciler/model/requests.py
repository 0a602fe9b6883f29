"""Requests to the API as values. `planner.calls` decides which ones a plan uses, and what they do to rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from reconciler.model.state import DeviceId, FlowId, Row, Version

MAX_DEVICES = 1000  # per release: the API's limit
Action: TypeAlias = Literal["release", "replace", "remove"]


@dataclass(frozen=True, slots=True)
class Release:
    """Release `version` of a flow to 1 to 1000 devices, by id; version None is the bulk removal."""

    flow_id: FlowId
    version: Version | None
    device_ids: tuple[DeviceId, ...]

    action: ClassVar[Action] = "release"

    @property
    def body(self) -> dict[str, object]:
        """The request body on the wire."""
        return {"flowId": self.flow_id, "version": self.version, "deviceIds": list(self.device_ids)}


@dataclass(frozen=True, slots=True)
class Replace:
    """Move every deployment of a flow at `old` to `new`, application-wide; new None removes."""

    flow_id: FlowId
    old: Version
    new: Version | None

    action: ClassVar[Action] = "replace"

    @property
    def body(self) -> dict[str, object]:
        """The request body on the wire."""
        return {"flowId": self.flow_id, "oldVersion": self.old, "newVersion": self.new}


@dataclass(frozen=True, slots=True)
class RemoveRow:
    """Remove one flow from one device."""

    flow_id: FlowId
    device_id: DeviceId

    action: ClassVar[Action] = "remove"

    @property
    def body(self) -> dict[str, object]:
        """The request body on the wire."""
        return {"flowId": self.flow_id, "deviceId": self.device_id}


@dataclass(frozen=True, slots=True)
class RemoveDevice:
    """Remove every flow from one device."""

    device_id: DeviceId

    action: ClassVar[Action] = "remove"

    @property
    def body(self) -> dict[str, object]:
        """The request body on the wire."""
        return {"flowId": None, "deviceId": self.device_id}


@dataclass(frozen=True, slots=True)
class RemoveFlow:
    """Remove one flow from every device."""

    flow_id: FlowId

    action: ClassVar[Action] = "remove"

    @property
    def body(self) -> dict[str, object]:
        """The request body on the wire."""
        return {"flowId": self.flow_id, "deviceId": None}


# `remove` with neither flow nor device has no type, so no code can send it.
Explicit: TypeAlias = Release | RemoveRow
Wildcard: TypeAlias = Replace | RemoveDevice | RemoveFlow
Request: TypeAlias = Explicit | Wildcard


def outcome(request: Request) -> Version | None:
    """The released version of every row that the request moves; None is removal."""
    match request:
        case Release():
            return request.version
        case Replace():
            return request.new
        case _:
            return None


def named_rows(request: Explicit) -> tuple[Row, ...]:
    """The rows that an explicit request names, in its own order."""
    if isinstance(request, RemoveRow):
        return ((request.device_id, request.flow_id),)
    return tuple((device_id, request.flow_id) for device_id in request.device_ids)
