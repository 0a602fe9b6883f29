"""`reconciler completion`: prints the script that makes a shell complete the command."""

from __future__ import annotations

import click

from reconciler.cli.console import Console


@click.command
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_obj
def command(console: Console, shell: str) -> None:
    """Print the script that makes a shell complete commands, options and names.

    The names of applications, devices, flows and groups come from the manifests that the command line names, or from
    `manifests`; nothing is asked of the API.
    """
    from reconciler.cli.app import cli
    from reconciler.cli.completion import script

    console.write(script(cli, shell), is_document=True)
