"""One run of the command line: its global options and its output (results to stdout, messages to stderr)."""

from __future__ import annotations

import contextlib
import io
import os
import re
import stat
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TextIO

import click

from reconciler.cli.registry import COMMANDS
from reconciler.errors import ExitCode, Problem, ReconcilerError, told

if TYPE_CHECKING:
    from reconciler.cli.events.log import EventLog
    from reconciler.model.result import Result


class Console:
    """One run of the command line: its global options and streams. The commands share it (`ctx.obj`).

    Attributes:
        verbose: 0, 1 (`-v`: explanations) or 2 (`-vv`: requests too).
        color_mode: `auto`, `always` or `never`.
        command: the name of the command, once known.
        fmt: the format of stdout: `text`, `json`, `markdown`, `html` or a command's own. Guessed until the command line
            is parsed, so that usage errors are reported in the requested format too.
        max_bytes: the size limit of Markdown output.
        commit: the commit of the manifests, to be shown in Markdown.
        events: the events of this run, if `--events` asks for them; with `--events -` the format is `events`.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        self.api_url: str | None = None
        self.token_file: str | None = None
        self.token_command: str | None = None
        self.verbose = 0
        self.color_mode = "auto"
        self.command = next((word for word in argv if word in COMMANDS), "reconciler")
        self.fmt = _format_in(argv, can_be_events=self.command in ("plan", "apply"))
        self.max_bytes = 65_000
        self.commit: str | None = None
        self.events: EventLog | None = None
        self._written = False
        self._was_terminal = sys.stdout.isatty()

    @property
    def color(self) -> bool:
        """Whether to colour text on stdout.

        What this run was told counts before the environment, and there NO_COLOR before FORCE_COLOR. That one is meant
        for whatever shows the output of programs, so a file that stdout leads to gets no colours by it.
        """
        if self.color_mode != "auto":
            return self.color_mode == "always"
        if os.environ.get("NO_COLOR"):
            return False
        if os.environ.get("FORCE_COLOR"):
            return not _is_file(sys.stdout)
        return os.environ.get("TERM") != "dumb" and sys.stdout.isatty()

    @property
    def no_color(self) -> bool:
        """Whether colours are off, also on stderr."""
        return self.color_mode == "never" or (self.color_mode == "auto" and bool(os.environ.get("NO_COLOR")))

    @property
    def wants_json(self) -> bool:
        """Whether stdout must be one JSON document, whatever happens."""
        return self.fmt == "json"

    def write(self, text: str, *, is_document: bool = False) -> None:
        """Write the result to stdout.

        A document, such as a manifest or a Markdown page, is for files and programs: unless a terminal shows it, it is
        UTF-8, whatever the code page. Other text follows the encoding of the stream.

        Raises:
            BrokenPipeError: the reader closed the pipe, or somebody the terminal.
            ReconcilerError: stdout cannot be written, for example because a disk is full.
        """
        self._written = True
        if is_document or self.fmt not in ("text", "json"):
            _write_utf_8()
        try:
            # The stream is passed explicitly: by default click would write UTF-8 to an ASCII stream.
            click.echo(text, file=sys.stdout, nl=not text.endswith("\n"), color=self.color)
        except BrokenPipeError:
            _lead_nowhere()
            raise
        except OSError as error:
            _lead_nowhere()
            if self._was_terminal:
                raise BrokenPipeError(*error.args) from None
            raise ReconcilerError(f"stdout cannot be written: {error.strerror or error}") from None

    def write_document(self, document: Mapping[str, object]) -> None:
        """Write the JSON document of this run, in ASCII if stdout cannot encode more."""
        from reconciler.documents.json import dump

        encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "")
        self.write(dump(document, ascii_only=not encoding.startswith("utf")))

    def write_json(self, *, error: ReconcilerError | None = None, **parts: object) -> None:
        """Write the JSON document of this run: its error, and its parts."""
        from reconciler.documents.json import document, error_data

        failed = error_data(error.exit_code, error.problems) if error else None
        self.write_document(document(self.command, error=failed, **parts))

    def write_sarif(self, *, error: ReconcilerError | None = None, warnings: Sequence[Problem] = ()) -> None:
        """Write the SARIF log of this run: its error, or what it warns of."""
        from reconciler.render.sarif import sarif_log

        problems, code = (error.problems, error.exit_code) if error else ((), ExitCode.DONE)
        self.write_document(sarif_log(problems, warnings, exit_code=code, uri_of=_uri_of))

    def note(self, text: str) -> None:
        """Write one line to stderr: progress, a warning, an explanation. Write errors are ignored."""
        with contextlib.suppress(OSError, ValueError):  # the latter of a closed stream
            click.echo(text, file=sys.stderr, color=not self.no_color and sys.stderr.isatty())

    def ask(self, question: str) -> str:
        """Ask on the terminal and return the line typed; empty at end of input (Ctrl-D), or where it was closed."""
        answer = ""
        try:
            with contextlib.suppress(OSError):
                click.echo(question, file=sys.stderr, nl=False)
                _wait_for_input()
                answer = sys.stdin.readline()
        finally:
            if not answer.endswith("\n"):  # Ctrl-C, Ctrl-D: start a new line for the next message
                self.note("")
        return answer.strip()

    def fail(self, error: ReconcilerError) -> ExitCode:
        """Report every problem on stderr, and write the JSON document if not yet written. Returns the exit code."""
        self.report(error.problems)
        if self.wants_json and not self._written:
            command = COMMANDS.get(self.command)
            parts: dict[str, object] = {command.listed: []} if command and command.listed else {}
            with contextlib.suppress(ReconcilerError, BrokenPipeError):
                self.write_json(error=error, **parts)
        elif self.fmt == "sarif" and self.command == "validate" and not self._written:
            with contextlib.suppress(ReconcilerError, BrokenPipeError):
                self.write_sarif(error=error)
        return self.end_events(error.exit_code, error.problems)

    def end_events(self, code: ExitCode, problems: Sequence[Problem] = (), results: Sequence[Result] = ()) -> ExitCode:
        """End the events, if there are any, with how the run ended. Returns the exit code, which may be worse then."""
        if self.events is None and self.fmt != "events":
            return code
        from reconciler.cli.events.option import end_events

        return end_events(self, code, problems, results)

    def report(self, problems: Sequence[Problem]) -> None:
        """Write one line per problem to stderr, and of very many how many more there are."""
        from reconciler.render.inert import inert

        for problem in told(problems):
            self.note(inert(str(problem)))

    def bug(self, error: Exception) -> ReconcilerError:
        """The error to report for an unexpected exception; its traceback only at -vv."""
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        if self.verbose > 1:
            import traceback

            self.note("".join(traceback.format_exception(error)).rstrip())
        return ReconcilerError(
            f"unexpected {type(error).__name__} in {_last_own_frame(error)}; this is a bug in reconciler",
            hint="please report it with the command that you ran; -vv shows where it happened",
        )


def _is_file(stream: TextIO) -> bool:
    """Whether a stream leads to a file on a disk."""
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):  # a stream in memory has no number
        return False


def _uri_of(path: str) -> str | None:
    """The URI of a path of a file, relative if the path is; None for standard input and the like."""
    from pathlib import Path
    from urllib.parse import quote

    if path == "<stdin>":
        return None
    if os.path.isabs(path):  # noqa: PTH117 - `Path` is imported only here
        return Path(path).as_uri()
    return quote(os.fsencode(Path(path).as_posix()))


def _write_utf_8() -> None:
    """Write UTF-8 to stdout from here on, unless it is a terminal."""
    if isinstance(sys.stdout, io.TextIOWrapper) and not sys.stdout.isatty():
        sys.stdout.reconfigure(encoding="utf-8")


def _format_in(argv: Sequence[str], *, can_be_events: bool) -> str:
    """The value of `--format` as typed; the last one counts. Without one, `--events -` is a format, too."""
    line = "\0".join(argv)
    typed = re.findall(r"(?:^|\0)--format[=\0]([^\0]*)", line)
    if not typed and can_be_events and re.search(r"(?:^|\0)--events[=\0]-(?:\0|$)", line):
        return "events"
    return typed[-1] if typed else "text"


def _wait_for_input() -> None:
    """Wait for input on stdin: a signal just before a blocking read would be noticed only after the read."""
    import select

    if os.name == "posix":  # elsewhere `select` supports only sockets
        while not select.select([sys.stdin], [], [], 0.5)[0]:
            pass


def _lead_nowhere() -> None:
    """Discard what stdout has buffered, so that flushing it at exit does not fail."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _last_own_frame(error: Exception) -> str:
    """`planner/planner.py:120`."""
    import traceback
    from pathlib import Path

    package = Path(__file__).parents[1]
    frames = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    own = [f"{path.relative_to(package)}:{line}" for path, line in frames if path.is_relative_to(package)]
    return own[-1] if own else "reconciler"
