"""`reconciler import`: writes a manifest of the live state, whose plan is empty."""

from __future__ import annotations

import click

from reconciler.cli import options as opt
from reconciler.cli import values
from reconciler.cli.console import Console


@click.command("import")
@opt.application_id(required=True)
@opt.kind
@click.option(
    "--out", metavar="FILE", type=values.new_file, help="Write to a new file, also in a new folder, instead of stdout."
)
@click.option(
    "--group-by",
    type=values.matching("auto|none|tag:.+", "is not auto, none or tag:KEY"),
    default="auto",
    show_default=True,
    metavar="auto|none|tag:KEY",
    help="Groups: by majority, none, or of the devices that this tag identifies exactly.",
)
@opt.parallelism
@click.pass_obj
def command(console: Console, *, application: str, kind: str, out: str | None, group_by: str, parallelism: int) -> None:
    """Write a manifest of everything that is released in an application. Its plan is empty.

    By majority, each flow gets the selector that leaves the fewest lines: all devices, or the values of one tag. What
    devices run otherwise is listed, with their names as comments. What a manifest cannot declare is told on stderr.
    """
    from reconciler.cli.output import OutputFile
    from reconciler.render.inert import inert

    if out is None:
        text = live_manifest(console, application, kind, group_by=group_by, parallelism=parallelism)
        console.write(text, is_document=True)
        return
    with OutputFile(console, "--out", out, make_folders=True) as file:
        file.write(live_manifest(console, application, kind, group_by=group_by, parallelism=parallelism))
    console.note(inert(f"Wrote {out}."))


def live_manifest(
    console: Console, application_id: str, kind: str, *, group_by: str = "auto", parallelism: int = 4
) -> str:
    """The manifest of the live state; warns on stderr of what it could not express."""
    from reconciler.cli.connect import connect
    from reconciler.cli.signals import run_async
    from reconciler.model.state import Kind
    from reconciler.operations.import_ import import_
    from reconciler.render.inert import inert

    gateway = connect(console, [application_id], parallelism=parallelism)
    imported = run_async(import_(application_id, Kind(kind), gateway, group_by=group_by))
    if not imported.grouped:
        console.note("Warning: without the scope devices.get there are no groups, and deleted devices are included.")
    for reason in imported.not_written:
        console.note(inert(f"Warning: not written: {reason}."))
    return imported.text
