"""`reconciler diff`: what changed in the desired state between two revisions or two folders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import options as opt
from reconciler.cli.session import Session

if TYPE_CHECKING:
    from reconciler.planner.rules import Rules


@click.command
@click.argument("base")
@click.argument("head", required=False)
@click.option("--path", default="manifests", show_default=True, help="Where the manifests are, in a revision.")
@opt.formats("text", "json", "markdown")
@opt.max_bytes
@click.pass_obj
def command(session: Session, base: str, head: str | None, *, path: str, fmt: str, max_bytes: int) -> int:
    """Show what changed in the desired state from BASE to HEAD, in meaning and without a token.

    BASE and HEAD are git revisions or folders; what has a `/`, or is a folder, is a folder. Without HEAD, BASE is
    compared with --path as it is on the disk. Selectors that only the API could expand stay as they are written.
    """
    from reconciler.errors import ExitCode
    from reconciler.manifest.compare import compare
    from reconciler.render.differences import difference_data, differences_text

    found = compare(_rules_at(base, path), _rules_at(head, path))
    if fmt == "json":
        session.write_json("diff", differences=[difference_data(one) for one in found])
    elif fmt == "markdown":
        from reconciler.render.differences_page import differences_markdown

        session.write(differences_markdown(found, base, head, max_bytes=max_bytes))
    else:
        session.write(differences_text(found, verbose=session.verbose > 0))
    return session.exit(ExitCode.DONE)


def _rules_at(side: str | None, path: str) -> tuple[Rules, ...]:
    """The rules of one side. Files that hold none are no rules: everything may have come or gone."""
    from pathlib import Path

    from reconciler.errors import ManifestError, UsageError
    from reconciler.manifest.files import DiskFiles, Files
    from reconciler.manifest.git import GitFiles
    from reconciler.manifest.load import load
    from reconciler.manifest.offline import resolve_offline

    files: Files = DiskFiles()
    if side is None:
        side = path
    elif Path(side).exists():
        path = side
    else:
        try:
            files = GitFiles(side)
        except UsageError:
            if "/" in side and not side.startswith("-"):
                raise UsageError(f"{side} is no folder, and git knows no such revision") from None
            raise
    loaded = load([path], files)
    conflicts = [problem for rules in loaded.rules for problem in resolve_offline(rules).resolution.problems]
    if problems := dict.fromkeys([*loaded.problems, *conflicts]):
        raise ManifestError(problems)
    return loaded.rules
