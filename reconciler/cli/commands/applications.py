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
    from reconciler.cli.held import held_line
    from reconciler.documents.applications import held_part
    from reconciler.errors import ExitCode
    from reconciler.operations.applications import load
    from reconciler.render.inert import inert

    held = load(*paths)
    if fmt == "json":
        console.write_json("applications", applications=[held_part(rules) for rules in held])
    else:
        console.write("\n".join(inert(held_line(rules)) for rules in held))
    return console.exit(ExitCode.DONE)
