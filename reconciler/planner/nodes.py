"""Values out of a document that anybody may have edited, each checked; what is wrong is told with its place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")  # ids go into URLs; whether they exist is the API's to say
_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,99})?")
Choice = TypeVar("Choice", bound=StrEnum)


class Misshapen(Exception):
    """What is wrong, and where in the document."""


class Node:
    """An object in a document; where that is in there is worked out only when something is wrong with it."""

    __slots__ = ("_key", "_parent", "_value")

    def __init__(self, value: object, parent: Node | None = None, key: str = "") -> None:
        self._parent, self._key = parent, key
        if not isinstance(value, dict):
            raise Misshapen(f"{self.where() or 'the document'} must be an object")
        self._value: dict[str, object] = value

    def where(self) -> str:
        """Where in the document this is, as `plans[0].summary`; empty for the document itself."""
        above = self._parent.where() if self._parent else ""
        return f"{above}.{self._key}" if above else self._key

    def fail(self, key: str, message: str) -> Misshapen:
        """The error that a value is wrong."""
        where = self.where()
        return Misshapen(f"{f'{where}.{key}' if where else key} {message}")

    def get(self, key: str) -> object:
        """Any value; null is one, a missing key is not."""
        try:
            return self._value[key]
        except KeyError:
            raise self.fail(key, "is missing") from None

    def list(self, key: str) -> list[object]:
        """A list of anything."""
        value = self.get(key)
        if not isinstance(value, list):
            raise self.fail(key, "must be a list")
        return value

    def node(self, key: str) -> Node:
        """An object."""
        return Node(self.get(key), self, key)

    def nodes(self, key: str) -> Iterator[Node]:
        """The objects of a list."""
        for number, value in enumerate(self.list(key)):
            yield Node(value, self, f"{key}[{number}]")

    def text(self, key: str) -> str:
        """Text that is not empty."""
        value = self.get(key)
        if not isinstance(value, str) or not value:
            raise self.fail(key, "must be text")
        return value

    def text_or_none(self, key: str) -> str | None:
        """Text or null."""
        return None if self.get(key) is None else self.text(key)

    def id(self, key: str) -> str:
        """An id, fit for a URL."""
        text = self.text(key)
        if not _ID.fullmatch(text):
            raise self.fail(key, "must be an id")
        return text

    def id_or_none(self, key: str) -> str | None:
        """An id or null."""
        return None if self.get(key) is None else self.id(key)

    def number(self, key: str) -> int:
        """A whole number that is not negative."""
        value = self.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self.fail(key, "must be a whole number")
        return value

    def number_or_none(self, key: str) -> int | None:
        """Such a number or null."""
        return None if self.get(key) is None else self.number(key)

    def decimal_or_none(self, key: str) -> Decimal | None:
        """A decimal number that is not negative, as text; or null."""
        if self.get(key) is None:
            return None
        if not _DECIMAL.fullmatch(text := self.text(key)):
            raise self.fail(key, "must be a decimal number as text")
        return Decimal(text)

    def flag(self, key: str) -> bool:
        """True or false."""
        value = self.get(key)
        if not isinstance(value, bool):
            raise self.fail(key, "must be true or false")
        return value

    def flag_or_none(self, key: str) -> bool | None:
        """True, false or null."""
        return None if self.get(key) is None else self.flag(key)

    def choice(self, key: str, kind: type[Choice]) -> Choice:
        """A member of an enum, by its value."""
        text = self.text(key)
        try:
            return kind(text)
        except ValueError:
            raise self.fail(key, f"must be one of {', '.join(kind)}") from None
