"""`reconciler plan`: reads live state, prints what would change. Sends GET only."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import options as opt
from reconciler.cli.console import Console
from reconciler.errors import ExitCode, ReconcilerError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reconciler.cli.events.log import EventLog
    from reconciler.model.plan import Plan
    from reconciler.model.rules import Rules
    from reconciler.model.world import Earlier


@click.command
@opt.paths
@opt.pick
@opt.filters
@opt.planning
@opt.against
@opt.parallelism
@opt.formats("text", "json", "markdown", "html")
@opt.max_bytes
@opt.commit
@opt.events
@click.option("--out", metavar="FILE", type=click.Path(), help="Save the plan for `apply --plan`, even if refused.")
@click.option(
    "--detailed-exitcode",
    is_flag=True,
    help="Exit 2 instead of 0 if something would be sent now, 7 if a rollout is stopped or stalled.",
)
@click.pass_obj
def command(console: Console, /, paths: tuple[str, ...], **flags: Any) -> ExitCode:
    """Read live state and print what would change. Nothing is written to the API.

    PATH is a file, a directory or `-`; the default is `manifests`. With one flow as the only --target (by its alias or
    id), only that flow's records are read, and calls that could reach beyond them are not used, so there may be more
    calls than otherwise.
    """
    from reconciler.cli.connect import connect
    from reconciler.cli.output import OutputFile, keep_inputs, telling_what_is_gone
    from reconciler.cli.reading import Reading
    from reconciler.cli.signals import run_async
    from reconciler.operations.applications import load
    from reconciler.operations.plan import plan, refused
    from reconciler.runtime import SystemClock, gc_spared

    if flags["events"] is not None:
        from reconciler.cli.events.option import check_events

        check_events(console, flags["events"])
    opt.refuse_stdin(paths, flags["against"])
    stdin = opt.standard_input(paths)
    with telling_what_is_gone(console, flags["against"], paths):
        rules = load(*paths, application=flags["application"], kind=flags["kind"], stdin=stdin)
    keep_inputs("--out", flags["out"], [source.path for one in rules for source in one.manifests])
    against = _earlier(paths, rules, flags) if flags["against"] is not None else None
    log = _log(console, rules, flags) if flags["events"] is not None else None
    ids, was_read = [one.application.id for one in rules], log.was_read if log else None
    clock = SystemClock()
    reading = Reading(console, clock)
    gateway = connect(
        console,
        ids,
        parallelism=flags["parallelism"],
        clock=clock,
        was_read=was_read,
        page_read=reading.page_read,
    )
    with OutputFile(console, "--out", flags["out"]) if flags["out"] is not None else nullcontext() as out:
        with reading, gc_spared():
            planned = run_async(plan(rules, gateway, opt.planning_options(flags), against=against))
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
    return _end(console, plans, failure, detailed=flags["detailed_exitcode"])


def _earlier(paths: tuple[str, ...], rules: Sequence[Rules], flags: Mapping[str, Any]) -> Earlier:
    """What an earlier revision managed."""
    from reconciler.operations.against import earlier

    return earlier(flags["against"], paths, rules, application=flags["application"], kind=flags["kind"])


def _log(console: Console, rules: Sequence[Rules], flags: Mapping[str, Any]) -> EventLog:
    """Where events go. It is opened once the manifests are read, so that it cannot be one of them."""
    from reconciler.cli.events.option import open_events
    from reconciler.model.state import Application

    return open_events(
        console,
        flags["events"],
        "plan",
        inputs=[source.path for one in rules for source in one.manifests],
        outputs=[flags["out"]],
        applications=[Application(one.application.id, one.application.name) for one in rules],
    )


def _end(console: Console, plans: Sequence[Plan], failure: ReconcilerError | None, *, detailed: bool) -> ExitCode:
    """Write the plans, and tell how it ended."""
    from reconciler.cli.output import write_plans
    from reconciler.documents.attention import attention
    from reconciler.runtime import SystemClock

    reports = [report for one in plans if one.rollouts for report in one.rollouts.reports]
    stopped = attention(reports) if detailed else None
    if console.fmt != "events":
        write_plans(console, "plan", plans, failure or stopped, read=SystemClock().utc_now())
    if failure:
        return console.fail(failure)
    if stopped:
        return console.end_events(stopped.exit_code)
    changed = detailed and any(len(one.sent) for one in plans)
    return console.end_events(ExitCode.CHANGES if changed else ExitCode.DONE)
