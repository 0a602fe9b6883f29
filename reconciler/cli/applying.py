"""An apply at the command line: its files, its terminal, its exit code. What was done is told on every path."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from reconciler.cli.connect import connect
from reconciler.cli.console import Console
from reconciler.cli.files import ResultFile, keep_inputs
from reconciler.cli.options import duration_s, planning_options, standard_input
from reconciler.cli.output import write_results
from reconciler.cli.progress import Display
from reconciler.cli.signals import current, run_async, undisturbed
from reconciler.documents.json import dump
from reconciler.documents.result import result_document
from reconciler.documents.saved_plan import load_plans
from reconciler.errors import ExitCode, Interrupted, ReconcilerError, UsageError
from reconciler.executor import Observer
from reconciler.model.health import Offline, Wait
from reconciler.model.plan import Plan
from reconciler.model.result import Result
from reconciler.operations.applications import load
from reconciler.operations.apply import ApplyObserver, ApplyRequest, ApplyRun, FromRules, PlanSource
from reconciler.operations.replan import FromSavedPlans, pick_plans
from reconciler.planner.digest import digest
from reconciler.render.text import plan_text
from reconciler.runtime import SystemClock


def apply(console: Console, flags: dict[str, Any]) -> int:
    """Carry out what the flags say; return the exit code."""
    command = _Apply(console, flags)
    failure: ReconcilerError | None = None
    try:
        command.run()
    except KeyboardInterrupt:
        failure = Interrupted("interrupted", hint="the next plan shows what is left")
    except BrokenPipeError:
        failure = ReconcilerError("nobody reads stdout any more, so nothing was sent")
    except ReconcilerError as error:
        failure = error
    except Exception as error:  # noqa: BLE001 - also then the result has to be told
        failure = console.bug(error)
    with undisturbed():
        return command.report(failure)


class _Apply:
    def __init__(self, console: Console, flags: dict[str, Any]) -> None:
        """Check the flags against each other, before any result is promised."""
        if flags["plan_file"] is not None:
            _refuse_choice(flags)
        self._console = console
        self._flags = flags
        self._shape = {name: flags[name] for name in ("fmt", "max_bytes", "commit")}
        self._request = ApplyRequest(
            options=planning_options(flags),
            expect_digest=flags["expect_digest"],
            dry_run=flags["dry_run"],
            wait=flags["wait"],
            timeout_s=duration_s("--timeout", flags["timeout"]),
            offline=Offline(flags["offline"]),
        )
        self._asks = not flags["yes"] and not flags["dry_run"]
        self._run: ApplyRun | None = None
        self._result_path: str | None = flags["result_file"]
        self._result_file: ResultFile | None = None

    def run(self) -> None:
        """Everything up to the report."""
        if self._asks and not _can_ask():
            raise UsageError("there is no terminal to ask for approval on", hint="pass --yes to apply without asking")
        plan_file = self._flags["plan_file"]
        self._keep([*self._flags["paths"], *([plan_file] if plan_file else [])])
        source, application_ids = self._source(plan_file)
        if self._result_path is not None:
            self._result_file = ResultFile(self._result_path)
        clock = SystemClock()
        display = Display(self._console, clock)
        parallelism = self._flags["parallelism"]
        gateway = connect(self._console, application_ids, parallelism=parallelism, clock=clock, note=display.note)
        approve = self._approve if self._asks else None
        request = replace(self._request, approve=approve, observer=_Observer(self._console, display))
        self._run = ApplyRun(source, gateway, request)
        with display.shown():
            run_async(self._run.carry_out())

    def _source(self, plan_file: str | None) -> tuple[PlanSource, list[str]]:
        """What to apply, read from the disk now, and the applications that it is about."""
        choice = {"application": self._flags["application"], "kind": self._flags["kind"]}
        if plan_file is not None:
            plans = pick_plans(load_plans(plan_file), plan_file, **choice)
            return FromSavedPlans(plans), [plan.application.id for plan in plans]
        rules = load(*self._flags["paths"], **choice, stdin=standard_input(self._flags["paths"]))
        self._keep([source.path for one in rules for source in one.sources])
        return FromRules(rules), [one.application.id for one in rules]

    def _keep(self, inputs: Sequence[str]) -> None:
        """Refuse a result file that is one of these."""
        try:
            keep_inputs("--result", self._result_path, inputs)
        except UsageError:
            self._result_path = None  # not for the report of this either
            raise

    def _approve(self, plans: Sequence[Plan]) -> bool:
        """Ask on the terminal, where the plan is shown already unless stdout is for programs."""
        with current().raising():
            if self._console.fmt != "text":
                self._console.note(plan_text(plans, digest(plans), verbose=self._console.verbose))
            if self._console.ask("Apply this plan? Only 'yes' is accepted: ") != "yes":
                raise ReconcilerError("not applied: the answer was not 'yes'")
        return True

    def report(self, failure: ReconcilerError | None) -> int:
        """The result to where it belongs, whatever happened; the exit code by precedence."""
        results = self._run.results if self._run else ()
        wrote = any(one.wrote for one in results)
        code = exit_code(results, failure)
        problems = failure.problems if failure else ()
        self._console.tell(problems)
        document = result_document(results, "apply", code=code, problems=problems)
        self._save(document, failure)
        try:
            if self._console.wants_json:
                self._console.write_document(document)
            elif not failure or code is ExitCode.INTERRUPTED or wrote:
                write_results(self._console, results, code=code, **self._shape)
        except BrokenPipeError:
            pass  # what was done is done, and the result file holds it
        except ReconcilerError as error:
            self._console.tell(error.problems)
            code = code or (ExitCode.DONE if wrote else error.exit_code)
        return self._console.exit(code)

    def _save(self, document: Mapping[str, object], failure: ReconcilerError | None) -> None:
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
            self._console.tell(error.problems)
            self._console.note(dump(document, ascii_only=True))


class _Observer(ApplyObserver):
    """Shows the plan as text, then how far it is."""

    def __init__(self, console: Console, display: Display) -> None:
        self._console = console
        self._display = display

    def planned(self, plans: Sequence[Plan]) -> None:
        """Text on stdout; other formats have one document, and that is the result."""
        if self._console.fmt == "text":
            with current().raising():
                verbose, color = self._console.verbose, self._console.color
                self._console.write(plan_text(plans, digest(plans), verbose=verbose, color=color))

    def applying(self, plan: Plan) -> Observer:
        """A bar for its changes."""
        return self._display.phase(f"{_name(plan)}: applying", len(plan.changes))

    def waiting(self, plan: Plan) -> Callable[[Wait], None]:
        """A bar for its rows."""
        return self._display.phase(f"{_name(plan)}: converging", 0).waiting


def exit_code(results: Sequence[Result], failure: ReconcilerError | None) -> ExitCode:
    """An interrupt counts most, then what came of the writes, then why there were none."""
    if isinstance(failure, Interrupted):
        return failure.exit_code
    told = [one for one in results if not failure or any(each.wrote for each in results)]
    codes = {one.exit_code for one in told}
    if codes & {ExitCode.NOT_CONFIRMED, ExitCode.INTERRUPTED}:  # the latter when a bug cut a run off
        return ExitCode.NOT_CONFIRMED
    if any(one.wait and one.wait.exit_code for one in told):
        return ExitCode.NOT_CONVERGED
    return failure.exit_code if failure else ExitCode.DONE


def _name(plan: Plan) -> str:
    return plan.application.name or plan.application.id


def _refuse_choice(flags: dict[str, Any]) -> None:
    """A saved plan is carried out as it is: what it is about was chosen when it was made."""
    choosing = {"PATH": flags["paths"], "--target": flags["targets"], "--exclude": flags["excludes"]}
    given = [name for name, value in choosing.items() if value]
    if given:
        raise UsageError(
            f"--plan carries out what was saved, so it does not go with {', '.join(given)}",
            hint="name them when the plan is made",
        )


def _can_ask() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()
