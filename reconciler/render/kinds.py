"""Kinds of rows: what many rows have in common is shown once, with how many there are and a few of their names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from heapq import nsmallest
from typing import NamedTuple, TypeVar

from reconciler.model.changes import FlowDevices
from reconciler.model.plan import PlannedCall
from reconciler.model.state import DeviceId, FlowId, Place
from reconciler.render.inert import EXAMPLES

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


class Cohort:
    """Devices with the same moves; what several flows show of them is worked out once."""

    def __init__(self, device_ids: Sequence[DeviceId], names: Mapping[DeviceId, str]) -> None:
        self.device_ids = device_ids
        self._names = names

    @cached_property
    def examples(self) -> list[str]:
        """The first names."""
        return nsmallest(EXAMPLES, map(self._names.get, self.device_ids, self.device_ids))

    @cached_property
    def _members(self) -> set[DeviceId]:
        return set(self.device_ids)

    def has_row_of(self, call: PlannedCall, flow_id: FlowId) -> bool:
        """Whether a call carries the row of that flow on one of the devices."""
        if isinstance(call.rows, FlowDevices):
            return call.rows.flow_id == flow_id and not self._members.isdisjoint(call.rows.device_ids)
        return any(flow == flow_id and device_id in self._members for device_id, flow in call.rows)
