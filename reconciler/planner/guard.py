"""Guards: reasons not to carry a plan out, each with its numbers, its rows and the narrow way past it.

They judge a plan that is already made, so a refused plan is still shown and saved. There is no switch for all of
them: `--allow-removals N` is for at most N removals, limits are raised in the manifest, protections are lifted there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from reconciler.planner.plan import Change, Guard, Op, Options, Plan, Protected, Refusal, Warning, World
from reconciler.planner.prune import PRUNE
from reconciler.planner.rules import Forbid, Limits
from reconciler.planner.state import Row


def check(
    world: World, changes: Sequence[Change], *, released: int, limits: Limits, options: Options
) -> tuple[Refusal, ...]:
    """Judge the changes of a plan.

    Args:
        world: what was planned on.
        changes: the changes of the plan, after targets.
        released: how many managed rows have something released, before targets: what percentages are of.
        limits: the manifest's.
        options: the command line's.
    """
    return (
        *_empty(world, options),
        *_removals(changes, released, limits, options),
        *_changes(changes, released, limits),
        *_protected(world.protected, changes),
        *_strict(world.warnings, options),
    )


def check_saved(plan: Plan, options: Options) -> tuple[Refusal, ...]:
    """The refusals of a saved plan that still stand under the options of the apply that carries it out.

    A saved plan holds no limits and no protections, only what they refused. Rows can only have left it since, so
    what was allowed then is allowed now.
    """
    removals = sum(change.op is Op.REMOVE for change in plan.changes)
    lifted = set()
    if removals <= options.allow_removals:
        lifted.add(Guard.REMOVALS)
    if options.allow_empty:
        lifted.add(Guard.EMPTY)
    standing = tuple(refusal for refusal in plan.refusals if refusal.guard not in lifted)
    strict_already = any(refusal.guard is Guard.STRICT for refusal in standing)
    return standing if strict_already else (*standing, *_strict(plan.warnings, options))


def _empty(world: World, options: Options) -> Iterator[Refusal]:
    """What omission alone makes `absent` is not declared: with `prune`, an empty manifest would remove everything."""
    decided = (decision for flows in world.desired.devices.values() for decision in flows.values())
    if options.allow_empty or any(decision.rule != PRUNE for decision in decided):
        return
    yield Refusal(
        Guard.EMPTY,
        f"The manifests declare no row for application {world.application.id} ({world.kind})",
        "if nothing at all is meant to be declared, pass --allow-empty",
    )


def _removals(changes: Sequence[Change], released: int, limits: Limits, options: Options) -> Iterator[Refusal]:
    rows = tuple(change.row for change in changes if change.op is Op.REMOVE)
    crossed = _crossed(len(rows), released, limits.removals_count, limits.removals_percent)
    if not crossed or len(rows) <= options.allow_removals:
        return
    allowed = f"; --allow-removals {options.allow_removals} is too few" if options.allow_removals else ""
    yield Refusal(
        Guard.REMOVALS,
        f"{_numbers(rows, 'removal', released)}: more than {crossed}{allowed}",
        f"if they are meant, pass --allow-removals {len(rows)}, or raise limits.removals in the same pull request",
        rows,
        limits.place,
    )


def _changes(changes: Sequence[Change], released: int, limits: Limits) -> Iterator[Refusal]:
    crossed = _crossed(len(changes), released, limits.changes_count, limits.changes_percent)
    if not crossed:
        return
    yield Refusal(
        Guard.CHANGES,
        f"{_numbers(changes, 'change', released)}: more than {crossed}",
        "plan fewer rows at a time with --target, or raise limits.changes in the same pull request",
        tuple(change.row for change in changes),
        limits.place,
    )


def _crossed(number: int, base: int, count: int | None, percent: Decimal | None) -> str:
    """The limits that a number crosses, as text; empty when it keeps them."""
    parts = []
    if count is not None and number > count:
        parts.append(str(count))
    if percent is not None and number * 100 > percent * base:
        parts.append(f"{percent}%")
    return " and ".join(parts)


def _numbers(rows: Sequence[object], noun: str, base: int) -> str:
    number = len(rows)
    share = f"{Decimal(100 * number) / base:.1f}% of the {base:,}" if base else "of 0"
    return f"{number:,} {noun}{'' if number == 1 else 's'}, {share} managed rows with something released"


def _protected(protections: Sequence[Protected], changes: Sequence[Change]) -> Iterator[Refusal]:
    for protection in sorted(protections, key=lambda one: one.place):
        rows = tuple(change.row for change in changes if _forbids(protection, change))
        if rows:
            yield _protection_refusal(protection, rows)


def _forbids(protection: Protected, change: Change) -> bool:
    return (
        protection.device_id in (None, change.device_id)
        and protection.flow_id in (None, change.flow_id)
        and (protection.forbid is Forbid.CHANGE or change.op is Op.REMOVE)
    )


def _protection_refusal(protection: Protected, rows: tuple[Row, ...]) -> Refusal:
    number, what = len(rows), "removal" if protection.forbid is Forbid.REMOVAL else "change"
    return Refusal(
        Guard.PROTECT,
        f"{number:,} {what}{'' if number == 1 else 's'} of protected rows (protected at {protection.place})",
        "lift that protection in the same pull request, or leave the rows out with --exclude",
        rows,
        protection.place,
    )


def _strict(warnings: Sequence[Warning], options: Options) -> Iterator[Refusal]:
    if not options.strict or not warnings:
        return
    number = len(warnings)
    yield Refusal(
        Guard.STRICT,
        f"{number:,} warning{'' if number == 1 else 's'} under --strict, the first: {warnings[0].message}",
        "see to the warnings, or run without --strict",
        place=warnings[0].place,
    )
