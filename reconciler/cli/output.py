"""Writes plans and results to stdout, in the requested format, and atomically to files."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

from reconciler.cli.console import Console
from reconciler.errors import Problem, ReconcilerError, UsageError, cannot_write
from reconciler.model.digest import digest, digests
from reconciler.model.plan import Plan, Warning
from reconciler.model.rules import Rules
from reconciler.render.inert import inert
from reconciler.render.text import plan_text

if TYPE_CHECKING:
    from reconciler.model.result import Result


def write_warnings(console: Console, warnings: Iterable[Warning]) -> None:
    """Write one line per warning to stderr."""
    for warning in warnings:
        place = f"{warning.place}: " if warning.place else ""
        hint = f" ({warning.hint})" if warning.hint else ""
        console.note(inert(f"Warning: {place}{warning.message}{hint}"))


def application_line(rules: Rules) -> str:
    """One line for an application and kind, with the paths of its manifests."""
    name = f" ({rules.application.name})" if rules.application.name else ""
    return inert(f"{rules.application.id}{name} {rules.kind}: {', '.join(rules.paths)}")


def write_plans(
    console: Console, command: Literal["plan", "show"], plans: Sequence[Plan], error: ReconcilerError | None = None
) -> None:
    """Write the plans to stdout, as text, Markdown or JSON."""
    if console.wants_json:
        from reconciler.documents.json import error_data
        from reconciler.documents.plan import plan_document

        failed = error_data(error.exit_code, error.problems) if error else None
        console.write_document(plan_document(plans, command, error=failed))
    elif console.fmt == "markdown":
        from reconciler.render.markdown import plan_markdown

        both, commit, most = digests(plans), console.commit, console.max_bytes
        console.write(plan_markdown(plans, both.changes, review_digest=both.review, commit=commit, max_bytes=most))
    else:
        console.write(plan_text(plans, digest(plans), verbose=console.verbose, color=console.color))


def write_results(console: Console, results: Sequence[Result], code: int, problems: Sequence[Problem] = ()) -> None:
    """What an apply did to stdout, as text or Markdown; `problems`: those that are not reported elsewhere."""
    from reconciler.render.result import result_markdown, result_text

    if console.fmt == "markdown":
        page = result_markdown(
            results, exit_code=code, problems=problems, commit=console.commit, max_bytes=console.max_bytes
        )
        console.write(page)
    else:
        console.write(result_text(results, code=code, problems=problems, color=console.color))


def save_text(path: str, text: str) -> None:
    """Write the file of `--out` atomically: write a temporary file, then rename it. UsageError if that fails.

    Anything but a regular file, such as a pipe, is written directly.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.exists() and not stat.S_ISREG(target.stat().st_mode):
            target.write_text(text, encoding="utf-8")
            return
        draft = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            draft.write_text(text, encoding="utf-8")
            draft.replace(target)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
    except (OSError, ValueError) as error:
        raise cannot_write("--out", path, error) from None


def keep_inputs(what: str, path: str | None, inputs: Iterable[str]) -> None:
    """Raise UsageError if an output file is also an input of this run."""
    if path is not None and os.path.realpath(path) in map(os.path.realpath, inputs):
        raise UsageError(f"{what} {path} would overwrite an input file", hint="choose another file")


class ResultFile:
    """The file of `--result`: opened before anything is sent, written once at the end, whatever the outcome."""

    def __init__(self, path: str) -> None:
        """Open the file; UsageError if that fails."""
        self._path = path
        try:
            self._file: IO[str] = open(path, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - `write` closes it
        except (OSError, ValueError) as error:
            raise cannot_write("--result", path, error) from None

    def write(self, data: Mapping[str, object]) -> None:
        """Write the document. UsageError where that fails, as on a full disk."""
        from reconciler.documents.json import dump

        try:
            with self._file:
                self._file.write(dump(data) + "\n")
        except OSError as error:
            raise UsageError(f"--result {self._path} could not be written: {error.strerror or error}") from None
