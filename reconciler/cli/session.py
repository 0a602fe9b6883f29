"""One run of the command line: the global options, and how it speaks: result to stdout, all else to stderr."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import PurePath

import click

from reconciler.errors import ExitCode, Problem, ReconcilerError

# The list that each command's JSON document carries.
LISTS = {
    "plan": "plans",
    "show": "plans",
    "apply": "results",
    "status": "status",
    "diff": "differences",
    "validate": "applications",
    "applications": "applications",
}


class Session:
    """State that the commands of one run share (`ctx.obj`).

    Attributes:
        verbose: 0, 1 (`-v`: explanations) or 2 (`-vv`: requests too).
        color: whether text on stdout may carry colours.
        document: what a JSON document shall hold beside an error, should the run fail from here on.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        self.api_url: str | None = None
        self.token_file: str | None = None
        self.verbose = 0
        self.color = False
        self.document: dict[str, object] = {}
        self._wants_json = _asks_for("json", argv)
        self._wants_markdown = _asks_for("markdown", argv)
        self._command = next((word for word in argv if word in LISTS), "reconciler")
        self._written = False

    @property
    def wants_json(self) -> bool:
        """Whether stdout is to be one JSON document, whatever happens."""
        return self._wants_json

    @property
    def wants_text(self) -> bool:
        """Whether stdout is for people."""
        return not self._wants_json and not self._wants_markdown

    @property
    def wants_markdown(self) -> bool:
        """Whether stdout is to be Markdown."""
        return self._wants_markdown

    def write(self, text: str) -> None:
        """Write the result to stdout."""
        click.echo(text, nl=not text.endswith("\n"), color=self.color)
        self._written = True

    def write_json(self, command: str, *, error: Mapping[str, object] | None = None, **parts: object) -> None:
        """Write the one JSON document of this run."""
        from reconciler.render.json import document, dump

        self.write(dump(document(command, error=error, parts=parts)))

    def note(self, text: str) -> None:
        """Write one line to stderr: progress, a warning, an explanation."""
        click.echo(text, err=True)

    def fail(self, error: ReconcilerError) -> int:
        """Tell every problem on stderr, write the JSON document if one is still owed, return the exit code."""
        from reconciler.render.inert import inert

        for problem in error.problems:
            self.note(inert(str(problem)))
        if self._wants_json and not self._written:
            from reconciler.render.json import error_data

            listed = LISTS.get(self._command)
            parts: dict[str, object] = {listed: []} if listed else {}
            code_and_problems = error_data(error.exit_code, error.problems)
            self.write_json(self._command, error=code_and_problems, **{**parts, **self.document})
        return int(error.exit_code)

    def crash(self, error: Exception) -> int:
        """An exception that nobody foresaw: say so without a traceback, unless -vv asks for one."""
        if self.verbose > 1:
            import traceback

            traceback.print_exception(error)
        frame = _last_own_frame(error)
        problem = Problem(
            f"unexpected {type(error).__name__} in {frame}; this is a bug in reconciler",
            hint="please report it with the command that you ran; -vv shows where it happened",
        )
        return self.fail(ReconcilerError([problem]))

    def exit(self, code: ExitCode) -> int:
        """End with a code; a command returns what this returns."""
        sys.stdout.flush()
        return int(code)


def _asks_for(fmt: str, argv: Sequence[str]) -> bool:
    """`--format FMT` as typed, also when the rest of the command line makes no sense."""
    pairs = zip(argv, [*argv[1:], ""], strict=True)
    return any(word == f"--format={fmt}" or (word == "--format" and following == fmt) for word, following in pairs)


def _last_own_frame(error: Exception) -> str:
    place = "reconciler"
    trace = error.__traceback__
    while trace is not None:
        path = PurePath(trace.tb_frame.f_code.co_filename)
        if "reconciler" in path.parts:
            inside = path.parts[len(path.parts) - path.parts[::-1].index("reconciler") :]
            place = f"{'/'.join(inside)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
