"""From paths to plans: what `plan`, `apply` and `status` share."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from reconciler.api.client import LosantApi
from reconciler.cli.session import Session
from reconciler.errors import ExitCode, ManifestError, Problem, ReconcilerError, Refused, UsageError
from reconciler.manifest.load import load_manifests
from reconciler.planner.make import make_plan
from reconciler.planner.plan import CallMode, Filter, Options, Plan, Refusal, World
from reconciler.planner.rules import Rules
from reconciler.ports import Clock
from reconciler.survey import survey

DEFAULT_PATHS = ("manifests",)


@dataclass(frozen=True, slots=True)
class Prepared:
    """One application's plan and the reading it stands on, which ended at monotonic time `read_at`."""

    rules: Rules
    world: World
    plan: Plan
    read_at: float


def load_rules(paths: Sequence[str], *, application: str | None, kind: str | None) -> tuple[Rules, ...]:
    """The rules that the paths hold, one per application and kind, narrowed by `--application` and `--kind`."""
    everything = load_manifests(tuple(paths) or DEFAULT_PATHS, stdin=sys.stdin.buffer if "-" in paths else None)
    chosen = tuple(rules for rules in everything if _is_chosen(rules, application, kind))
    if not chosen:
        held = ", ".join(sorted({f"{_called(rules)} ({rules.kind})" for rules in everything}))
        raise UsageError(f"no manifest here is for that application and kind; there are: {held}")
    names = {rules.application.id for rules in chosen}
    if application and len(names) > 1:
        raise UsageError(f"{application!r} names several applications: {', '.join(sorted(names))}; pass an id")
    return chosen


def _is_chosen(rules: Rules, application: str | None, kind: str | None) -> bool:
    ref = rules.application
    fits = application is None or application.lower() == ref.id or application == ref.name
    return fits and (kind is None or kind == rules.kind)


def _called(rules: Rules) -> str:
    ref = rules.application
    return f"{ref.name} {ref.id}" if ref.name else ref.id


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


@contextlib.asynccontextmanager
async def api_for(
    session: Session, application_id: str, kind: str, *, clock: Clock, parallelism: int
) -> AsyncIterator[LosantApi]:
    """The API of one application, with its own token."""
    raise NotImplementedError


async def prepare(
    rules: Rules, api: LosantApi, options: Options, *, clock: Clock, today: date | None = None
) -> Prepared:
    """Read what the rules need and plan."""
    excluded = tuple(filter.text for filter in options.excludes if filter.by == "device")
    world = await survey(rules, api, today=today or utc_today(), exclude_devices=excluded)
    read_at = clock.monotonic()
    plan = make_plan(world, limits=rules.limits, sources=rules.sources, options=options)
    return Prepared(rules, world, plan, read_at)


def utc_today() -> date:
    """The date that pins are judged by."""
    return datetime.now(UTC).date()


def refusal_problem(refusal: Refusal) -> Problem:
    """A refusal as a problem: place, numbers, way out."""
    place = refusal.place
    return Problem(
        refusal.message,
        path=place.path if place else None,
        line=place.line if place else None,
        column=place.column if place else None,
        hint=refusal.hint,
    )


def refused(plans: Sequence[Plan]) -> Refused | None:
    """The error that the plans' refusals amount to."""
    problems = [refusal_problem(refusal) for plan in plans for refusal in plan.refusals]
    return Refused(problems) if problems else None
