"""Moves rollouts on: the steps of one apply, each judged by a read of the wait between them.

A step sends what the rollouts of a plan send by one read; `apply` is one step. `apply --wait` goes on with the next as
soon as a read shows that more may be sent, until nothing is pending and nothing more can be sent in time. Every step
sends some changes of the plan, each from its `from`; so it sends nothing that was not planned, guarded and approved.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Sequence
from dataclasses import dataclass, field, replace

from reconciler.model.changes import Change
from reconciler.model.plan import Plan
from reconciler.model.result import Result
from reconciler.model.state import DeviceId, Read, Row
from reconciler.model.world import Options
from reconciler.planner.replan import Remaining, calls_for, remaining, step_of
from reconciler.planner.rollout.look import Look


def may_send(changes: Sequence[Change], only: Container[Row] | None) -> bool:
    """Whether there is one among the changes that may be sent some time, if not all may."""
    return len(changes) > 0 if only is None else any(change.row in only for change in changes)


@dataclass(slots=True)
class Rolling:
    """The rollouts of a plan while its steps are carried out.

    `only`: the rows that may be sent, if not all. `deleted`: devices that turned out not to exist any more. `rest`:
    what remains by the newest read.
    """

    plan: Plan
    options: Options
    only: Container[Row] | None = None
    deleted: set[DeviceId] = field(default_factory=set)
    rest: Remaining | None = None
    _calls: int = field(default=0)

    def __post_init__(self) -> None:
        self._calls = len(self.plan.calls)

    def look(self, read: Read, deleted: Collection[DeviceId]) -> Look:
        """Judge the rollouts by a read, without devices that were deleted."""
        self.deleted.update(deleted)
        self.rest = remaining(self.plan, read, only=self.only, deleted=self.deleted)
        return self.rest.looked

    def may_send_within(self, seconds: float) -> bool:
        """Whether more may be sent by then, as of the newest read."""
        if self.rest is None or not may_send(self.rest.left, self.only):
            return False
        return self.rest.looked.may_send_within(seconds)

    def next_step(self) -> tuple[Plan, Read] | None:
        """The plan of what may be sent now by the newest read, and that read; None if nothing may.

        Calls are numbered on from those of the steps before.

        Raises:
            PlanUnsound: its calls failed their proof.
        """
        if self.rest is None or not len(self.rest.looked.step.sent):
            return None
        calls = calls_for(self.rest, mode=self.options.calls, chunk=self.options.chunk)
        first, self._calls = self._calls, self._calls + len(calls)
        numbered = tuple(
            replace(call, id=call.id + first, after=tuple(one + first for one in call.after)) for call in calls
        )
        return step_of(self.plan, self.rest, numbered), self.rest.looked.read

    def judged(self, result: Result) -> Result:
        """A result with where the rollouts stand by the newest read."""
        if self.rest is None:
            return result
        looked = self.rest.looked
        withheld = len(self.rest.left) - len(looked.step.sent)
        return replace(result, withheld=withheld, rollouts=looked.reports(self.plan.device_names))
