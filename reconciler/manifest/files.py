"""Sources of manifests: the disk here, a git revision in `git`.

A file has a path shown to users and a real path, with symlinks resolved, which identifies it. References from a file
(`extends`, a symlink in a directory) must stay inside the git work tree that the file is in or, outside git, inside the
working directory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from reconciler.errors import Problem

SUFFIXES = (".yaml", ".yml")
MAX_BYTES = 32 * 1024 * 1024  # twice a device-by-device manifest of 100,000 devices and three flows
STDIN = "<stdin>"


class File(NamedTuple):
    """A file: `shown` to users, `real` with symlinks resolved."""

    shown: str
    real: str


class NothingThere(Problem):
    """A path without manifests."""


class Files(Protocol):
    """A source of manifests. Failures are returned as a `Problem`, never raised."""

    def expand(self, path: str) -> tuple[list[File], list[Problem]]:
        """The files of a path, in any order."""

    def read(self, file: File) -> bytes | Problem:
        """The bytes of a file of at most `MAX_BYTES`."""

    def beside(self, file: File, relative: str) -> File | Problem:
        """Resolve a path written in another file."""


class DiskFiles:
    """Files on disk, and standard input."""

    def __init__(self, stdin: BinaryIO | None = None) -> None:
        self._stdin = stdin

    def expand(self, path: str) -> tuple[list[File], list[Problem]]:
        """A file, a directory's `*.yaml` and `*.yml`, or `-`."""
        if path == "-":
            return [File(STDIN, STDIN)], []
        if "\0" in path:
            return [], [Problem("cannot be read: a path cannot contain a NUL character", path)]
        if not os.path.lexists(path):
            return [], [NothingThere("no such file or directory", show(path), hint="check the path")]
        if not Path(path).is_dir():
            return [File(show(path), os.path.realpath(path))], []
        problems: list[Problem] = []
        files = list(_walk(Path(path), problems))
        if not files and not problems:
            hint = "give the directory with the manifests"
            problems.append(NothingThere("no *.yaml or *.yml below this directory", show(path), hint=hint))
        return files, problems

    def read(self, file: File) -> bytes | Problem:
        """The bytes of a file or of standard input."""
        try:
            if file.real == STDIN:
                if self._stdin is None:
                    return Problem("standard input is not available", STDIN, hint="give a file or a directory")
                data = self._stdin.read(MAX_BYTES + 1)
            else:
                path = Path(file.real)
                if path.exists() and not path.is_file():
                    hint = "give a file, a directory, or - for standard input"
                    return Problem("not a regular file", file.shown, hint=hint)
                with path.open("rb") as stream:
                    data = stream.read(MAX_BYTES + 1)
        except FileNotFoundError:
            return Problem("no such file or directory", file.shown, hint="check the path")
        except OSError as error:
            return Problem(f"cannot be read: {error.strerror}", file.shown, hint="check its permissions")
        return data if len(data) <= MAX_BYTES else too_large(file.shown)

    def beside(self, file: File, relative: str) -> File | Problem:
        """Resolve `extends`, written in `file`."""
        directory = Path() if file.real == STDIN else Path(file.shown).parent
        root = work_tree(directory.resolve())
        try:
            real = (directory / relative).resolve()
        except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: a symlink loop
            return Problem(f"extends {relative} cannot be resolved: {error}", hint="check the path")
        if not real.is_relative_to(root or Path.cwd()):
            where = "the git work tree" if root else "the working directory"
            return Problem(f"extends {relative} leaves {where}", hint="keep the base inside it")
        return File(show(directory / relative), str(real))


def show(path: str | Path) -> str:
    """A path for users: relative to the working directory if it is inside, with forward slashes."""
    shown = Path(os.path.normpath(path))
    if shown.is_absolute() and shown.is_relative_to(Path.cwd()):
        shown = shown.relative_to(Path.cwd())
    return shown.as_posix()


def too_large(shown: str) -> Problem:
    """The problem of a file that is too large to be a manifest."""
    message = f"larger than {MAX_BYTES // 1024 // 1024} MiB"
    return Problem(message, shown, hint="use groups, or split the devices over several files")


def work_tree(directory: Path) -> Path | None:
    """The git work tree that contains a real directory, if any."""
    return next((path for path in (directory, *directory.parents) if (path / ".git").exists()), None)


def _walk(top: Path, problems: list[Problem]) -> Iterator[File]:
    """The manifests below a directory. Each real directory is visited once, even if symlinks form a loop."""
    roots = (work_tree(top.resolve()) or Path.cwd(), top.resolve())
    seen: set[str] = set()

    def unreadable(error: OSError) -> None:
        problems.append(Problem(f"cannot be read: {error.strerror}", show(str(error.filename))))

    for directory, folders, names in os.walk(top, followlinks=True, onerror=unreadable):
        real = os.path.realpath(directory)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        for name in sorted(names):
            if name.endswith(SUFFIXES):
                path = Path(directory, name)
                target = Path(os.path.realpath(path))
                if any(target.is_relative_to(root) for root in roots):
                    yield File(show(path), str(target))
                else:
                    problems.append(Problem("is a symlink that leaves the work tree", show(path), hint="copy the file"))
