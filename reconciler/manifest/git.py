"""Manifests of a git revision, read from the object store; the work tree is neither read nor changed."""

from __future__ import annotations

import os
import posixpath
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from reconciler.errors import Problem, UsageError
from reconciler.manifest.files import MAX_BYTES, SUFFIXES, File, NothingThere, too_large

_SYMLINK = "120000"
_MAX_LINKS = 40  # as many as Linux follows
_TIMEOUT_S = 60


class _Blob(NamedTuple):
    mode: str
    sha: str
    size: int


class GitFiles:
    """The files of one revision of the repository that the working directory is in."""

    def __init__(self, revision: str) -> None:
        """Look up the revision.

        Raises:
            UsageError: there is no git, no repository, or no such revision.
        """
        self._revision = revision
        if revision.startswith("-"):
            raise UsageError(f"{revision!r} is not a revision", hint="a revision does not start with a dash")
        self._prefix = _git("rev-parse", "--show-prefix").decode().strip()
        try:
            commit = _git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}").decode().strip()
        except UsageError:
            hint = "give a commit, branch or tag, or a folder with a /"
            raise UsageError(f"git has no revision {revision!r}", hint=hint) from None
        self._blobs = dict(_listed(_git("ls-tree", "-r", "-z", "-l", "--full-tree", commit)))
        self._contents: dict[str, bytes] = {}
        self._fetch(blob for blob in self._blobs.values() if blob.mode == _SYMLINK)
        self._folders = {"", *(str(parent) for path in self._blobs for parent in _parents(path))}

    def expand(self, path: str) -> tuple[list[File], list[Problem]]:
        """A file, or the `*.yaml` and `*.yml` below a directory."""
        path = os.path.relpath(path) if Path(path).is_absolute() else path
        start = self._real(posixpath.join(self._prefix, Path(path).as_posix()))
        if start in self._blobs:
            return [File(self._shown(path), start)], []
        if start not in self._folders:
            return [], [NothingThere("no such file or directory", self._shown(path), hint="check --path")]
        files: list[File] = []
        problems: list[Problem] = []
        for below, real in self._below(start, set()):
            shown = self._shown(posixpath.join(path, below))
            if real is None:
                problems.append(Problem("is a symlink that leaves the work tree", shown, hint="copy the file"))
            else:
                files.append(File(shown, real))
        if not files and not problems:
            message = "no *.yaml or *.yml below this directory"
            problems.append(NothingThere(message, self._shown(path), hint="check --path"))
        self._fetch(self._blobs[file.real] for file in files if file.real in self._blobs)
        return files, problems

    def read(self, file: File) -> bytes | Problem:
        """The bytes of a blob."""
        blob = self._blobs.get(file.real)
        if blob is None:
            return Problem("no such file or directory", file.shown, hint="check the path")
        if blob.size > MAX_BYTES:
            return too_large(file.shown)
        self._fetch([blob])
        return self._contents[blob.sha]

    def beside(self, file: File, relative: str) -> File | Problem:
        """Resolve `extends`, written in `file`."""
        shown = file.shown.removeprefix(f"{self._revision}:")
        path = posixpath.join(posixpath.dirname(shown), relative)
        real = self._real(posixpath.join(self._prefix, path))
        if real is None:
            return Problem(f"extends {relative} leaves the git work tree", hint="keep the base inside the repository")
        return File(self._shown(posixpath.normpath(path)), real)

    def _shown(self, path: str) -> str:
        return f"{self._revision}:{posixpath.normpath(path)}"

    def _below(self, folder: str, seen: set[str]) -> Iterator[tuple[str, str | None]]:
        """Manifests below a folder, following symlinks: path relative to it, and real path (None: outside)."""
        if folder in seen:
            return
        seen.add(folder)
        start = f"{folder}/" if folder else ""
        for path, blob in self._blobs.items():
            if not path.startswith(start):
                continue
            real = path if blob.mode != _SYMLINK else self._real(path)
            if real in self._folders:
                inner = path.removeprefix(start)
                yield from ((posixpath.join(inner, below), target) for below, target in self._below(real, seen))
            elif path.endswith(SUFFIXES):  # a broken symlink is reported when it is read
                yield path.removeprefix(start), real

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
                target = os.fsdecode(self._contents.get(blob.sha, b"/")) if links <= _MAX_LINKS else "/"
                if target.startswith("/"):
                    return None
                done.pop()
                todo += [part for part in reversed(target.split("/")) if part not in ("", ".")]
        return "/".join(done)

    def _fetch(self, blobs: Iterable[_Blob]) -> None:
        """Read the contents of many blobs in one process."""
        wanted = {blob.sha: None for blob in blobs if blob.size <= MAX_BYTES and blob.sha not in self._contents}
        if wanted:
            self._contents.update(_contents(_git("cat-file", "--batch", stdin="\n".join(wanted).encode())))


def _git(*arguments: str, stdin: bytes = b"") -> bytes:
    environment = {**os.environ, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1"}
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program, a list of arguments, no shell
            ["git", *arguments],  # noqa: S607 - wherever the user's git is
            env=environment,
            input=stdin,
            capture_output=True,
            check=False,
            timeout=_TIMEOUT_S,
        )
    except FileNotFoundError:
        raise UsageError("git is not installed", hint="compare two folders, or install git") from None
    except subprocess.TimeoutExpired:
        raise UsageError(f"git {arguments[0]} timed out after {_TIMEOUT_S} s") from None
    if done.returncode:
        reason = os.fsdecode(done.stderr).strip().removeprefix("fatal: ") or f"exit code {done.returncode}"
        raise UsageError(f"git {arguments[0]}: {reason}", hint="run this inside a git repository")
    return done.stdout


def _listed(listing: bytes) -> Iterator[tuple[str, _Blob]]:
    r"""`mode type sha size\tpath`, ended by NUL."""
    for line in filter(None, listing.split(b"\0")):
        about, _, path = line.partition(b"\t")
        mode, kind, sha, size = about.decode().split()
        if kind == "blob":
            yield os.fsdecode(path), _Blob(mode, sha, int(size))


def _contents(output: bytes) -> Iterator[tuple[str, bytes]]:
    r"""Parse the output of `cat-file --batch`: for each object `sha type size\n`, the contents, and a newline."""
    start = 0
    while start < len(output):
        end = output.index(b"\n", start)
        sha, *about = output[start:end].decode().split()
        if about == ["missing"]:
            raise UsageError(f"git does not have the object {sha}", hint="fetch it: this clone is incomplete")
        size = about[1]
        start = end + 1 + int(size)
        yield sha, output[end + 1 : start]
        start += 1


def _parents(path: str) -> Iterator[str]:
    while path := posixpath.dirname(path):
        yield path
