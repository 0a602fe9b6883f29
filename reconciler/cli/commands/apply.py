"""`reconciler apply`: carry a plan out, and report what happened on every path."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli import options as opt
from reconciler.cli.console import Console


@click.command
@opt.paths
@opt.pick
@opt.filters
@opt.planning
@opt.parallelism
@opt.formats("text", "json", "markdown")
@opt.max_bytes
@opt.commit
@click.option("--plan", "plan_file", metavar="FILE", type=click.Path(), help="Carry out this saved plan.")
@click.option("--expect-digest", type=opt.digest, metavar="SHA", help="Refuse (exit 4) any other plan.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Stop before the first write; report the same calls.")
@click.option("--wait", is_flag=True, help="Wait until every managed device runs what it should.")
@opt.timeout("15m", "How long --wait waits: 90s, 15m, 2h.")
@click.option(
    "--offline",
    type=click.Choice(["wait", "skip", "fail"]),
    default="skip",
    show_default=True,
    help="What --wait makes of devices that were offline when apply began.",
)
@click.option(
    "--result", "result_file", metavar="FILE", type=click.Path(), help="Write the result as JSON, on every path."
)
@click.pass_obj
def command(console: Console, /, **flags: Any) -> int:
    """Read live state afresh, plan, ask, and carry the plan out.

    PATH is a file, a directory or `-`; the default is `manifests`.
    """
    from reconciler.cli.applying import apply

    return apply(console, flags)
