"""Manifests of a git revision, read from the object store; the work tree is neither read nor changed."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from reconciler.errors import Problem
from reconciler.manifest.files import (
    MAX_BYTES,
    File,
    NothingThere,
    is_hidden,
    is_like_a_manifest,
    is_picked,
    leaves_work_tree,
    nothing_below,
    too_large,
)
from reconciler.manifest.git.command import GitFailed, git, incomplete
from reconciler.manifest.git.revision import commit_of
from reconciler.model.text import counted

_SYMLINK = "120000"
_MAX_LINKS = 40  # as many as Linux follows


class _Blob(NamedTuple):
    """A file of the revision. `size` is None if this clone lacks its contents."""

    mode: str
    sha: str
    size: int | None


class GitFiles:
    """The files of one revision of the repository that the working directory is in."""

    def __init__(self, revision: str) -> None:
        """Look up the revision.

        Raises:
            UsageError: there is no git, no repository, no such revision, or more than one.
        """
        self.revision = revision
        self.commit = commit_of(revision)
        self._prefix = os.fsdecode(git("rev-parse", "--show-prefix")).removesuffix("\n")
        self._blobs, self._submodules = _listing(self.commit)
        self._contents: dict[str, bytes] = {}
        self.skipped: dict[str, None] = {}
        self._fetch(blob for blob in self._blobs.values() if blob.mode == _SYMLINK and blob.size is not None)
        self._folders = {"", *(str(parent) for path in (*self._blobs, *self._submodules) for parent in _parents(path))}

    def from_root(self, path: str) -> str:
        """A path as git reads it after a colon: from the root of the tree, unless it begins with `./` or `../`."""
        if path in (".", "..") or path.startswith(("./", "../")):
            return path
        return posixpath.relpath(path or ".", self._prefix or ".")

    def expand(self, path: str) -> tuple[list[File], list[Problem]]:
        """A file, or the `*.yaml` and `*.yml` below a directory."""
        path = os.path.relpath(path) if Path(path).is_absolute() else path
        start = self._real(posixpath.join(self._prefix, Path(path).as_posix()))
        if start is None:
            return [], [Problem("is outside of the git work tree", self._shown(path), hint="check --path")]
        if submodule := self._submodule_of(start):
            return [], [_in_submodule(self._shown(path), submodule)]
        if start in self._blobs:
            return [File(self._shown(path), start)], []
        if start not in self._folders:
            return [], [NothingThere("no such file or directory", self._shown(path), hint="check --path")]
        return self._picked(path, start)

    def _picked(self, path: str, folder: str) -> tuple[list[File], list[Problem]]:
        """The manifests below a folder, and what is wrong there."""
        files: list[File] = []
        problems: list[Problem] = []
        for below, real in self._below(folder, set()):
            shown = self._shown(posixpath.join(path, below))
            if real is None:
                problems.append(leaves_work_tree(shown))
            elif submodule := self._submodule_of(real):
                problems.append(_in_submodule(shown, submodule))
            elif is_picked(below):
                files.append(File(shown, real))
            elif is_like_a_manifest(below):
                self.skipped[shown] = None
        if not files and not problems:
            problems.append(nothing_below(self._shown(path), list(self.skipped), "check --path"))
        self._fetch(self._blobs[file.real] for file in files if file.real in self._blobs)
        return files, problems

    def read(self, file: File) -> bytes | Problem:
        """The bytes of a blob."""
        blob = self._blobs.get(file.real)
        if blob is None:
            return Problem("no such file or directory", file.shown, hint="check the path")
        if blob.size is not None and blob.size > MAX_BYTES:
            return too_large(file.shown)
        self._fetch([blob])
        return self._contents[blob.sha]

    def beside(self, file: File, relative: str) -> File | Problem:
        """Resolve `extends`, written in `file`."""
        shown = file.shown.removeprefix(f"{self.revision}:")
        path = posixpath.join(posixpath.dirname(shown), relative)
        real = self._real(posixpath.join(self._prefix, path))
        if real is None:
            return Problem(f"extends {relative} leaves the git work tree", hint="keep the base inside the repository")
        if submodule := self._submodule_of(real):
            return Problem(f"extends {relative} is in the submodule {submodule}", hint="keep the base outside of it")
        return File(self._shown(posixpath.normpath(path)), real)

    def _shown(self, path: str) -> str:
        return f"{self.revision}:{posixpath.normpath(path)}"

    def _below(self, folder: str, seen: set[str]) -> Iterator[tuple[str, str | None]]:
        """What is below a folder, following symlinks: path relative to it, and real path (None: outside).

        Of links that leave the tree, only those that may be manifests, or folders of them.
        """
        if folder in seen:
            return
        seen.add(folder)
        start = f"{folder}/" if folder else ""
        for path in (*self._submodules, *self._blobs):
            below = path.removeprefix(start)
            if not path.startswith(start) or is_hidden(below):
                continue
            blob = self._blobs.get(path)
            real = self._real(path) if blob and blob.mode == _SYMLINK else path
            if real in self._folders:
                yield from ((posixpath.join(below, inner), target) for inner, target in self._below(real, seen))
            elif real is not None or is_picked(below) or not posixpath.splitext(below)[1]:
                yield below, real  # a broken symlink is reported when it is read

    def _submodule_of(self, path: str) -> str | None:
        """The submodule that a path is, or is in."""
        inside = (path, *_parents(path)) if self._submodules else ()
        return next((one for one in inside if one in self._submodules), None)

    def _real(self, path: str) -> str | None:
        """A path from the root of the tree with symlinks resolved; None if it leaves the tree."""
        done: list[str] = []
        todo = [part for part in reversed(path.split("/")) if part not in ("", ".")]
        links = 0
        while todo:
            part = todo.pop()
            if part == "..":
                if not done:
                    return None
                done.pop()
                continue
            done.append(part)
            blob = self._blobs.get("/".join(done))
            if blob is not None and blob.mode == _SYMLINK:
                links += 1
                if blob.size is None:
                    raise incomplete(f"{self.revision}:{'/'.join(done)}")
                target = os.fsdecode(self._contents.get(blob.sha, b"/")) if links <= _MAX_LINKS else "/"
                if target.startswith("/"):
                    return None
                done.pop()
                todo += [part for part in reversed(target.split("/")) if part not in ("", ".")]
        return "/".join(done)

    def _fetch(self, blobs: Iterable[_Blob]) -> None:
        """Read the contents of many blobs in one process."""
        wanted = {blob.sha: blob.size for blob in blobs if blob.sha not in self._contents}
        if missing := sum(size is None for size in wanted.values()):
            raise incomplete(f"{counted(missing, 'file')} of {self.revision}")
        shas = [sha for sha, size in wanted.items() if size is not None and size <= MAX_BYTES]
        if shas:
            self._contents.update(_contents(git("cat-file", "--batch", stdin="\n".join(shas).encode())))


def _listing(commit: str) -> tuple[dict[str, _Blob], frozenset[str]]:
    """The files and the submodules of a commit, by path."""
    if _is_partial():
        listing = git("ls-tree", "-r", "-z", "--full-tree", commit)
        sizes = _local_sizes(commit, listing)
    else:
        listing, sizes = git("ls-tree", "-r", "-z", "-l", "--full-tree", commit), {}
    blobs: dict[str, _Blob] = {}
    submodules: set[str] = set()
    for (mode, kind, sha, *size), path in _listed(listing):
        if kind == "blob":
            blobs[path] = _Blob(mode, sha, int(size[0]) if size and size[0].isdigit() else sizes.get(sha))
        else:
            submodules.add(path)
    return blobs, frozenset(submodules)


def _is_partial() -> bool:
    """Whether this clone was made with `--filter`."""
    try:
        return bool(git("config", "--get-regexp", r"^(remote\..*\.promisor|extensions\.partialclone)$"))
    except GitFailed as error:
        if error.said:
            raise
        return False


def _local_sizes(commit: str, listing: bytes) -> dict[str, int]:
    """The sizes of the blobs of a commit that a partial clone has. `ls-tree -l` ends at the first that it lacks."""
    objects = git("rev-list", "--objects", "--no-object-names", "--missing=print", "--no-walk", commit).decode().split()
    shas = {sha for (_, kind, sha), _ in _listed(listing) if kind == "blob"}
    local = sorted(shas.difference(one[1:] for one in objects if one.startswith("?")))
    sizes = git("cat-file", "--batch-check=%(objectname) %(objectsize)", stdin="\n".join(local).encode()).decode()
    return {sha: int(size) for sha, size in (line.split() for line in sizes.splitlines())} if local else {}


def _listed(listing: bytes) -> Iterator[tuple[list[str], str]]:
    r"""`mode kind sha[ size]\tpath`, ended by NUL."""
    for line in filter(None, listing.split(b"\0")):
        about, _, path = line.partition(b"\t")
        yield about.decode().split(), os.fsdecode(path)


def _in_submodule(shown: str, submodule: str) -> Problem:
    message = f"is in the submodule {submodule}, whose files are in another repository"
    return Problem(message, shown, hint="run `reconciler diff` in the submodule, or compare two folders")


def _contents(output: bytes) -> Iterator[tuple[str, bytes]]:
    r"""Parse the output of `cat-file --batch`: for each object `sha type size\n`, the contents, and a newline."""
    start = 0
    while start < len(output):
        end = output.index(b"\n", start)
        sha, *about = output[start:end].decode().split()
        if about == ["missing"]:
            raise incomplete(f"the object {sha}")
        size = about[1]
        start = end + 1 + int(size)
        yield sha, output[end + 1 : start]
        start += 1


def _parents(path: str) -> Iterator[str]:
    while path := posixpath.dirname(path):
        yield path
