"""`reconciler show`: print a saved plan or result again."""

from __future__ import annotations

import click

from reconciler.cli import options as opt
from reconciler.cli.session import Session


@click.command(short_help="Print a saved plan again.")
@click.argument("file", metavar="FILE", type=click.Path())
@opt.formats("text", "json")
@click.pass_obj
def command(session: Session, file: str, *, fmt: str) -> int:  # noqa: ARG001 - the session knows the format
    """Print a plan that `plan --out` saved. Touches no network."""
    from reconciler.cli.report import load_plans, write_plans
    from reconciler.errors import ExitCode

    write_plans(session, "show", load_plans(file))
    return session.exit(ExitCode.DONE)
