"""Recomputes what remains of a plan after a newer read."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Container, Mapping
from dataclasses import replace
from typing import NamedTuple

from reconciler.model.changes import Change, Changes, Move, Op
from reconciler.model.plan import Plan, PlannedCall
from reconciler.model.rollout import Rollout, Withheld
from reconciler.model.state import NO_RECORD, NOTHING, Decision, DeviceId, Entry, FlowId, Read, Row
from reconciler.model.world import CallMode
from reconciler.planner.calls.cover import cover
from reconciler.planner.calls.prove import prove
from reconciler.planner.resolution.prune import PRUNE
from reconciler.planner.rollout.look import Look, look
from reconciler.planner.rollout.withhold import Step


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


def remaining(
    plan: Plan, read: Read, *, only: Container[Row] | None = None, deleted: Collection[DeviceId] = ()
) -> Remaining:
    """What remains of a plan by a newer read; each change's `from` is a precondition.

    `only`: the changes that may be sent, as of a saved plan, which opens nothing. The others are withheld, wherever
    their rows have moved since. `deleted`: devices that no longer exist; nothing remains of them, nor do rollouts count
    them.
    """
    changes = Changes.of(plan.changes)
    records = read.live.devices
    cohorts: dict[tuple[Move, ...], list[DeviceId]] = defaultdict(list)
    moved: list[tuple[Change, Entry]] = []
    done = 0
    for device_id, moves in changes.devices.items():
        if device_id in deleted:
            continue
        flows = records.get(device_id, NO_RECORD).flows
        left = []
        for move in moves:
            entry = flows.get(move.flow_id, NOTHING)
            if entry.released == move.to_version:
                done += 1
            elif entry.released == move.from_version:
                left.append(move if move.reported == entry.reported else move._replace(reported=entry.reported))
            elif only is not None and (device_id, move.flow_id) not in only:
                left.append(move._replace(from_version=entry.released, reported=entry.reported))
            else:
                moved.append((Change(device_id, *move, changes.decided[device_id][move.flow_id].place), entry))
        if left:
            cohorts[tuple(left)].append(device_id)
    rest, rollouts = Changes(cohorts, changes.decided), plan.rollouts.groups if plan.rollouts else ()
    looked = look([_without(one, deleted) for one in rollouts], rest, read, plan.flow_names)
    return Remaining(done, rest, moved, looked if only is None else replace(looked, step=_only(looked, only)))


def _without(rollout: Rollout, device_ids: Collection[DeviceId]) -> Rollout:
    """A rollout without some devices."""
    if not device_ids:
        return rollout
    return rollout._replace(
        rows={one: rows for one, rows in rollout.rows.items() if one not in device_ids},
        waves={one: wave for one, wave in rollout.waves.items() if one not in device_ids},
        sets={one: sets for one, sets in rollout.sets.items() if one not in device_ids},
    )


def _only(looked: Look, rows: Container[Row]) -> Step:
    """What is sent of some rows. The others wait for a plan that sends them, as if for their wave."""
    step, moves_of = looked.step, looked.changes.devices
    holds = {
        device_id: tuple(
            hold if hold.withheld or (device_id, move.flow_id) in rows else hold._replace(withheld=Withheld.WAVE)
            for move, hold in zip(moves_of[device_id], of_device, strict=True)
        )
        for device_id, of_device in step.holds.items()
    }
    cohorts: dict[tuple[Move, ...], list[DeviceId]] = defaultdict(list)
    for device_id, moves in step.sent.devices.items():
        if sent := tuple(move for move in moves if (device_id, move.flow_id) in rows):
            cohorts[sent].append(device_id)
    return step._replace(sent=Changes(cohorts, step.sent.decided), holds=holds)


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
    return plan._replace(changes=rest.left, calls=calls, summary=summary, rollouts=rollouts)


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
