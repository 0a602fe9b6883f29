"""`reconciler plan`: read live state, print what would change. Sends GET only."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli import options as opt
from reconciler.cli.session import Session


@click.command(short_help="Show what would change.")
@opt.paths
@opt.pick
@opt.filters
@opt.planning
@opt.parallelism
@opt.formats("text", "json")
@click.option("--out", metavar="FILE", type=click.Path(), help="Save the plan for `apply --plan`, refused or not.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 instead of 0 when changes are present.")
@click.pass_obj
def command(session: Session, paths: tuple[str, ...], **flags: Any) -> int:
    """Read live state and print what would change. Nothing is written to the API.

    PATH is a file, a directory or `-`; the default is `manifests`.
    """
    from reconciler.cli.planning import load_rules, parse_options, plan_everything, refused, run_async
    from reconciler.cli.report import save_plan, write_plans
    from reconciler.errors import ExitCode
    from reconciler.planner.plan import Plan

    options = parse_options(**{key: flags[key] for key in opt.PLANNING_FLAGS})
    rules = load_rules(paths, application=flags["application"], kind=flags["kind"])
    prepared = run_async(plan_everything(session, rules, options, parallelism=flags["parallelism"]))
    plans: tuple[Plan, ...] = tuple(one.plan for one in prepared)

    refusal = refused(plans)
    write_plans(session, "plan", plans, error=refusal)
    if flags["out"]:
        save_plan(flags["out"], plans)
    if refusal:
        return session.fail(refusal)
    changed = any(plan.changes for plan in plans)
    return session.exit(ExitCode.CHANGES if flags["detailed_exitcode"] and changed else ExitCode.DONE)
