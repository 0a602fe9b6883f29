"""What an apply is to do, application by application: planned from manifests, or left of a saved plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from reconciler.cli.access import Access
from reconciler.cli.order import Order
from reconciler.cli.planning import load_rules, prepare, refused
from reconciler.discovery.device_index import DeviceIndex
from reconciler.documents.saved import load_plans
from reconciler.errors import ExitCode, PermissionDenied, Problem, Refused, Stale, UsageError
from reconciler.executor import Execution
from reconciler.model.changes import Change, Op
from reconciler.model.health import Wait
from reconciler.model.plan import Guards, Plan, PlannedCall
from reconciler.model.read import Read
from reconciler.model.result import Result, not_started
from reconciler.model.rules import Rules
from reconciler.model.state import Decision, Desired, DeviceId, Kind, Live, Place, Version
from reconciler.planner.digest import digest
from reconciler.planner.guards import check, guards_again
from reconciler.planner.replan import again
from reconciler.ports import Reader


@dataclass(slots=True)
class Job:
    """One application's part: what is to be done, on which reading, and where it stands.

    `desired`: the rows that `--wait` waits for.
    `cut_short`: it was interrupted while it waited. `result` is taken once, when nothing more is sent.
    """

    plan: Plan
    read: Read
    desired: Desired
    execution: Execution | None = None
    standing: Wait | None = None
    cut_short: bool = False
    _result: Result | None = field(default=None, init=False, repr=False)

    @property
    def result(self) -> Result:
        """What was done; where it was never started, every call is planned."""
        if self._result is None:
            self._result = self.execution.result() if self.execution else not_started(self.plan, digest([self.plan]))
        return self._result

    @property
    def code(self) -> ExitCode:
        """How this part ended."""
        code = self.result.exit_code
        if code is ExitCode.DONE and self.standing is not None:
            return self.standing.exit_code
        return code

    @property
    def outcome(self) -> Result:
        """What was done and how the wait for it stands, valid at any moment."""
        return replace(self.result, interrupted=self.result.interrupted or self.cut_short, wait=self.standing)


class Origin(Protocol):
    """Where the changes come from."""

    @property
    def application_ids(self) -> Sequence[str]:
        """The applications that it is about."""
        ...

    @property
    def files(self) -> Sequence[str]:
        """What it was read from."""
        ...

    async def jobs(self, access: Access) -> list[Job]:
        """Read live state, and plan."""
        ...

    def digest(self, jobs: Sequence[Job]) -> str:
        """What `--expect-digest` is compared with."""
        ...

    def refusal(self, jobs: Sequence[Job]) -> Refused | None:
        """What the guards say."""
        ...


def origin_of(order: Order) -> Origin:
    """The manifests, or the saved plan, that an order is about; read from the disk now."""
    return FromPlan(order) if order.plan_file is not None else FromManifests(order)


class FromManifests:
    """Planned afresh."""

    def __init__(self, order: Order) -> None:
        self._rules: tuple[Rules, ...] = load_rules(order.paths, application=order.application, kind=order.kind)
        self._options = order.options

    @property
    def application_ids(self) -> Sequence[str]:
        """Those that the manifests are for."""
        return [rules.application.id for rules in self._rules]

    @property
    def files(self) -> Sequence[str]:
        """The manifests and their bases."""
        return [source.path for rules in self._rules for source in rules.sources]

    async def jobs(self, access: Access) -> list[Job]:
        """One for each application and kind."""
        prepared = await prepare(access, self._rules, self._options)
        return [Job(one.plan, one.world.read, one.desired) for one in prepared]

    def digest(self, jobs: Sequence[Job]) -> str:
        """That of the fresh plans."""
        return digest(job.plan for job in jobs)

    def refusal(self, jobs: Sequence[Job]) -> Refused | None:
        """What planning found."""
        return refused([job.plan for job in jobs])


class FromPlan:
    """What is left of a saved plan. Each change's `from` is a precondition."""

    def __init__(self, order: Order) -> None:
        self._path = order.plan_file or ""
        saved = load_plans(self._path)
        self._saved = tuple(plan for plan in saved if _is_picked(plan, order))
        self._options = order.options
        if not self._saved:
            raise UsageError(f"{order.plan_file} holds no plan for that application and kind")

    @property
    def application_ids(self) -> Sequence[str]:
        """Those that the plans are for."""
        return [plan.application.id for plan in self._saved]

    @property
    def files(self) -> Sequence[str]:
        """The plan file."""
        return [self._path]

    async def jobs(self, access: Access) -> list[Job]:
        """One for each plan, with calls computed anew. Stale where a row was moved elsewhere."""
        jobs: list[Job] = []
        drift: list[Problem] = []
        async with access.open() as api_of:
            for saved in self._saved:
                api = api_of(saved.application.id, saved.kind)
                read = await api.live()
                live = read.live
                rest, calls = again(saved, live, mode=self._options.calls, chunk=self._options.chunk)
                drift += [_drift(saved, change, entry.released) for change, entry in rest.moved]
                drift += [_gone(saved, one) for one in await _missing(api, saved.kind, live, rest.left)]
                left = _left(saved, rest.left, calls, guards_again(saved, live, self._options))
                jobs.append(Job(left, read, _managed(saved)))
        if drift:
            raise Stale(drift)
        return jobs

    def digest(self, jobs: Sequence[Job]) -> str:  # noqa: ARG002 - however much of it is left
        """That of the saved plans."""
        return digest(self._saved)

    def refusal(self, jobs: Sequence[Job]) -> Refused | None:
        """What judging again found."""
        return refused([job.plan for job in jobs])


def _is_picked(plan: Plan, order: Order) -> bool:
    application = order.application
    named = application is None or application.lower() == plan.application.id or application == plan.application.name
    return named and order.kind in (None, str(plan.kind))


def _left(saved: Plan, changes: tuple[Change, ...], calls: tuple[PlannedCall, ...], guards: Guards) -> Plan:
    """The saved plan with what is still to be done, judged anew; what is done already counts as kept."""
    ops = Counter(change.op for change in changes)
    summary = saved.summary._replace(
        add=ops[Op.ADD],
        update=ops[Op.UPDATE],
        remove=ops[Op.REMOVE],
        keep=saved.summary.keep + len(saved.changes) - len(changes),
        calls=len(calls),
    )
    left = replace(saved, changes=changes, calls=calls, summary=summary, guards=guards)
    return replace(left, refusals=check(left))


def _drift(plan: Plan, change: Change, released: Version | None) -> Problem:
    device = plan.device_names.get(change.device_id) or change.device_id
    flow = plan.flow_names.get(change.flow_id) or change.flow_id
    now, before, after = (version or "nothing" for version in (released, change.from_version, change.to_version))
    message = f"{device} / {flow} is at {now}; the plan moves it from {before} to {after}"
    return Problem(message, hint="somebody moved it since; make a new plan")


async def _missing(reader: Reader, kind: Kind, live: Live, changes: Sequence[Change]) -> list[DeviceId]:
    """The devices of the changes that are there no more, as far as the token may look: a release would fail for all."""
    device_ids = {change.device_id for change in changes}
    index = DeviceIndex(reader, kind)
    index.at_least = len(live.devices)
    try:
        return sorted(device_ids - set(await index.existing(device_ids)))
    except PermissionDenied:
        return []


def _gone(plan: Plan, device_id: DeviceId) -> Problem:
    name = plan.device_names.get(device_id)
    told = f"{name} ({device_id})" if name else device_id
    message = f"device {told} does not exist any more in application {plan.application.id}; the plan changes it"
    return Problem(message, hint="somebody deleted it since; make a new plan")


def _managed(plan: Plan) -> Desired:
    """The rows that a saved plan knows to be managed and not converged: its changes, and those that were pending."""
    devices: dict[str, dict[str, Decision]] = {}
    for change in plan.changes:
        decision = Decision(change.to_version, change.source, "plan")
        devices.setdefault(change.device_id, {})[change.flow_id] = decision
    for row in plan.pending:
        decision = Decision(row.released, Place("plan", 1), "plan")
        devices.setdefault(row.device_id, {})[row.flow_id] = decision
    return Desired(devices)
