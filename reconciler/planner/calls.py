"""Changes to requests (the search for the fewest of them follows)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from reconciler.planner.plan import CallMode, Change, PlannedCall
from reconciler.planner.requests import (
    Release,
    RemoveDevice,
    RemoveFlow,
    RemoveRow,
    Replace,
    Request,
)
from reconciler.planner.state import DeviceId, FlowId, Live, Version

__all__ = ["Release", "RemoveDevice", "RemoveFlow", "RemoveRow", "Replace", "Request", "cover"]


def cover(
    changes: Iterable[Change], live: Live, *, mode: CallMode = CallMode.FEWEST, chunk: int = 1000
) -> tuple[PlannedCall, ...]:
    """Requests that make the changes, in the order to send them."""
    moves: dict[tuple[FlowId, Version | None], list[DeviceId]] = defaultdict(list)
    for change in changes:
        moves[change.flow_id, change.to_version].append(change.device_id)
    requests = [
        Release(flow_id, version, tuple(sorted(ids)[start : start + chunk]))
        for (flow_id, version), ids in moves.items()
        for start in range(0, len(ids), chunk)
    ]
    requests.sort(key=lambda request: (request.device_ids, request.flow_id, request.version or ""))
    return tuple(
        PlannedCall(number, request, tuple((device, request.flow_id) for device in request.device_ids))
        for number, request in enumerate(requests)
    )
