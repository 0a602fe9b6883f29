"""What a lock says against a plan: a version is known by its name, which can be published again with other content.

A change onto a version that is not what was locked is refused. Where such a version is only pending, the plan does not
move it, and a change of something else must not be blocked, so that is a warning. So is a version that is not locked,
unless the lock is frozen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from reconciler.model.changes import Changes
from reconciler.model.plan import Guard, Plan, Refusal, Warning
from reconciler.model.state import FlowId, Place, Row, Version
from reconciler.model.versions import Content, Lock, Locked

VersionKey: TypeAlias = tuple[FlowId, Version]
_SHOWN = 12  # digits of a hash
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # needs no quotes in a shell


def targets(plan: Plan) -> Mapping[VersionKey, tuple[Row, ...]]:
    """The versions that changes move onto, and the rows of these changes."""
    found: dict[VersionKey, list[Row]] = {}
    for move, device_ids in Changes.of(plan.changes).by_move.items():
        if move.to_version is not None:
            rows = found.setdefault((move.flow_id, move.to_version), [])
            rows += [(device_id, move.flow_id) for device_id in device_ids]
    return {key: tuple(sorted(rows)) for key, rows in sorted(found.items())}


def pending(plan: Plan) -> Mapping[VersionKey, tuple[Row, ...]]:
    """The versions that are only pending, and their rows."""
    moved = {(move.flow_id, move.to_version) for move in Changes.of(plan.changes).by_move}
    found: dict[VersionKey, list[Row]] = {}
    for row in plan.pending:
        if row.released is not None and (row.flow_id, row.released) not in moved:
            found.setdefault((row.flow_id, row.released), []).append((row.device_id, row.flow_id))
    return {key: tuple(rows) for key, rows in sorted(found.items())}


def refusals(plan: Plan) -> Iterator[Refusal]:
    """Changes onto versions that are not what was locked; with a frozen lock also versions that are not locked."""
    lock = plan.guards.lock
    if lock is None:
        return
    moved = targets(plan)
    for locked, now in lock.differing():
        if rows := moved.get(locked.key):
            yield Refusal(Guard.CONTENT, _differs(plan, locked, now), _remedy(plan, lock, locked), rows, locked.place)
    if not lock.frozen:
        return
    for key, rows in {**moved, **pending(plan)}.items():
        if key not in lock.names:
            message = f"{_named(plan, key)} is not locked, and --frozen refuses that"
            yield Refusal(Guard.CONTENT, message, _add(lock), rows, _beginning(lock))


def warnings(plan: Plan) -> Iterator[Warning]:
    """Versions that are pending and not what was locked, and versions that are not locked."""
    lock = plan.guards.lock
    if lock is None:
        return
    moved, waiting = targets(plan), pending(plan)
    for locked, now in lock.differing():
        if locked.key in waiting and locked.key not in moved:
            message = f"{_differs(plan, locked, now)}; it is pending, so devices may still take it up"
            yield Warning(message, locked.place, _remedy(plan, lock, locked))
    for key in () if lock.frozen else sorted({*moved, *waiting} - lock.names):
        yield Warning(f"{_named(plan, key)} is not locked", _beginning(lock), _add(lock))


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
    command = f"`reconciler lock --update {flow}`"
    return f"look at it in Losant; if it is meant, run {command} and commit, else release another version"


def _differs(plan: Plan, locked: Locked, now: Content) -> str:
    return differs(_named(plan, locked.key), locked.content, now)


def _remedy(plan: Plan, lock: Lock, locked: Locked) -> str:
    found = {(one.key, one.sha256) for one in lock.found}
    if any(one.key == locked.key and (one.key, one.content.sha256) in found for one in lock.versions):
        return "the lock was updated since, or two locks differ: make a new plan, from locks that say the same"
    return way_out(locked.content.flow_id, plan.flow_names.get(locked.content.flow_id))


def _add(lock: Lock) -> str:
    return f"run `reconciler lock` and commit {', '.join(lock.paths) or 'what it writes'}"


def _beginning(lock: Lock) -> Place | None:
    return Place(lock.paths[0], 1) if lock.paths else None


def _named(plan: Plan, key: VersionKey) -> str:
    flow_id, version = key
    return f'version {version} of flow "{plan.flow_names.get(flow_id) or flow_id}"'
