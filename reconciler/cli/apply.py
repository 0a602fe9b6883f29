"""The command-line side of an apply: files, terminal, exit code. Whatever happens, the result is reported."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from reconciler.cli.connect import connect
from reconciler.cli.console import Console
from reconciler.cli.events.log import EventLog
from reconciler.cli.events.option import check_events, open_events
from reconciler.cli.options import planning_options, refuse_stdin, standard_input
from reconciler.cli.output import OutputFile, keep_inputs, telling_what_is_gone, write_results
from reconciler.cli.progress import Display, Phase
from reconciler.cli.reading import Reading
from reconciler.cli.signals import current, run_async, undisturbed
from reconciler.documents.json import dump
from reconciler.documents.result import result_document
from reconciler.errors import ExitCode, Interrupted, Problem, ReconcilerError, UsageError
from reconciler.executor import Observer
from reconciler.model.digest import digest
from reconciler.model.health import Offline, Wait
from reconciler.model.plan import Plan
from reconciler.model.result import CallResult, Result
from reconciler.model.rollout import RolloutReport
from reconciler.model.state import Application, Kind
from reconciler.model.world import Earlier
from reconciler.operations.applications import load
from reconciler.operations.apply import ApplyObserver, ApplyRequest, ApplyRun, Changes
from reconciler.operations.replan import load_plans
from reconciler.render.text import plan_text
from reconciler.runtime import SystemClock


def apply(console: Console, flags: dict[str, Any]) -> ExitCode:
    """Run an apply with the given flags."""
    if flags["events"] is not None:
        check_events(console, flags["events"])
    command = _Apply(console, flags)
    failure: ReconcilerError | None = None
    try:
        command.run()
    except KeyboardInterrupt:
        failure = Interrupted("interrupted", hint="plan shows what is left to send, status what is pending")
    except BrokenPipeError:
        failure = ReconcilerError("stdout was closed by its reader, so nothing was sent")
    except ReconcilerError as error:
        failure = error
    except Exception as error:  # noqa: BLE001 - also then the result has to be reported
        failure = console.bug(error)
    with undisturbed():
        return command.report(failure)


class _Apply(ApplyObserver):
    """One run, also the observer that shows its plan and progress."""

    def __init__(self, console: Console, flags: dict[str, Any]) -> None:
        """Check the combination of flags before the result file is opened."""
        choosing = {"PATH": flags["paths"], "--target": flags["targets"], "--exclude": flags["excludes"]}
        choosing["--against"] = flags["against"]
        given = ", ".join(name for name, value in choosing.items() if value)
        if given and flags["plan_file"] is not None:
            message = f"--plan carries out a saved plan and cannot be combined with {given}"
            raise UsageError(message, hint="pass them when making the plan")
        refuse_stdin(flags["paths"], flags["against"])
        self._console = console
        self._flags = flags
        self._display = Display(console, SystemClock())
        self._reading = Reading(console, self._display.clock)  # until there is a plan
        self._phases: dict[tuple[str, Kind, str], Phase] = {}
        self._run: ApplyRun | None = None
        self._against: Earlier | None = None
        self._result_path: str | None = flags["result_file"]
        self._result_file: OutputFile | None = None
        self._events: EventLog | None = None
        self._inputs: list[str] = []

    def run(self) -> None:
        """Everything before the report."""
        flags = self._flags
        asks = not flags["yes"] and not flags["dry_run"]
        if asks and not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise UsageError("approval needs a terminal to ask on", hint="pass --yes to apply without asking")
        self._keep([*flags["paths"], *filter(None, [flags["plan_file"]])])
        changes = self._changes()
        if self._result_path is not None:
            self._result_file = OutputFile(self._console, "--result", self._result_path)
            self._result_file.forget_old()
        self._open_events(changes)
        gateway = connect(
            self._console,
            [one.application.id for one in changes],
            parallelism=flags["parallelism"],
            clock=self._display.clock,
            note=self._display.note,
            was_read=self._events.was_read if self._events else None,
            page_read=self._reading.page_read,
        )
        request = ApplyRequest(
            options=planning_options(flags),
            against=self._against,
            expect_digest=flags["expect_digest"],
            dry_run=flags["dry_run"],
            wait=flags["wait"],
            timeout_s=flags["timeout"],
            offline=Offline(flags["offline"]),
            approve=self._approve if asks else None,
            observer=self,
        )
        self._run = ApplyRun(changes, gateway, request)
        with self._display.shown(), self._reading:
            run_async(self._run.carry_out())

    def _changes(self) -> Changes:
        """What to apply, read from files."""
        paths, plan_file = self._flags["paths"], self._flags["plan_file"]
        choice = {"application": self._flags["application"], "kind": self._flags["kind"]}
        if plan_file is not None:
            return load_plans(plan_file, **choice)
        with telling_what_is_gone(self._console, self._flags["against"], paths):
            rules = load(*paths, **choice, stdin=standard_input(paths))
        self._keep(source.path for one in rules for source in one.manifests)
        if self._flags["against"] is not None:
            from reconciler.operations.against import earlier

            self._against = earlier(self._flags["against"], paths, rules, **choice)
        return rules

    def _keep(self, inputs: Iterable[str]) -> None:
        """Refuse a result file that is one of the inputs."""
        self._inputs += inputs
        try:
            keep_inputs("--result", self._result_path, self._inputs)
        except UsageError:
            self._result_path = None  # do not write the report of this error there either
            raise

    def _open_events(self, changes: Changes) -> None:
        if self._flags["events"] is not None:
            self._events = open_events(
                self._console,
                self._flags["events"],
                "apply",
                inputs=self._inputs,
                outputs=[self._result_path],
                applications=[Application(one.application.id, one.application.name) for one in changes],
                clock=self._display.clock,
            )

    def _approve(self, plans: Sequence[Plan]) -> bool:
        """Ask on the terminal; the plan is already shown there, unless stdout is for programs."""
        with current().raising():
            if self._console.fmt != "text":
                self._console.note(plan_text(plans, digest(plans), verbose=self._console.verbose))
            if self._console.ask("Apply this plan? Only 'yes' is accepted: ") != "yes":
                raise ReconcilerError("not applied: the answer was not 'yes'")
        return True

    def planned(self, plans: Sequence[Plan]) -> None:
        """Show the plans as text on stdout; in other formats stdout gets only the result."""
        self._reading.end()
        if self._events:
            self._events.planned(plans)
        if self._console.fmt == "text":
            with current().raising():
                verbose, color = self._console.verbose, self._console.color
                self._console.write(plan_text(plans, digest(plans), verbose=verbose, color=color))

    def applying(self, plan: Plan) -> Observer:
        """A progress bar for its changes, which the steps of a rollout share, and the events of its calls."""
        bar = self._phase(plan, "applying", len(plan.sent))
        return _Both(bar, self._events.applying(plan)) if self._events else bar

    def waiting(self, plan: Plan) -> Callable[[Wait], None]:
        """A progress bar for its rows, and the events of its devices."""
        bar = self._phase(plan, "converging")
        if self._events is None:
            return bar.waiting
        tell = self._events.waiting(plan)

        def both(progress: Wait) -> None:
            tell(progress)
            bar.waiting(progress)

        return both

    def rolling(self, plan: Plan, reports: Sequence[RolloutReport], now: float | None) -> None:
        """What its rollouts wait for, shown with its rows."""
        self._phase(plan, "converging").rolling(reports, now)

    def _phase(self, plan: Plan, what: str, total: int = 0) -> Phase:
        key = plan.application.id, plan.kind, what
        if key not in self._phases:
            title = f"{plan.application.name or plan.application.id}: {what}"
            self._phases[key] = self._display.phase(title, total, plan.flow_names)
        return self._phases[key]

    def report(self, failure: ReconcilerError | None) -> ExitCode:
        """Write the result to stdout and the result file, whatever happened. Returns the exit code."""
        results = self._run.results if self._run else ()
        wrote = any(one.wrote for one in results)
        code = exit_code(results, failure)
        problems = failure.problems if failure else ()
        self._console.report(problems)
        document = result_document(results, "apply", code=code, problems=problems)
        if unsaved := self._save(document, failure):
            if code is ExitCode.DONE:
                code = ExitCode.NOT_CONFIRMED if wrote else ExitCode.ERROR  # 1 says that nothing was sent
                document = result_document(results, "apply", code=code, problems=unsaved)
            self._console.note(dump(document, ascii_only=True))  # so that it is not lost
        try:
            if self._console.wants_json:
                self._console.write_document(document)
            elif self._console.fmt != "events" and (not failure or code is ExitCode.INTERRUPTED or wrote):
                write_results(self._console, results, code)
        except BrokenPipeError:
            pass  # the run is over, and its result is in the result file
        except ReconcilerError as error:
            self._console.report(error.problems)
            code = code or (ExitCode.NOT_CONFIRMED if wrote else error.exit_code)
            if self._result_path is None:
                self._console.note(dump(document, ascii_only=True))  # so that it is not lost
        return self._console.end_events(code, problems, results)

    def _save(self, document: Mapping[str, object], failure: ReconcilerError | None) -> Sequence[Problem]:
        """Write the result file, and report why that failed, unless this was why nothing was done."""
        if self._result_path is None:
            return ()
        try:
            file = self._result_file or OutputFile(self._console, "--result", self._result_path)
            file.write(dump(document) + "\n")
        except UsageError as error:
            if failure and failure.problems == error.problems:
                return ()
            self._console.report(error.problems)
            return error.problems
        return ()


class _Both(Observer):
    """Two observers of one execution."""

    def __init__(self, first: Observer, second: Observer) -> None:
        self._each = (first, second)

    def call(self, call: CallResult) -> None:
        for one in self._each:
            one.call(call)

    def rows(self, confirmed: int, total: int) -> None:
        for one in self._each:
            one.rows(confirmed, total)

    def note(self, text: str) -> None:
        for one in self._each:
            one.note(text)


def exit_code(results: Sequence[Result], failure: ReconcilerError | None) -> ExitCode:
    """The exit code, by precedence: an interrupt, then the outcome of writes, then the reason for none."""
    if isinstance(failure, Interrupted):
        return failure.exit_code
    counted = results if not failure or any(one.wrote for one in results) else ()
    codes = {one.exit_code for one in counted}
    if codes & {ExitCode.NOT_CONFIRMED, ExitCode.INTERRUPTED}:  # a result may be INTERRUPTED also because of a bug
        return ExitCode.NOT_CONFIRMED
    if ExitCode.ROLLOUT_STOPPED in codes:
        return ExitCode.ROLLOUT_STOPPED
    if any(one.wait and one.wait.exit_code for one in counted):
        return ExitCode.NOT_CONVERGED
    return failure.exit_code if failure else ExitCode.DONE
