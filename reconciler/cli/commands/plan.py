"""`reconciler plan`: reads live state, prints what would change. Sends GET only."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import options as opt
from reconciler.cli.console import Console
from reconciler.errors import ExitCode, ReconcilerError, UsageError

if TYPE_CHECKING:
    from reconciler.cli.event_log import EventLog


@click.command
@opt.paths
@opt.pick
@opt.filters
@opt.planning
@opt.parallelism
@opt.formats("text", "json", "markdown")
@opt.max_bytes
@opt.commit
@opt.events
@click.option("--out", metavar="FILE", type=click.Path(), help="Save the plan for `apply --plan`, even if refused.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 instead of 0 if there are changes.")
@click.pass_obj
def command(console: Console, /, paths: tuple[str, ...], **flags: Any) -> ExitCode:
    """Read live state and print what would change. Nothing is written to the API.

    PATH is a file, a directory or `-`; the default is `manifests`. With one flow as the only --target (by its alias or
    id), only that flow's records are read, and calls that could reach beyond them are not used, so there may be more
    calls than otherwise.
    """
    from reconciler.cli.connect import connect
    from reconciler.cli.output import OutputFile, keep_inputs, write_plans
    from reconciler.cli.signals import run_async
    from reconciler.model.state import Application
    from reconciler.operations.applications import load
    from reconciler.operations.plan import plan, refused

    log: EventLog | None = None
    if flags["events"] is not None:
        from reconciler.cli.events import check_events, open_events

        check_events(console, flags["events"])
    stdin = opt.standard_input(paths)
    rules = load(*paths, application=flags["application"], kind=flags["kind"], stdin=stdin)
    inputs = [source.path for one in rules for source in one.manifests]
    keep_inputs("--out", flags["out"], inputs)
    if flags["events"] is not None:
        applications = [Application(one.application.id, one.application.name) for one in rules]
        log = open_events(
            console, flags["events"], "plan", inputs=inputs, outputs=[flags["out"]], applications=applications
        )
    was_read = log.was_read if log else None
    gateway = connect(
        console, [one.application.id for one in rules], parallelism=flags["parallelism"], was_read=was_read
    )
    with OutputFile(console, "--out", flags["out"]) if flags["out"] is not None else nullcontext() as out:
        planned = run_async(plan(rules, gateway, opt.planning_options(flags)))
        plans = [one.plan for one in planned]
        if log:
            log.planned(plans)
        if console.verbose:
            from reconciler.render.decisions import decisions_text

            for one in planned:
                console.note(decisions_text(one.world))

        failure: ReconcilerError | None = refused(plans)
        if out:
            from reconciler.documents.json import dump
            from reconciler.documents.plan import plan_document

            try:
                out.write(dump(plan_document(plans, "plan")) + "\n")
            except UsageError as error:
                failure = UsageError([*error.problems, *(failure.problems if failure else ())])
    if console.fmt != "events":
        write_plans(console, "plan", plans, failure)
    if failure:
        return console.fail(failure)
    changed = flags["detailed_exitcode"] and any(one.changes for one in plans)
    return console.end_events(ExitCode.CHANGES if changed else ExitCode.DONE)
