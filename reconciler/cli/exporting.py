"""An export at the command line: the job's id on stdout as soon as there is one, then the file."""

from __future__ import annotations

from reconciler.cli.connect import connect
from reconciler.cli.console import Console
from reconciler.cli.progress import Display, Phase
from reconciler.cli.signals import run_async, undisturbed
from reconciler.documents.json import error_data
from reconciler.errors import ExitCode, Interrupted, ReconcilerError
from reconciler.model.export import Export
from reconciler.operations.export.request import ExportRequest
from reconciler.operations.export.run import ExportRun
from reconciler.render.export import file_text
from reconciler.render.inert import inert
from reconciler.runtime import SystemClock


def export(console: Console, request: ExportRequest) -> int:
    """Carry an export out; return the exit code."""
    run: ExportRun | None = None
    try:
        clock = SystemClock()
        display = Display(console, clock)
        gateway = connect(console, [request.application_id], parallelism=1, clock=clock)
        with display.shown():
            phase = display.phase("receiving", 0) if request.listening else None
            run = ExportRun(request, gateway, _Observer(console, display, phase))
            run_async(run.carry_out())
    except KeyboardInterrupt:
        with undisturbed():
            return _fail(console, run, Interrupted("interrupted"))
    except ReconcilerError as error:
        return _fail(console, run, error)
    _report(console, run.export)
    return console.exit(ExitCode.DONE)


class _Observer:
    def __init__(self, console: Console, display: Display, phase: Phase | None) -> None:
        self._console = console
        self._display = display
        self._phase = phase

    def note(self, text: str) -> None:
        """A line above the bar."""
        self._display.note(text)

    def queued(self, job_id: str | None) -> None:
        """The id at once, unless stdout is one document."""
        if job_id and not self._console.wants_json:
            self._console.write(inert(job_id))

    def received(self, size: int, total: int | None) -> None:
        """A bar of bytes."""
        if self._phase:
            self._phase.rows(size, total or size)


def _report(console: Console, done: Export | None) -> None:
    if console.wants_json:
        _write_document(console, done, None)
    elif done and done.file:
        console.write(file_text(done.file))
        if done.file.type == "other":
            console.note("Warning: the file is no zip, gzip or WASM module; look into it.")


def _fail(console: Console, run: ExportRun | None, error: ReconcilerError) -> int:
    """The error, with the job if there is one."""
    if console.wants_json:
        _write_document(console, run.export if run else None, error)
    return console.fail(error)


def _write_document(console: Console, done: Export | None, error: ReconcilerError | None) -> None:
    told = error_data(error.exit_code, error.problems) if error else None
    console.write_json("export", error=told, exports=(done,) if done else ())
