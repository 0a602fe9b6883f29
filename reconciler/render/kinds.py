"""Kinds of rows: what many rows have in common is shown once, with how many there are and a few of their names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from reconciler.model.state import Place

T = TypeVar("T")


class Devices(NamedTuple):
    """The devices that rules decide: by one rule, or by rules of one file that decide a single device each."""

    place: str
    device_ids: Sequence[str]


def by_kind(rows: Iterable[T], kind: Callable[[T], object]) -> list[list[T]]:
    """The rows of each kind; kinds and rows keep their order."""
    found: dict[object, list[T]] = defaultdict(list)
    for row in rows:
        found[kind(row)].append(row)
    return list(found.values())


def by_place(places: Mapping[str, Place]) -> list[Devices]:
    """The devices by the rule that decides them, in the order of places. Devices keep their order.

    A file that names every device has a rule for each; these are shown as lines from the first to the last.
    """
    of_rule: dict[Place, list[str]] = defaultdict(list)
    for device_id, place in places.items():
        of_rule[place].append(device_id)
    of_file: dict[str, list[Place]] = defaultdict(list)
    for place, device_ids in of_rule.items():
        if len(device_ids) == 1:
            of_file[place.path].append(place)
    found = [(place, Devices(str(place), device_ids)) for place, device_ids in of_rule.items() if len(device_ids) > 1]
    for rules in of_file.values():
        single = set(rules)
        device_ids = [device_id for device_id, place in places.items() if place in single]
        found.append((min(rules), Devices(lines(rules), device_ids)))
    return [devices for _, devices in sorted(found)]


def lines(places: Sequence[Place]) -> str:
    """`path:line`, or of several places in a file `path:first-last`."""
    first, last = min(places), max(places)
    return str(first) if first.line == last.line else f"{first}-{last.line}"
