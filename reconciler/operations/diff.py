"""What changed in the desired state between two revisions or two folders, without the API."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reconciler.errors import ManifestError, Problem, UsageError
from reconciler.manifest.files import DiskFiles, Files, NothingThere
from reconciler.manifest.git import GitFiles
from reconciler.manifest.offline import compare
from reconciler.model.rules import Difference, Rules
from reconciler.operations.applications import load_sound


@dataclass(frozen=True, slots=True)
class Diff:
    """The differences, by application and kind. `missing`: a side that holds no manifest, if one does not."""

    differences: tuple[Difference, ...]
    missing: Problem | None = None


def diff(base: str, head: str | None, *, path: str) -> Diff:
    """Compare two sides, each a git revision or a folder.

    Args:
        base: what exists is a folder, all else a revision.
        head: the same; None for `path` as it is on the disk.
        path: where the manifests are in a revision.

    Raises:
        ManifestError: the problems of the manifests of either side, or neither has any.
        UsageError: git knows no such revision.
    """
    sides = (_Side(base, path), _Side(head, path))
    missing = [side.missing for side in sides if side.missing]
    if len(missing) == len(sides):
        raise ManifestError(missing)
    before, after = (side.rules() for side in sides)
    return Diff(compare(before, after), missing[0] if missing else None)


class _Side:
    """One side. `missing` says so where it holds no manifest."""

    def __init__(self, name: str | None, path: str) -> None:
        self.files: Files = DiskFiles()
        self.path = path
        if name is not None and Path(name).exists():
            self.path = name
        elif name is not None:
            self.files = _revision(name)
        _, problems = self.files.expand(self.path)
        self.missing = next((problem for problem in problems if isinstance(problem, NothingThere)), None)

    def rules(self) -> tuple[Rules, ...]:
        """What it declares."""
        return () if self.missing else load_sound([self.path], self.files).rules


def _revision(name: str) -> GitFiles:
    try:
        return GitFiles(name)
    except UsageError:
        if "/" in name and not name.startswith("-"):
            raise UsageError(f"{name} is no folder, and git knows no such revision") from None
        raise
