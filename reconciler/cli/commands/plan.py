"""`reconciler plan`: reads live state, prints what would change. Sends GET only."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import click

from reconciler.cli import options as opt
from reconciler.cli.console import Console
from reconciler.errors import ExitCode, ReconcilerError, UsageError


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
    from reconciler.operations.applications import load
    from reconciler.operations.plan import plan, refused
    from reconciler.runtime import SystemClock

    opt.refuse_stdin(paths, flags["against"])
    stdin = opt.standard_input(paths)
    rules = load(*paths, application=flags["application"], kind=flags["kind"], stdin=stdin)
    keep_inputs("--out", flags["out"], [source.path for one in rules for source in one.manifests])
    against = None
    if flags["against"] is not None:
        from reconciler.operations.against import earlier

        pick = {"application": flags["application"], "kind": flags["kind"]}
        against = earlier(flags["against"], paths, rules, **pick)
    gateway = connect(console, [one.application.id for one in rules], parallelism=flags["parallelism"])
    with OutputFile(console, "--out", flags["out"]) if flags["out"] is not None else nullcontext() as out:
        planned = run_async(plan(rules, gateway, opt.planning_options(flags), against=against))
        plans = [one.plan for one in planned]
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
    write_plans(console, "plan", plans, failure, read=SystemClock().utc_now())
    if failure:
        return console.fail(failure)
    changed = flags["detailed_exitcode"] and any(one.changes for one in plans)
    return ExitCode.CHANGES if changed else ExitCode.DONE
