"""The parts of a plan's document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, NamedTuple, NotRequired, TypedDict

from reconciler.documents.waved import WavedPart
from reconciler.model.changes import Op, UnmanagedRow
from reconciler.model.plan import Refusal, Summary, Tool, Warning
from reconciler.model.requests import Action
from reconciler.model.rollout import RolloutReport, Withheld
from reconciler.model.rules import Source
from reconciler.model.state import Application, Count, DeletedDevice, DeviceId, FlowId, Kind, Version


class NamedRow(TypedDict):
    """One (device, flow), with names if known."""

    device_id: DeviceId
    device_name: str | None
    flow_id: FlowId
    flow_name: str | None


_Step = TypedDict("_Step", {"op": Op, "from": Version | None, "to": Version | None})


class ChangePart(NamedRow, _Step):
    """A row whose released version changes; where a group has a policy, with what rollouts say of it.

    `call` is null if the change is withheld.
    """

    reported: Version | None
    source: Annotated[str, "source"]
    call: int | None
    wave: NotRequired[Count | None]
    withheld: NotRequired[Withheld | None]
    goes_back: NotRequired[bool]


class PendingPart(NamedRow):
    """A row that is released as desired but not yet reported."""

    released: Version | None
    reported: Version | None
    connected: bool | None
    last_error: str | None


@dataclass(frozen=True, slots=True)
class CallPart:
    """One request, and the number of changes that it carries out."""

    id: Count
    action: Action
    body: Mapping[str, object]
    count: Count
    after: tuple[Count, ...]


class PlanPart(NamedTuple):
    """One application and kind. Lists contain plain JSON, since there may be very many changes.

    `rollouts` and `waved` are there where a group has a policy.
    """

    tool: Tool
    application: Application
    kind: Kind
    manifests: tuple[Source, ...]
    partial: bool
    digest: Annotated[str, "stated digest"]
    summary: Summary
    changes: list[ChangePart]
    calls: tuple[CallPart, ...]
    pending: list[PendingPart]
    unmanaged: tuple[UnmanagedRow, ...]
    deleted_devices: tuple[DeletedDevice, ...]
    warnings: tuple[Warning, ...]
    refused: tuple[Refusal, ...]
    rollouts: tuple[RolloutReport, ...] = ()
    waved: WavedPart | None = None
