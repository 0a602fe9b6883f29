"""What one lock is to hold: what it held, and what its versions are now."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from reconciler.errors import Problem, UsageError
from reconciler.manifest.load import Loaded
from reconciler.manifest.lock.reading import LockFile, Section, read_lock
from reconciler.manifest.lock.writing import lock_text
from reconciler.model.plan import Guard, Warning
from reconciler.model.state import FlowId, Version
from reconciler.model.versions import Content, Locked
from reconciler.operations.declared import Declared
from reconciler.planner.locks import anew, differs, way_out

_NAMED = re.compile(r'^    "?([0-9a-f]{24})"?:  # (.+)$', re.MULTILINE)


class Differing(NamedTuple):
    """A locked version that is another now; it stays as it was locked."""

    locked: Locked
    now: Content
    name: str | None

    @property
    def problem(self) -> Problem:
        """Place, cause and remedy."""
        was = self.locked.content
        message = differs(named(was, self.name), was, self.now)
        return self.locked.place.problem(f"refused ({Guard.CONTENT}): {message}", way_out(was.flow_id, self.name))


def named(content: Content, name: str | None) -> str:
    """A version for a message."""
    return f'version {content.version} of flow "{name or content.flow_id}"'


class NewLock(NamedTuple):
    """What is to be written to one lock. `before`: its bytes when it was read; None if there was none."""

    path: str
    text: str
    before: bytes | None
    added: tuple[Content, ...]
    removed: tuple[Content, ...]
    updated: tuple[Content, ...]
    kept: int
    differing: int
    names: Mapping[FlowId, str]

    @property
    def changed(self) -> bool:
        """Whether there is anything to write."""
        return self.text.encode() != self.before

    def check_unchanged(self) -> None:
        """Raise UsageError if somebody else changed the file since it was read."""
        if read_lock(self.path).data != self.before:
            raise UsageError(f"{self.path} was changed meanwhile: it is left as it is", hint="run the command again")


class Folder(NamedTuple):
    """The manifests beside one lock. `loaded`: what they say together; None if only those given can be read."""

    path: str
    roots: tuple[str, ...]
    file: LockFile
    loaded: Loaded | None


class Found(NamedTuple):
    """What one application and kind declares beside one lock, and what these versions are now.

    `updated`: the flows that are to be locked as they are now, and `called`: how they were asked for.
    """

    declared: Declared
    contents: Mapping[tuple[FlowId, Version], Content]
    updated: frozenset[FlowId]
    called: frozenset[str]
    warnings: tuple[Warning, ...]


class Merge:
    """What one lock is to hold: what it held, and what was found."""

    def __init__(self, folder: Folder, found: Mapping[Section, Found]) -> None:
        self.folder = folder
        self.found = found
        self.differing: list[Differing] = []
        self.notes: list[str] = []
        self._added: list[Content] = []
        self._removed: list[Content] = []
        self._updated: list[Content] = []
        self._kept = 0

    def lock(self) -> NewLock:
        """The new lock."""
        sections = {section: self._section(section) for section in sorted({*self.folder.file.sections, *self.found})}
        names = {flow_id: name for part in self.found.values() for flow_id, name in part.declared.names.items()}
        left = {section: contents for section, contents in sections.items() if contents or section in self.found}
        text = lock_text(left, {**_comments(self.folder.file), **names})
        return NewLock(
            self.folder.path,
            text,
            self.folder.file.data,
            tuple(self._added),
            tuple(self._removed),
            tuple(self._updated),
            self._kept,
            len(self.differing),
            names,
        )

    def _section(self, section: Section) -> list[Content]:
        locked = {one.key: one for one in self.folder.file.sections.get(section, ())}
        part = self.found.get(section)
        if part is None:
            return self._foreign(section, locked.values())
        held = []
        for key in sorted({*locked, *part.contents}):
            one = self._entry(part, locked.get(key), part.contents.get(key), key)
            held += [one] if one else []
        return held

    def _entry(
        self, part: Found, was: Locked | None, now: Content | None, key: tuple[FlowId, Version]
    ) -> Content | None:
        flow_id, version = key
        if was is None:
            self._added += [now] if now else []
            return now
        if version not in part.declared.versions.get(flow_id, {}) and self.folder.loaded:
            self._removed.append(was.content)
            return None
        if now and flow_id in part.updated and now != was.content:
            self._updated.append(now)
            return now
        if now and now.sha256 != was.content.sha256:
            self.differing.append(Differing(was, now, part.declared.names.get(flow_id)))
            return was.content
        self._kept += 1
        if now and now != was.content:
            self.notes.append(anew(named(now, part.declared.names.get(flow_id)), now))
        return was.content

    def _foreign(self, section: Section, locked: Iterable[Locked]) -> list[Content]:
        """A section that is not asked for. It goes only if no manifest here is for it."""
        contents = [one.content for one in locked]
        whole = self.folder.loaded
        if whole is None or section in {(one.application.id, one.kind) for one in whole.rules}:
            self._kept += len(contents)
            return contents
        self._removed += contents
        return []


def _comments(file: LockFile) -> Mapping[FlowId, str]:
    """What the lock calls the flows, for those that are not looked up in this run."""
    text = (file.data or b"").decode("utf-8", "replace")
    return dict(_NAMED.findall(text))
