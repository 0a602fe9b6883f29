"""Telling mappings apart by number: what is equal has the same one.

Devices that the same rules decide share one mapping of decisions, and readers share what is alike. So a fleet has few
mappings, and each is looked at once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any


def numbers(mappings: Iterable[Mapping[Any, Any]], value_of: Callable[[Any], Hashable]) -> dict[int, int]:
    """The number of each mapping, by its `id`: equal where `value_of` makes the same of both."""
    by_value: dict[Hashable, int] = {}
    distinct = {id(one): one for one in mappings}
    return {key: by_value.setdefault(value_of(one), len(by_value)) for key, one in distinct.items()}


def entries_of(flows: Mapping[Any, Any]) -> Hashable:
    """What a device runs, as a value."""
    return tuple(flows.items())
