"""A parsed document: maps, lists and text with their positions."""

from __future__ import annotations

import json
from typing import Any, Protocol, TypeAlias

from reconciler.model.state import Place

Node: TypeAlias = Any  # Map | Seq | str | EMPTY; inside a `query` also numbers, booleans and None


class Empty:
    """The type of `EMPTY`, which no key accepts. Not None, because in a schema None means "not given"."""


EMPTY = Empty()
REFUSED = Empty()  # replaces a rejected node: invalid too, but already reported


class Mark(Protocol):
    """A position as counted by YAML parsers: from 0."""

    line: int
    column: int


class Map(dict[str, Node]):
    """A mapping with its position, and the positions of its keys and values.

    `refused`: a key that would have added others was rejected, so missing keys are not reported.
    """

    __slots__ = ("key_marks", "mark", "refused", "value_marks")

    def __init__(self, mark: Mark) -> None:
        super().__init__()
        self.mark = mark
        self.key_marks: dict[str, Mark] = {}
        self.value_marks: dict[str, Mark] = {}
        self.refused = False

    def drop(self, key: str) -> None:
        """Remove a key and its positions."""
        del self[key], self.key_marks[key], self.value_marks[key]


class Seq(list[Node]):
    """A list with its position, and the positions of its items."""

    __slots__ = ("mark", "marks")

    def __init__(self, mark: Mark) -> None:
        super().__init__()
        self.mark = mark
        self.marks: list[Mark] = []

    def drop(self, index: int) -> None:
        """Remove an item and its position."""
        del self.marks[index]
        del self[index]


def place_of(path: str, mark: Mark) -> Place:
    """A parser's mark as a place in a file."""
    return Place(path, mark.line + 1, mark.column + 1)


def shown(text: str, limit: int = 80) -> str:
    """Text from a file for a message: in double quotes, escaped, truncated."""
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    return json.dumps(text, ensure_ascii=False)
