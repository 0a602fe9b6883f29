"""Edits that are made in memory, each proved by loading the manifests again, and written to disk at the end.

An edit is right if every document means what it meant before, but for the one value of those that were to change.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from reconciler.errors import ManifestError, Problem, UsageError
from reconciler.files import WholeFile
from reconciler.manifest.document import Layer
from reconciler.manifest.editing.text import with_entry, with_value
from reconciler.manifest.files import STDIN, DiskFiles, File
from reconciler.manifest.load import Loaded, load
from reconciler.model.rules import FlowRule, Source
from reconciler.model.state import Place
from reconciler.operations.editing.places import Said, Sort
from reconciler.runtime import gc_paused

_Change = Callable[[bytes], bytes | Problem]


class Edited(NamedTuple):
    """A file before and after the edits."""

    path: str
    before: bytes
    after: bytes


class Drafts(DiskFiles):
    """The files on disk, and what they are to become."""

    def __init__(self) -> None:
        super().__init__()
        self._read: dict[str, bytes] = {}
        self._drafts: dict[str, bytes] = {}
        self._paths: dict[str, str] = {}
        self._loaded: dict[tuple[str, ...], Loaded] = {}

    def read(self, file: File) -> bytes | Problem:
        """The bytes of a file, edited if it was; each file is read once."""
        if file.real not in self._read:
            data = super().read(file)
            if isinstance(data, Problem):
                return data
            self._read[file.real] = data
        return self._drafts.get(file.real, self._read[file.real])

    def load(self, paths: Sequence[str]) -> Loaded:
        """The manifests in files and folders, as they are to become."""
        key = tuple(paths)
        if key not in self._loaded:
            self._loaded[key] = load(paths, self)
        return self._loaded[key]

    def edited(self) -> list[Edited]:
        """The files that differ from those on disk."""
        found = (Edited(self._paths[real], self._read[real], data) for real, data in self._drafts.items())
        return [one for one in found if one.before != one.after]

    def edit_value(self, said: Said, value: str, paths: Sequence[str], moving: Collection[Place]) -> None:
        """Change the value at the place that says it, in the documents at the places `moving`.

        Raises:
            ManifestError: it cannot be edited, or something else would change.
        """
        change: _Change = lambda data: with_value(data, said.place, value)  # noqa: E731
        self._edit(said.place.path, change, paths, _Expected(said.place, value, moving))

    def add_override(self, said: Said, value: str, paths: Sequence[str]) -> None:
        """Say another version than the base, in the document itself.

        Raises:
            ManifestError: as above.
        """
        if said.sort is Sort.PIN:
            hint = "edit the base with --base, or move the pin"
            raise ManifestError([said.place.problem("pins add up, so no document can override one of its base", hint)])
        path = ["groups", said.name, "flows"] if said.sort is Sort.GROUP else ["devices", said.name]
        keys, document = [*path, said.rule.flow.text], said.document.place
        add: _Change = lambda data: with_entry(data, document, keys, value)  # noqa: E731
        self._edit(document.path, add, paths, _Expected(said.place, value, {document}))

    def _edit(self, path: str, change: _Change, paths: Sequence[str], expected: _Expected) -> None:
        if path == STDIN:
            raise UsageError("standard input cannot be edited", hint="give the file itself")
        real = os.path.realpath(path)
        before = self.load(paths)
        data = self.read(File(path, real))
        with gc_paused():
            new = data if isinstance(data, Problem) else change(data)
        if isinstance(new, Problem):
            raise ManifestError([new])
        self._drafts[real], self._paths[real], self._loaded = new, path, {}
        after = self.load(paths)
        known = {(problem.path, problem.message) for problem in before.problems}
        if problems := [one for one in after.problems if (one.path, one.message) not in known]:
            raise ManifestError(problems)
        with gc_paused():
            is_right = expected.holds(before, after)
        if not is_right:
            hint = "write it by hand, and look at `reconciler diff`"
            raise ManifestError([expected.spot.problem("an edit here would change something else, too", hint)])


class _Expected(NamedTuple):
    """The outcome of an edit: the documents at the places `moving` say `value` where the rule at `spot` was."""

    spot: Place
    value: str
    moving: Collection[Place]

    def holds(self, before: Loaded, after: Loaded) -> bool:
        """Whether nothing else differs."""
        if len(before.documents) != len(after.documents):
            return False
        changed = {self.spot: None if self.value == "absent" else self.value}
        expected = [_meaning(one, changed if one.place in self.moving else {}) for one in before.documents]
        return expected == [_meaning(one, {}) for one in after.documents]


def _meaning(document: Layer, changed: Mapping[Place, str | None]) -> object:
    """A document without its places, in which some rules have another version."""
    parts = (part for part in Layer._fields if part not in ("place", "manifests"))
    return [_bare(getattr(document, part), changed) for part in parts]


def _bare(value: object, changed: Mapping[Place, str | None]) -> object:
    if isinstance(value, Place | Source):
        return None
    if isinstance(value, FlowRule):
        version = changed.get(value.flow.place, value.version) if changed else value.version
        return (value.flow.text, version)
    if isinstance(value, tuple):
        return tuple(_bare(one, changed) for one in value)
    if isinstance(value, Mapping):
        return {key: _bare(one, changed) for key, one in value.items()}
    return value


# --- to disk ----------------------------------------------------------------------------------------------------


def writable(edited: Edited) -> None:
    """Check that a file may be written.

    Raises:
        UsageError: it is read-only, or no file.
    """
    path = Path(edited.path)
    if not path.is_file():
        raise UsageError(f"{path} is not a regular file, so it cannot be edited", hint="give the file itself")
    if not path.stat().st_mode & 0o222 or not os.access(path, os.W_OK):
        raise UsageError(f"{path} is read-only", hint=f"`chmod u+w {path}`, or edit it where it is written")


def write(edited: Edited) -> bool:
    """Write a file whole, unless it is not what was read any more. Returns whether it had to be written in place.

    Raises:
        UsageError: it changed meanwhile, or it cannot be written. Then it is as it was.
    """
    writable(edited)
    begun = False

    def last_look() -> None:
        nonlocal begun
        _check_unchanged(edited)
        begun = True

    file = None
    try:
        with _alone(edited.path), WholeFile(edited.path) as file:
            file.write(edited.after, last_look=last_look)
            return file.in_place
    except OSError as error:
        damaged = begun and file is not None and file.in_place and not _put_back(edited)
        hint = "it was damaged: take it from git" if damaged else "it is as it was"
        raise UsageError(f"{edited.path} could not be written: {error.strerror or error}", hint=hint) from None


def _check_unchanged(edited: Edited) -> None:
    try:
        data = Path(edited.path).read_bytes()
    except FileNotFoundError:
        data = b""
    if data != edited.before:
        message = f"{edited.path} changed while it was edited; nothing was written"
        raise UsageError(message, hint="run the command again")


def _put_back(edited: Edited) -> bool:
    """Give a file that was half written in place its bytes back; there was room for them."""
    with contextlib.suppress(OSError):
        Path(edited.path).write_bytes(edited.before)
        return True
    return False


@contextlib.contextmanager
def _alone(path: str) -> Iterator[None]:
    """Of two of these commands that write into one folder, the second begins when the first has ended."""
    folder = None
    with contextlib.suppress(ImportError, OSError):
        import fcntl  # noqa: PLC0415 - not on Windows

        folder = os.open(Path(os.path.realpath(path)).parent, os.O_RDONLY)
        fcntl.flock(folder, fcntl.LOCK_EX)
    try:
        yield
    finally:
        if folder is not None:
            os.close(folder)
