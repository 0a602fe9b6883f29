"""`reconciler import`: a manifest of what is live, whose plan is empty."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from reconciler.cli import options as opt
from reconciler.cli.console import Session

if TYPE_CHECKING:
    from reconciler.cli.access import Access
    from reconciler.model.state import Kind


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
def command(session: Session, *, application: str, kind: str, out: str | None, group_by: str, parallelism: int) -> int:
    """Write a manifest of everything that is released in an application. Its plan is empty.

    Devices that run the same become groups where every device with a tag, and no other, runs that; the rest are
    listed one by one, with their names as comments.
    """
    from reconciler.cli.access import Access, run_async
    from reconciler.cli.files import save_text
    from reconciler.errors import ExitCode
    from reconciler.model.state import Kind

    _check(application, out, group_by)
    access = Access(session, [application.lower()], parallelism=parallelism)
    text = run_async(_written(session, access, application.lower(), Kind(kind), group_by))
    if out is None:
        session.write(text)
    else:
        save_text(out, text, what="--out")
        session.note(f"Wrote {out}.")
    return session.exit(ExitCode.DONE)


def _check(application: str, out: str | None, group_by: str) -> None:
    from pathlib import Path

    from reconciler.errors import UsageError

    if not re.fullmatch("[0-9A-Fa-f]{24}", application):
        raise UsageError(f"--application {application!r} is no id", hint="an id has 24 hex digits")
    if group_by not in ("auto", "none") and not re.fullmatch("tag:.+", group_by):
        raise UsageError(f"--group-by {group_by!r} is none of auto, none and tag:KEY")
    if out is not None and Path(out).exists():
        raise UsageError(f"--out {out} exists already", hint="remove it first, or name another file")


async def _written(session: Session, access: Access, application_id: str, kind: Kind, group_by: str) -> str:
    """Read the application and write it down. What the token may not read is told and done without."""
    from reconciler.errors import PermissionDenied
    from reconciler.manifest.importer import write_manifest
    from reconciler.model.state import Application

    async with access.open() as api_of:
        api = api_of(application_id, kind)
        live = (await api.live()).live
        try:
            devices = {device.id: device for device in await api.devices()}
        except PermissionDenied:
            devices = None
            session.note(
                "Warning: without the scope devices.get nothing is grouped, and devices that are gone are kept."
            )
        try:
            application = await api.application()
        except PermissionDenied:
            application = Application(application_id)
    return write_manifest(live, devices, application=application, kind=kind, group_by=group_by)
