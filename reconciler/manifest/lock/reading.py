"""The lock beside manifests, `reconciler.lock`: read with every problem at its place.

A lock stands in the folder of each file with an `application`, one line a version, so that it is reviewed and merged
like any file. It may be for several applications and kinds: those of the manifests in its folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from reconciler.errors import Problem
from reconciler.manifest.files import STDIN
from reconciler.manifest.syntax import parse
from reconciler.manifest.tree import Map, Node, place_of, shown
from reconciler.model.rules import Rules
from reconciler.model.state import FlowId, Kind, Place
from reconciler.model.text import is_id
from reconciler.model.versions import LOCK_NAME, Content, Lock, Locked

MAX_BYTES = 16 * 1024 * 1024  # a hundred thousand versions
REMEDY = "restore it from git, or delete the line and run `reconciler lock`"
_API_VERSION = "reconciler/v1"
_SHA256 = re.compile("[0-9a-f]{64}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{5,20}(?:Z|[+-][0-9:]{4,6})")
_KEYS = ("id", "created", "sha256")
Section: TypeAlias = tuple[str, Kind]
"""An application's id and a kind."""


@dataclass(slots=True)
class LockFile:
    """What a lock holds, by application and kind. `data`: its bytes; None if there is no such file."""

    path: str
    data: bytes | None = None
    sections: dict[Section, tuple[Locked, ...]] = field(default_factory=dict)
    places: dict[Section, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def lock_path(manifest: str) -> str | None:
    """The path of the lock beside a manifest; None beside standard input."""
    return None if manifest == STDIN else str(Path(manifest).with_name(LOCK_NAME))


def with_locks(rules: Sequence[Rules]) -> tuple[tuple[Rules, ...], list[Problem]]:
    """The rules with what the locks beside their manifests say, and the problems of these locks."""
    files: dict[str, LockFile] = {}
    locked = []
    for one in rules:
        paths = sorted({path for root in one.roots if (path := lock_path(root))})
        for path in paths:
            if path not in files:
                files[path] = read_lock(path)
        there = [files[path] for path in paths if files[path].data is not None]
        locked.append(one._replace(lock=_lock_of(one, there)) if there else one)
    found = [problem for file in files.values() for problem in file.problems]
    return tuple(locked), [*found, *_of_others(locked, files)]


def _lock_of(rules: Rules, files: Sequence[LockFile]) -> Lock:
    section = (rules.application.id, rules.kind)
    versions = [locked for file in files for locked in file.sections.get(section, ())]
    return Lock(tuple(file.path for file in files), tuple(sorted(versions)))


def _of_others(rules: Sequence[Rules], files: Mapping[str, LockFile]) -> Iterator[Problem]:
    """A lock that is for applications, and for none of those that it is read for, was copied or moved here."""
    for path, file in files.items():
        mine = [one for one in rules if path in map(lock_path, one.roots)]
        others = {application for application, _ in file.sections}
        for one in mine:
            if others and one.application.id not in others:
                first = min(file.places.values())
                message = f"this lock is for application {', '.join(sorted(others))}, not for {one.application.id}"
                hint = f"run `reconciler lock {one.application.place.path}` if it was not moved here from elsewhere"
                yield first.problem(f"{message}, which {one.application.place} is for", hint)


def read_lock(path: str) -> LockFile:
    """A lock with its problems."""
    file = LockFile(path)
    try:
        with Path(path).open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return file
    except OSError as error:
        file.data = b""
        file.problems.append(Problem(f"cannot be read: {error.strerror}", path, hint="check its permissions"))
        return file
    file.data = data
    if len(data) > MAX_BYTES:
        file.problems.append(Problem("too large for a lock", path, hint=REMEDY))
        return file
    documents, problems = parse(data, path)
    file.problems += [one._replace(hint=one.hint or REMEDY) for one in problems]
    if not problems:
        _Reader(file).read(documents)
    return file


class _Reader:
    def __init__(self, file: LockFile) -> None:
        self.file = file

    def read(self, documents: Sequence[Node]) -> None:
        if len(documents) != 1 or not isinstance(documents[0], Map):
            message = "a lock is one map (key: value)"
            self.file.problems.append(Problem(message, self.file.path, 1, 1, "delete it and run `reconciler lock`"))
            return
        root = documents[0]
        if not self._has_keys(root, ("apiVersion", "locked"), root):
            return
        if root["apiVersion"] != _API_VERSION:
            self._problem(root, "apiVersion", f"expected {_API_VERSION}")
        for key, _ in self._items(root, "locked"):
            application, kind = (*key.split("/", 1), "")[:2]
            if not is_id(application) or kind not in [*Kind]:
                self._problem(root["locked"], key, "expected an application's id, a slash, and embedded or edge")
                continue
            section = (application.lower(), Kind(kind))
            self.file.places[section] = self._place(root["locked"], key)
            self.file.sections[section] = tuple(sorted(self._versions(root["locked"], key)))

    def _versions(self, owner: Map, key: str) -> Iterator[Locked]:
        for flow_id, _ in self._items(owner, key):
            if not is_id(flow_id):
                self._problem(owner[key], flow_id, "expected the id of a flow, 24 hex digits")
                continue
            for version, _ in self._items(owner[key], flow_id):
                if content := self._content(owner[key][flow_id], flow_id.lower(), version):
                    yield Locked(content, self._place(owner[key][flow_id], version))

    def _content(self, versions: Map, flow_id: FlowId, version: str) -> Content | None:
        entry = versions[version]
        if not isinstance(entry, Map):
            self._problem(versions, version, f"expected {{{', '.join(_KEYS)}}}")
            return None
        if not self._has_keys(entry, _KEYS, versions, version):
            return None
        checks = {
            "id": is_id(entry["id"]) if isinstance(entry["id"], str) else False,
            "created": isinstance(entry["created"], str) and bool(_DATE.fullmatch(entry["created"])),
            "sha256": isinstance(entry["sha256"], str) and bool(_SHA256.fullmatch(entry["sha256"])),
        }
        words = {"id": "24 hex digits", "created": "a date and time", "sha256": "64 hex digits, in lower case"}
        for name, is_sound in checks.items():
            if not is_sound:
                self._problem(entry, name, f"expected {words[name]}")
        if not all(checks.values()):
            return None
        return Content(flow_id, version, entry["id"].lower(), entry["created"], entry["sha256"])

    def _items(self, owner: Map, key: str) -> Iterable[tuple[str, Node]]:
        value = owner[key]
        if isinstance(value, Map):
            return value.items()
        self._problem(owner, key, "expected a map (key: value)")
        return ()

    def _has_keys(self, tree: Map, keys: Sequence[str], owner: Map, key: str | None = None) -> bool:
        for name in tree.keys() - set(keys):
            self._problem(tree, name, f"unknown key; known keys: {', '.join(keys)}")
        missing = [name for name in keys if name not in tree]
        if missing and not tree.refused:
            place = self._place(owner, key) if key is not None else place_of(self.file.path, tree.mark)
            self.file.problems.append(place.problem(f"{', '.join(missing)} is missing", REMEDY))
        return not missing

    def _place(self, owner: Map, key: str) -> Place:
        return place_of(self.file.path, owner.key_marks[key])

    def _problem(self, owner: Map, key: str, message: str) -> None:
        self.file.problems.append(self._place(owner, key).problem(f"{shown(key)}: {message}", REMEDY))
