"""`reconciler import`: a manifest of what is live, whose plan is empty."""

from __future__ import annotations

import re

import click

from reconciler.cli import options as opt
from reconciler.cli.console import Console


@click.command("import")
@click.option("--application", required=True, metavar="ID", help="Id of the application.")
@click.option(
    "--kind",
    type=click.Choice(["embedded", "edge"]),
    default="embedded",
    show_default=True,
    help="Kind of deployments.",
)
@click.option("--out", metavar="FILE", type=click.Path(), help="Write to a new file instead of stdout.")
@click.option(
    "--group-by",
    default="auto",
    show_default=True,
    metavar="auto|none|tag:KEY",
    help="Make groups of devices that a tag explains exactly: any tag, none, or this one.",
)
@opt.parallelism
@click.pass_obj
def command(console: Console, *, application: str, kind: str, out: str | None, group_by: str, parallelism: int) -> int:
    """Write a manifest of everything that is released in an application. Its plan is empty.

    Devices that run the same become groups where every device with a tag, and no other, runs that; the rest are
    listed one by one, with their names as comments.
    """
    from reconciler.cli.connect import connect
    from reconciler.cli.files import save_text
    from reconciler.cli.signals import run_async
    from reconciler.errors import ExitCode
    from reconciler.model.state import Kind
    from reconciler.operations.import_ import import_

    application_id = opt.object_id("--application", application)
    _check(out, group_by)
    gateway = connect(console, [application_id], parallelism=parallelism)
    imported = run_async(import_(application_id, Kind(kind), gateway, group_by=group_by))
    if not imported.grouped:
        console.note("Warning: without the scope devices.get nothing is grouped, and devices that are gone are kept.")
    if out is None:
        console.write(imported.text)
    else:
        save_text(out, imported.text, what="--out")
        console.note(f"Wrote {out}.")
    return console.exit(ExitCode.DONE)


def _check(out: str | None, group_by: str) -> None:
    from pathlib import Path

    from reconciler.errors import UsageError

    if group_by not in ("auto", "none") and not re.fullmatch("tag:.+", group_by):
        raise UsageError(f"--group-by {group_by!r} is none of auto, none and tag:KEY")
    if out is not None and Path(out).exists():
        raise UsageError(f"--out {out} exists already", hint="remove it first, or name another file")
