"""What the manifests are read from, and whether a pull request changes any of it."""

from __future__ import annotations

from collections.abc import Sequence
from posixpath import dirname, join

from reconciler.ci.command import git
from reconciler.errors import ManifestError
from reconciler.manifest.git.revision import commit_of
from reconciler.model.versions import LOCK_NAME
from reconciler.operations.applications import load


def read_from(path: str) -> Sequence[str]:
    """The path of the manifests, and all files that they are read from, wherever these are."""
    files = {source.path for one in load(path) for source in one.manifests}
    return [path, *sorted(files | {join(dirname(file), LOCK_NAME) for file in files})]


def is_related(path: str, base: str) -> bool:
    """Whether anything that the manifests are read from differs from the base; also where that cannot be told.

    Raises:
        UsageError: this clone does not have the base.
    """
    commit = commit_of(base)
    try:
        paths = read_from(path)
    except ManifestError:
        return True  # the check tells of the mistakes
    return bool(git("--literal-pathspecs", "diff", "--name-only", "--no-renames", commit, "HEAD", "--", *paths))
