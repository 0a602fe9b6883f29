"""Where each part of a YAML text begins and ends.

Like `syntax`, this reads a parser's events, which do not recurse. It expects a text that `syntax.parse` has accepted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

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

from reconciler.manifest.syntax import fastest_parser

_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)*")


class Sort(Enum):
    """The sorts of nodes."""

    SCALAR = auto()
    MAP = auto()
    LIST = auto()
    ALIAS = auto()


@dataclass(eq=False, slots=True)
class Span:
    """A node: `text[start:end]`, without its anchor and tag; `line` and `column` count from 1, and are with them.

    Attributes:
        style: of a scalar its quote, `|` or `>`, or nothing; of a map or list `{` if it is in brackets.
        text: a scalar's value, an alias's anchor.
        children: a list's nodes, or a map's keys and values in turn.
        shared: other places of the document take this node too, by an alias of it or of what it is in.
    """

    sort: Sort
    start: int
    end: int
    line: int
    column: int
    style: str = ""
    text: str = ""
    anchor: str | None = None
    children: list[Span] = field(default_factory=list)
    shared: bool = False

    def pairs(self) -> Iterator[tuple[Span, Span]]:
        """The keys and values of a map."""
        return zip(self.children[::2], self.children[1::2], strict=True)

    @property
    def last(self) -> int:
        """Where the last character ends that belongs to this node; a block's own end is where the next one begins."""
        node = self
        while node.children and node.style != "{":
            node = node.children[-1]
        return node.end


def spans(text: str) -> list[Span]:
    """The documents of a text."""
    top: list[Span] = []
    stack: list[Span] = []
    documents: list[list[Span]] = []
    for event in _events(text):
        kind: type = event.__class__
        if kind is DocumentStartEvent:
            documents.append([])
        elif kind in (MappingEndEvent, SequenceEndEvent):
            stack.pop().end = event.end_mark.index
        elif kind in (ScalarEvent, AliasEvent, MappingStartEvent, SequenceStartEvent):
            node = _node(event, text)
            (stack[-1].children if stack else top).append(node)
            documents[-1].append(node)
            if kind in (MappingStartEvent, SequenceStartEvent):
                stack.append(node)
    for nodes in documents:
        _mark_shared(nodes)
    return top


def _events(text: str) -> Iterator[Any]:
    get_event = fastest_parser()(text).get_event
    while (event := get_event()).__class__ is not StreamEndEvent:
        yield event


def _node(event: Any, text: str) -> Span:
    mark, end = event.start_mark, event.end_mark.index
    start, anchor = mark.index, event.anchor
    line, column = mark.line + 1, mark.column + 1
    if event.__class__ is AliasEvent:
        return Span(Sort.ALIAS, start, end, line, column, text=anchor)
    if (anchor or event.tag) and (found := _PROPERTIES.match(text, start)):
        start = found.end()
    if event.__class__ is ScalarEvent:
        style = text[start : start + 1] if event.style in ("'", '"', "|", ">") else ""
        return Span(Sort.SCALAR, start, end, line, column, style, event.value, anchor)
    sort = Sort.MAP if event.__class__ is MappingStartEvent else Sort.LIST
    return Span(sort, start, start, line, column, "{" if event.flow_style else "", anchor=anchor)


def _mark_shared(nodes: list[Span]) -> None:
    """Mark what a document's aliases repeat. Nodes stand after those that they are in."""
    aliased = {node.text for node in nodes if node.sort is Sort.ALIAS}
    for node in nodes if aliased else ():
        node.shared = node.shared or node.anchor in aliased
        if node.shared:
            for child in node.children:
                child.shared = True
