"""The order of calls, and which calls wait for which.

A call that moves a row to a version of a flow waits for every `replace` of that flow with this old version; otherwise
the `replace` could move the row further. Nothing else needs to wait (see `cover`). Among calls that are ready, those
for the same devices stay together, since every deployment sends a device one whole bundle.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple

from reconciler.errors import PlanUnsound
from reconciler.model.changes import FlowDevices
from reconciler.model.plan import PlannedCall
from reconciler.model.requests import Replace, Request, outcome
from reconciler.model.state import FlowId, Row, Version


class Draft(NamedTuple):
    """A call before it has a place in the order. `rows` are sorted."""

    request: Request
    rows: Sequence[Row]
    reason: str

    @property
    def sort_key(self) -> tuple[tuple[str, ...], str]:
        """The device set, then the flow: no two calls of a plan have the same, since each row is carried once."""
        rows = self.rows
        ids = rows.device_ids if isinstance(rows, FlowDevices) else [device_id for device_id, _ in rows]
        return (tuple(ids), rows[0][1])


def in_order(drafts: Iterable[Draft]) -> tuple[PlannedCall, ...]:
    """Calls numbered in the order to send them: next is always the first by `sort_key` that is ready.

    Raises:
        PlanUnsound: calls wait for each other in a cycle, which `cover` should have broken.
    """
    drafts = sorted(drafts, key=lambda draft: draft.sort_key)
    replaces = _replaces(drafts)
    # Only removals can carry rows of several flows, and their outcome is no version, so no replace has it as old one.
    waits = [replaces.get((draft.rows[0][1], outcome(draft.request)), ()) for draft in drafts]
    sorter = TopologicalSorter(dict(enumerate(waits)))
    try:
        sorter.prepare()
    except CycleError:
        raise PlanUnsound("calls of a plan wait for each other in a cycle") from None
    number: dict[int, int] = {}
    free: list[int] = []
    calls: list[PlannedCall] = []
    while sorter.is_active():
        for index in sorter.get_ready():
            heapq.heappush(free, index)
        index = heapq.heappop(free)
        sorter.done(index)
        number[index] = len(calls)
        draft, after = drafts[index], tuple(sorted(number[other] for other in waits[index]))
        calls.append(PlannedCall(len(calls), draft.request, draft.rows, after, draft.reason))
    return tuple(calls)


def _replaces(drafts: Sequence[Draft]) -> Mapping[tuple[FlowId, Version | None], Sequence[int]]:
    """Indexes of the replaces by flow and old version."""
    found: dict[tuple[FlowId, Version | None], list[int]] = defaultdict(list)
    for index, draft in enumerate(drafts):
        if isinstance(draft.request, Replace):
            found[draft.request.flow_id, draft.request.old].append(index)
    return found
