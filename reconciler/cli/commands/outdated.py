"""`reconciler outdated`: the declared versions beside the newest ones. Sends GET only."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli import options as opt
from reconciler.cli.console import Console
from reconciler.errors import ExitCode


@click.command
@opt.paths
@opt.pick
@opt.parallelism
@opt.formats("text", "json")
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 instead of 0 if a version is outdated.")
@click.pass_obj
def command(console: Console, /, paths: tuple[str, ...], **flags: Any) -> ExitCode:
    """Show which declared versions are not the newest of their flow, with dates, and what declares them.

    PATH is a file, a directory or `-`; the default is `manifests`. The newest version is the one that was created last,
    whatever it is called.
    """
    from reconciler.cli.connect import connect
    from reconciler.cli.signals import run_async
    from reconciler.operations.applications import load
    from reconciler.operations.outdated import outdated
    from reconciler.render.outdated import outdated_text

    rules = load(*paths, application=flags["application"], kind=flags["kind"], stdin=opt.standard_input(paths))
    gateway = connect(console, [one.application.id for one in rules], parallelism=flags["parallelism"])
    found = run_async(outdated(rules, gateway))
    if console.wants_json:
        console.write_json(versions=found)
    else:
        console.write(outdated_text(found, color=console.color))
    changed = flags["detailed_exitcode"] and any(one.outdated for one in found)
    return ExitCode.CHANGES if changed else ExitCode.DONE
