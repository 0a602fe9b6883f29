"""The document of a plan: written by `plan` and `show`, saved by `--out`, read by `apply --plan`.

The digest covers the changes alone, and only the changes are ever carried out: calls are computed again from them. The
review digest covers what they are guarded with, too. What follows from the changes is derived again on reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict

from reconciler.documents.json import Document, document
from reconciler.documents.values import KEYS, data
from reconciler.model.changes import Op, UnmanagedRow
from reconciler.model.digest import digests
from reconciler.model.plan import Guards, Plan, Refusal, Summary, Tool, Warning
from reconciler.model.requests import Action
from reconciler.model.rules import Source
from reconciler.model.state import Application, Count, DeletedDevice, DeviceId, FlowId, Kind, Version
from reconciler.model.versions import Lock


class NamedRow(TypedDict):
    """One (device, flow), with names if known."""

    device_id: DeviceId
    device_name: str | None
    flow_id: FlowId
    flow_name: str | None


_Step = TypedDict("_Step", {"op": Op, "from": Version | None, "to": Version | None})


class ChangePart(NamedRow, _Step):
    """A row whose released version changes."""

    reported: Version | None
    source: Annotated[str, "source"]
    call: int | None


class PendingPart(NamedRow):
    """A row that is released as desired but not yet reported."""

    released: Version | None
    reported: Version | None
    connected: bool | None
    last_error: str | None


class LeavingPart(NamedRow):
    """A row that an earlier revision managed, and this one does not."""

    version: Version | None
    released: Version | None
    group: str | None
    source: Annotated[str, "source"]


@dataclass(frozen=True, slots=True)
class CallPart:
    """One request, and the number of changes that it carries out."""

    id: Count
    action: Action
    body: Mapping[str, object]
    count: Count
    after: tuple[Count, ...]


class PlanPart(NamedTuple):
    """One application and kind. Lists contain plain JSON, since there may be very many changes."""

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
    leaving: list[LeavingPart] | None = None


KEYS[PlanPart] = f"{' '.join(PlanPart._fields)}?"  # `leaving` only where an earlier revision was given


class PlanDocument(Document):
    """The output of `plan`, and of `show` for a saved plan. The digests and `guards` are missing if planning failed.

    The keys of `guards` have the form `application id/kind`; so have those of `locks`, which holds the plans that are
    judged by a lock, and is missing if none is.
    """

    command: Literal["plan", "show"]
    digest: NotRequired[Annotated[str, "stated digest"] | None]
    review_digest: NotRequired[Annotated[str, "stated digest"] | None]
    guards: NotRequired[Mapping[str, Guards] | None]
    locks: NotRequired[Mapping[str, Lock] | None]
    plans: tuple[PlanPart, ...]


def plan_document(
    plans: Iterable[Plan], command: Literal["plan", "show"], *, error: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The JSON document of plans, sorted by application and kind."""
    ordered = sorted(plans, key=lambda plan: (plan.application.id, plan.kind))
    each = [digests([plan]) for plan in ordered]
    whole = each[0] if len(each) == 1 else digests(ordered)
    locks = {guards_key(one.application.id, one.kind): data(one.guards.lock) for one in ordered if one.guards.lock}
    return document(
        command,
        error=error,
        **({"locks": locks} if locks else {}),
        digest=whole.changes,
        review_digest=whole.review,
        guards={guards_key(plan.application.id, plan.kind): data(plan.guards) for plan in ordered},
        plans=tuple(_part(plan, one.changes) for plan, one in zip(ordered, each, strict=True)),
    )


def guards_key(application_id: str, kind: Kind) -> str:
    """The key of a plan in the `guards` of a document."""
    return f"{application_id}/{kind}"


def _part(plan: Plan, digest: str) -> PlanPart:
    device_name, flow_name = plan.device_names.get, plan.flow_names.get
    call_of = plan.calls_by_row()
    changes: list[ChangePart] = [
        {
            "op": change.op,
            "device_id": change.device_id,
            "device_name": device_name(change.device_id),
            "flow_id": change.flow_id,
            "flow_name": flow_name(change.flow_id),
            "from": change.from_version,
            "to": change.to_version,
            "reported": change.reported,
            "source": str(change.source),
            "call": call_of.get(change.row),
        }
        for change in plan.changes
    ]
    pending: list[PendingPart] = [
        {
            "device_id": row.device_id,
            "device_name": device_name(row.device_id),
            "flow_id": row.flow_id,
            "flow_name": flow_name(row.flow_id),
            "released": row.released,
            "reported": row.reported,
            "connected": row.connected,
            "last_error": row.last_error,
        }
        for row in plan.pending
    ]
    return PlanPart(
        tool=plan.tool,
        application=plan.application,
        kind=plan.kind,
        manifests=plan.manifests,
        partial=plan.partial,
        digest=digest,
        summary=plan.summary,
        changes=changes,
        calls=tuple(CallPart(call.id, call.action, call.body, call.count, call.after) for call in plan.calls),
        pending=pending,
        unmanaged=plan.unmanaged,
        deleted_devices=plan.deleted_devices,
        warnings=plan.warnings,
        refused=plan.refused,
        leaving=None
        if plan.leaving is None
        else [
            {
                "device_id": row.device_id,
                "device_name": device_name(row.device_id),
                "flow_id": row.flow_id,
                "flow_name": flow_name(row.flow_id),
                "version": row.version,
                "released": row.released,
                "group": row.group,
                "source": str(row.source),
            }
            for row in plan.leaving
        ],
    )
