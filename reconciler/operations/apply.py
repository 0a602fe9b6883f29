"""Applying: plan, check, ask for approval, carry out, wait. What was done can be read at any moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias

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
from reconciler.operations.plan import NO_OPTIONS, plan, refused
from reconciler.planner.digest import digest

Approve: TypeAlias = Callable[[Sequence[Plan]], bool]
"""Shown the plans that are about to be carried out; whether to go on."""


class ApplyObserver:
    """Told of progress as it happens; this one tells nobody. What it raises before the first write ends the run."""

    def planned(self, plans: Sequence[Plan]) -> None:
        """The plans, before they are checked and approved."""

    def applying(self, plan: Plan) -> Observer:  # noqa: ARG002
        """A plan is about to be carried out; who is told of its calls."""
        return Quiet()

    def waiting(self, plan: Plan) -> Callable[[Wait], None]:  # noqa: ARG002
        """Its devices are about to be waited for; who is told of each read."""
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
        observer: told of progress.
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
    cut_short: bool = False
    _sent: Result | None = field(default=None, init=False, repr=False)

    @property
    def result(self) -> Result:
        """What was done so far, and how the wait stands. Before the start every call is planned."""
        if self._sent:
            done = self._sent
        elif self.execution:
            done = self.execution.result()
        else:
            done = not_started(self.plan, digest([self.plan]))
        return replace(done, interrupted=done.interrupted or self.cut_short, wait=self.wait)

    async def carry_out(self, api: LosantApi, gateway: Gateway, request: ApplyRequest) -> None:
        """Send the calls and see them confirmed; then wait, if that is wished and everything is confirmed."""
        self.execution = Execution(
            self.plan,
            self.read,
            api,
            clock=gateway.clock,
            parallelism=gateway.parallelism,
            dry_run=request.dry_run,
            observe=request.observer.applying(self.plan),
        )
        try:
            await self.execution.carry_out()
        finally:
            self._sent = self.execution.result()  # once, since nothing more is sent
        if request.wait and not request.dry_run and self._sent.exit_code is ExitCode.DONE:
            await self._wait(api, gateway, request)

    async def _wait(self, api: LosantApi, gateway: Gateway, request: ApplyRequest) -> None:
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
            self.cut_short = True
            raise


class PlanSource(Protocol):
    """Where the changes come from."""

    async def plan(self, gateway: Gateway, options: Options) -> Sequence[PlanRun]:
        """Read live state, and plan."""
        ...

    def digest(self, plans: Sequence[Plan]) -> str:
        """What an expected digest is compared with."""
        ...


@dataclass(frozen=True, slots=True)
class FromRules:
    """Planned afresh."""

    rules: Sequence[Rules]

    async def plan(self, gateway: Gateway, options: Options) -> list[PlanRun]:
        """One for each application and kind."""
        planned = await plan(self.rules, gateway, options)
        return [PlanRun(one.plan, one.world.read, one.desired) for one in planned]

    def digest(self, plans: Sequence[Plan]) -> str:
        """That of the fresh plans."""
        return digest(plans)


class ApplyRun:
    """One apply of any number of applications. `results` tells what was done at any moment, however the run ended."""

    def __init__(self, source: PlanSource, gateway: Gateway, request: ApplyRequest) -> None:
        """Prepare to apply `FromRules` or `FromSavedPlans`; nothing is read or sent."""
        self._source = source
        self._gateway = gateway
        self._request = request
        self._runs: Sequence[PlanRun] = ()

    @property
    def plans(self) -> list[Plan]:
        """What is to be carried out, none before it was planned."""
        return [run.plan for run in self._runs]

    @property
    def results(self) -> tuple[Result, ...]:
        """What was done so far, one for each plan."""
        return tuple(run.result for run in self._runs)

    async def carry_out(self) -> None:
        """All of it. What goes wrong with a call or a read after the first write is in the results, not raised.

        Raises:
            Stale: not the expected plan, or another one when it was approved.
            Refused: a guard refuses.
            ReconcilerError: planning failed, or the plan was not approved. Nothing was written.
            asyncio.CancelledError: the run was interrupted.
        """
        request = self._request
        self._runs = await self._source.plan(self._gateway, request.options)
        request.observer.planned(self.plans)
        self._check()
        if request.approve and not request.dry_run and any(plan.changes for plan in self.plans):
            await self._ask(request.approve)
        async with self._gateway.open() as api_of, asyncio.TaskGroup() as group:
            for run in self._runs:
                api = api_of(run.plan.application.id, run.plan.kind)
                group.create_task(run.carry_out(api, self._gateway, request))

    def _check(self) -> None:
        """Refuse what is not what was expected, then what a guard refuses."""
        expected, actual = self._request.expect_digest, self._source.digest(self.plans)
        if expected is not None and expected != actual:
            raise Stale(
                f"the digest of this plan is {actual}, not {expected}",
                hint="the manifests or the fleet changed since; review the plan again and pass its digest",
            )
        if refusal := refused(self.plans):
            raise refusal

    async def _ask(self, approve: Approve) -> None:
        """Go on only with approval, and only if the world is as it was when the question was put."""
        shown = digest(self.plans)
        if not approve(self.plans):
            raise ReconcilerError("not applied: the plan was not approved")
        self._runs = await self._source.plan(self._gateway, self._request.options)
        if digest(self.plans) != shown:
            raise Stale("the world moved while the question stood: the plan is another now", hint="run apply again")
        self._check()
