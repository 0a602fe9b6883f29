"""What is left of a plan when the world is read again."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.model.changes import Change
from reconciler.model.plan import Plan, PlannedCall
from reconciler.model.state import Entry, Live
from reconciler.model.world import CallMode
from reconciler.planner.calls.cover import cover
from reconciler.planner.calls.prove import prove


@dataclass(frozen=True, slots=True)
class Remaining:
    """The changes of a plan, by what a newer read shows.

    `done`: released as planned already. `left`: still at their `from`, with what is reported now. `moved`: neither,
    so somebody else moved them; with the row as it is now.
    """

    done: tuple[Change, ...]
    left: tuple[Change, ...]
    moved: tuple[tuple[Change, Entry], ...]


def remaining(plan: Plan, live: Live) -> Remaining:
    """Sort the changes of a plan. Each change's `from` is a precondition."""
    done, left, moved = [], [], []
    for change in plan.changes:
        entry = live.entry(change.device_id, change.flow_id)
        if entry.released == change.to_version:
            done.append(change)
        elif entry.released == change.from_version:
            left.append(change._replace(reported=entry.reported))
        else:
            moved.append((change, entry))
    return Remaining(tuple(done), tuple(left), tuple(moved))


def again(
    plan: Plan, live: Live, *, mode: CallMode = CallMode.FEWEST, chunk: int = 1000
) -> tuple[Remaining, tuple[PlannedCall, ...]]:
    """What is left of a plan, and proved calls for it, computed on the newer read alone.

    Raises:
        PlanUnsound: the calls failed their proof.
    """
    rest = remaining(plan, live)
    calls = cover(rest.left, live, mode=mode, chunk=chunk)
    prove(rest.left, calls, live)
    return rest, calls
