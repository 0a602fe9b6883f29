"""Ends a command that edits manifests: writes them, or only shows what would be written."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.cli.console import Console
from reconciler.errors import ExitCode
from reconciler.operations.editing.drafts import Edited, writable, write
from reconciler.render.edits import edits_text
from reconciler.render.inert import inert


def finish(console: Console, files: Sequence[Edited], notes: Sequence[str], *, check: bool) -> ExitCode:
    """Print the diff, and write the files unless `check`. Exits with 2 if it would have written.

    Raises:
        UsageError: a file is read-only, changed meanwhile, or cannot be written.
    """
    for note in notes:
        console.note(inert(f"Note: {note}."))
    if not files:
        console.note("Nothing to change.")
        return ExitCode.DONE
    if not check:
        for one in files:
            writable(one)
        for one in files:
            if write(one):
                console.note(inert(f"Note: {one.path} cannot be replaced; it was written in place."))
            console.note(inert(f"Wrote {one.path}."))
    console.write(edits_text(files), is_document=True)
    return ExitCode.CHANGES if check else ExitCode.DONE
