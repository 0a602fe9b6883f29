"""Applying: plan, check, ask for approval, carry out, wait. What was done can be read at any moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from reconciler.api.client import LosantApi
from reconciler.errors import ExitCode, ReconcilerError, Stale
from reconciler.executor import Execution, Observer, Quiet
from reconciler.health import wait
from reconciler.model.health import Offline, Wait
from reconciler.model.plan import Plan
from reconciler.model.result import Result, not_started
from reconciler.model.rules import Rules
from reconciler.model.state import Desired, Read
from reconciler.model.world import Options
from reconciler.operations.gateway import Gateway
from reconciler.operations.plan import NO_OPTIONS, Plans, plan, refused
from reconciler.operations.replan import replan
from reconciler.planner.digest import digest

Changes: TypeAlias = Sequence[Rules] | Plans
"""What to apply: rules, which are planned afresh, or plans, of which every change's `from` is a precondition."""
Approve: TypeAlias = Callable[[Sequence[Plan]], bool]
"""Shown the plans that are about to be carried out; whether to go on."""


class ApplyObserver:
    """Notified of progress as it happens; this one does nothing. What it raises before the first write ends the run."""

    def planned(self, plans: Sequence[Plan]) -> None:
        """The plans, before they are checked and approved."""

    def applying(self, plan: Plan) -> Observer:  # noqa: ARG002
        """A plan is about to be carried out; the observer of its calls."""
        return Quiet()

    def waiting(self, plan: Plan) -> Callable[[Wait], None]:  # noqa: ARG002
        """Its devices are about to be waited for; what to call after each read."""
        return lambda _: None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyRequest:
    """How to plan and to carry out.

    Attributes:
        options: of planning. Of saved plans, those count that say how to plan, not what.
        expect_digest: refuse any other plan as stale.
        dry_run: stop before the first write.
        wait: until every managed device runs what it should.
        timeout_s: how long to wait at most.
        offline: what waiting makes of devices that are not connected.
        approve: shown the plans before the first write if there is anything to change; False ends the apply.
        observer: notified of progress.
    """

    options: Options = NO_OPTIONS
    expect_digest: str | None = None
    dry_run: bool = False
    wait: bool = False
    timeout_s: float = 15 * 60
    offline: Offline = Offline.SKIP
    approve: Approve | None = None
    observer: ApplyObserver = field(default_factory=ApplyObserver)


@dataclass(slots=True)
class PlanRun:
    """One application and kind on its way: what is to be done, on which read, and how far it is.

    `desired`: the rows to wait for.
    """

    plan: Plan
    read: Read
    desired: Desired
    execution: Execution | None = None
    wait: Wait | None = None
    wait_interrupted: bool = False

    @property
    def result(self) -> Result:
        """What was done so far, and how the wait stands. Before the start every call is planned."""
        done = self.execution.result() if self.execution else not_started(self.plan, digest([self.plan]))
        return replace(done, interrupted=done.interrupted or self.wait_interrupted, wait=self.wait)

    async def carry_out(self, api: LosantApi, gateway: Gateway, request: ApplyRequest) -> None:
        """Send the calls and see them confirmed; then wait, if that is requested and everything is confirmed."""
        self.execution = Execution(
            self.plan,
            self.read,
            api,
            clock=gateway.clock,
            parallelism=gateway.parallelism,
            dry_run=request.dry_run,
            observe=request.observer.applying(self.plan),
        )
        await self.execution.carry_out()
        if not request.wait or request.dry_run or self.result.exit_code is not ExitCode.DONE:
            return
        observe = request.observer.waiting(self.plan)

        def remember(progress: Wait) -> None:
            self.wait = progress
            observe(progress)

        try:
            await wait(
                self.desired,
                api,
                clock=gateway.clock,
                timeout_s=request.timeout_s,
                first=self.read,
                offline=request.offline,
                observe=remember,
            )
        except asyncio.CancelledError:
            self.wait_interrupted = True
            raise


@dataclass(slots=True)
class ApplyRun:
    """One apply of any number of applications. `results` is what was done at any moment, however the run ended."""

    changes: Changes
    gateway: Gateway
    request: ApplyRequest
    runs: list[PlanRun] = field(default_factory=list, init=False)

    @property
    def plans(self) -> list[Plan]:
        """What is to be carried out, none before it was planned."""
        return [run.plan for run in self.runs]

    @property
    def results(self) -> tuple[Result, ...]:
        """What was done so far, one for each plan."""
        return tuple(run.result for run in self.runs)

    async def carry_out(self) -> None:
        """All of it. What goes wrong with a call or a read after the first write is in the results, not raised.

        Raises:
            Stale: not the expected plan, or another one when it was approved.
            Refused: a guard refuses.
            ReconcilerError: planning failed, or the plan was not approved. Nothing was written.
            asyncio.CancelledError: the run was interrupted.
        """
        request = self.request
        await self._plan()
        request.observer.planned(self.plans)
        self._check()
        if request.approve and not request.dry_run and any(plan.changes for plan in self.plans):
            shown = digest(self.plans)
            if not request.approve(self.plans):
                raise ReconcilerError("not applied: the plan was not approved")
            await self._plan()
            if digest(self.plans) != shown:
                raise Stale("the fleet changed before the plan was approved, and the plan with it", hint="apply again")
            self._check()
        async with self.gateway.open() as api_of, asyncio.TaskGroup() as group:
            for run in self.runs:
                api = api_of(run.plan.application.id, run.plan.kind)
                group.create_task(run.carry_out(api, self.gateway, request))

    async def _plan(self) -> None:
        """Read live state, and plan."""
        if isinstance(self.changes, Plans):
            left = await replan(self.changes, self.gateway, self.request.options)
            self.runs = [PlanRun(*one) for one in left]
        else:
            planned = await plan(self.changes, self.gateway, self.request.options)
            self.runs = [PlanRun(one.plan, one.world.read, one.desired) for one in planned]

    def _check(self) -> None:
        """Refuse another plan than the expected one, then what a guard refuses."""
        expected = self.request.expect_digest
        planned = self.changes.plans if isinstance(self.changes, Plans) else self.plans
        if expected is not None and expected != (actual := digest(planned)):
            raise Stale(
                f"the digest of this plan is {actual}, not {expected}",
                hint="the manifests or the fleet changed since; review the plan again and pass its digest",
            )
        if refusal := refused(self.plans):
            raise refusal
