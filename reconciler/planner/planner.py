"""Makes a plan from what was read: compare, narrow, withhold, cover, prove, guard."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from reconciler.model.changes import Difference, LeavingRow, Op, PendingRow, UnmanagedRow
from reconciler.model.plan import Plan, Summary
from reconciler.model.rules import Limits, Source
from reconciler.model.world import Options, World
from reconciler.planner import guards
from reconciler.planner.calls.cover import cover
from reconciler.planner.calls.prove import prove
from reconciler.planner.deception import deceptive
from reconciler.planner.diff import compare, difference_of
from reconciler.planner.resolution.filters import Scope, scopes_of

if TYPE_CHECKING:
    from reconciler.planner.rollout.look import Look


def make_plan(
    world: World,
    *,
    limits: Limits,
    manifests: tuple[Source, ...],
    options: Options,
    scope: Scope | None = None,
) -> Plan:
    """Plan one application and kind. A plan that a guard refuses is still returned: see `refused`.

    `scope` is what the filters select; for a run with several applications, get it from `filters.scopes_of`.

    Raises:
        UsageError: without a scope, a target or exclude that matches nothing.
        PlanUnsound: the plan failed its own proof, which is a bug in reconciler.
    """
    (scope,) = (scope,) if scope else scopes_of([world], options)
    whole = difference = difference_of(world)
    if scope.is_partial:  # unmanaged is decided without filters, then listed within the scope
        unmanaged = tuple(row for row in whole.unmanaged if scope.holds(row.device_id, row.flow_id))
        difference = compare(scope.desired, world.live)._replace(unmanaged=unmanaged)
    looked = _look(world, difference) if world.rollouts else None
    sent = looked.step.sent if looked else difference.changes
    calls = cover(sent, world.live, mode=options.calls, chunk=options.chunk)
    prove(sent, calls, world.live)
    ops: Counter[Op] = Counter()
    for move, moved in difference.changes.by_move.items():
        ops[move.op] += len(moved)
    others: list[PendingRow | UnmanagedRow | LeavingRow] = [*difference.pending, *difference.unmanaged]
    others += world.leaving_rows
    changing = difference.changes.devices  # in the order of ids
    device_ids = sorted({*changing, *(row.device_id for row in others)}) if others else [*changing]
    flow_ids = {move.flow_id for move in difference.changes.by_move} | {row.flow_id for row in others}
    device_names = world.names_of(device_ids)
    flow_names = {one: name for one in sorted(flow_ids) if (name := world.flow_name(one))}
    judged = [one for one, flows in world.empty_groups.items() if scope.holds_group(one.group, flows)]
    left_out = {one.warning for one in world.empty_groups if one not in judged}
    warnings = {*world.warnings, *scope.warnings, *left_out, *deceptive(difference, device_names, flow_names)}
    warnings.update(looked.warnings if looked else ())
    plan = Plan(
        application=world.application,
        kind=world.kind,
        manifests=tuple(sorted(set(manifests))),
        partial=scope.is_partial,
        summary=Summary(
            add=ops[Op.ADD],
            update=ops[Op.UPDATE],
            remove=ops[Op.REMOVE],
            keep=difference.kept,
            pending=len(difference.pending),
            unmanaged=len(difference.unmanaged),
            devices=difference.devices,
            calls=len(calls),
            leaving=world.leaving and world.leaving.rows,
            withheld=len(difference.changes) - len(sent) if world.rollouts else None,
        ),
        changes=difference.changes,
        calls=calls,
        pending=difference.pending,
        unmanaged=difference.unmanaged,
        warnings=tuple(sorted(warnings, key=lambda warning: warning.sort_key)),
        guards=guards.guards_of(world, judged, released=whole.released, limits=limits, options=options),
        refused=(),
        device_names=device_names,
        deleted_devices=world.deleted({row.device_id for row in difference.unmanaged}) if world.deleted_devices else (),
        flow_names=flow_names,
        rollouts=looked.rollouts(world.device_names) if looked else None,
        leaving=None if world.leaving is None else world.leaving_rows,
    )
    return plan._replace(refused=guards.check(plan))


def _look(world: World, difference: Difference) -> Look:
    from reconciler.planner.rollout.look import look  # noqa: PLC0415 - a dozen modules, for plans with rollouts only

    return look(world.rollouts, difference.changes, world.read, world.flow_names)
