"""`reconciler validate`: checks manifests offline."""

from __future__ import annotations

import click

from reconciler.cli import options as opt
from reconciler.cli.console import Console


@click.command
@opt.paths
@opt.pick
@opt.formats("text", "json", "sarif")
@click.pass_obj
def command(console: Console, paths: tuple[str, ...], *, application: str | None, kind: str | None) -> None:
    """Check manifests as far as possible without the API. Reports every problem of every file in one run.

    PATH is a file, a directory or `-`; the default is `manifests`.
    """
    from reconciler.cli.output import application_line, write_warnings
    from reconciler.model.text import counted
    from reconciler.operations.applications import validate

    found = validate(paths, application=application, kind=kind, stdin=opt.standard_input(paths))
    write_warnings(console, found.warnings)
    if console.wants_json:
        console.write_json(warnings=found.warnings, applications=found.rules)
    elif console.fmt == "sarif":
        console.write_sarif(warnings=[warning.problem for warning in found.warnings])
    else:
        checked = f"{counted(found.files, 'file')} checked, no problems found."
        console.write("\n".join([*map(application_line, found.rules), checked]))
