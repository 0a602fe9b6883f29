"""Sources of manifests: the disk here, a git revision in `git`.

A file has a path shown to users and a real path, with symlinks resolved, which identifies it. References from a file
(`extends`, a symlink in a directory) must stay inside the git work tree that the file is in or, outside git, inside the
working directory.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from reconciler.errors import Problem

SUFFIXES = (".yaml", ".yml")
MAX_BYTES = 32 * 1024 * 1024  # twice a device-by-device manifest of 100,000 devices and three flows
STDIN = "<stdin>"
RENAME_HINT = "rename it to end in .yaml or .yml, in lower case"
LINKS_HINT = "check it out as a link (git config core.symlinks true, then git checkout), or copy what it leads to"
_PATH_MAX = 4096
_OPEN = ("/dev/", "/proc/")  # where the files that a process has open are: `extends` in them is as in standard input
_LIKE_A_MANIFEST = re.compile(r"[.]ya?ml(?:[.~].*)?$", re.IGNORECASE)


class File(NamedTuple):
    """A file: `shown` to users, `real` with symlinks resolved."""

    shown: str
    real: str


class NothingThere(Problem):
    """A path without manifests."""


class Files(Protocol):
    """A source of manifests. Failures are returned as a `Problem`, never raised.

    Attributes:
        skipped: what looks like a manifest by its name, and was not picked from a directory.
    """

    skipped: dict[str, None]

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
        self.skipped: dict[str, None] = {}

    def expand(self, path: str) -> tuple[list[File], list[Problem]]:
        """A file, a directory's `*.yaml` and `*.yml`, or `-`."""
        if path == "-":
            return [File(STDIN, STDIN)], []
        if "\0" in path:
            return [], [Problem("cannot be read: a path cannot contain a NUL character", path)]
        if not os.path.lexists(path):
            lost = not Path(path).is_absolute() and working_directory() is None
            hint = "the working directory was deleted" if lost else "check the path"
            return [], [NothingThere("no such file or directory", show(path), hint=hint)]
        if not Path(path).is_dir():
            return [File(show(path), path if _is_open(path) else os.path.realpath(path))], []
        found = _Walk(Path(path))
        found.walk()
        self.skipped.update(dict.fromkeys(found.skipped))
        if found.files or found.problems:
            return found.files, found.problems
        return [], [nothing_below(show(path), found.skipped, "give the directory with the manifests")]

    def read(self, file: File) -> bytes | Problem:
        """The bytes of a file or of standard input."""
        try:
            if file.real == STDIN:
                if self._stdin is None:
                    return Problem("standard input is not available", STDIN, hint="give a file or a directory")
                data = self._stdin.read(MAX_BYTES + 1)
            else:
                path = Path(file.real)
                if path.exists() and not path.is_file() and not _is_open(file.real):
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
        directory = Path() if file.real == STDIN or file.shown.startswith(_OPEN) else Path(file.shown).parent
        try:
            root = work_tree(directory.resolve())
            real = (directory / relative).resolve()
        except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: a symlink loop
            return Problem(f"extends {relative} cannot be resolved: {error}", hint="check the path")
        reach = root or working_directory()
        if reach is None or not real.is_relative_to(reach):
            where = "the git work tree" if root else "the working directory"
            return Problem(f"extends {relative} leaves {where}", hint="keep the base inside it")
        return File(show(directory / relative), str(real))


def show(path: str | Path) -> str:
    """A path for users: relative to the working directory if it is inside, with forward slashes."""
    shown = Path(os.path.normpath(path))
    here = working_directory() if shown.is_absolute() else None
    if here and shown.is_relative_to(here):
        shown = shown.relative_to(here)
    return shown.as_posix()


def working_directory() -> Path | None:
    """The working directory; None if it was deleted, where absolute paths still lead somewhere."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return None


def is_hidden(path: str) -> bool:
    """Whether a path below a directory has a name with a dot in front: editors' locks, macOS's `._*`, `.git`."""
    return path.startswith(".") or "/." in path


def is_picked(path: str) -> bool:
    """Whether a file below a directory is a manifest."""
    return path.endswith(SUFFIXES) and not is_hidden(path)


def is_like_a_manifest(path: str) -> bool:
    """Whether a file that is not picked looks like a manifest by its name."""
    name = posixpath.basename(path)
    return not name.endswith(SUFFIXES) and _LIKE_A_MANIFEST.search(name) is not None


def nothing_below(shown: str, skipped: Sequence[str], hint: str) -> NothingThere:
    """The problem of a directory without manifests."""
    if skipped:
        hint = f"{skipped[0]} is not picked: {RENAME_HINT}"
    return NothingThere("no *.yaml or *.yml below this directory", shown, hint=hint)


def leaves_work_tree(shown: str) -> Problem:
    """The problem of a symlink in a directory that leads out of the work tree."""
    return Problem("is a symlink that leaves the work tree", shown, hint="copy the file")


def too_large(shown: str) -> Problem:
    """The problem of a file that is too large to be a manifest."""
    message = f"larger than {MAX_BYTES // 1024 // 1024} MiB"
    return Problem(message, shown, hint="use groups, or split the devices over several files")


def work_tree(directory: Path) -> Path | None:
    """The git work tree that contains a real directory, if any."""
    return next((path for path in (directory, *directory.parents) if (path / ".git").exists()), None)


def _is_open(path: str) -> bool:
    """Whether a path is a pipe that this process already has open: `/dev/stdin`, or a shell's `<(command)`."""
    return path.startswith(_OPEN) and Path(path).is_fifo()


class _Walk:
    """What is below a directory. Each real directory is visited once, even if symlinks form a loop."""

    def __init__(self, top: Path) -> None:
        real = top.resolve()
        self._top = top
        self._roots = [root for root in (work_tree(real) or working_directory(), real) if root]
        self.files: list[File] = []
        self.problems: list[Problem] = []
        self.skipped: list[str] = []

    def walk(self) -> None:
        """Find the manifests, and what looks like one."""
        seen: set[str] = set()
        for directory, folders, names in os.walk(self._top, followlinks=True, onerror=self._unreadable):
            real = os.path.realpath(directory)
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            folders[:] = [name for name in sorted(folders) if not is_hidden(name) and self._is_inside(directory, name)]
            for name in sorted(names):
                if not is_hidden(name):
                    self._look_at(directory, name)

    def _look_at(self, directory: str, name: str) -> None:
        path = Path(directory, name)
        if is_picked(name):
            if self._is_inside(directory, name):
                self.files.append(File(show(path), os.path.realpath(path)))
        elif is_like_a_manifest(name):
            self.skipped.append(show(path))
        elif not path.suffix and (target := _flattened_link(path)):
            message = f"is a symlink to the folder {target} that was checked out as a text file"
            self.problems.append(Problem(message, show(path), hint=LINKS_HINT))

    def _is_inside(self, directory: str, name: str) -> bool:
        """Whether an entry is in the work tree; a symlink that leaves it is a problem, and is not followed."""
        path = Path(directory, name)
        if not path.is_symlink():
            return True
        target = Path(os.path.realpath(path))
        if any(target.is_relative_to(root) for root in self._roots):
            return True
        self.problems.append(leaves_work_tree(show(path)))
        return False

    def _unreadable(self, error: OSError) -> None:
        self.problems.append(Problem(f"cannot be read: {error.strerror}", show(str(error.filename))))


def _flattened_link(path: Path) -> str | None:
    """The folder that a file's text leads to, if it may be a symlink that git checked out as text."""
    try:
        if not path.is_file() or not 0 < path.stat().st_size < _PATH_MAX:
            return None
        target = path.read_bytes()
        if b"\n" in target or b"\0" in target or not (path.parent / os.fsdecode(target)).is_dir():
            return None
    except OSError:
        return None
    return os.fsdecode(target)
