"""From paths to plans: what `plan`, `apply` and `status` share."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from reconciler.cli.access import Access
from reconciler.discovery import EVERYTHING, Extent, discover
from reconciler.errors import ManifestError, Problem, Refused, UsageError
from reconciler.manifest.load import load_manifests, pick
from reconciler.model.plan import Guard, Plan, Refusal
from reconciler.model.rules import Rules
from reconciler.model.state import Desired
from reconciler.model.world import CallMode, Filter, Options, World
from reconciler.planner.planner import make_plan
from reconciler.planner.resolution.filters import Scope, scopes_of
from reconciler.runtime import gc_paused

DEFAULT_PATHS = ("manifests",)


@dataclass(frozen=True, slots=True)
class Prepared:
    """One application's plan and the world that it was made in.

    `desired`: the declared rows that the plan is about.
    """

    world: World
    plan: Plan
    desired: Desired


def load_rules(paths: Sequence[str], *, application: str | None, kind: str | None) -> tuple[Rules, ...]:
    """The rules that the paths hold, one per application and kind, narrowed by `--application` and `--kind`."""
    held = load_manifests(tuple(paths) or DEFAULT_PATHS, stdin=sys.stdin.buffer if "-" in paths else None)
    return pick(held, application=application, kind=kind) if application or kind else held


def parse_options(
    *,
    targets: Sequence[str],
    excludes: Sequence[str],
    calls: str,
    allow_removals: int,
    allow_empty: bool,
    strict: bool,
) -> Options:
    """Planning options from the flags' text; a filter that is none is a usage error."""
    return Options(
        targets=tuple(_filter("--target", text) for text in targets),
        excludes=tuple(_filter("--exclude", text) for text in excludes),
        calls=CallMode(calls),
        allow_removals=allow_removals,
        allow_empty=allow_empty,
        strict=strict,
    )


def _filter(option: str, text: str) -> Filter:
    by, equals, name = text.partition("=")
    if not equals or by not in ("device", "flow", "group") or not name:
        raise UsageError(
            f"{option} {text!r} is not of the form device=NAME, flow=NAME or group=NAME",
            hint="ids may stand for names",
        )
    return Filter(by, name)


async def prepare(access: Access, rules: Sequence[Rules], options: Options) -> tuple[Prepared, ...]:
    """Read what each application's rules need, and plan it.

    A plan for one flow is made on that flow's records alone. The limits count percentages of all managed rows, though,
    so where one is crossed by what was read, everything is read.
    """
    flow = _only_flow(options)
    prepared = await _prepare(access, rules, options, Extent(flow=flow))
    limited = {refusal.guard for one in prepared for refusal in one.plan.refusals} & {Guard.REMOVALS, Guard.CHANGES}
    return await _prepare(access, rules, options, EVERYTHING) if flow and limited else prepared


def _only_flow(options: Options) -> str | None:
    """The flow that a plan is for, if it is for one. An excluded device may be one that only others' records name."""
    targets = {one.text for one in options.targets if one.by == "flow"}
    one_flow = len(targets) == 1 and all(one.by == "flow" for one in options.targets)
    return targets.pop() if one_flow and all(one.by != "device" for one in options.excludes) else None


async def _prepare(access: Access, rules: Sequence[Rules], options: Options, extent: Extent) -> tuple[Prepared, ...]:
    excluded = tuple(one.text for one in options.excludes if one.by == "device")
    with gc_paused():
        worlds = await read(access, rules, excluded_devices=excluded, extent=extent)
        scopes = scopes_of(worlds, options)
        return tuple(
            _prepared(one, world, options, scope) for one, world, scope in zip(rules, worlds, scopes, strict=True)
        )


def _prepared(rules: Rules, world: World, options: Options, scope: Scope) -> Prepared:
    plan = make_plan(world, limits=rules.limits, sources=rules.sources, options=options, scope=scope)
    return Prepared(world, plan, scope.desired)


async def read(
    access: Access, rules: Sequence[Rules], *, excluded_devices: Sequence[str] = (), extent: Extent = EVERYTHING
) -> tuple[World, ...]:
    """The world of each application.

    Raises:
        ManifestError: what the manifests of all of them have wrong.
    """
    problems: list[Problem] = []
    worlds: list[World] = []
    async with access.open() as api_of:
        for one in rules:
            api = api_of(one.application.id, one.kind)
            try:
                world = await discover(one, api, today=utc_today(), excluded_devices=excluded_devices, extent=extent)
            except ManifestError as error:
                problems += error.problems
            else:
                worlds.append(world)
    if problems:
        raise ManifestError(problems)
    return tuple(worlds)


def utc_today() -> date:
    """The date that pins are judged by."""
    return datetime.now(UTC).date()


def refusal_problem(refusal: Refusal) -> Problem:
    """A refusal as a problem: place, numbers, way out."""
    place = refusal.place
    return Problem(
        f"refused ({refusal.guard}): {refusal.message}",
        path=place.path if place else None,
        line=place.line if place else None,
        column=place.column if place else None,
        hint=refusal.hint,
    )


def refused(plans: Sequence[Plan]) -> Refused | None:
    """The error that the plans' refusals amount to."""
    problems = [refusal_problem(refusal) for plan in plans for refusal in plan.refusals]
    return Refused(problems) if problems else None
