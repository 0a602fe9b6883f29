"""Telling mappings apart by number: what is equal has the same one.

Devices that the same rules decide share one mapping of decisions, and readers share what is alike. So most mappings are
known by their identity, and only a new one is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any


class Numbers:
    """A number for each mapping, by what `value_of` makes of it. The mappings must live as long as this does."""

    def __init__(self, value_of: Callable[[Any], Hashable]) -> None:
        self._value_of = value_of
        self._by_value: dict[Hashable, int] = {}
        self._by_identity: dict[int, int] = {}

    def __getitem__(self, one: Mapping[Any, Any]) -> int:
        number = self._by_identity.get(id(one))
        if number is None:
            number = self._by_value.setdefault(self._value_of(one), len(self._by_value))
            self._by_identity[id(one)] = number
        return number
