"""Recomputes what remains of a plan after a newer read."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from reconciler.model.changes import Change, Changes, Move, Op
from reconciler.model.plan import Plan, PlannedCall
from reconciler.model.rollout import Hold
from reconciler.model.state import NO_RECORD, NOTHING, Decision, DeviceId, Entry, FlowId, Read, Row
from reconciler.model.world import CallMode
from reconciler.planner.calls.cover import cover
from reconciler.planner.calls.prove import prove
from reconciler.planner.resolution.prune import PRUNE
from reconciler.planner.rollout.look import Look, look


class Remaining(NamedTuple):
    """The changes of a plan, classified by a newer read.

    `done`: the number of those that are already released as planned. `left`: still at their `from`, with what is
    reported now. `moved`: neither, so somebody else moved them; with the row's current entry. `looked`: where the
    plan's rollouts stand, and which of the changes left they send.
    """

    done: int
    left: Changes
    moved: list[tuple[Change, Entry]]
    looked: Look


def remaining(plan: Plan, read: Read, *, sent_only: bool = False) -> Remaining:
    """What remains of a plan by a newer read; each change's `from` is a precondition.

    `sent_only`: of the changes that the plan sends, as for a saved plan, which opens nothing.
    """
    changes = Changes.of(plan.changes)
    holds: Mapping[DeviceId, tuple[Hold, ...]] = plan.rollouts.holds if plan.rollouts and sent_only else {}
    records = read.live.devices
    cohorts: dict[tuple[Move, ...], list[DeviceId]] = defaultdict(list)
    moved: list[tuple[Change, Entry]] = []
    done = 0
    for device_id, moves in changes.devices.items():
        flows, of_device = records.get(device_id, NO_RECORD).flows, holds.get(device_id)
        left = []
        for index, move in enumerate(moves):
            entry = flows.get(move.flow_id, NOTHING)
            if of_device is not None and of_device[index].withheld is not None:
                continue
            if entry.released == move.to_version:
                done += 1
            elif entry.released == move.from_version:
                left.append(move if move.reported == entry.reported else move._replace(reported=entry.reported))
            else:
                moved.append((Change(device_id, *move, changes.decided[device_id][move.flow_id].place), entry))
        if left:
            cohorts[tuple(left)].append(device_id)
    rest, rollouts = Changes(cohorts, changes.decided), plan.rollouts.groups if plan.rollouts else ()
    return Remaining(done, rest, moved, look(rollouts, rest, read, plan.flow_names))


def calls_for(rest: Remaining, *, mode: CallMode, chunk: int) -> tuple[PlannedCall, ...]:
    """Proved calls for what is sent now of what remains, computed from the newer read alone.

    Raises:
        PlanUnsound: the calls failed their proof.
    """
    live = rest.looked.read.live
    calls = cover(rest.looked.step.sent, live, mode=mode, chunk=chunk)
    prove(rest.looked.step.sent, calls, live)
    return calls


def step_of(plan: Plan, rest: Remaining, calls: tuple[PlannedCall, ...]) -> Plan:
    """The plan of what remains, where the rest is kept, including what is already done."""
    ops = Counter(change.op for change in rest.left)
    summary = plan.summary._replace(
        add=ops[Op.ADD],
        update=ops[Op.UPDATE],
        remove=ops[Op.REMOVE],
        keep=plan.summary.keep + len(plan.changes) - len(rest.left),
        calls=len(calls),
        withheld=len(rest.left) - len(rest.looked.step.sent) if plan.rollouts else None,
    )
    rollouts = rest.looked.rollouts(plan.device_names)
    return replace(plan, changes=rest.left, calls=calls, summary=summary, rollouts=rollouts)


def with_deciders(plan: Plan) -> Changes:
    """The changes of a saved plan, each with the group or the `prune` that decides it, as far as rollouts need that."""
    changes = Changes.of(plan.changes)
    if plan.rollouts is None:
        return changes
    groups: dict[Row, str] = {
        (device_id, flow_id): f"group {rollout.group}"
        for rollout in plan.rollouts.groups
        for device_id, rows in rollout.rows.items()
        for flow_id in rows
    }
    decided: dict[DeviceId, Mapping[FlowId, Decision]] = dict(changes.decided)
    for device_id, holds in plan.rollouts.holds.items():
        flows = dict(decided[device_id])
        for move, hold in zip(changes.devices[device_id], holds, strict=True):
            if hold.wave is not None:
                rule = groups.get((device_id, move.flow_id), PRUNE)
                flows[move.flow_id] = flows[move.flow_id]._replace(rule=rule)
        decided[device_id] = flows
    return Changes(changes.cohorts, decided)
