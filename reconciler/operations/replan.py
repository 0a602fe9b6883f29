"""What is left of saved plans: each change's `from` is a precondition, and the calls are computed anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from reconciler.discovery.device_index import DeviceIndex
from reconciler.errors import PermissionDenied, Problem, Stale, UsageError
from reconciler.model.changes import Change, Op
from reconciler.model.plan import Guards, Plan, PlannedCall
from reconciler.model.state import Decision, Desired, DeviceId, Kind, Live, Place, Version
from reconciler.model.world import Options
from reconciler.operations.apply import PlanRun
from reconciler.operations.gateway import Gateway
from reconciler.planner.digest import digest
from reconciler.planner.guards import check, guards_again
from reconciler.planner.replan import again
from reconciler.ports import Reader


@dataclass(frozen=True, slots=True)
class FromSavedPlans:
    """What is left of saved plans."""

    saved: Sequence[Plan]

    async def plan(self, gateway: Gateway, options: Options) -> list[PlanRun]:
        """One for each plan. Stale where a row was moved elsewhere."""
        runs: list[PlanRun] = []
        drift: list[Problem] = []
        async with gateway.open() as api_of:
            for saved in self.saved:
                api = api_of(saved.application.id, saved.kind)
                read = await api.live()
                live = read.live
                rest, calls = again(saved, live, mode=options.calls, chunk=options.chunk)
                drift += [_drift(saved, change, entry.released) for change, entry in rest.moved]
                drift += [_gone(saved, one) for one in await _missing(api, saved.kind, live, rest.left)]
                left = _left(saved, tuple(rest.left), calls, guards_again(saved, live, options))
                runs.append(PlanRun(left, read, _managed(saved)))
        if drift:
            raise Stale(drift)
        return runs

    def digest(self, plans: Sequence[Plan]) -> str:  # noqa: ARG002 - however much of it is left
        """That of the saved plans."""
        return digest(self.saved)


def pick_plans(plans: Sequence[Plan], path: str, *, application: str | None, kind: str | None) -> tuple[Plan, ...]:
    """The plans of a file for an application, by id or name, and a kind.

    Raises:
        UsageError: there is none.
    """
    picked = tuple(plan for plan in plans if _is_for(plan, application) and kind in (None, str(plan.kind)))
    if not picked:
        raise UsageError(f"{path} holds no plan for that application and kind")
    return picked


def _is_for(plan: Plan, application: str | None) -> bool:
    return application is None or application.lower() == plan.application.id or application == plan.application.name


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
