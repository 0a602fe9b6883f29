"""`reconciler validate`: check the files; touches no network."""

from __future__ import annotations

import click

from reconciler.cli import options as opt
from reconciler.cli.console import Console


@click.command
@opt.paths
@opt.pick
@opt.formats("text", "json")
@click.pass_obj
def command(console: Console, paths: tuple[str, ...], *, application: str | None, kind: str | None, fmt: str) -> int:
    """Check manifests as far as that goes without the API: every problem of every file, in one run.

    PATH is a file, a directory or `-`; the default is `manifests`.
    """
    from reconciler.cli.output import application_line, tell_warnings
    from reconciler.errors import ExitCode
    from reconciler.model.text import counted
    from reconciler.operations.applications import validate

    found = validate(paths, application=application, kind=kind, stdin=opt.standard_input(paths))
    tell_warnings(console, found.warnings)
    if fmt == "json":
        console.write_json("validate", warnings=found.warnings, applications=found.rules)
    else:
        files = counted(found.files, "file")
        lines = map(application_line, found.rules)
        console.write("\n".join([*lines, f"{files} checked, no problems found."]))
    return console.exit(ExitCode.DONE)
