"""The documents that a command edits."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.errors import ManifestError, UsageError
from reconciler.manifest.document import Layer
from reconciler.manifest.load import pick
from reconciler.operations.editing.drafts import Drafts
from reconciler.operations.editing.places import owner


def documents_of(
    paths: Sequence[str], files: Drafts, *, application: str | None = None, kind: str | None = None
) -> list[Layer]:
    """The documents in files and folders, for an application and a kind.

    Raises:
        ManifestError: every problem of every file.
        UsageError: nothing is for that application and kind, or standard input was given.
    """
    if "-" in paths:
        raise UsageError("standard input cannot be edited", hint="give the file itself")
    loaded = files.load(paths)
    if loaded.problems:
        raise ManifestError(loaded.problems)
    if not loaded.documents:
        raise ManifestError(f"no document in {', '.join(paths)} has an application", hint="a base alone cannot be set")
    chosen = {(one.application.id, one.kind) for one in pick(loaded.rules, application=application, kind=kind)}
    return [one for one in loaded.documents if owner(one) in chosen]
