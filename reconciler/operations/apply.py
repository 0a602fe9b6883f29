"""Applying: plan, check, ask for approval, carry out, wait. The results can be read at any time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from reconciler.api.client import LosantApi
from reconciler.errors import ReconcilerError, Stale, UsageError
from reconciler.executor import Execution, Observer
from reconciler.health import wait
from reconciler.model.digest import digest, digests
from reconciler.model.health import Offline, Wait
from reconciler.model.plan import Plan
from reconciler.model.result import Result, not_started, together
from reconciler.model.rules import Rules
from reconciler.model.state import Desired, Read
from reconciler.model.world import Earlier, Options
from reconciler.operations.gateway import Gateway
from reconciler.operations.plan import NO_OPTIONS, Plans, plan, refused
from reconciler.operations.replan import replan
from reconciler.operations.rollout import Rolling

Changes: TypeAlias = Sequence[Rules] | Plans
"""What to apply: rules, which are planned now, or saved plans, whose changes have `from` as a precondition."""
Approve: TypeAlias = Callable[[Sequence[Plan]], bool]
"""Called with the plans before they are carried out; returns whether to continue."""


class ApplyObserver:
    """Notified of progress; this base class does nothing. An exception before the first write ends the run."""

    def planned(self, plans: Sequence[Plan]) -> None:
        """Called with the plans, before they are checked and approved."""

    def applying(self, plan: Plan) -> Observer:  # noqa: ARG002
        """Called before a plan is carried out; returns the observer of its calls."""
        return Observer()

    def waiting(self, plan: Plan) -> Callable[[Wait], None]:  # noqa: ARG002
        """Called before the wait for a plan's devices; returns a function to be called after each read."""
        return lambda _: None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyRequest:
    """How to plan and how to apply.

    Attributes:
        options: the planning options. For saved plans, only those that say how to plan, not what, have an effect.
        against: an earlier revision of the manifests; not for saved plans, which keep what was found.
        expect_digest: the `digest` or `review_digest` of the plan; any other is refused as stale.
        dry_run: stop before the first write.
        wait: wait until every managed device runs its desired versions.
        timeout_s: the timeout of the wait, more than 0. The wait ends then, even amid a read.
        offline: how the wait treats devices that are not connected.
        approve: called with the plans before the first write if there are changes; False ends the apply.
        observer: notified of progress.
    """

    options: Options = NO_OPTIONS
    against: Earlier | None = None
    expect_digest: str | None = None
    dry_run: bool = False
    wait: bool = False
    timeout_s: float = 15 * 60
    offline: Offline = Offline.SKIP
    approve: Approve | None = None
    observer: ApplyObserver = field(default_factory=ApplyObserver)

    def __post_init__(self) -> None:
        if self.wait and not self.timeout_s > 0:
            raise UsageError("the timeout of the wait is not more than 0", hint="write 90s, 15m or 2h")


@dataclass(slots=True)
class PlanRun:
    """The apply of one application and kind: the plan, the read that it is based on, and the progress.

    `desired`: the rows to wait for.
    """

    plan: Plan
    read: Read
    desired: Desired
    executions: list[Execution] = field(default_factory=list)
    wait: Wait | None = None
    wait_interrupted: bool = False
    rolling: Rolling | None = None

    @property
    def result(self) -> Result:
        """The result so far, including the wait. Before the start every call is `planned`."""
        done = together([one.result() for one in self.executions]) if self.executions else not_started(self.plan)
        done = replace(done, interrupted=done.interrupted or self.wait_interrupted, wait=self.wait)
        return self.rolling.judged(done) if self.rolling else done

    async def carry_out(self, api: LosantApi, gateway: Gateway, request: ApplyRequest) -> None:
        """Send the calls and confirm them; then wait, if requested and everything is confirmed.

        While a rollout may send more before the timeout, its next steps follow.
        """
        await self._step(self.plan, self.read, api, gateway, request)
        if not request.wait or request.dry_run:
            return
        rolling = Rolling(self.plan, request.options) if self.plan.rollouts else None
        began = gateway.clock.monotonic()
        while not self.result.interrupted and self.result.is_confirmed:
            await self._wait(api, gateway, request, rolling, began)
            self.rolling = rolling
            following = rolling.next_step() if rolling else None
            if following is None or (self.wait and (self.wait.timed_out or self.wait.stopped_by)):
                return
            await self._step(*following, api, gateway, request)

    async def _step(self, plan: Plan, read: Read, api: LosantApi, gateway: Gateway, request: ApplyRequest) -> None:
        execution = Execution(
            plan,
            read,
            api,
            clock=gateway.clock,
            parallelism=gateway.parallelism,
            dry_run=request.dry_run,
            observe=request.observer.applying(plan),
        )
        self.executions.append(execution)
        await execution.carry_out()

    async def _wait(
        self, api: LosantApi, gateway: Gateway, request: ApplyRequest, rolling: Rolling | None, began: float
    ) -> None:
        observe = request.observer.waiting(self.plan)

        def remember(progress: Wait) -> None:
            self.wait = progress
            observe(progress)

        try:
            await wait(
                self._without_deleted(),
                api,
                clock=gateway.clock,
                timeout_s=request.timeout_s,
                first=self.read,
                offline=request.offline,
                observe=remember,
                rollouts=rolling.look if rolling else None,
                began=began,
            )
        except asyncio.CancelledError:
            self.wait_interrupted = True
            raise

    def _without_deleted(self) -> Desired:
        """The rows to wait for, without those of devices that turned out to be deleted."""
        device_ids = {device_id for one in self.executions for device_id in one.deleted_devices}
        if not device_ids:
            return self.desired
        return Desired({one: flows for one, flows in self.desired.devices.items() if one not in device_ids})


@dataclass(slots=True)
class ApplyRun:
    """One apply of any number of applications. `results` is valid at any time, however the run ends."""

    changes: Changes
    gateway: Gateway
    request: ApplyRequest
    runs: list[PlanRun] = field(default_factory=list, init=False)

    @property
    def plans(self) -> list[Plan]:
        """The plans to be carried out; empty before planning."""
        return [run.plan for run in self.runs]

    @property
    def results(self) -> tuple[Result, ...]:
        """The results so far, one for each plan."""
        return tuple(run.result for run in self.runs)

    async def carry_out(self) -> None:
        """Run the whole apply. Errors of calls or reads after the first write are in the results, not raised.

        Raises:
            Stale: the plan is not the expected one, or changed before it was approved.
            Refused: a guard refuses the plan.
            ReconcilerError: planning failed, or the plan was not approved. Nothing was written.
            asyncio.CancelledError: the run was interrupted.
        """
        request = self.request
        await self._plan()
        request.observer.planned(self.plans)
        self._check()
        if request.approve and not request.dry_run and any(len(plan.sent) for plan in self.plans):
            shown = digest(self.plans)
            if not request.approve(self.plans):
                raise ReconcilerError("not applied: the plan was not approved")
            await self._plan()
            if digest(self.plans) != shown:
                raise Stale("the fleet changed before the plan was approved, and so did the plan", hint="apply again")
            self._check()
        async with self.gateway.open() as api_of, asyncio.TaskGroup() as group:
            for run in self.runs:
                api = api_of(run.plan.application.id, run.plan.kind)
                group.create_task(run.carry_out(api, self.gateway, request))

    async def _plan(self) -> None:
        """Read the live state and plan."""
        if isinstance(self.changes, Plans):
            left = await replan(
                self.changes, self.gateway, self.request.options, is_expected=bool(self.request.expect_digest)
            )
            self.runs = [PlanRun(*one) for one in left]
        else:
            planned = await plan(self.changes, self.gateway, self.request.options, against=self.request.against)
            self.runs = [PlanRun(one.plan, one.world.read, one.desired) for one in planned]

    def _check(self) -> None:
        """Refuse a plan other than the expected one, or one that a guard refuses."""
        expected = self.request.expect_digest
        planned = self.changes.plans if isinstance(self.changes, Plans) else self.plans
        if expected is not None and expected not in (actual := digests(planned)):
            raise Stale(
                f"the digest of this plan is {actual.changes} (with its guards {actual.review}), not {expected}",
                hint="the manifests or the fleet have changed; review the plan again and pass its digest",
            )
        if refusal := refused(self.plans):
            raise refusal
