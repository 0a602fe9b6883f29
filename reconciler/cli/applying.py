"""The steps of an apply: plan, show, ask, read again, carry out, wait, report.

What was done is told on every path, so the jobs are held outside of whatever may be cancelled or fail.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from reconciler.api.client import LosantApi
from reconciler.cli.access import Access, run_async
from reconciler.cli.console import Session
from reconciler.cli.files import ResultFile, keep_inputs
from reconciler.cli.jobs import Job, Origin, origin_of
from reconciler.cli.order import Order
from reconciler.cli.output import write_plans, write_results
from reconciler.cli.progress import Display
from reconciler.cli.signals import undisturbed
from reconciler.documents.json import dump
from reconciler.documents.result import ResultDocument, result_document
from reconciler.errors import ExitCode, Interrupted, ReconcilerError, Stale, UsageError
from reconciler.executor import Execution
from reconciler.health import wait
from reconciler.model.health import Wait
from reconciler.model.plan import Plan
from reconciler.planner.digest import digest
from reconciler.render.text import plan_text


def apply(session: Session, order: Order) -> int:
    """Carry out what the order says; return the exit code."""
    run = _Apply(session, order)
    failure: ReconcilerError | None = None
    try:
        run.steps()
    except KeyboardInterrupt:
        failure = Interrupted("interrupted", hint="the next plan shows what is left")
    except BrokenPipeError:
        failure = ReconcilerError("nobody reads stdout any more, so nothing was sent")
    except ReconcilerError as error:
        failure = error
    except Exception as error:  # noqa: BLE001 - also then the result has to be told
        failure = session.bug(error)
    with undisturbed():
        return run.report(failure)


class _Apply:
    def __init__(self, session: Session, order: Order) -> None:
        self._session = session
        self._order = order
        self._jobs: list[Job] = []
        self._result_path = order.result_file
        self._result_file: ResultFile | None = None

    def steps(self) -> None:
        """Everything up to the report."""
        order = self._order
        if not order.yes and not order.dry_run and not _can_ask():
            raise UsageError("there is no terminal to ask for approval on", hint="pass --yes to apply without asking")
        self._keep([*order.paths, *([order.plan_file] if order.plan_file else [])])
        origin = origin_of(order)
        self._keep(origin.files)
        self._open_result()
        access = Access(self._session, origin.application_ids, parallelism=order.parallelism)
        self._jobs = run_async(origin.jobs(access))
        self._show()
        self._check(origin)
        if not order.yes and not order.dry_run and any(job.plan.changes for job in self._jobs):
            self._ask(origin, access)
        display = Display(self._session, access.clock)
        access.note = display.note
        with display.shown():
            run_async(self._carry_out(access, display))

    @property
    def _plans(self) -> Sequence[Plan]:
        return [job.plan for job in self._jobs]

    def _keep(self, inputs: Sequence[str]) -> None:
        """Refuse a result file that is one of these."""
        try:
            keep_inputs("--result", self._result_path, inputs)
        except UsageError:
            self._result_path = None  # not for the report of this either
            raise

    def _open_result(self) -> None:
        if self._result_path is not None:
            self._result_file = ResultFile(self._result_path)

    def _show(self) -> None:
        if self._order.fmt == "text":
            write_plans(self._session, "plan", self._plans, fmt="text", max_bytes=self._order.max_bytes)

    def _check(self, origin: Origin) -> None:
        """Refuse what is not what was expected, then what a guard refuses."""
        expected, actual = self._order.expect_digest, origin.digest(self._jobs)
        if expected is not None and expected != actual:
            raise Stale(
                f"the digest of this plan is {actual}, not {expected}",
                hint="the manifests or the fleet changed since; review the plan again and pass its digest",
            )
        if refusal := origin.refusal(self._jobs):
            raise refusal

    def _ask(self, origin: Origin, access: Access) -> None:
        """Go on only at a "yes", and only if the world is as it was when the question was put."""
        asked = digest(self._plans)
        if self._order.fmt != "text":
            self._session.note(plan_text(self._plans, asked, verbose=self._session.verbose))
        if self._session.ask("Apply this plan? Only 'yes' is accepted: ") != "yes":
            raise ReconcilerError("not applied: the answer was not 'yes'")
        self._jobs = run_async(origin.jobs(access))
        if digest(self._plans) != asked:
            raise Stale("the world moved while the question stood: the plan is another now", hint="run apply again")
        self._check(origin)

    async def _carry_out(self, access: Access, display: Display) -> None:
        async with access.open() as api_of, asyncio.TaskGroup() as group:
            for job in self._jobs:
                api = api_of(job.plan.application.id, job.plan.kind)
                group.create_task(self._one(job, api, access, display))

    async def _one(self, job: Job, api: LosantApi, access: Access, display: Display) -> None:
        order, clock = self._order, access.clock
        name = job.plan.application.name or job.plan.application.id
        job.execution = Execution(
            job.plan,
            job.read,
            api,
            clock=clock,
            parallelism=order.parallelism,
            dry_run=order.dry_run,
            observe=display.phase(f"{name}: applying", len(job.plan.changes)),
        )
        await job.execution.carry_out()
        if not order.wait or order.dry_run or job.code is not ExitCode.DONE:
            return
        phase = display.phase(f"{name}: converging", 0)

        def observe(standing: Wait) -> None:
            job.standing = standing
            phase.standing(standing)

        try:
            await wait(
                job.desired,
                api,
                clock=clock,
                timeout_s=order.timeout_s,
                first=job.read,
                offline=order.offline,
                observe=observe,
            )
        except asyncio.CancelledError:
            job.cut_short = True
            raise

    def report(self, failure: ReconcilerError | None) -> int:
        """The result to where it belongs, whatever happened; the exit code by precedence."""
        code = self._code(failure)
        problems = failure.problems if failure else ()
        self._session.tell(problems)
        results = [job.outcome for job in self._jobs]
        document = result_document(results, "apply", code=code, problems=problems)
        self._save(document, failure)
        try:
            if self._session.wants_json:
                self._session.write_document(document)
            elif not failure or code is ExitCode.INTERRUPTED or self._wrote:
                fmt, max_bytes, commit = self._order.fmt, self._order.max_bytes, self._order.commit
                write_results(self._session, results, code=code, fmt=fmt, max_bytes=max_bytes, commit=commit)
        except BrokenPipeError:
            pass  # what was done is done, and the result file holds it
        except ReconcilerError as error:
            self._session.tell(error.problems)
            code = code or (ExitCode.DONE if self._wrote else error.exit_code)
        return self._session.exit(code)

    @property
    def _wrote(self) -> bool:
        return any(job.result.wrote for job in self._jobs)

    def _code(self, failure: ReconcilerError | None) -> ExitCode:
        """An interrupt counts most, then what came of the writes, then why there were none."""
        if isinstance(failure, Interrupted):
            return failure.exit_code
        codes = {job.code for job in self._jobs} if self._wrote or not failure else set[ExitCode]()
        if codes & {ExitCode.NOT_CONFIRMED, ExitCode.INTERRUPTED}:  # the latter when a bug cut a job off
            return ExitCode.NOT_CONFIRMED
        if ExitCode.NOT_CONVERGED in codes:
            return ExitCode.NOT_CONVERGED
        return failure.exit_code if failure else ExitCode.DONE

    def _save(self, document: ResultDocument, failure: ReconcilerError | None) -> None:
        """Write the result file; to stderr where that cannot be, so that what was done is not lost."""
        path = self._result_path
        if path is None:
            return
        try:
            file = self._result_file or ResultFile(path)
            file.write(document)
        except UsageError as error:
            if failure and failure.problems == error.problems:
                return  # that very file is why nothing was done
            self._session.tell(error.problems)
            self._session.note(dump(document, ascii_only=True))


def _can_ask() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()
