"""`reconciler applications`: what the paths hold."""

from __future__ import annotations

import click

from reconciler.cli import options as opt
from reconciler.cli.console import Console


@click.command
@opt.paths
@opt.formats("text", "json")
@click.pass_obj
def command(console: Console, paths: tuple[str, ...], *, fmt: str) -> int:
    """List the applications and kinds that the paths hold, with their files. Touches no network."""
    from reconciler.cli.output import application_line
    from reconciler.errors import ExitCode
    from reconciler.operations.applications import load

    found = load(*paths, stdin=opt.standard_input(paths))
    if fmt == "json":
        console.write_json("applications", applications=found)
    else:
        console.write("\n".join(map(application_line, found)))
    return console.exit(ExitCode.DONE)
