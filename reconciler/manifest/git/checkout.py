"""What git knows about manifests that a read of one path does not see: not checked out, or at another path."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from reconciler.errors import Problem
from reconciler.manifest.files import LINKS_HINT, is_hidden, show
from reconciler.manifest.git.command import GitFailed, git

_SUBMODULE, _SYMLINK = "160000", "120000"
_SPARSE = "S"  # git's tag of a file that a sparse checkout leaves out


def not_checked_out(path: str) -> Problem | None:
    """What git has at a path on disk, and the disk has not: then rows seem to be gone that are not."""
    try:
        listing = git("ls-files", "-t", "--stage", "-z", "--full-name", "--", f":(literal){os.path.realpath(path)}")
    except GitFailed as error:
        if "outside repository" in error.said:
            return None
        raise
    top = _top()
    for entry in filter(None, listing.split(b"\0")):
        about, _, name = entry.partition(b"\t")
        tag, mode, *_ = about.decode().split()
        file = top / os.fsdecode(name)
        if problem := _absence(tag, mode, file):
            return problem
    return None


def _absence(tag: str, mode: str, file: Path) -> Problem | None:
    if tag == _SPARSE and not os.path.lexists(file):
        hint = "check it out: git sparse-checkout add, or git sparse-checkout disable"
        return Problem("is left out by a sparse checkout", show(file), hint=hint)
    if mode == _SUBMODULE and not (file / ".git").exists():
        return Problem("is a submodule that is not checked out", show(file), hint="git submodule update --init")
    if mode == _SYMLINK and file.is_file() and not file.is_symlink():
        return Problem("is a symlink that was checked out as a text file", show(file), hint=LINKS_HINT)
    return None


def places_of(applications: Sequence[str], commit: str | None) -> list[str]:
    """The manifests that declare one of some applications in a commit, or in the work tree (None)."""
    if not applications:
        return []
    if commit is None:
        _top()  # in a bare repository there is no work tree that could hold any
    files = [commit] if commit else ["--untracked"]
    wanted = ["-e", "apiVersion", "-e", "|".join(applications)]
    options = ["-l", "-z", "-i", "-E", "-I", "--all-match", "--full-name", "--no-recurse-submodules", "--no-color"]
    try:
        found = git("grep", *options, *wanted, *files, "--", ":(top,glob)**/*.yaml", ":(top,glob)**/*.yml")
    except GitFailed as error:
        if error.said:
            raise
        return []  # nothing matches
    places = [os.fsdecode(one).removeprefix(f"{commit}:") for one in found.split(b"\0") if one]
    return [place for place in places if not is_hidden(place)]


def _top() -> Path:
    """The root of the work tree."""
    return Path(os.fsdecode(git("rev-parse", "--show-toplevel")).removesuffix("\n"))
