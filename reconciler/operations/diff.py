"""Compares the desired state of two revisions or two folders, without the API."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from reconciler.errors import ManifestError, Problem, UsageError
from reconciler.manifest.files import DiskFiles, Files, NothingThere
from reconciler.manifest.git import GitFiles
from reconciler.manifest.symbolic import compare
from reconciler.model.rules import Difference
from reconciler.operations.applications import load_sound


class Diff(NamedTuple):
    """The differences, by application and kind. `missing`: a side without manifests, if there is one."""

    differences: tuple[Difference, ...]
    missing: Problem | None = None


def diff(base: str, head: str | None, *, path: str) -> Diff:
    """Compare two sides, each a git revision or a folder.

    Args:
        base: a folder if it exists, otherwise a revision.
        head: likewise; None for `path` on disk.
        path: the path of the manifests in a revision.

    Raises:
        ManifestError: the problems of both sides, or neither side has manifests.
        UsageError: there is no such revision.
    """
    sides, missing = [], []
    for name in (base, head):
        on_disk = name is None or Path(name).exists()
        files, where = (DiskFiles(), name or path) if on_disk else (_revision(name or ""), path)
        _, problems = files.expand(where)
        nothing = [problem for problem in problems if isinstance(problem, NothingThere)]
        missing += nothing[:1]
        sides.append(None if nothing else (where, files))
    if len(missing) == len(sides):
        raise ManifestError(missing)
    before, after = (load_sound([side[0]], side[1]).rules if side else () for side in sides)
    return Diff(compare(before, after), missing[0] if missing else None)


def _revision(name: str) -> Files:
    try:
        return GitFiles(name)
    except UsageError:
        if "/" in name and not name.startswith("-"):
            raise UsageError(f"{name} is neither a folder nor a git revision") from None
        raise
