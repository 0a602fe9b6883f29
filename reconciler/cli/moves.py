"""The changes of a plan in short, for the result of an apply: by flow and from and to, and removals one by one."""

from __future__ import annotations

from collections import Counter

from reconciler.model.changes import Op
from reconciler.model.plan import Plan


def moves(plan: Plan) -> list[dict[str, object]]:
    """The changes by flow and from and to, removals of a flow first."""
    counts = Counter((one.flow_id, one.op, one.from_version, one.to_version) for one in plan.changes)
    order = sorted(counts, key=lambda key: (key[0], key[1] != Op.REMOVE, key[2] or "", key[3] or ""))
    return [
        {
            "flow_id": flow_id,
            "flow_name": plan.flow_names.get(flow_id),
            "op": str(op),
            "from": old,
            "to": new,
            "count": counts[flow_id, op, old, new],
        }
        for flow_id, op, old, new in order
    ]


def removals(plan: Plan) -> list[dict[str, object]]:
    """Each row to be removed, and where the manifests say so."""
    return [
        {
            "device_id": change.device_id,
            "device_name": plan.device_names.get(change.device_id),
            "flow_id": change.flow_id,
            "flow_name": plan.flow_names.get(change.flow_id),
            "from": change.from_version,
            "source": str(change.source),
        }
        for change in plan.changes
        if change.op is Op.REMOVE
    ]
