"""Parses a file's bytes to documents: maps, lists and text with their positions.

The rules on top of YAML: every scalar is the text in the file (a plain `~`, `null` or nothing is `EMPTY`), keys
are text and unique, tags and merge keys are rejected, aliases may neither recurse nor expand without bound.

The builder reads parser events instead of composed nodes. libyaml's composer recurses in C and crashes the process at
about ten thousand levels; events do not recurse, take a sixth of the time of `yaml.load`, and allow a depth limit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from reconciler.errors import Problem
from reconciler.manifest.foreign import foreign
from reconciler.manifest.tree import EMPTY, REFUSED, Map, Mark, Node, Seq, shown
from reconciler.model.characters import deceiving, named
from reconciler.model.plan import Warning
from reconciler.model.state import Place
from reconciler.model.text import counted, encoding_of
from reconciler.nesting import MAX_DEPTH, TOO_DEEP, CuttingLoader

MAX_ALIASED_NODES = 1_000_000  # maximum expansion by aliases: a map of three flows for 250,000 devices


def fastest_parser() -> Callable[[str], Any]:
    """A loader whose parser is used: libyaml's if PyYAML was built with it."""
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse(data: bytes, path: str, *, parser: Callable[[str], Any] | None = None) -> tuple[list[Node], list[Problem]]:
    """The documents of a file and their YAML problems. Documents before a syntax error are returned."""
    if problems := foreign(data, path):
        return [], problems
    text = decode(data, path)
    if isinstance(text, Problem):
        return [], [text]
    builder = _Builder(path)
    error = builder.read(parser or fastest_parser(), text)
    if error and builder.may_get_too_deep(error, text):
        builder = _Builder(path)
        error = builder.read(CuttingLoader, text)
    if error:
        builder.problems.append(_syntax_problem(error, path, text))
    return builder.documents, builder.problems


def _syntax_problem(error: yaml.YAMLError, path: str, text: str) -> Problem:
    if not isinstance(error, yaml.MarkedYAMLError):
        return Problem(f"not valid YAML: {' '.join(str(error).split())}", path, 1, 1)
    mark = error.problem_mark or error.context_mark
    parts = [part for part in (error.problem, error.context) if part]
    message = f"not valid YAML: {' '.join(' '.join(parts).split())}"
    if mark is None:
        return Problem(message, path, 1, 1)
    lines = re.split("\r\n|\r|\n", text)
    line = lines[mark.line] if mark.line < len(lines) else ""
    hint = "indent with spaces, not with tabs" if "\t" in line[: mark.column + 1] else None
    return Problem(message, path, mark.line + 1, mark.column + 1, hint=hint)


# --- events -----------------------------------------------------------------------------------------------------

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_MAP_TAG, _SEQ_TAG, _STR_TAG = (f"tag:yaml.org,2002:{name}" for name in ("map", "seq", "str"))
_NEEDED = object()  # the next node is the map's next key
_DROPPED = object()  # the next value belongs to a rejected key
_OPEN = object()  # an anchor whose container is not closed yet


class _Stop(Exception):
    """Stop reading: the stream has ended, or too much is wrong."""


class _Builder:
    """Turns the events of one file into documents.

    State of the open container: the node itself (None at the top), the key whose value comes next (a map's), how many
    nodes are in it, and whether it is JSON (a `query` written as YAML, where plain scalars keep JSON's types).
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.documents: list[Node] = []
        self.problems: list[Problem] = []
        self._reached = 0  # where the last event ends, if an error comes after it
        self._node: Node = None
        self._key: Any = None
        self._size = 0
        self._json = False
        self._stack: list[tuple[Node, Any, int, bool, str | None]] = []
        self._anchors: dict[str, Node] = {}
        self._sizes: dict[str, int] = {}  # anchor -> number of its nodes, aliases expanded
        self._aliased = 0

    def read(self, parser: Callable[[str], Any], text: str) -> yaml.YAMLError | None:
        """Read events until the end of the stream, or until too much is wrong; the error if it is not YAML."""
        handlers: dict[type, Callable[[Any], None]] = {
            ScalarEvent: self._scalar,
            MappingStartEvent: self._open,
            SequenceStartEvent: self._open,
            MappingEndEvent: self._close,
            SequenceEndEvent: self._close,
            AliasEvent: self._alias,
            DocumentStartEvent: self._begin,
            StreamEndEvent: self._end,
        }
        event = None
        try:
            get_event = parser(text).get_event
            while True:
                event = get_event()
                if handler := handlers.get(event.__class__):
                    handler(event)
        except _Stop:
            return None
        except yaml.YAMLError as error:
            self._reached = event.end_mark.index if event else 0
            return error

    def may_get_too_deep(self, error: yaml.YAMLError, text: str) -> bool:
        """Whether the parser, looking ahead in a line, may have met a limit of its own beyond the one that is ours."""
        mark = getattr(error, "problem_mark", None)
        if mark is None:
            return False
        ahead = text[max(self._reached, mark.index - mark.column) : mark.index + 1]
        return len(self._stack) + len(re.findall(r"[\[{]", ahead)) > MAX_DEPTH

    def _begin(self, _: Any) -> None:
        self._anchors, self._sizes = {}, {}

    def _end(self, _: Any) -> None:
        raise _Stop

    def _scalar(self, event: Any) -> None:
        value: Node = event.value
        plain = event.implicit[0]
        if event.tag is not None:
            self._check_tag(event, _STR_TAG)
            plain = False
        if plain and self._json and self._key is not _NEEDED:
            value = _json_value(value)
        elif plain and value in _NULLS:
            value = EMPTY
        if event.anchor is not None:
            self._anchors[event.anchor], self._sizes[event.anchor] = value, 1
        self._size += 1
        if plain and value == "<<" and self._key is _NEEDED:
            hint = "use a group, `extends` or a whole alias"
            self._refuse(event.start_mark, "merge keys (<<) are not supported", hint)
            self._key, self._node.refused = _DROPPED, True
            return
        self._put(value, event.start_mark)

    def _open(self, event: Any) -> None:
        mark, is_map = event.start_mark, event.__class__ is MappingStartEvent
        if len(self._stack) >= MAX_DEPTH:
            self._refuse(mark, TOO_DEEP, "a manifest needs no more than ten")
            raise _Stop
        self._check_tag(event, _MAP_TAG if is_map else _SEQ_TAG)
        if event.anchor is not None:
            self._anchors[event.anchor] = _OPEN
        self._stack.append((self._node, self._key, self._size, self._json, event.anchor))
        self._json = self._json or self._is_query()
        self._node = Map(mark) if is_map else Seq(mark)
        self._key = _NEEDED if is_map else None
        self._size = 0

    def _is_query(self) -> bool:
        return self._key == "query" and len(self._stack) > 1 and self._stack[-2][1] in ("select", "exclude")

    def _close(self, _: Any) -> None:
        value, size = self._node, self._size + 1
        self._node, self._key, before, self._json, anchor = self._stack.pop()
        self._size = before + size
        if anchor is not None:
            self._anchors[anchor], self._sizes[anchor] = value, size
        self._put(REFUSED if isinstance(value, Map) and value.refused else value, value.mark)

    def _alias(self, event: Any) -> None:
        value = self._anchors.get(event.anchor, REFUSED)
        if event.anchor not in self._anchors:
            self._refuse(event.start_mark, f"alias *{event.anchor} has no anchor", f"write &{event.anchor} before it")
        elif value is _OPEN:
            self._refuse(event.start_mark, f"alias *{event.anchor} contains itself", "write the contents out")
            value = REFUSED
        size = self._sizes.get(event.anchor, 1)
        self._aliased += size
        if self._aliased > MAX_ALIASED_NODES:
            message = f"aliases expand to more than {MAX_ALIASED_NODES:,} nodes"
            self._refuse(event.start_mark, message, "use groups instead of repeating parts")
            raise _Stop
        self._size += size
        self._put(value, event.start_mark)

    def _put(self, value: Node, mark: Mark) -> None:
        """Add a finished node to the open map or list, or to the documents."""
        node, key = self._node, self._key
        if key is _NEEDED:
            self._key = self._checked_key(value, mark)
        elif key is None:
            (self.documents if node is None else node).append(value)
            if node is not None:
                node.marks.append(mark)
        else:
            if key is not _DROPPED:
                node[key] = value
                node.value_marks[key] = mark
            self._key = _NEEDED

    def _checked_key(self, key: Node, mark: Mark) -> Any:
        first = self._node.key_marks
        if key.__class__ is not str or key == "":
            message = "a key is empty" if key is EMPTY or key == "" else "a key must be text"
            self._refuse(mark, message, "write a name before the colon")
            return _DROPPED
        if key in first:
            message = f"duplicate key {shown(key)}, first at line {first[key].line + 1}"
            self._refuse(mark, message, "keep one of them")
            return _DROPPED
        first[key] = mark
        return key

    def _check_tag(self, event: Any, allowed: str) -> None:
        """Reject a tag that does not match the node's kind."""
        if event.tag not in (None, allowed, "!"):
            self._refuse(event.start_mark, f"tag {shown(event.tag)} is not allowed", "remove it: every value is text")

    def _refuse(self, mark: Mark, message: str, hint: str) -> None:
        self.problems.append(Problem(message, self.path, mark.line + 1, mark.column + 1, hint))


_JSON_NUMBER = re.compile("-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]+)?")


def _json_value(text: str) -> Node:
    """A plain scalar inside a query, by JSON's rules; anything that is not a JSON literal is text."""
    if text in _NULLS:
        return None
    if text in ("true", "false") or (len(text) < 100 and _JSON_NUMBER.fullmatch(text)):
        return json.loads(text)
    return text


# --- bytes ------------------------------------------------------------------------------------------------------

_UTF_32 = (b"\xff\xfe\0\0", b"\0\0\xfe\xff")
# Characters that YAML does not allow unescaped, byte order marks after the start (libyaml and PyYAML differ), and line
# breaks of YAML 1.1 that YAML 1.2 and editors do not count: all positions below them would be wrong.
NOT_YAML = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


def decode(data: bytes, path: str) -> str | Problem:
    """The text of a file, or the problem with the first byte or character that is not allowed."""
    if data.startswith(_UTF_32):
        return Problem("the file is not UTF-8 but UTF-32", path, 1, 1, hint="save it as UTF-8")
    encoding = encoding_of(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        before = data[: error.start].decode(encoding, "replace")
        message = f"byte 0x{data[error.start]:02x} is not {'UTF-16' if encoding == 'utf-16' else 'UTF-8'}"
        return Problem(message, path, *_line_and_column(before), hint="save the file as UTF-8")
    if found := NOT_YAML.search(text):
        message = f"character U+{ord(found[0]):04X} is not allowed in a YAML file"
        hint = "remove it, or write it as an escape in double quotes"
        return Problem(message, path, *_line_and_column(text[: found.start()]), hint=hint)
    return text


def deception(data: bytes, path: str) -> Iterator[Warning]:
    """What in a file reorders text or takes no room in it: a reviewer would not see what it says."""
    text = decode(data, path)
    if isinstance(text, Problem):
        return
    for char, places in deceiving(text).items():
        more = f", here and in {counted(len(places) - 1, 'more place')}" if len(places) > 1 else ""
        message = f"{named(char)} does not show{more}: the text may not be what it looks like"
        line, column = _line_and_column(text[: places[0]])
        yield Warning(message, Place(path, line, column), "remove it, or write it as an escape in double quotes")


def _line_and_column(before: str) -> tuple[int, int]:
    start = max(before.rfind("\n"), before.rfind("\r")) + 1
    return len(re.findall("\r\n|\r|\n", before)) + 1, len(before) - start + 1
