"""`reconciler diff`: compares the desired state of two revisions or two folders."""

from __future__ import annotations

import click

from reconciler.cli import options as opt
from reconciler.cli import values
from reconciler.cli.console import Console


@click.command
@click.argument("base", type=values.filled)
@click.argument("head", required=False, type=values.filled)
@click.option(
    "--path", type=values.filled, default="manifests", show_default=True, help="Path of the manifests in a revision."
)
@opt.formats("text", "json", "markdown")
@opt.max_bytes
@click.pass_obj
def command(console: Console, base: str, head: str | None, *, path: str) -> None:
    """Show how the desired state differs between BASE and HEAD, in meaning, not as text. Needs no token.

    BASE and HEAD are git revisions (`REV:PATH` for another path than --path) or existing folders; `./NAME` is always a
    folder. Without HEAD, BASE is compared with --path on disk; `A..B` and `A...B` (what B did since it left A) are two
    revisions. Selectors that only the API can expand are compared as written.
    """
    from reconciler.cli.output import write_warnings
    from reconciler.operations.diff import diff
    from reconciler.render.differences import differences_markdown, differences_text
    from reconciler.render.inert import inert

    found = diff(base, head, path=path)
    write_warnings(console, found.warnings)
    if found.missing:
        console.note(inert(f"{found.missing.path}: {found.missing.message}: nothing is declared there"))
    if console.wants_json:
        write_warnings(console, found.gone)
        if told := (*found.gone, *found.approvals):
            console.write_json(differences=found.differences, warnings=told)
        else:
            console.write_json(differences=found.differences)
    elif console.fmt == "markdown":
        gone, approvals = found.gone, found.approvals
        page = differences_markdown(
            found.differences, base, head, gone=gone, warnings=approvals, max_bytes=console.max_bytes
        )
        console.write(page)
    else:
        console.write(
            differences_text(found.differences, gone=found.gone, verbose=console.verbose > 0, color=console.color)
        )
