"""`reconciler status`: sync and health, by one read. Sends GET only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import options as opt
from reconciler.cli.session import Session

if TYPE_CHECKING:
    from reconciler.errors import ExitCode
    from reconciler.planner.plan import World
    from reconciler.watch import StatusReport


@click.command
@opt.paths
@opt.pick
@click.option("--device", "devices", multiple=True, metavar="NAME", help="Only this device, by name or id. Repeatable.")
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
    parallelism: int,
    fmt: str,
    max_bytes: int,
    commit: str | None,
    detailed_exitcode: bool,
) -> int:
    """Show, per flow and version, what is in sync, pending, offline, failed, drifted or unmanaged, and what lags.

    PATH is a file, a directory or `-`; the default is `manifests`. Ends with 5 when devices failed.
    """
    from reconciler.cli.access import Access, run_async
    from reconciler.cli.planning import load_rules, read
    from reconciler.watch import summarise

    rules = load_rules(paths, application=application, kind=kind)
    access = Access(session, [one.application.id for one in rules], parallelism=parallelism)
    worlds = [world for world, _ in run_async(read(access, rules))]
    for world in worlds:
        _tell_warnings(session, world)
    only = _devices_named(worlds, devices) if devices else None
    reports = [summarise(world, only=only) for world in worlds]
    code = max(report.exit_code(detailed=detailed_exitcode) for report in reports)  # 5 before 2 before 0
    _write(session, reports, code, fmt=fmt, max_bytes=max_bytes, commit=commit)
    return session.exit(code)


def _tell_warnings(session: Session, world: World) -> None:
    from reconciler.render.inert import inert

    for warning in world.warnings:
        place = f"{warning.place}: " if warning.place else ""
        hint = f" ({warning.hint})" if warning.hint else ""
        session.note(inert(f"Warning: {place}{warning.message}{hint}"))


def _devices_named(worlds: list[World], names: tuple[str, ...]) -> frozenset[str]:
    """The devices that `--device` names, whichever application each of them is of."""
    from dataclasses import replace

    from reconciler.errors import UsageError
    from reconciler.planner.filters import read_scope, recognised
    from reconciler.planner.plan import Filter, Options

    options = Options(targets=tuple(Filter("device", name) for name in names))
    known = frozenset().union(*(recognised(world, options) for world in worlds))
    found: set[str] = set()
    try:
        for world in worlds:
            scope = read_scope(world, options, elsewhere=known)
            found |= scope.targets.devices if scope and scope.targets else set()
    except UsageError as error:
        raise UsageError(
            replace(problem, message=problem.message.replace("--target device=", "--device ", 1))
            for problem in error.problems
        ) from None
    return frozenset(found)


def _write(
    session: Session, reports: list[StatusReport], code: ExitCode, *, fmt: str, max_bytes: int, commit: str | None
) -> None:
    from reconciler.errors import ExitCode, Problem
    from reconciler.render.json import error_data
    from reconciler.render.status import status_markdown, status_text

    if fmt == "json":
        failed = Problem("some devices failed; see status")
        error = error_data(code, [failed]) if code is ExitCode.NOT_CONVERGED else None
        session.write_json("status", error=error, status=[report.to_data() for report in reports])
    elif fmt == "markdown":
        session.write(status_markdown(reports, commit=commit, max_bytes=max_bytes))
    else:
        session.write(status_text(reports, color=session.color))
