"""The way from a read world to a plan: compare, narrow, cover, prove, guard."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from reconciler.model.changes import Change, Op, PendingRow, UnmanagedRow
from reconciler.model.plan import Plan, PlannedCall, Summary
from reconciler.model.rules import Limits, Source
from reconciler.model.state import DeviceId, FlowId
from reconciler.model.world import Options, World
from reconciler.planner import guards
from reconciler.planner.calls.cover import cover
from reconciler.planner.calls.prove import prove
from reconciler.planner.diff import Difference, compare
from reconciler.planner.resolution.filters import Scope, scopes_of


def make_plan(
    world: World,
    *,
    limits: Limits,
    sources: tuple[Source, ...],
    options: Options,
    scope: Scope | None = None,
) -> Plan:
    """Plan one application and kind. A plan that a guard refuses is a plan too: see its `refusals`.

    Args:
        world: what was read and resolved.
        limits: the manifest's.
        sources: the files that were read.
        options: the command line's.
        scope: what the filters leave; where a run has several applications, `filters.scopes_of` finds it for all.

    Raises:
        UsageError: without a scope, a target or exclude that matches nothing.
        PlanUnsound: the plan failed its own proof, which is our bug.
    """
    whole = compare(world.desired, world.live)
    (scope,) = (scope,) if scope else scopes_of([world], options)
    difference = _narrow(whole, scope, world) if scope.is_partial else whole
    calls = cover(difference.changes, world.live, mode=options.calls, chunk=options.chunk)
    prove(difference.changes, calls, world.live)
    device_names, flow_names = _names(difference, world)
    plan = Plan(
        application=world.application,
        kind=world.kind,
        sources=tuple(sorted(set(sources))),
        partial=scope.is_partial,
        summary=_summary(difference, calls),
        changes=difference.changes,
        calls=calls,
        pending=difference.pending,
        unmanaged=difference.unmanaged,
        warnings=tuple(sorted(set(world.warnings), key=lambda warning: warning.sort_key)),
        guards=guards.guards_of(world, released=whole.released, limits=limits, options=options),
        refusals=(),
        device_names=device_names,
        flow_names=flow_names,
    )
    return replace(plan, refusals=guards.check(plan))


def _narrow(whole: Difference, scope: Scope, world: World) -> Difference:
    """The difference over the rows in scope. What is unmanaged is so on the whole, and listed where it is in scope."""
    narrowed = compare(scope.desired, world.live)
    return replace(narrowed, unmanaged=tuple(row for row in whole.unmanaged if scope.holds(row.device_id, row.flow_id)))


def _summary(difference: Difference, calls: tuple[PlannedCall, ...]) -> Summary:
    ops = Counter(change.op for change in difference.changes)
    return Summary(
        add=ops[Op.ADD],
        update=ops[Op.UPDATE],
        remove=ops[Op.REMOVE],
        keep=difference.kept,
        pending=len(difference.pending),
        unmanaged=len(difference.unmanaged),
        devices=difference.devices,
        calls=len(calls),
    )


def _names(difference: Difference, world: World) -> tuple[dict[DeviceId, str], dict[FlowId, str]]:
    """Names of the devices and flows that the plan lists, sorted by id; those that have none are left out."""
    rows: tuple[tuple[Change | PendingRow | UnmanagedRow, ...], ...] = (
        difference.changes,
        difference.pending,
        difference.unmanaged,
    )
    device_names = {}
    for device_id in sorted({row.device_id for listed in rows for row in listed}):
        record = world.live.devices.get(device_id)
        name = world.device_names.get(device_id) or (record.name if record else None)
        if name:
            device_names[device_id] = name
    known = {**world.live.flow_names, **world.flow_names}
    flow_ids = sorted({row.flow_id for listed in rows for row in listed})
    return device_names, {flow_id: known[flow_id] for flow_id in flow_ids if known.get(flow_id)}
