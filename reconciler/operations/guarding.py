"""What a saved plan is guarded with when it is applied.

Whoever had the file may have edited it, and a protection may have been added since it was made. So if all manifests
that a plan names are there, they count as they are now, and so does the plan: of each limit the lower, all
protections, and of each version what either has locked.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

from reconciler.discovery import Extent, discover
from reconciler.errors import ManifestError, UsageError
from reconciler.manifest.files import STDIN, DiskFiles
from reconciler.manifest.load import load
from reconciler.manifest.lock.reading import with_locks
from reconciler.model.plan import Guards, Plan, Protected
from reconciler.model.rules import Forbid, Limits, Prune, Rules
from reconciler.model.state import DeviceId, FlowId, Read
from reconciler.model.text import and_more
from reconciler.operations.lock.judging import stricter
from reconciler.ports import Reader
from reconciler.runtime import utc_today

_LISTED = 3  # paths named in a note
_SAME = "the same in both"
_Number = TypeVar("_Number", int, Decimal)


async def guarding(plan: Plan, reader: Reader, read: Read) -> tuple[Guards, tuple[str, ...]]:
    """The guards of a saved plan, and a note that says where they come from, unless plan and manifests say the same.

    Raises:
        UsageError: the plan names no manifests.
        ManifestError: the manifests are there, but not valid, or protect what the application does not have.
        ApiError, IncompleteRead: names in protections could not be looked up.
    """
    saved, paths = plan.guards, [source.path for source in plan.manifests]
    if not paths:  # every plan has some; without them nothing could be compared
        raise UsageError("the plan names no manifests", hint="make the plan again with `reconciler plan --out FILE`")
    missing = [path for path in paths if path == STDIN or not Path(path).is_file()]
    rules = None if missing else _rules(plan, paths)
    if rules is None:
        why = f"{_some(missing)} cannot be read here" if missing else f"none in {_some(paths)} now"
        return saved, (f"guarded by the plan's own limits and protections: {why}",)
    limits, protect = _stricter(saved.limits, rules.limits), await _protected(rules, reader, read)
    together = {_key(one): one for one in (*protect, *saved.protect)}
    of_limits = _whose(_values(limits), _values(saved.limits), _values(rules.limits))
    of_protections = _whose(set(together), set(map(_key, saved.protect)), set(map(_key, protect)))
    note = f"guarded by the plan and by {_some(paths)} as of now: limits {of_limits}, protections {of_protections}"
    whole = tuple(sorted(together.values(), key=lambda one: one.place))
    guards = stricter(saved._replace(limits=limits, protect=whole), rules.lock)
    return guards, (note,) if {of_limits, of_protections} != {_SAME} else ()


def lifting(guards: Guards) -> str:
    """The options that lift a guard, as they are written on the command line; empty if there are none."""
    removals = f"--allow-removals {guards.allow_removals}" if guards.allow_removals else ""
    return " ".join(filter(None, (removals, "--allow-empty" if guards.allow_empty else "")))


def _some(paths: Sequence[str]) -> str:
    return ", ".join(paths[:_LISTED]) + and_more(max(0, len(paths) - _LISTED), "")


def _rules(plan: Plan, paths: Sequence[str]) -> Rules | None:
    """What the manifests say now of the plan's application and kind, if anything."""
    loaded = load(paths, DiskFiles())
    rules, of_locks = with_locks(loaded.rules)
    if problems := [*loaded.problems, *of_locks]:
        raise ManifestError(problems)
    mine = (one for one in rules if (one.application.id, one.kind) == (plan.application.id, plan.kind))
    return next(mine, None)


async def _protected(rules: Rules, reader: Reader, read: Read) -> tuple[Protected, ...]:
    """The protections, their names resolved; nothing else of the rules is."""
    if not rules.protect:
        return ()
    bare = rules._replace(
        application=rules.application._replace(name=None), prune=Prune.OFF, groups=(), devices=(), pins=()
    )
    return (await discover(bare, reader, today=utc_today(), extent=Extent(read=read))).protected


def _stricter(one: Limits, other: Limits) -> Limits:
    """Of each limit the lower; with the place of the one that says just that, if one does."""
    values = Limits(
        _lower(one.removals_count, other.removals_count),
        _lower(one.removals_percent, other.removals_percent),
        _lower(one.changes_count, other.changes_count),
        _lower(one.changes_percent, other.changes_percent),
        _lower(one.leaving_count, other.leaving_count),
        _lower(one.leaving_percent, other.leaving_percent),
        other.place,
    )
    return one if _values(values) == _values(one) else values


def _lower(one: _Number | None, other: _Number | None) -> _Number | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def _values(limits: Limits) -> Limits:
    return limits._replace(place=None)


def _key(one: Protected) -> tuple[DeviceId | None, FlowId | None, Forbid]:
    return one.device_id, one.flow_id, one.forbid


def _whose(stricter: object, saved: object, now: object) -> str:
    if saved == now:
        return _SAME
    if stricter == saved:
        return "stricter in the plan"
    return "stricter in the manifests" if stricter == now else "from both, the stricter of each"
