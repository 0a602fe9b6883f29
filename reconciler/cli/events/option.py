"""The option `--events` of `plan` and `apply`: checked first, opened before any request, ended whatever happens."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Literal

import click
from click.core import ParameterSource

from reconciler.cli.console import Console
from reconciler.cli.events.log import EventLog
from reconciler.cli.events.sink import open_sink
from reconciler.cli.output import keep_inputs
from reconciler.errors import ExitCode, Problem, UsageError, cannot_write
from reconciler.model.result import Result
from reconciler.model.state import Application
from reconciler.ports import Clock
from reconciler.render.inert import inert
from reconciler.runtime import SystemClock

STDOUT = "-"


def check_events(console: Console, target: str | None) -> None:
    """Make stdout the stream of events for `-`, unless a format was asked for as well."""
    if target == STDOUT:
        if click.get_current_context().get_parameter_source("fmt") is not ParameterSource.DEFAULT:
            message = "--events - makes stdout the stream of events and cannot be combined with --format"
            raise UsageError(message, hint="--events FILE leaves stdout to --format")
        console.fmt = "events"


def open_events(
    console: Console,
    target: str,
    command: Literal["plan", "apply"],
    *,
    inputs: Iterable[str] = (),
    outputs: Iterable[str | None] = (),
    applications: Iterable[Application] = (),
    clock: Clock | None = None,
) -> EventLog:
    """Open the events and write the first one.

    Raises:
        UsageError: the file cannot be opened, or is an input or another output of this run.
    """
    if target != STDOUT:
        keep_inputs("--events", target, inputs)
        if os.path.realpath(target) in [os.path.realpath(path) for path in outputs if path is not None]:
            raise UsageError(f"--events {target} is another output of this run, too", hint="choose another file")
    try:
        sink = open_sink(target)
    except (OSError, ValueError) as error:
        raise cannot_write("--events", target, error) from None
    console.events = EventLog(sink, clock or SystemClock(), command=command, applications=applications)
    return console.events


def end_events(console: Console, code: ExitCode, problems: Sequence[Problem], results: Sequence[Result]) -> ExitCode:
    """Write the last event. Returns the exit code, which says so if what was promised could not be written."""
    command: Literal["plan", "apply"] = "apply" if console.command == "apply" else "plan"
    log = console.events or open_events(console, STDOUT, command)
    log.ended(code, problems, results)
    if log.problem is None:
        return code
    if log.is_unread:
        console.note(inert(f"Note: --events was not read to its end: {log.problem}; nothing else was affected"))
        return code
    console.report([Problem(f"--events could not be written: {log.problem}")])
    wrote = any(one.wrote for one in results)
    return code or (ExitCode.NOT_CONFIRMED if wrote else ExitCode.ERROR)
