"""`reconciler diff`: what changed in the desired state between two revisions or two folders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import options as opt
from reconciler.cli.console import Session

if TYPE_CHECKING:
    from reconciler.model.rules import Rules


@click.command
@click.argument("base", type=opt.filled)
@click.argument("head", required=False, type=opt.filled)
@click.option(
    "--path", type=opt.filled, default="manifests", show_default=True, help="Where the manifests are, in a revision."
)
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
    from reconciler.render.differences import differences_text

    found = compare(*_both(_Side(base, path), _Side(head, path), session))
    if fmt == "json":
        from reconciler.documents.differences import difference_part

        session.write_json("diff", differences=[difference_part(one) for one in found])
    elif fmt == "markdown":
        from reconciler.render.differences_page import differences_markdown

        session.write(differences_markdown(found, base, head, max_bytes=max_bytes))
    else:
        session.write(differences_text(found, verbose=session.verbose > 0))
    return session.exit(ExitCode.DONE)


def _both(base: _Side, head: _Side, session: Session) -> tuple[tuple[Rules, ...], tuple[Rules, ...]]:
    """The rules of both sides. One of them may hold no manifest at all: then everything came, or went."""
    from reconciler.errors import ManifestError
    from reconciler.render.inert import inert

    if base.missing and head.missing:
        raise ManifestError([base.missing, head.missing])
    for missing in (base.missing, head.missing):
        if missing:
            session.note(inert(f"{missing.path}: {missing.message}: nothing is declared there"))
    return base.rules(), head.rules()


class _Side:
    """One side: a revision or a folder. `missing` says so where it holds no manifest."""

    def __init__(self, name: str | None, path: str) -> None:
        from pathlib import Path

        from reconciler.errors import UsageError
        from reconciler.manifest.files import DiskFiles, Files, NothingThere
        from reconciler.manifest.git import GitFiles

        self.files: Files = DiskFiles()
        self.path = path
        if name is not None and Path(name).exists():
            self.path = name
        elif name is not None:
            try:
                self.files = GitFiles(name)
            except UsageError:
                if "/" in name and not name.startswith("-"):
                    raise UsageError(f"{name} is no folder, and git knows no such revision") from None
                raise
        _, problems = self.files.expand(self.path)
        self.missing = next((problem for problem in problems if isinstance(problem, NothingThere)), None)

    def rules(self) -> tuple[Rules, ...]:
        """What it declares."""
        from reconciler.errors import ManifestError
        from reconciler.manifest.load import load
        from reconciler.manifest.symbolic import resolve_offline

        if self.missing:
            return ()
        loaded = load([self.path], self.files)
        conflicts = [problem for rules in loaded.rules for problem in resolve_offline(rules).resolution.problems]
        if problems := dict.fromkeys([*loaded.problems, *conflicts]):
            raise ManifestError(problems)
        return loaded.rules
