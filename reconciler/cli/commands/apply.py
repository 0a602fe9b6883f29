"""`reconciler apply`: carries out a plan, and reports the result whatever happens."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli import options as opt
from reconciler.cli import values
from reconciler.cli.console import Console


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
@click.option("--plan", "plan_file", metavar="FILE", type=click.Path(), help="Carry out this saved plan.")
@click.option(
    "--expect-digest",
    type=values.digest,
    metavar="SHA",
    help="Refuse (exit 4) any other plan; takes its digest or review digest.",
)
@click.option("--yes", is_flag=True, help="Do not ask for approval.")
@click.option("--dry-run", is_flag=True, help="Stop before the first write; report the same calls.")
@click.option("--wait", is_flag=True, help="Wait until every managed device runs its desired versions.")
@opt.timeout("15m", "Timeout of --wait: 90s, 15m, 2h.")
@click.option(
    "--offline",
    type=click.Choice(["wait", "skip", "fail"]),
    default="skip",
    show_default=True,
    help="How --wait treats devices that were offline when apply began.",
)
@click.option(
    "--result", "result_file", metavar="FILE", type=click.Path(), help="Write the result as JSON, whatever happens."
)
@click.pass_obj
def command(console: Console, /, **flags: Any) -> int:
    """Read live state, plan, ask for approval, and carry out the plan.

    PATH is a file, a directory or `-`; the default is `manifests`.
    """
    from reconciler.cli.apply import apply

    return apply(console, flags)
