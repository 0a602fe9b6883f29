"""`reconciler applications`: what the paths hold."""

from __future__ import annotations

import click

from reconciler.cli import options as opt
from reconciler.cli.console import Session


@click.command
@opt.paths
@opt.formats("text", "json")
@click.pass_obj
def command(session: Session, paths: tuple[str, ...], *, fmt: str) -> int:
    """List the applications and kinds that the paths hold, with their files. Touches no network."""
    from reconciler.cli.held import held_data, held_line
    from reconciler.errors import ExitCode
    from reconciler.manifest.load import load_manifests
    from reconciler.render.inert import inert

    held = load_manifests(paths or ("manifests",))
    rows = [held_data(rules) for rules in held]
    if fmt == "json":
        session.write_json("applications", applications=rows)
    else:
        session.write("\n".join(inert(held_line(rules)) for rules in held))
    return session.exit(ExitCode.DONE)
