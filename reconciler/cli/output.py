"""Plans and results on their way to stdout, in the requested format."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from reconciler.cli.console import Console
from reconciler.errors import ExitCode, Problem, ReconcilerError
from reconciler.model.plan import Plan, Warning
from reconciler.model.result import Result
from reconciler.model.rules import Rules
from reconciler.planner.digest import digest
from reconciler.render.inert import inert
from reconciler.render.result import result_text
from reconciler.render.text import plan_text


def write_warnings(console: Console, warnings: Iterable[Warning]) -> None:
    """One line on stderr for each."""
    for warning in warnings:
        place = f"{warning.place}: " if warning.place else ""
        hint = f" ({warning.hint})" if warning.hint else ""
        console.note(inert(f"Warning: {place}{warning.message}{hint}"))


def application_line(rules: Rules) -> str:
    """An application and kind, with the paths of its manifests."""
    name = f" ({rules.application.name})" if rules.application.name else ""
    return inert(f"{rules.application.id}{name} {rules.kind}: {', '.join(rules.paths)}")


def write_plans(
    console: Console, command: Literal["plan", "show"], plans: Sequence[Plan], error: ReconcilerError | None = None
) -> None:
    """The plans to stdout, as text, Markdown or the one JSON document."""
    if console.wants_json:
        from reconciler.documents.json import error_data
        from reconciler.documents.plan import plan_document

        failed = error_data(error.exit_code, error.problems) if error else None
        console.write_document(plan_document(plans, command, error=failed))
    elif console.fmt == "markdown":
        from reconciler.render.markdown import plan_markdown

        console.write(plan_markdown(plans, digest(plans), commit=console.commit, max_bytes=console.max_bytes))
    else:
        console.write(plan_text(plans, digest(plans), verbose=console.verbose, color=console.color))


def write_results(
    console: Console, results: Sequence[Result], code: ExitCode, problems: Sequence[Problem] = ()
) -> None:
    """What an apply did to stdout, as text or Markdown; `problems`: those that are not reported elsewhere."""
    if console.fmt == "markdown":
        from reconciler.render.result import result_markdown

        page = result_markdown(
            results, exit_code=code, problems=problems, commit=console.commit, max_bytes=console.max_bytes
        )
        console.write(page)
    else:
        console.write(result_text(results, code=code, problems=problems, color=console.color))
