"""`reconciler validate`: check the files; touches no network."""

from __future__ import annotations

import click

from reconciler.cli import options as opt
from reconciler.cli.console import Session


@click.command
@opt.paths
@opt.pick
@opt.formats("text", "json")
@click.pass_obj
def command(session: Session, paths: tuple[str, ...], *, application: str | None, kind: str | None, fmt: str) -> int:
    """Check manifests as far as that goes without the API: every problem of every file, in one run.

    PATH is a file, a directory or `-`; the default is `manifests`.
    """
    from datetime import UTC, datetime

    from reconciler.cli.held import held_line
    from reconciler.documents.applications import held_part
    from reconciler.documents.plan import warning_part
    from reconciler.errors import ExitCode, ManifestError
    from reconciler.manifest.files import DiskFiles
    from reconciler.manifest.load import load, pick
    from reconciler.manifest.symbolic import resolve_offline
    from reconciler.planner.resolution.resolve import expired_pins
    from reconciler.render.inert import inert

    loaded = load(paths or ("manifests",), DiskFiles())
    conflicts = [problem for rules in loaded.rules for problem in resolve_offline(rules).resolution.problems]
    if problems := dict.fromkeys([*loaded.problems, *conflicts]):
        raise ManifestError(problems)
    chosen = pick(loaded.rules, application=application, kind=kind) if application or kind else loaded.rules
    warnings = [one for rules in chosen for one in expired_pins(rules, datetime.now(UTC).date())]
    for warning in warnings:
        session.note(inert(f"Warning: {warning.place}: {warning.message} ({warning.hint})"))
    if fmt == "json":
        listed = [held_part(rules) for rules in chosen]
        session.write_json("validate", warnings=[warning_part(one) for one in warnings], applications=listed)
    else:
        files = "1 file" if loaded.files == 1 else f"{loaded.files:,} files"
        session.write(
            "\n".join([*(inert(held_line(rules)) for rules in chosen), f"{files} checked, no problems found."])
        )
    return session.exit(ExitCode.DONE)
