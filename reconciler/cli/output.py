"""Writes plans and results to stdout, in the requested format, and whole to files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from reconciler.cli.console import Console
from reconciler.errors import ExitCode, Problem, ReconcilerError, UsageError, cannot_write
from reconciler.files import WholeFile
from reconciler.model.digest import digest, digests
from reconciler.model.plan import Plan, Warning
from reconciler.model.rules import Rules
from reconciler.render.inert import inert
from reconciler.render.text import plan_text

if TYPE_CHECKING:
    from reconciler.model.health import StatusReport
    from reconciler.model.result import Result


def write_warnings(console: Console, warnings: Iterable[Warning]) -> None:
    """Write one line per warning to stderr."""
    for warning in warnings:
        place = f"{warning.place}: " if warning.place else ""
        hint = f" ({warning.hint})" if warning.hint else ""
        console.note(inert(f"Warning: {place}{warning.message}{hint}"))


@contextmanager
def telling_what_is_gone(console: Console, against: str | None, paths: Sequence[str]) -> Iterator[None]:
    """If the manifests hold no application any more, tell what the revision managed before the error is shown."""
    try:
        yield
    except ReconcilerError:
        if against is not None:
            from reconciler.operations.against import all_gone

            write_warnings(console, all_gone(against, paths))
        raise


def application_line(rules: Rules) -> str:
    """One line for an application and kind, with the paths of its manifests."""
    name = f" ({rules.application.name})" if rules.application.name else ""
    return inert(f"{rules.application.id}{name} {rules.kind}: {', '.join(rules.paths)}")


def write_plans(
    console: Console,
    command: Literal["plan", "show"],
    plans: Sequence[Plan],
    error: ReconcilerError | None = None,
    *,
    read: str | None = None,
) -> None:
    """Write the plans to stdout, as text, Markdown, HTML or JSON; `read`: when the live state was read, if known."""
    if console.wants_json:
        from reconciler.documents.json import error_data
        from reconciler.documents.plan import plan_document

        failed = error_data(error.exit_code, error.problems) if error else None
        console.write_document(plan_document(plans, command, error=failed))
    elif console.fmt == "markdown":
        from reconciler.render.markdown import plan_markdown

        both, commit, most = digests(plans), console.commit, console.max_bytes
        console.write(plan_markdown(plans, both.changes, review_digest=both.review, commit=commit, max_bytes=most))
    elif console.fmt == "html":
        from reconciler.render.html.plan import plan_html

        console.write(plan_html(plans, digests(plans), commit=console.commit, read=read))
    else:
        console.write(plan_text(plans, digest(plans), verbose=console.verbose, color=console.color))


def write_results(console: Console, results: Sequence[Result], code: int, problems: Sequence[Problem] = ()) -> None:
    """What an apply did to stdout, as text, Markdown or HTML; `problems`: those that are not reported elsewhere."""
    from reconciler.render.result import result_markdown, result_text

    if console.fmt == "html":
        from reconciler.render.html.result import result_html

        console.write(result_html(results, exit_code=code, problems=problems, commit=console.commit))
    elif console.fmt == "markdown":
        page = result_markdown(
            results, exit_code=code, problems=problems, commit=console.commit, max_bytes=console.max_bytes
        )
        console.write(page)
    else:
        console.write(result_text(results, code=code, problems=problems, color=console.color))


def write_status(console: Console, reports: Sequence[StatusReport], *, read: str | None = None) -> None:
    """Write the reports to stdout, as text, Markdown, HTML or JSON; `read`: when the live state was read, if known."""
    from reconciler.documents.attention import attention
    from reconciler.render.status import status_markdown, status_text

    if console.wants_json:
        error: ReconcilerError | None = attention(one for report in reports for one in report.rollouts or ())
        if error is None and any(report.exit_code(detailed=False) for report in reports):
            error = _DevicesFailed()
        console.write_json(error=error, status=tuple(reports))
    elif console.fmt == "markdown":
        console.write(status_markdown(reports, commit=console.commit, max_bytes=console.max_bytes))
    elif console.fmt == "html":
        from reconciler.render.html.status import status_html

        console.write(status_html(reports, commit=console.commit, read=read))
    else:
        console.write(status_text(reports, color=console.color))


class _DevicesFailed(ReconcilerError):
    exit_code = ExitCode.NOT_CONVERGED

    def __init__(self) -> None:
        super().__init__("some devices failed; see status")


def keep_inputs(what: str, path: str | None, inputs: Iterable[str]) -> None:
    """Raise UsageError if an output file is also an input of this run."""
    if path is not None and os.path.realpath(path) in map(os.path.realpath, inputs):
        raise UsageError(f"{what} {path} would overwrite an input file", hint="choose another file")


class OutputFile:
    """A file that an option asks for: opened before anything is read or sent, written at the end, and whole."""

    def __init__(self, console: Console, option: str, path: str, *, make_folders: bool = False) -> None:
        """Open it, with `make_folders` in a new folder, too; UsageError if that fails."""
        self._console = console
        self._option = option
        self._path = path
        self._made: list[Path] = []
        try:
            if make_folders:
                self._make_folders()
            self._file = WholeFile(path)
        except (OSError, ValueError) as error:
            self._remove_folders()
            raise cannot_write(option, path, error) from None

    def __enter__(self) -> OutputFile:
        return self

    def __exit__(self, *error: Any) -> None:
        """Leave nothing behind if it was not written."""
        self._file.__exit__(*error)
        self._remove_folders()

    def _make_folders(self) -> None:
        for folder in reversed(Path(self._path).parents):
            if not folder.exists():
                folder.mkdir(exist_ok=True)
                self._made.append(folder)

    def _remove_folders(self) -> None:
        """Those that were made and are still empty."""
        for folder in reversed(self._made):
            with suppress(OSError):
                folder.rmdir()

    def forget_old(self) -> None:
        """Remove the file that it is to replace."""
        self._file.forget_old()

    def write(self, text: str) -> None:
        """Write the text. UsageError if that fails, as on a full disk. What had to be written in place is said."""
        try:
            self._file.write(text)
        except OSError as error:
            reason = error.strerror or error
            raise UsageError(f"{self._option} {self._path} could not be written: {reason}") from None
        if self._file.in_place:
            self._console.note(inert(f"Note: {self._option} {self._path} cannot be replaced; it was written in place."))
