"""What a lock says against a plan: a version is known by its name, which can be published again with other content.

A change onto a version that is not what was locked is refused. Where such a version is only pending, the plan does not
move it, and a change of something else must not be blocked, so that is a warning. So is a version that is not locked,
unless the lock is frozen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeAlias

from reconciler.errors import Problem
from reconciler.model.changes import Changes
from reconciler.model.plan import Guard, Plan, Refusal, Warning
from reconciler.model.state import FlowId, Place, Row, Version
from reconciler.model.versions import Content, Lock, Locked

VersionKey: TypeAlias = tuple[FlowId, Version]
_SHOWN = 12  # digits of a hash
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # needs no quotes in a shell


def targets(plan: Plan) -> frozenset[VersionKey]:
    """The versions that changes move onto."""
    cohorts = Changes.of(plan.changes).cohorts
    return frozenset((move.flow_id, move.to_version) for moves in cohorts for move in moves if move.to_version)


def pending(plan: Plan) -> frozenset[VersionKey]:
    """The versions that are only pending."""
    return frozenset((row.flow_id, row.released) for row in plan.pending if row.released) - targets(plan)


def refusals(plan: Plan) -> Iterator[Refusal]:
    """Changes onto versions that are not what was locked; with a frozen lock also versions that are not locked."""
    lock = plan.guards.lock
    if lock is None:
        return
    moved = targets(plan)
    for locked, now in lock.differing():
        if locked.key in moved:
            rows, remedy = _rows(plan, locked.key), _remedy(plan, lock, locked)
            yield Refusal(Guard.CONTENT, _differs(plan, locked, now), remedy, rows, locked.place)
    for key in sorted((moved | pending(plan)) - lock.names) if lock.frozen else ():
        message = f"{_named(plan, key)} is not locked, and --frozen refuses that"
        yield Refusal(Guard.CONTENT, message, _add(lock), _rows(plan, key), _beginning(lock))


def warnings(plan: Plan) -> Iterator[Warning]:
    """Versions that are pending and not what was locked, and versions that are not locked."""
    lock = plan.guards.lock
    if lock is None:
        return
    moved, waiting = targets(plan), pending(plan)
    for locked, now in lock.differing():
        if locked.key in waiting:
            message = f"{_differs(plan, locked, now)}; it is pending, so devices may still take it up"
            yield Warning(message, locked.place, _remedy(plan, lock, locked))
    for key in sorted((moved | waiting) - lock.names) if not lock.frozen else ():
        yield Warning(f"{_named(plan, key)} is not locked", _beginning(lock), _add(lock))


def missing(plan: Plan) -> Iterator[Locked]:
    """The locked versions in question that were not found. That is only known if they could be read."""
    lock = plan.guards.lock
    if lock is not None:
        found = {one.key for one in lock.found}
        asked = (targets(plan) | pending(plan)) - found
        yield from (one for one in lock.versions if one.key in asked)


def gone(plan: Plan, locked: Locked) -> Problem:
    """The problem of a locked version that does not exist any more."""
    hint = "create it in Losant again, or declare a version that exists"
    return locked.place.problem(f"{_named(plan, locked.key)} was locked, and does not exist any more", hint)


def notes(plan: Plan) -> Iterator[str]:
    """Versions that were created anew and are what was locked: only the content decides."""
    lock = plan.guards.lock
    found = {one.key: one for one in lock.found} if lock else {}
    for locked in lock.versions if lock else ():
        was, now = locked.content, found.get(locked.key)
        if now and now.sha256 == was.sha256 and (now.id, now.created) != (was.id, was.created):
            yield anew(_named(plan, was.key), now)


def differs(named: str, was: Content, now: Content) -> str:
    """Says that a version has other content."""
    return (
        f"{named} is not what was locked: {was.sha256[:_SHOWN]}, created at {was.created}, "
        f"was locked; it is {now.sha256[:_SHOWN]}, created at {now.created}"
    )


def anew(named: str, now: Content) -> str:
    """Says that a version was created anew and has the content that was locked."""
    return f"{named} was created anew at {now.created}, with the content that was locked"


def way_out(flow_id: FlowId, name: str | None) -> str:
    """What to do about a version that has other content."""
    flow = name if name and _WORD.fullmatch(name) else flow_id
    command = f"reconciler lock --update {flow}"
    return f"look at it in Losant; if it is meant, run {command} and commit the lock, else release another version"


def _rows(plan: Plan, key: VersionKey) -> tuple[Row, ...]:
    """The changes that move onto a version, or the rows that are pending at it."""
    flow_id, _ = key
    moves = Changes.of(plan.changes).by_move.items()
    moved = [one for move, ids in moves if (move.flow_id, move.to_version) == key for one in ids]
    waiting = [row.device_id for row in plan.pending if (row.flow_id, row.released) == key]
    return tuple(sorted((device_id, flow_id) for device_id in moved or waiting))


def _differs(plan: Plan, locked: Locked, now: Content) -> str:
    return differs(_named(plan, locked.key), locked.content, now)


def _remedy(plan: Plan, lock: Lock, locked: Locked) -> str:
    found = {(one.key, one.sha256) for one in lock.found}
    if any(one.key == locked.key and (one.key, one.content.sha256) in found for one in lock.versions):
        return "the lock was updated since, or two locks differ: make a new plan, from locks that say the same"
    return way_out(locked.content.flow_id, plan.flow_names.get(locked.content.flow_id))


def _add(lock: Lock) -> str:
    return f"run reconciler lock and commit {', '.join(lock.paths) or 'what it writes'}"


def _beginning(lock: Lock) -> Place | None:
    return Place(lock.paths[0], 1) if lock.paths else None


def _named(plan: Plan, key: VersionKey) -> str:
    flow_id, version = key
    return f'version {version} of flow "{plan.flow_names.get(flow_id) or flow_id}"'
