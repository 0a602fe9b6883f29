"""The names in manifests, at a glance: for suggestions while somebody types, never for a plan.

A suggestion has to come within a tenth of a second, so nothing is checked, a file that is not valid still gives the
names before its mistake, and of very large manifests only the beginning is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from reconciler.manifest.files import DiskFiles, File
from reconciler.model.characters import is_hidden

MOST_BYTES = 256 * 1024  # of one file
MOST_EVENTS = 12_000  # of all files: keys, values, and where maps begin and end
MOST_FILES = 200

_Names = dict[str, None]


@dataclass(slots=True)
class Names:
    """Names as they are written, in the order of the files."""

    applications: _Names = field(default_factory=dict)
    groups: _Names = field(default_factory=dict)
    flows: _Names = field(default_factory=dict)
    devices: _Names = field(default_factory=dict)


def names_in(paths: Iterable[str]) -> Names:
    """The names in files and folders, and in the bases that they extend."""
    reader = _Reader()
    for path in paths:
        if path != "-":
            for file in sorted(reader.files.expand(path)[0]):
                reader.read(file)
    return reader.names


class _Reader:
    def __init__(self) -> None:
        self.files = DiskFiles()
        self.names = Names()
        self._left = MOST_EVENTS
        self._seen: set[str] = set()

    def read(self, file: File) -> None:
        """Collect the names of a file, once, and of what it extends."""
        if file.real in self._seen or len(self._seen) >= MOST_FILES:
            return
        self._seen.add(file.real)
        try:
            with open(file.real, "rb") as stream:  # noqa: PTH123 - the quickest way
                documents = self._documents(stream.read(MOST_BYTES))
        except OSError:
            return
        for document in documents:
            self._collect(document)
            base = document.get("extends")
            if isinstance(base, str):
                beside = self.files.beside(file, base)
                if isinstance(beside, File):
                    self.read(beside)

    def _collect(self, document: dict[Any, Any]) -> None:
        names = self.names
        application = document.get("application")
        _add(names.applications, application.values() if isinstance(application, dict) else [application])
        _add(names.flows, _map(document, "flows"))
        _add(names.devices, _map(document, "devices"))
        for name, group in _map(document, "groups").items():
            _add(names.groups, [name])
            _add(names.flows, _map(group, "flows"))
            chosen = _map(group, "select").get("devices")
            _add(names.devices, [one for one in chosen if "*" not in str(one)] if isinstance(chosen, list) else [])
        for flows in _map(document, "devices").values():
            _add(names.flows, flows if isinstance(flows, dict) else [])
        pins = document.get("pins")
        for pin in pins if isinstance(pins, list) else []:
            _add(names.devices, [_as_map(pin).get("device")])
            _add(names.flows, _map(pin, "flows"))

    def _documents(self, data: bytes) -> list[dict[Any, Any]]:
        """The documents of a file as far as it was read. A container is in place as soon as it begins."""
        tree = _Tree()
        loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(data)
        try:
            while self._left > 0 and tree.take(loader.get_event()):
                self._left -= 1
        except (yaml.YAMLError, RecursionError, ValueError):
            pass
        return [document for document in tree.documents if isinstance(document, dict)]


class _Tree:
    """Maps, lists and text out of events."""

    def __init__(self) -> None:
        self.documents: list[Any] = []
        self._open: list[Any] = [self.documents]
        self._keys: list[str | None] = [None]
        self._anchors: dict[str, Any] = {}

    def take(self, event: Any) -> bool:
        """Add an event; whether more may come."""
        kind = type(event)
        if kind is ScalarEvent:
            self._put(event.value, event.anchor)
        elif kind is MappingStartEvent or kind is SequenceStartEvent:
            made: Any = {} if kind is MappingStartEvent else []
            self._put(made, event.anchor)
            self._open.append(made)
            self._keys.append(None)
        elif kind is MappingEndEvent or kind is SequenceEndEvent:
            self._open.pop()
            self._keys.pop()
        elif kind is AliasEvent:
            self._put(self._anchors.get(event.anchor), None)
        return kind is not StreamEndEvent

    def _put(self, value: Any, anchor: str | None) -> None:
        if anchor:
            self._anchors[anchor] = value
        into = self._open[-1]
        if isinstance(into, list):
            into.append(value)
        elif self._keys[-1] is None:
            self._keys[-1] = value if isinstance(value, str) else ""
        else:
            into[self._keys[-1]] = value
            self._keys[-1] = None


def _as_map(value: object) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def _map(value: object, key: str) -> dict[Any, Any]:
    """The map under a key, or an empty one."""
    return _as_map(_as_map(value).get(key))


def _add(found: _Names, names: Iterable[object]) -> None:
    """Add what can be typed: text that shows all of its characters."""
    found.update(dict.fromkeys(name for name in names if isinstance(name, str) and name and _is_plain(name)))


def _is_plain(name: str) -> bool:
    return name.isprintable() and (name.isascii() or not any(map(is_hidden, name)))
