"""`reconciler set`: edits the one place that says a flow's version."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli import options as opt
from reconciler.cli import values
from reconciler.cli.console import Console
from reconciler.errors import ExitCode, UsageError


def _assignment(text: str) -> tuple[str, str]:
    flow, is_given, version = text.partition("=")
    if not (flow and is_given and version):
        raise click.BadParameter(f"{text!r} is not of the form FLOW=VERSION")
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise click.BadParameter(f"{text!r} is not text: it has bytes that the locale's encoding does not know")
    return flow, version


@click.command
@click.argument("assignment", type=_assignment, metavar="FLOW=VERSION")
@opt.paths
@click.option(
    "--group", type=values.filled, metavar="NAME", shell_complete=opt.names("group"), help="The group that says it."
)
@click.option(
    "--device",
    type=values.filled,
    metavar="ID|NAME",
    shell_complete=opt.names("device"),
    help="The device of `devices` that says it.",
)
@click.option(
    "--pin",
    type=values.filled,
    metavar="ID|NAME",
    shell_complete=opt.names("device"),
    help="The device whose pin says it.",
)
@opt.pick
@click.option("--base", is_flag=True, help="Edit the base, for every application that reaches it.")
@opt.check
@click.pass_obj
def command(
    console: Console, /, assignment: tuple[str, str], paths: tuple[str, ...], *, check: bool, **flags: Any
) -> ExitCode:
    """Edit the one place that says a flow's version; every other byte stays. Prints the diff. Needs no token.

    PATH is a file or a directory; the default is `manifests`. Several places are an error that lists them, but for the
    pins beside a single group, which stay. Where the place is in a base that other applications reach, too, the
    document gets an entry of its own, unless --base.
    """
    from reconciler.cli.edits import finish
    from reconciler.operations.applications import DEFAULT_PATHS
    from reconciler.operations.editing.places import Scope
    from reconciler.operations.editing.set_ import set_version

    scope = Scope(flags["group"], flags["device"], flags["pin"])
    if sum(one is not None for one in scope) > 1:
        raise UsageError("--group, --device and --pin cannot be combined", hint="each names the one place")
    edit = set_version(
        *assignment,
        paths or DEFAULT_PATHS,
        scope=scope,
        application=flags["application"],
        kind=flags["kind"],
        base=flags["base"],
    )
    return finish(console, edit.files, edit.notes, check=check)
