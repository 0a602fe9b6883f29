"""Guards: reasons to refuse a plan, each with its numbers, its rows and a narrow override.

They check a finished plan, so a refused plan can still be shown and saved. There is no blanket override:
`--allow-removals N` permits at most N removals; limits are raised and protections lifted in the manifest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

from reconciler.model.changes import Change, Changes, Op
from reconciler.model.plan import EmptyGroup, Guard, Guards, Plan, Protected, Refusal
from reconciler.model.rollout import Rollouts
from reconciler.model.rules import Forbid, Limits
from reconciler.model.state import NOTHING, FlowId, Live
from reconciler.model.text import counted
from reconciler.model.versions import Lock
from reconciler.model.world import Options, World
from reconciler.planner import locks
from reconciler.planner.resolution.prune import PRUNE


def guards_of(
    world: World, empty_groups: Iterable[EmptyGroup], *, released: int, limits: Limits, options: Options
) -> Guards:
    """The guards for a fresh plan.

    `empty_groups`: those that filters leave. `released`: the managed rows with a released version, before targets are
    applied.
    """
    decided = (decision for flows in world.desired.devices.values() for decision in flows.values())
    return Guards(
        limits,
        tuple(sorted(world.protected, key=lambda one: one.place)),
        released,
        live=_released_rows(world.live, world.live.only_flow),
        only_flow=world.live.only_flow,
        empty=not world.deleted_rows and all(decision.rule == PRUNE for decision in decided),
        allow_removals=options.allow_removals,
        allow_empty=options.allow_empty,
        strict=options.strict,
        selects_nothing=tuple(sorted(empty_groups, key=lambda one: one.place)),
        may_be_empty=world.may_be_empty,
        leaving=world.leaving,
    )


def guards_again(saved: Plan, live: Live, options: Options) -> Guards:
    """The guards for a saved plan when it is applied: its limits and protections, on the current live state.

    A plan does not list unchanged rows. So if fewer rows are live now than at planning, the base of percentages shrinks
    by the difference, as if every row that disappeared had been managed; rows added since offset that but never raise
    the base. No more rows are managed than are live, whatever the file says. Overrides given at
    planning still apply, and the apply may widen them.
    """
    guards = saved.guards
    now = _released_rows(live, guards.only_flow)
    gone = guards.live - now
    return guards._replace(
        released=min(max(guards.released - max(gone, 0), 0), now),
        allow_removals=max(guards.allow_removals, options.allow_removals),
        allow_empty=guards.allow_empty or options.allow_empty,
        strict=guards.strict or options.strict,
        lock=_lock_again(guards.lock, frozen=options.frozen),
    )


def _lock_again(lock: Lock | None, *, frozen: bool) -> Lock | None:
    if lock is None:
        return Lock((), frozen=True) if frozen else None
    return lock._replace(found=(), frozen=lock.frozen or frozen)


def _released_rows(live: Live, only_flow: FlowId | None) -> int:
    devices = live.devices.values()
    if only_flow is not None:
        return sum(device.flows.get(only_flow, NOTHING).released is not None for device in devices)
    return sum([entry.released is not None for device in devices for entry in device.flows.values()])


def check(plan: Plan) -> tuple[Refusal, ...]:
    """Check the changes and the warnings of a plan against its `guards`."""
    guards = (_empty, _selects_nothing, _removals, _changes, _leaving, _protected, locks.refusals, _strict)
    return tuple(refusal for guard in guards for refusal in guard(plan))


def _empty(plan: Plan) -> Iterator[Refusal]:
    """Refuse a plan without declared rows: with `prune`, an empty manifest would remove everything."""
    if plan.guards.empty and not plan.guards.allow_empty:
        yield Refusal(
            Guard.EMPTY,
            f"The manifests declare no row for application {plan.application.id} ({plan.kind})",
            "if nothing at all is meant to be declared, pass --allow-empty",
        )


def _selects_nothing(plan: Plan) -> Iterator[Refusal]:
    """Refuse a group without devices: a tag that was renamed takes a whole site out of management."""
    for one in plan.guards.selects_nothing:
        yield Refusal(Guard.SELECTS_NOTHING, one.message, one.hint, place=one.place)


def _removals(plan: Plan) -> Iterator[Refusal]:
    limits, allow = plan.guards.limits, plan.guards.allow_removals
    moves = Changes.of(plan.changes).by_move.items()
    number = sum(len(device_ids) for move, device_ids in moves if move.to_version is None)
    crossed = _crossed(number, "removal", plan.guards.released, limits.removals_count, limits.removals_percent)
    if crossed and number > allow:
        rows = tuple(change.row for change in plan.changes if change.op is Op.REMOVE)
        allowed = f"; --allow-removals {allow} is too few" if allow else ""
        hint = f"if they are meant, pass --allow-removals {number}, or raise limits.removals in the same pull request"
        yield Refusal(Guard.REMOVALS, crossed + allowed, hint, rows, limits.place)


def _changes(plan: Plan) -> Iterator[Refusal]:
    limits, base = plan.guards.limits, plan.guards.released
    if limits.changes_count is None and limits.changes_percent is None:
        return
    counted = plan.changes if plan.rollouts is None else _unwaved(plan.changes, plan.rollouts)
    number = len(counted)
    if crossed := _crossed(number, "change", base, limits.changes_count, limits.changes_percent):
        hint = "plan fewer rows at a time with --target, or raise limits.changes in the same pull request"
        yield Refusal(Guard.CHANGES, crossed, hint, tuple(change.row for change in counted), limits.place)


def _unwaved(changes: Sequence[Change], rollouts: Rollouts) -> Changes:
    """Without those that waves send: these are the stronger limit. What goes back goes at once, so it counts."""
    return Changes.of(changes).picked(rollouts.holds, lambda hold: hold.wave is None or hold.goes_back)


def _leaving(plan: Plan) -> Iterator[Refusal]:
    """Refuse what takes more out of management than the limits say, though nothing is sent for these rows."""
    limits, leaving = plan.guards.limits, plan.guards.leaving
    if leaving is None or not (
        over := _over(leaving.rows, leaving.managed, limits.leaving_count, limits.leaving_percent)
    ):
        return
    share, crossed = over
    verb = "leaves" if leaving.rows == 1 else "leave"
    message = f"{counted(leaving.rows, 'row')} {verb} management, {share} that {leaving.against} manages: {crossed}"
    hint = "see whether a tag or a name changed; if it is meant, raise limits.leaving in the same pull request"
    yield Refusal(Guard.LEAVING, message, hint, tuple(row[:2] for row in plan.leaving or ()), limits.place)


def _crossed(number: int, noun: str, base: int, count: int | None, percent: Decimal | None) -> str:
    """How many rows of `base` that is and which limits that crosses; empty where it crosses none."""
    if over := _over(number, base, count, percent):
        return f"{counted(number, noun)}, {over[0]} managed rows with something released: {over[1]}"
    return ""


def _over(number: int, base: int, count: int | None, percent: Decimal | None) -> tuple[str, str] | None:
    """The share of `base` that a number is, and the limits that it crosses; None where it crosses none."""
    limits = []
    if count is not None and number > count:
        limits.append(str(count))
    if percent is not None and number * 100 > percent * base:
        limits.append(f"{percent}%")
    share = f"{Decimal(100 * number) / base:.1f}% of the {base:,}" if base else "of 0"
    return (share, f"more than {' and '.join(limits)}") if limits else None


def _protected(plan: Plan) -> Iterator[Refusal]:
    for protection in plan.guards.protect:
        if rows := tuple(change.row for change in plan.changes if _forbids(protection, change)):
            what = "removal" if protection.forbid is Forbid.REMOVAL else "change"
            message = f"{counted(len(rows), what)} of protected rows (protected at {protection.place})"
            hint = "lift that protection in the same pull request, or leave the rows out with --exclude"
            yield Refusal(Guard.PROTECT, message, hint, rows, protection.place)


def _forbids(protection: Protected, change: Change) -> bool:
    return (
        protection.device_id in (None, change.device_id)
        and protection.flow_id in (None, change.flow_id)
        and (protection.forbid is Forbid.CHANGE or change.op is Op.REMOVE)
    )


def _strict(plan: Plan) -> Iterator[Refusal]:
    if plan.guards.strict and plan.warnings:
        first = plan.warnings[0]
        message = f"{counted(len(plan.warnings), 'warning')} under --strict, the first: {first.message}"
        yield Refusal(Guard.STRICT, message, "see to the warnings, or run without --strict", place=first.place)
