"""The steps of an apply: plan, show, ask, read again, carry out, wait, report.

What has been done is told on every path, so the runs are held outside of whatever may be cancelled or fail.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import IO, Any

import click

from reconciler.api.client import LosantApi
from reconciler.cli.planning import Access, Prepared, load_rules, parse_options, prepare, refused, run_async
from reconciler.cli.progress import Display
from reconciler.cli.report import load_plans, results_document, write_plans
from reconciler.cli.session import Session
from reconciler.errors import ExitCode, Interrupted, Problem, ReconcilerError, Stale, UsageError
from reconciler.executor import Execution, Result, not_started
from reconciler.planner.digest import digest
from reconciler.planner.filters import read_scope
from reconciler.planner.guard import check_saved
from reconciler.planner.plan import Op, Options, Plan, World
from reconciler.planner.rest import again
from reconciler.planner.rules import Rules
from reconciler.planner.state import Decision, Desired, Place
from reconciler.render.inert import inert
from reconciler.render.json import dump
from reconciler.render.result import result_text
from reconciler.watch import Offline, Wait, wait

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h)?")
_SECONDS = {"s": 1, "m": 60, "h": 3600, None: 1}
_PLANNING = ("targets", "excludes", "calls", "allow_removals", "allow_empty", "strict")


@dataclass(frozen=True, slots=True)
class Order:
    """What the command line asks of an apply."""

    paths: tuple[str, ...]
    application: str | None
    kind: str | None
    options: Options
    parallelism: int
    plan_file: str | None
    expect_digest: str | None
    yes: bool
    dry_run: bool
    wait: bool
    timeout_s: float
    offline: Offline
    result_file: str | None
    fmt: str
    max_bytes: int

    @classmethod
    def from_flags(cls, flags: Mapping[str, Any]) -> Order:
        """The flags, checked against each other."""
        with_plan = [("PATH", flags["paths"]), ("--target", flags["targets"]), ("--exclude", flags["excludes"])]
        clashing = [name for name, given in with_plan if given]
        if flags["plan_file"] and clashing:
            raise UsageError(
                f"--plan carries out what was saved, so it does not go with {', '.join(clashing)}",
                hint="name them when the plan is made",
            )
        return cls(
            options=parse_options(**{name: flags[name] for name in _PLANNING}),
            timeout_s=duration_s("--timeout", flags["timeout"]),
            offline=Offline(flags["offline"]),
            **{name: flags[name] for name in cls.__slots__ if name not in ("options", "timeout_s", "offline")},
        )


def duration_s(option: str, text: str) -> float:
    """Seconds of `90s`, `15m`, `2h` or a bare number; UsageError for anything else."""
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise UsageError(f"{option} {text!r} is not a duration", hint="write 90s, 15m or 2h")
    return float(match[1]) * _SECONDS[match[2]]


@dataclass(slots=True)
class Job:
    """One application's part: what is to be done, and where it stands."""

    plan: Plan
    world: World
    read_at: float
    desired: Desired
    execution: Execution | None = None
    standing: Wait | None = None
    done: Counter[Op] = field(default_factory=Counter)

    def data(self) -> dict[str, object]:
        """One element of the document's `results`, valid at any moment."""
        operations = Counter(str(change.op) for change in self.plan.changes)
        return {
            **self.result.to_data(),
            "operations": {str(op): operations[op] for op in Op},
            "wait": self.standing.to_data() if self.standing else None,
        }

    @property
    def result(self) -> Result:
        """What was done so far; before the start, every call is planned."""
        return self.execution.result() if self.execution else not_started(self.plan)

    @property
    def code(self) -> ExitCode:
        """How this part ended."""
        code = self.result.exit_code
        if code is ExitCode.DONE and self.standing is not None:
            return self.standing.exit_code
        return code


def apply(session: Session, order: Order) -> int:
    """Carry out what the order says; return the exit code."""
    if not order.yes and not order.dry_run and not _can_ask():
        raise UsageError("there is no terminal to ask for approval on", hint="pass --yes to apply without asking")
    return _Apply(session, order).run()


def _can_ask() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


class _Apply:
    def __init__(self, session: Session, order: Order) -> None:
        self._session = session
        self._order = order
        self._jobs: list[Job] = []
        self._result_file: IO[str] | None = None
        self._saved: tuple[Plan, ...] = ()
        self._rules: tuple[Rules, ...] = ()
        if order.plan_file:
            self._saved = _picked(load_plans(order.plan_file), order)
        else:
            self._rules = load_rules(order.paths, application=order.application, kind=order.kind)
        ids = [plan.application.id for plan in self._saved] + [rules.application.id for rules in self._rules]
        self._access = Access(session, ids, parallelism=order.parallelism)
        self._display = Display(session, self._access.clock)

    def run(self) -> int:
        failure: ReconcilerError | None = None
        try:
            self._plan()
            self._ask()
            if self._order.result_file and not self._order.dry_run:
                self._result_file = _open_result(self._order.result_file)
            self._carry_out()
        except KeyboardInterrupt:
            failure = Interrupted("interrupted", hint="the next plan shows what is left")
        except ReconcilerError as error:
            failure = error
        except Exception:
            self._report(ReconcilerError("the run ended by a bug in reconciler"))
            raise
        return self._report(failure)

    def _plan(self) -> None:
        self._jobs = self._fresh_jobs()
        plans = [job.plan for job in self._jobs]
        if self._session.wants_text:
            write_plans(self._session, "apply", plans, fmt="text", max_bytes=self._order.max_bytes)
        if self._order.expect_digest is not None:
            _compare_digest(self._order.expect_digest, self._saved or plans)
        self._guard(plans)

    def _guard(self, plans: Sequence[Plan]) -> None:
        if self._saved:
            refusals = [replace(plan, refusals=check_saved(plan, self._order.options)) for plan in self._saved]
            error = refused(refusals)
        else:
            error = refused(plans)
        if error:
            raise error

    def _fresh_jobs(self) -> list[Job]:
        if self._saved:
            return run_async(self._resume())
        return [self._job(one) for one in run_async(prepare(self._access, self._rules, self._order.options))]

    def _job(self, prepared: Prepared) -> Job:
        scope = read_scope(prepared.world, self._order.options)
        desired = scope.narrow(prepared.world.desired) if scope else prepared.world.desired
        return Job(prepared.plan, prepared.world, prepared.read_at, desired)

    async def _resume(self) -> list[Job]:
        """Jobs for a saved plan: what is left of its changes on a fresh read. Stale where a row moved elsewhere."""
        jobs, drift = [], []
        async with self._access.open() as api_of:
            for saved in self._saved:
                read_at = self._access.clock.monotonic()
                live = await api_of(saved.application.id, saved.kind).live()
                rest, calls = again(saved, live, mode=self._order.options.calls)
                drift += [_drift(saved, change, entry.released) for change, entry in rest.moved]
                summary = replace(saved.summary, calls=len(calls))
                plan = replace(saved, changes=rest.left, calls=calls, refusals=(), summary=summary)
                world = World(saved.application, saved.kind, _desired_of(saved), live)
                jobs.append(Job(plan, world, read_at, world.desired))
        if drift:
            raise Stale(drift)
        return jobs

    def _ask(self) -> None:
        if self._order.yes or self._order.dry_run or not any(job.plan.changes for job in self._jobs):
            return
        plans = [job.plan for job in self._jobs]
        if not self._session.wants_text:
            from reconciler.render.text import plan_text

            self._session.note(plan_text(plans, digest(plans), verbose=self._session.verbose))
        answer = click.prompt("Apply this plan? Only 'yes' is accepted", err=True, default="", show_default=False)
        if answer.strip() != "yes":
            raise ReconcilerError("not applied: the answer was not 'yes'")
        self._jobs = self._fresh_jobs()
        again_planned = [job.plan for job in self._jobs]
        if digest(again_planned) != digest(plans):
            raise Stale("the world moved while the question stood: the plan is another now", hint="run apply again")
        self._guard(again_planned)

    def _carry_out(self) -> None:
        with self._display.shown():
            run_async(self._all())

    async def _all(self) -> None:
        async with self._access.open() as api_of, asyncio.TaskGroup() as group:
            for job in self._jobs:
                group.create_task(self._one(job, api_of(job.plan.application.id, job.plan.kind)))

    async def _one(self, job: Job, api: LosantApi) -> None:
        order, clock = self._order, self._access.clock
        name = job.plan.application.name or job.plan.application.id
        job.execution = Execution(
            job.plan,
            job.world.live,
            api,
            clock=clock,
            read_at=job.read_at,
            parallelism=order.parallelism,
            dry_run=order.dry_run,
            observe=self._display.phase(f"{name}: applying", len(job.plan.changes)),
        )
        await job.execution.carry_out()
        if not order.wait or order.dry_run or job.code is not ExitCode.DONE:
            return
        phase = self._display.phase(f"{name}: converging", 0)

        def observe(standing: Wait) -> None:
            job.standing = standing
            phase.standing(standing)

        job.standing = await wait(
            job.desired,
            api,
            clock=clock,
            timeout_s=order.timeout_s,
            first=job.world.live,
            offline=order.offline,
            observe=observe,
        )

    def _report(self, failure: ReconcilerError | None) -> int:
        """The result to where it belongs, whatever happened; the exit code by precedence."""
        code = self._code(failure)
        problems = failure.problems if failure else ()
        for problem in problems:
            self._session.note(inert(str(problem)))
        results = [job.data() for job in self._jobs]
        document = results_document("apply", results, code=code, problems=problems)
        self._save(document)
        if self._session.wants_json:
            self._session.write(dump(document))
        elif self._session.wants_markdown:
            from reconciler.cli.report import write_results

            write_results(self._session, "apply", results, fmt="markdown", max_bytes=self._order.max_bytes)
        elif not failure or code is ExitCode.INTERRUPTED:
            self._session.write(result_text(results, color=self._session.color))
        return self._session.exit(code)

    def _code(self, failure: ReconcilerError | None) -> ExitCode:
        if failure is not None:
            return failure.exit_code
        codes = {job.code for job in self._jobs}
        order = (ExitCode.INTERRUPTED, ExitCode.NOT_CONFIRMED, ExitCode.NOT_CONVERGED)
        return next((code for code in order if code in codes), ExitCode.DONE)

    def _save(self, document: Mapping[str, object]) -> None:
        if self._order.result_file is None:
            return
        text = dump(document) + "\n"
        try:
            file = self._result_file or _open_result(self._order.result_file)
            with file:
                file.write(text)
        except (OSError, UsageError) as error:
            self._session.note(inert(f"Error: --result {self._order.result_file} could not be written: {error}"))
            self._session.note(text)


def _open_result(path: str) -> IO[str]:
    try:
        return open(path, "w", encoding="utf-8")  # noqa: PTH123 - closed by _save
    except OSError as error:
        raise UsageError(f"--result {path} cannot be written: {error.strerror or error}") from None


def _picked(plans: Sequence[Plan], order: Order) -> tuple[Plan, ...]:
    def fits(plan: Plan) -> bool:
        names = (None, plan.application.id, plan.application.name)
        return order.application in names and order.kind in (None, str(plan.kind))

    chosen = tuple(plan for plan in plans if fits(plan))
    if not chosen:
        raise UsageError("the saved plan holds nothing for that application and kind")
    return chosen


def _compare_digest(expected: str, plans: Sequence[Plan]) -> None:
    actual = digest(plans)
    if expected.removeprefix("sha256:").lower() != actual.removeprefix("sha256:"):
        raise Stale(
            f"the digest of this plan is {actual}, not {expected}",
            hint="the manifests or the fleet changed since; review the plan above and pass its digest",
        )


def _drift(plan: Plan, change: Any, released: str | None) -> Problem:
    device = plan.device_names.get(change.device_id) or change.device_id
    flow = plan.flow_names.get(change.flow_id) or change.flow_id
    shown = [version or "nothing" for version in (released, change.from_version, change.to_version)]
    message = f"{device} / {flow} is at {shown[0]}; the plan moves it from {shown[1]} to {shown[2]}"
    return Problem(message, hint="somebody moved it since; make a new plan")


def _desired_of(plan: Plan) -> Desired:
    """The rows that a saved plan knows to be managed: its changes, and those that were pending."""
    devices: dict[str, dict[str, Decision]] = {}
    for change in plan.changes:
        decision = Decision(change.to_version, change.source, "plan")
        devices.setdefault(change.device_id, {})[change.flow_id] = decision
    for row in plan.pending:
        decision = Decision(row.released, Place("plan", 1), "plan")
        devices.setdefault(row.device_id, {})[row.flow_id] = decision
    return Desired(devices)
