"""Plans as plain data and back: what `--out` saves, `show` prints and `apply --plan` carries out.

The digest is over the changes alone, and only the changes are ever carried out: calls are computed anew from them.
So whoever edits a call in a saved plan changes what is shown and nothing that is sent, and whoever edits a change
breaks the digest. `parse` is the way back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from reconciler import __version__
from reconciler.model.changes import Change, PendingRow, UnmanagedRow
from reconciler.model.plan import Guards, Plan, PlannedCall, Refusal, Warning
from reconciler.model.state import Place, Row
from reconciler.planner.digest import digest
from reconciler.planner.parse import FORMAT_VERSION, guards_key, parse_document

__all__ = [
    "FORMAT_VERSION",
    "digest",
    "document",
    "parse_document",
    "refusal_data",
    "warning_data",
]


def document(plans: Iterable[Plan], command: str) -> dict[str, object]:
    """The JSON document that holds plans, sorted by application and kind."""
    ordered = sorted(plans, key=lambda plan: (plan.application.id, plan.kind.value))
    return {
        "format_version": FORMAT_VERSION,
        "command": command,
        "error": None,
        "digest": digest(ordered),
        "guards": {guards_key(plan.application.id, plan.kind): _guards(plan.guards) for plan in ordered},
        "plans": [_plan(plan) for plan in ordered],
    }


def _plan(plan: Plan) -> dict[str, object]:
    call_of: dict[Row, int] = {row: call.id for call in plan.calls for row in call.rows}
    summary = plan.summary
    return {
        "tool": {"name": "reconciler", "version": __version__},
        "application": {"id": plan.application.id, "name": plan.application.name},
        "kind": plan.kind.value,
        "manifests": [{"path": source.path, "sha256": source.sha256} for source in plan.sources],
        "partial": plan.partial,
        "digest": digest([plan]),
        "summary": summary._asdict(),
        "changes": [_change(plan, change, call_of.get(change.row)) for change in plan.changes],
        "calls": [_call(call) for call in plan.calls],
        "pending": [_pending(plan, row) for row in plan.pending],
        "unmanaged": [_unmanaged(row) for row in plan.unmanaged],
        "warnings": [warning_data(warning) for warning in plan.warnings],
        "refused": [refusal_data(refusal) for refusal in plan.refusals],
    }


def _change(plan: Plan, change: Change, call: int | None) -> dict[str, object]:
    return {
        "op": change.op.value,
        "device_id": change.device_id,
        "device_name": plan.device_names.get(change.device_id),
        "flow_id": change.flow_id,
        "flow_name": plan.flow_names.get(change.flow_id),
        "from": change.from_version,
        "to": change.to_version,
        "reported": change.reported,
        "source": str(change.source),
        "call": call,
    }


def _call(call: PlannedCall) -> dict[str, object]:
    return {
        "id": call.id,
        "action": call.request.action,
        "body": call.request.body,
        "count": len(call.rows),
        "after": list(call.after),
    }


def _pending(plan: Plan, row: PendingRow) -> dict[str, object]:
    return {
        "device_id": row.device_id,
        "device_name": plan.device_names.get(row.device_id),
        "flow_id": row.flow_id,
        "flow_name": plan.flow_names.get(row.flow_id),
        "released": row.released,
        "reported": row.reported,
        "connected": row.connected,
        "last_error": row.last_error,
    }


def _unmanaged(row: UnmanagedRow) -> dict[str, object]:
    return row._asdict()


def _guards(guards: Guards) -> dict[str, object]:
    """What an apply of the saved plan judges it by again. Percentages are text: they may have any decimals."""
    limits = guards.limits
    return {
        "limits": {
            "removals": {"count": limits.removals_count, "percent": _percent(limits.removals_percent)},
            "changes": {"count": limits.changes_count, "percent": _percent(limits.changes_percent)},
            **_place(limits.place),
        },
        "protect": [
            {"device_id": one.device_id, "flow_id": one.flow_id, "forbid": one.forbid.value, **_place(one.place)}
            for one in guards.protected
        ],
        "released": guards.released,
        "live": guards.live,
        "only_flow": guards.only_flow,
        "empty": guards.empty,
        "allow_removals": guards.allow_removals,
        "allow_empty": guards.allow_empty,
        "strict": guards.strict,
    }


def _percent(percent: Decimal | None) -> str | None:
    return None if percent is None else f"{percent:f}"


def warning_data(warning: Warning) -> dict[str, object]:
    """A warning in the shape that `error.problems` has."""
    return {**_place(warning.place), "message": warning.message, "hint": warning.hint}


def refusal_data(refusal: Refusal) -> dict[str, object]:
    """A refusal in the shape that `error.problems` has, with its guard and its rows."""
    return {
        "guard": refusal.guard.value,
        **_place(refusal.place),
        "message": refusal.message,
        "hint": refusal.hint,
        "rows": [{"device_id": device_id, "flow_id": flow_id} for device_id, flow_id in refusal.rows],
    }


def _place(place: Place | None) -> Mapping[str, object]:
    if place is None:
        return {"path": None, "line": None, "column": None}
    return {"path": place.path, "line": place.line, "column": place.column}
