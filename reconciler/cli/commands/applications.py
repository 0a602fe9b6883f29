"""`reconciler applications`: lists the applications in manifests."""

from __future__ import annotations

import click

from reconciler.cli import options as opt
from reconciler.cli.console import Console


@click.command
@opt.paths
@opt.formats("text", "json")
@click.pass_obj
def command(console: Console, paths: tuple[str, ...]) -> None:
    """List the applications and kinds in the paths, with their files. Works offline."""
    from reconciler.cli.output import application_line
    from reconciler.operations.applications import load

    found = load(*paths, stdin=opt.standard_input(paths))
    if console.wants_json:
        console.write_json(applications=found)
    else:
        console.write("\n".join(map(application_line, found)))
