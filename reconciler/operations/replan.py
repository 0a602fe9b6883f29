"""Recomputes what remains of saved plans: each change's `from` is a precondition, and calls are recomputed."""

from __future__ import annotations

from collections.abc import Container, Sequence
from functools import partial
from typing import NamedTuple

from reconciler.api.client import LosantApi
from reconciler.discovery.device_index import DeviceIndex
from reconciler.documents.saved_plan import load_plans as read_plans
from reconciler.errors import PermissionDenied, Problem, Stale, UsageError
from reconciler.model.changes import Change
from reconciler.model.plan import Plan
from reconciler.model.state import Decision, Desired, DeviceId, Place, Read, Row, Version
from reconciler.model.world import Options
from reconciler.operations.gateway import Gateway
from reconciler.operations.guarding import guarding, lifting
from reconciler.operations.lock.judging import judged
from reconciler.operations.plan import Plans
from reconciler.planner.guards import check, guards_again
from reconciler.planner.replan import calls_for, remaining, step_of, with_deciders
from reconciler.ports import Reader
from reconciler.runtime import gather_in_order


def load_plans(path: str, *, application: str | None = None, kind: str | None = None) -> Plans:
    """The plans of a saved file, optionally only those for an application (id or name) and kind.

    Raises:
        UsageError: there are none.
        ManifestError: the file is not a saved plan.
    """
    picked = tuple(
        plan
        for plan in read_plans(path)
        if application is None or application.lower() == plan.application.id or application == plan.application.name
        if kind in (None, str(plan.kind))
    )
    if not picked:
        raise UsageError(f"{path} contains no plan for that application and kind")
    return Plans(picked)


class Left(NamedTuple):
    """What remains of a saved plan, and the read that it is based on.

    `desired`: the rows to wait for. `only`: the rows that the saved plan sends; None: all of them.
    """

    plan: Plan
    read: Read
    desired: Desired
    only: frozenset[Row] | None


async def replan(plans: Plans, gateway: Gateway, options: Options, *, is_expected: bool = False) -> list[Left]:
    """What remains of each plan. Only what a saved plan sends is sent: it opens no wave.

    Options that lift a guard are in no digest. So those that a plan was saved with are told; and where its digest is
    expected, they count only if they are given again.

    Raises:
        Stale: a row was moved by others, or a device was deleted.
        ManifestError: the manifests that the plan names are there, but not valid.
        ApiError, IncompleteRead: reading failed.
    """
    async with gateway.open() as api_of:

        async def left_of(saved: Plan) -> tuple[Left, list[Problem]]:
            return await _left(saved, api_of(saved.application.id, saved.kind), options, is_expected=is_expected)

        found = await gather_in_order([partial(left_of, saved) for saved in plans])
    if drift := [problem for _, of_plan in found for problem in of_plan]:
        raise Stale(drift)
    return [left for left, _ in found]


async def _left(saved: Plan, api: LosantApi, options: Options, *, is_expected: bool) -> tuple[Left, list[Problem]]:
    """What remains of a plan, and what of it was moved or deleted by others."""
    read = await api.live(evidence=saved.rollouts is not None)
    only = frozenset(change.row for change in saved.sent) if saved.rollouts else None
    rest = remaining(saved._replace(changes=with_deciders(saved)), read, only=only)
    calls = calls_for(rest, mode=options.calls, chunk=options.chunk)
    drift = [_drift(saved, change, entry.released) for change, entry in rest.moved]
    drift += [_gone(saved, device_id) for device_id in await _missing(api, saved, read, rest.left, only)]
    left = step_of(saved, rest, calls)
    lifted = lifting(saved.guards)
    guards, notes = await guarding(saved, api, read)
    if lifted and is_expected:
        guards = guards._replace(allow_removals=0, allow_empty=False)
        notes = (*notes, f"{lifted}, with which the plan was saved, is in no digest: give it again to use it")
    elif lifted:
        notes = (*notes, f"guards are lifted by what the plan was saved with: {lifted}")
    guards = guards_again(saved._replace(guards=guards), read.live, options)
    plan = left._replace(guards=guards, notes=notes)
    plan = await judged(plan._replace(refused=check(plan)), api)
    return Left(plan, read, _managed(saved), only), drift


def _drift(plan: Plan, change: Change, released: Version | None) -> Problem:
    device = plan.device_names.get(change.device_id) or change.device_id
    flow = plan.flow_names.get(change.flow_id) or change.flow_id
    now, before, after = (version or "nothing" for version in (released, change.from_version, change.to_version))
    message = f"{device} / {flow} is at {now}; the plan moves it from {before} to {after}"
    return Problem(message, hint="it was changed since; make a new plan")


def _gone(plan: Plan, device_id: DeviceId) -> Problem:
    name = plan.device_names.get(device_id)
    device = f"{name} ({device_id})" if name else device_id
    message = f"device {device} no longer exists in application {plan.application.id}; the plan changes it"
    return Problem(message, hint="it was deleted since; make a new plan")


async def _missing(
    reader: Reader, plan: Plan, read: Read, changes: Sequence[Change], only: Container[Row] | None
) -> list[DeviceId]:
    """Devices of changes that no longer exist, if the token may check: a single one would fail a whole release.

    `only`: the rows that may be sent.
    """
    device_ids = {change.device_id for change in changes if only is None or change.row in only}
    index = DeviceIndex(reader, plan.kind)
    index.at_least = len(read.live.devices)
    try:
        return sorted(device_ids - set(await index.existing(device_ids)))
    except PermissionDenied:
        return []


def _managed(plan: Plan) -> Desired:
    """The rows that a saved plan knows as managed and not converged: its changes and its pending rows."""
    rows = [(change.device_id, change.flow_id, change.to_version, change.source) for change in plan.changes]
    rows += [(row.device_id, row.flow_id, row.released, Place("plan", 1)) for row in plan.pending]
    devices: dict[DeviceId, dict[str, Decision]] = {}
    for device_id, flow_id, version, source in rows:
        devices.setdefault(device_id, {})[flow_id] = Decision(version, source, "plan")
    return Desired(devices)
