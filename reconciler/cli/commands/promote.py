"""`reconciler promote`: carries versions from one environment's manifest to another's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from reconciler.cli import options as opt
from reconciler.cli import values
from reconciler.cli.console import Console
from reconciler.errors import ExitCode, UsageError

F = TypeVar("F", bound=Callable[..., Any])


def _manifest(flag: str, name: str, help_text: str) -> Callable[[F], F]:
    return click.option(
        flag, name, type=values.filled, required=True, metavar="FILE", shell_complete=opt.files, help=help_text
    )


@click.command
@_manifest("--from", "source", "The one that has the versions.")
@_manifest("--to", "target", "The one that is to get them.")
@click.option("--flow", "flows", type=values.filled, multiple=True, metavar="NAME", help="Only this flow. Repeatable.")
@click.option(
    *("--group", "groups"),
    type=values.filled,
    multiple=True,
    metavar="NAME",
    shell_complete=opt.names("group"),
    help="Only this group. Repeatable.",
)
@click.option("--kind", type=opt.KINDS, help="Only this kind of deployment.")
@click.option(
    "--soak", "soak_s", type=values.duration_s, metavar="TIME", help="How long devices must have been seen running it."
)
@click.option("--unchecked", is_flag=True, help="Ask neither application; needs no token.")
@click.option("--strict", is_flag=True, help="Refuse on warnings, such as other content under the same version.")
@opt.check
@opt.parallelism
@click.pass_obj
def command(console: Console, /, source: str, target: str, *, check: bool, **flags: Any) -> ExitCode:
    """Carry the versions of one environment's groups to the groups of the same names of another. Prints the diff.

    Refused (exit 3) unless the source has converged: no row of these groups may be in drift, failed, or pending on a
    connected device, and a device must have run each version, which must exist where it goes. With --soak each
    connected device must have been seen running it for that long. Every other byte of the files stays; a base is never
    edited: the document gets an entry of its own. Only reads from the API.
    """
    from reconciler.cli.edits import finish
    from reconciler.operations.editing.carry import promotion

    if flags["unchecked"] and flags["strict"]:
        raise UsageError("--unchecked and --strict cannot be combined", hint="without asking there are no warnings")
    if flags["unchecked"] and flags["soak_s"] is not None:
        raise UsageError("--unchecked and --soak cannot be combined", hint="how long it ran has to be asked")
    made = promotion(source, target, flows=flags["flows"], groups=flags["groups"], kind=flags["kind"])
    notes = list(made.notes)
    if made.carried and not flags["unchecked"]:
        notes += _checked(console, source, made, flags)
    return finish(console, made.files, notes, check=check)


def _checked(console: Console, source: str, made: Any, flags: dict[str, Any]) -> list[str]:
    """Ask both applications; the notes on what was found. Raises `Refused`."""
    from reconciler.cli.connect import connect
    from reconciler.cli.output import write_warnings
    from reconciler.cli.signals import run_async
    from reconciler.operations.applications import load
    from reconciler.operations.editing.places import owner
    from reconciler.operations.promote import question

    (rules,) = load(source, kind=flags["kind"])
    both = [owner(said.document)[0] for said in made.carried[0]]
    gateway = connect(console, both, parallelism=flags["parallelism"])
    findings = run_async(question(made, rules, gateway, soak_s=flags["soak_s"]))
    write_warnings(console, findings.warnings)
    if refusal := findings.refusal(strict=flags["strict"]):
        raise refusal
    return findings.notes
