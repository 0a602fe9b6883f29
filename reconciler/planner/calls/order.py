"""The order of calls, and which of them wait for which.

Whatever moves a row onto a version of a flow waits for every `replace` of that flow whose old version that is:
else the `replace` could take the row further. Nothing else needs to wait (see `cover`). Among calls that are free
to go, those for the same devices stay close, since every deployment ships a device one whole bundle.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reconciler.errors import PlanUnsound
from reconciler.model.plan import PlannedCall
from reconciler.model.requests import Replace, Request, outcome
from reconciler.model.state import FlowId, Row, Version


@dataclass(frozen=True, slots=True)
class Draft:
    """A call without its place in the order. `rows` are sorted."""

    request: Request
    rows: tuple[Row, ...]
    reason: str

    @property
    def sort_key(self) -> tuple[tuple[str, ...], str]:
        """The device set, then the flow: no two calls of a plan have the same, since each row is carried once."""
        return (tuple(device_id for device_id, _ in self.rows), self.rows[0][1])


def in_order(drafts: Iterable[Draft]) -> tuple[PlannedCall, ...]:
    """Calls numbered in the order to send them.

    Raises:
        PlanUnsound: they wait for each other in a cycle, which `cover` should have cut.
    """
    drafts = sorted(drafts, key=lambda draft: draft.sort_key)
    replaces = _replaces(drafts)
    # Only removals can carry rows of several flows, and nothing is ever replaced that has no version.
    waits = [replaces.get((draft.rows[0][1], outcome(draft.request)), []) for draft in drafts]
    order = _free_first(waits)
    if len(order) < len(drafts):
        raise PlanUnsound("calls of a plan wait for each other in a cycle")
    number = {index: place for place, index in enumerate(order)}
    return tuple(
        PlannedCall(
            number[index],
            drafts[index].request,
            drafts[index].rows,
            tuple(sorted(number[other] for other in waits[index])),
            drafts[index].reason,
        )
        for index in order
    )


def _replaces(drafts: Sequence[Draft]) -> dict[tuple[FlowId, Version | None], list[int]]:
    """Indexes of the replaces by flow and old version."""
    found: dict[tuple[FlowId, Version | None], list[int]] = defaultdict(list)
    for index, draft in enumerate(drafts):
        if isinstance(draft.request, Replace):
            found[draft.request.flow_id, draft.request.old].append(index)
    return found


def _free_first(waits: Sequence[Sequence[int]]) -> list[int]:
    """A topological order that always goes on with the lowest index that is free to go."""
    followers: dict[int, list[int]] = defaultdict(list)
    for index, others in enumerate(waits):
        for other in others:
            followers[other].append(index)
    missing = [len(others) for others in waits]
    free = [index for index, count in enumerate(missing) if count == 0]
    order = []
    while free:
        index = heapq.heappop(free)
        order.append(index)
        for follower in followers[index]:
            missing[follower] -= 1
            if missing[follower] == 0:
                heapq.heappush(free, follower)
    return order
