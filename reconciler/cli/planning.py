"""From paths to plans: what `plan`, `apply` and `status` share."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, TypeVar

from reconciler.api.address import api_url
from reconciler.api.client import LosantApi
from reconciler.api.clock import SystemClock
from reconciler.api.connection import Connection, Exchange, connect
from reconciler.api.credentials import Token, find_token
from reconciler.cli.session import Session
from reconciler.errors import ManifestError, Problem, Refused, UsageError
from reconciler.manifest.load import load_manifests
from reconciler.manifest.pick import pick
from reconciler.planner.make import make_plan
from reconciler.planner.plan import CallMode, Filter, Options, Plan, Refusal, World
from reconciler.planner.rules import Rules
from reconciler.planner.state import Kind
from reconciler.ports import Clock
from reconciler.survey import survey

T = TypeVar("T")
DEFAULT_PATHS = ("manifests",)


@dataclass(frozen=True, slots=True)
class Prepared:
    """One application's plan and the reading it stands on, which began at monotonic time `read_at`."""

    world: World
    plan: Plan
    read_at: float


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


class Access:
    """The way to the API for one run: where it is, which token each application has, how to talk of requests.

    Tokens are found at once, so that a missing one is told before anything is read.
    """

    def __init__(self, session: Session, application_ids: Sequence[str], *, parallelism: int) -> None:
        self._session = session
        self._url = api_url(session.api_url or os.environ.get("LOSANT_API_URL"))
        self._tokens: dict[str, Token] = {
            application_id: find_token(os.environ, application_id, token_file=session.token_file)
            for application_id in application_ids
        }
        self._parallelism = parallelism
        self.clock: Clock = SystemClock()

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Callable[[str, Kind], LosantApi]]:
        """A function that gives the API of an application and kind, all over one connection."""
        async with connect(
            url=self._url,
            parallelism=self._parallelism,
            clock=self.clock,
            observe=self._tell if self._session.verbose > 1 else None,
            note=self._session.note,
        ) as connection:

            def api_of(application_id: str, kind: Kind) -> LosantApi:
                return LosantApi(
                    connection, token=self._tokens[application_id], application_id=application_id, kind=kind
                )

            try:
                yield api_of
            finally:
                self._tell_counts(connection)

    def _tell(self, exchange: Exchange) -> None:
        status = exchange.status or "no answer"
        self._session.note(f"{exchange.name}: {status} in {exchange.duration_s:.3f} s")

    def _tell_counts(self, connection: Connection) -> None:
        if self._session.verbose and connection.counts:
            listed = ", ".join(f"{number} {action}" for action, number in sorted(connection.counts.items()))
            self._session.note(f"Requests: {connection.counts.total()} ({listed})")


async def prepare(access: Access, rules: Sequence[Rules], options: Options) -> tuple[Prepared, ...]:
    """Read what each application's rules need, and plan it. Problems in the manifests of all are told together."""
    problems: list[Problem] = []
    prepared: list[Prepared] = []
    excluded = tuple(one.text for one in options.excludes if one.by == "device")
    async with access.open() as api_of:
        for one in rules:
            read_at = access.clock.monotonic()
            api = api_of(one.application.id, one.kind)
            try:
                world = await survey(one, api, today=utc_today(), exclude_devices=excluded)
            except ManifestError as error:
                problems += error.problems
                continue
            plan = make_plan(world, limits=one.limits, sources=one.sources, options=options)
            prepared.append(Prepared(world, plan, read_at))
    if problems:
        raise ManifestError(problems)
    return tuple(prepared)


def utc_today() -> date:
    """The date that pins are judged by."""
    return datetime.now(UTC).date()


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; Ctrl-C cancels the work and becomes KeyboardInterrupt."""
    # The result goes round the task: on its way out, asyncio.run makes the repr of the task, and so of its result,
    # which for a world of 100,000 devices takes seconds (signal.getsignal tries to make an enum of the handler).
    results: list[T] = []

    async def keep() -> None:
        results.append(await work)

    asyncio.run(keep())
    return results[0]


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
