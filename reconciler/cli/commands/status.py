"""`reconciler status`: sync and health, by one read. Sends GET only."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from reconciler.cli import options as opt
from reconciler.cli.console import Session

if TYPE_CHECKING:
    from reconciler.cli.parts import Asked
    from reconciler.errors import ExitCode
    from reconciler.model.health import StatusReport
    from reconciler.model.world import World


@click.command
@opt.paths
@opt.pick
@click.option(
    "--device", "devices", multiple=True, metavar="ID|NAME", help="Only this device, with its log. Repeatable."
)
@click.option("--deployment", metavar="ID", help="Only the deployment record with this id, with its log.")
@opt.parallelism
@opt.formats("text", "json", "markdown")
@opt.max_bytes
@opt.commit
@click.option(
    "--detailed-exitcode", is_flag=True, help="Exit 2 instead of 0 when something released is not as desired."
)
@click.pass_obj
def command(
    session: Session,
    paths: tuple[str, ...],
    *,
    application: str | None,
    kind: str | None,
    devices: tuple[str, ...],
    deployment: str | None,
    parallelism: int,
    fmt: str,
    max_bytes: int,
    commit: str | None,
    detailed_exitcode: bool,
) -> int:
    """Show, per flow and version, what is in sync, pending, offline, failed, drifted or unmanaged, and what lags.

    PATH is a file, a directory or `-`; the default is `manifests`. Ends with 5 when devices failed. --device reads the
    deployments of that device alone, and shows its log: who changed what, when, with which error. --deployment does
    the same for a deployment record (for edge: one flow of a device), whose id Losant's own pages and exports show.
    """
    from reconciler.cli.access import Access, run_async
    from reconciler.cli.planning import load_rules, read
    from reconciler.health import summarise

    asked = _asked(devices, deployment)
    rules = load_rules(paths, application=application, kind=kind)
    access = Access(session, [one.application.id for one in rules], parallelism=parallelism)
    if asked:
        from reconciler.cli.parts import read_parts

        parts = run_async(read_parts(access, rules, asked))
        reports = [summarise(world, only=ids) for world, ids in parts]
        worlds = [world for world, _ in parts]
    else:
        worlds = list(run_async(read(access, rules)))
        reports = [summarise(world) for world in worlds]
    for world in worlds:
        _tell_warnings(session, world)
    code = max(report.exit_code(detailed=detailed_exitcode) for report in reports)  # 5 before 2 before 0
    _write(session, reports, code, fmt=fmt, max_bytes=max_bytes, commit=commit)
    return session.exit(code)


def _tell_warnings(session: Session, world: World) -> None:
    from reconciler.render.inert import inert

    for warning in world.warnings:
        place = f"{warning.place}: " if warning.place else ""
        hint = f" ({warning.hint})" if warning.hint else ""
        session.note(inert(f"Warning: {place}{warning.message}{hint}"))


def _asked(devices: tuple[str, ...], deployment: str | None) -> Asked | None:
    """The devices, or the record, that the report is to be about; None for everything."""
    from reconciler.cli.parts import Asked
    from reconciler.errors import UsageError

    if deployment is None:
        return Asked(devices) if devices else None
    if devices:
        raise UsageError("--deployment goes without --device", hint="a deployment record is of one device")
    if not re.fullmatch("[0-9A-Fa-f]{24}", deployment):
        raise UsageError(f"--deployment {deployment!r} is no id", hint="an id has 24 hex digits")
    return Asked(deployment_id=deployment.lower())


def _write(
    session: Session, reports: list[StatusReport], code: ExitCode, *, fmt: str, max_bytes: int, commit: str | None
) -> None:
    from reconciler.documents.json import error_data
    from reconciler.documents.status import status_part
    from reconciler.errors import ExitCode, Problem
    from reconciler.render.status import status_markdown, status_text

    if fmt == "json":
        failed = Problem("some devices failed; see status")
        error = error_data(code, [failed]) if code is ExitCode.NOT_CONVERGED else None
        session.write_json("status", error=error, status=[status_part(report) for report in reports])
    elif fmt == "markdown":
        session.write(status_markdown(reports, commit=commit, max_bytes=max_bytes))
    else:
        session.write(status_text(reports, color=session.color))
