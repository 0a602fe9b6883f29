"""How much a page lists: rows up to a number and a size, which the page says; the others are counted.

A page of 100,000 devices stays below 5 MB, and a browser shows it at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, Generic, NamedTuple, TypeVar

from reconciler.render.inert import inert

MOST_ROWS: Final = 2_000
MOST_BYTES: Final = 2_000_000
_FRAME: Final = 400  # bytes of a row without its texts
T = TypeVar("T")


class Listed(NamedTuple, Generic[T]):
    """The rows that a page lists, and how many there are."""

    rows: Sequence[T]
    total: int

    @property
    def left(self) -> int:
        """How many are only counted."""
        return self.total - len(self.rows)


class Room:
    """The room of one page; whoever comes first takes what is needed."""

    def __init__(self, rows: int = MOST_ROWS, size: int = MOST_BYTES) -> None:
        self.most = rows
        self._rows = rows
        self._size = size

    def take(self, rows: Iterable[T], total: int) -> Listed[T]:
        """As many of the rows as there is room for; they are named tuples or values of the model."""
        taken: list[T] = []
        for row in islice(rows, self._rows):
            self._size -= _FRAME + sum(map(_size, _texts(row)))
            if self._size < 0:
                break
            taken.append(row)
        self._rows -= len(taken)
        return Listed(taken, total)

    def all(self, rows: Sequence[T]) -> Listed[T]:
        """The same of a sequence."""
        return self.take(rows, len(rows))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from _texts(part)
    elif hasattr(type(value), "__dataclass_fields__"):
        for name in type(value).__dataclass_fields__:
            yield from _texts(getattr(value, name))


def _size(text: str) -> int:
    """The bytes of a text in the page, where five stand for the longest escape of a character."""
    if text.isalnum() and text.isascii():
        return len(text)
    return sum(5 if char in "&<>\"'" else len(char.encode()) for char in inert(text, limit=1_000))
