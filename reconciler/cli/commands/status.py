"""`reconciler status`: shows sync and health from one read. Sends GET only."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli import options as opt
from reconciler.cli import values
from reconciler.cli.console import Console
from reconciler.errors import ExitCode, UsageError


@click.command
@opt.paths
@opt.pick
@click.option(
    *("--device", "devices"),
    type=values.filled,
    multiple=True,
    metavar="ID|NAME",
    help="Only this device, with its log. Repeatable.",
)
@click.option(
    "--deployment", type=values.object_id, metavar="ID", help="Only the deployment record with this id, with its log."
)
@opt.parallelism
@opt.formats("text", "json", "markdown", "html", "openmetrics")
@opt.max_bytes
@opt.commit
@click.option(
    "--detailed-exitcode", is_flag=True, help="Exit 2 instead of 0 if a released version is not the desired one."
)
@click.pass_obj
def command(console: Console, /, paths: tuple[str, ...], devices: tuple[str, ...], **flags: Any) -> ExitCode:
    """Show, per flow and version, the rows in sync, pending, offline, failed, drifted or unmanaged, and the laggards.

    PATH is a file, a directory or `-`; the default is `manifests`. Exits with 5 if devices failed, with 7 if a rollout
    is stopped or stalled. --device reads the deployments of that device alone, and shows its log: who changed what,
    when, with which error. --deployment does the same for a deployment record (for edge: one flow of a device), whose
    id is shown in Losant's pages and exports. --format openmetrics counts, for Prometheus; it ends with `# EOF` if it
    is whole.
    """
    from reconciler.cli.connect import connect
    from reconciler.cli.output import write_status, write_warnings
    from reconciler.cli.reading import Reading
    from reconciler.cli.signals import run_async
    from reconciler.model.log import unix_time
    from reconciler.operations.applications import load
    from reconciler.operations.status import status
    from reconciler.runtime import SystemClock

    if flags["deployment"] and devices:
        raise UsageError("--deployment and --device cannot be combined", hint="a record belongs to one device")
    if console.fmt == "openmetrics" and (devices or flags["deployment"]):
        message = "--format openmetrics counts whole applications and cannot be combined with --device or --deployment"
        raise UsageError(message, hint="text, JSON and Markdown show single devices")
    rules = load(*paths, application=flags["application"], kind=flags["kind"], stdin=opt.standard_input(paths))
    ids, clock = [one.application.id for one in rules], SystemClock()
    with Reading(console, clock) as reading:
        gateway = connect(console, ids, parallelism=flags["parallelism"], clock=clock, page_read=reading.page_read)
        read_at = unix_time(clock.utc_now())
        found = run_async(status(rules, gateway, devices=devices, deployment_id=flags["deployment"]))
    write_warnings(console, found.warnings)
    code = max(report.exit_code(detailed=flags["detailed_exitcode"]) for report in found.reports)  # 7, 5, 2, 0
    if console.fmt == "openmetrics":
        from reconciler.render.openmetrics import status_openmetrics

        console.write(status_openmetrics(found.reports, read_at=read_at))
    else:
        write_status(console, found.reports, read=SystemClock().utc_now())
    return code
