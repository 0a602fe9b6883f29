"""A plan proves itself before it is shown or sent."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.errors import PlanUnsound
from reconciler.planner.plan import Change, PlannedCall
from reconciler.planner.state import Live


def prove(changes: Sequence[Change], calls: Sequence[PlannedCall], live: Live) -> None:
    """Check that the calls make the changes and move nothing else.

    Raises:
        PlanUnsound: they do not.
    """
    carried = sorted(row for call in calls for row in call.rows)
    if carried != sorted(change.row for change in changes):
        raise PlanUnsound("the calls of a plan do not carry its changes")
