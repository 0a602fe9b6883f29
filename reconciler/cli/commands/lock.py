"""`reconciler lock`: writes what versions are now into the locks beside the manifests. Sends GET only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import options as opt
from reconciler.cli.console import Console
from reconciler.errors import ExitCode

if TYPE_CHECKING:
    from reconciler.operations.lock.merge import NewLock


@click.command
@opt.paths
@opt.pick
@click.option(
    "--update",
    multiple=True,
    is_flag=False,
    flag_value="",
    metavar="[FLOW]",
    help="Lock the versions of this flow, by default of all, as they are now. Repeatable.",
)
@opt.parallelism
@click.pass_obj
def command(console: Console, /, paths: tuple[str, ...], update: tuple[str, ...], **flags: Any) -> ExitCode:
    """Write `reconciler.lock` beside each manifest with an `application`: what each declared version is now.

    PATH is a file or a directory; the default is `manifests`. Versions that are newly declared are added, and those
    that nothing declares any more are removed. A locked version that is something else now stays as it was locked, and
    the command exits with 3, unless --update says otherwise. To update all, write --update last.
    """
    from reconciler.cli.connect import connect
    from reconciler.cli.output import OutputFile, write_warnings
    from reconciler.cli.signals import run_async
    from reconciler.operations.applications import DEFAULT_PATHS
    from reconciler.operations.lock.writing import lock, rules_of
    from reconciler.render.inert import inert

    rules = rules_of(paths or DEFAULT_PATHS, application=flags["application"], kind=flags["kind"])
    gateway = connect(console, [one.application.id for one in rules], parallelism=flags["parallelism"])
    found = run_async(lock(rules, gateway, update=update))
    write_warnings(console, found.warnings)
    for note in found.notes:
        console.note(inert(f"Note: {note}"))
    for one in found.locks:
        if one.changed:
            with OutputFile(console, "the lock", one.path) as file:
                one.check_unchanged()
                file.write(one.text)
    console.write("\n".join(line for one in found.locks for line in _lines(one)))
    return console.fail(found.refused) if found.refused else ExitCode.DONE


def _lines(lock: NewLock) -> list[str]:
    from reconciler.render.inert import inert

    changes = [
        (sign, content)
        for sign, contents in (("+", lock.added), ("~", lock.updated), ("-", lock.removed))
        for content in contents
    ]
    counts = ((lock.added, "added"), (lock.updated, "updated"), (lock.removed, "removed"))
    parts = [f"{len(contents):,} {word}" for contents, word in counts if contents]
    differing = [f"{lock.differing:,} not what was locked"] if lock.differing else []
    kept = f"{lock.kept:,} unchanged"
    return [
        f"{inert(lock.path)}: {', '.join([*parts, *differing, kept])}",
        *(
            f"  {sign} {inert(lock.names.get(one.flow_id) or one.flow_id)} {inert(one.version)}  "
            f"{inert(one.created)}  {inert(one.sha256[:12])}"
            for sign, one in changes
        ),
    ]
