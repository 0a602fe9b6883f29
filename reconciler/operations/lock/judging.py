"""Judges plans by the locks of their manifests: reads what the versions in question are now."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

from reconciler.errors import ManifestError, NotFound, PermissionDenied
from reconciler.manifest.lock.reading import lock_path
from reconciler.model.plan import Guards, Plan, Warning
from reconciler.model.rules import Rules
from reconciler.model.state import FlowId, Version
from reconciler.model.text import counted
from reconciler.model.versions import Content, Lock
from reconciler.planner import locks
from reconciler.planner.guards import check
from reconciler.ports import Reader
from reconciler.runtime import gather

_ATTEMPTS = 3
SCOPES = "the token needs the scopes flowVersions.get and flowVersion.get"


def lock_for(rules: Rules, *, frozen: bool) -> Lock | None:
    """What a plan is judged by: the locks that there are; if it is frozen, one that is missing locks nothing."""
    if rules.lock is None and frozen:
        return Lock(tuple(sorted({path for root in rules.roots if (path := lock_path(root))})), frozen=True)
    return rules.lock and rules.lock._replace(frozen=frozen)


def stricter(saved: Guards, now: Lock | None) -> Guards:
    """The guards of a saved plan, with what is locked now besides: a version has to be what either says."""
    if now is None:
        return saved
    was = saved.lock or Lock(())
    known = {one.content for one in was.versions}
    added = [one for one in now.versions if one.content not in known]
    paths = tuple(dict.fromkeys([*was.paths, *now.paths]))
    return saved._replace(lock=was._replace(paths=paths, versions=tuple(sorted([*was.versions, *added]))))


async def judged(plan: Plan, reader: Reader) -> Plan:
    """The plan judged by the lock in its guards: what was found is among them, with refusals, warnings and notes.

    Raises:
        ManifestError: a version that was locked, and that a change moves onto, does not exist any more.
        ApiError, IncompleteRead: reading failed; what the token may not read is a warning.
    """
    lock = plan.guards.lock
    if lock is None:
        return plan
    asked: dict[FlowId, list[Version]] = {}
    for flow_id, version in sorted((locks.targets(plan) | locks.pending(plan)) & lock.names):
        asked.setdefault(flow_id, []).append(version)
    unread: list[Warning] = []
    try:
        found = await gather(*(_contents(reader, flow_id, names) for flow_id, names in asked.items()))
    except PermissionDenied:
        number = sum(map(len, asked.values()))
        unread.append(Warning(f"not verified: content of {counted(number, 'locked version')}", hint=SCOPES))
    else:
        read = tuple(sorted(one for of_flow in found for one in of_flow))
        plan = plan._replace(guards=plan.guards._replace(lock=lock._replace(found=read)))
        unread += _gone(plan)
    warnings = {*plan.warnings, *unread, *locks.warnings(plan)}
    plan = plan._replace(
        warnings=tuple(sorted(warnings, key=lambda warning: warning.sort_key)),
        notes=(*plan.notes, *locks.notes(plan)),
    )
    return plan._replace(refused=check(plan))


def _gone(plan: Plan) -> list[Warning]:
    """Warnings of pending versions that do not exist any more; nothing may be moved onto such a version."""
    missing, moved = [*locks.missing(plan)], locks.targets(plan)
    if problems := [locks.gone(plan, one) for one in missing if one.key in moved]:
        raise ManifestError(problems)
    told = [(one.place, locks.gone(plan, one)) for one in missing]
    return [Warning(problem.message, place, problem.hint) for place, problem in told]


async def _contents(reader: Reader, flow_id: FlowId, names: Collection[Version]) -> list[Content]:
    try:
        return await contents(reader, flow_id, names)
    except NotFound:
        return []


async def contents(reader: Reader, flow_id: FlowId, names: Collection[Version]) -> list[Content]:
    """What those versions of a flow are, of those that exist.

    Raises:
        NotFound: there is no such flow.
    """
    found: list[Content] = []
    for _ in range(_ATTEMPTS):  # what is published again between two requests has another id
        left = set(names) - {one.version for one in found}
        listed = await reader.published(flow_id, names=left) if left else ()
        for one in listed:  # one after the other: a definition may be large
            with suppress(NotFound):
                found.append(await reader.content(flow_id, one))
        if not listed:
            break
    return found
