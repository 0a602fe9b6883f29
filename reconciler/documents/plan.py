"""The document of a plan: written by `plan` and `show`, saved by `--out`, read by `apply --plan`.

The digest covers the changes alone, and only the changes are ever carried out: calls are computed again from them. The
review digest covers what they are guarded with, too. What follows from the changes is derived again on reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, NotRequired

from reconciler.documents.json import Document, document
from reconciler.documents.parts import CallPart, ChangePart, PendingPart, PlanPart
from reconciler.documents.values import data
from reconciler.documents.waved import waved_part
from reconciler.model.digest import digests
from reconciler.model.plan import Guards, Plan
from reconciler.model.state import Kind
from reconciler.model.versions import Lock


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
    if plan.rollouts:
        for change, hold in zip(changes, plan.holds(), strict=True):
            change |= {"wave": hold.wave, "withheld": hold.withheld, "goes_back": hold.goes_back}
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
        rollouts=plan.rollouts.reports if plan.rollouts else (),
        waved=waved_part(plan.rollouts.groups) if plan.rollouts else None,
    )
