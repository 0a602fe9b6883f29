"""Recomputes what remains of a plan after a newer read."""

from __future__ import annotations

from typing import NamedTuple

from reconciler.model.changes import Change
from reconciler.model.plan import Plan, PlannedCall
from reconciler.model.state import Entry, Live
from reconciler.model.world import CallMode
from reconciler.planner.calls.cover import cover
from reconciler.planner.calls.prove import prove


class Remaining(NamedTuple):
    """The changes of a plan, classified by a newer read.

    `done`: already released as planned. `left`: still at their `from`, with what is reported now. `moved`: neither,
    so somebody else moved them; with the row's current entry.
    """

    done: list[Change]
    left: list[Change]
    moved: list[tuple[Change, Entry]]


def again(
    plan: Plan, live: Live, *, mode: CallMode = CallMode.FEWEST, chunk: int = 1000
) -> tuple[Remaining, tuple[PlannedCall, ...]]:
    """What remains of a plan, and proved calls for it, computed from the newer read alone.

    Each change's `from` is a precondition.

    Raises:
        PlanUnsound: the calls failed their proof.
    """
    rest = Remaining([], [], [])
    for change in plan.changes:
        entry = live.entry(change.device_id, change.flow_id)
        if entry.released == change.to_version:
            rest.done.append(change)
        elif entry.released == change.from_version:
            rest.left.append(change._replace(reported=entry.reported))
        else:
            rest.moved.append((change, entry))
    calls = cover(rest.left, live, mode=mode, chunk=chunk)
    prove(rest.left, calls, live)
    return rest, calls
