"""Resolves references in manifests to ids: alias, 24-hex id, Losant name, in this order; names must be unambiguous."""

from __future__ import annotations

import bisect
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from reconciler.errors import Problem
from reconciler.model.characters import apart, skeleton
from reconciler.model.plan import Warning
from reconciler.model.rules import Ref
from reconciler.model.state import NO_ITEMS, Device, DeviceId, FlowId, Place
from reconciler.model.text import and_more, is_id

_SUGGESTIONS = 20  # names to suggest corrections for; the search is slow


class Inventory(NamedTuple):
    """What the API knows about what the rules reference.

    `devices`: those of the manifest's class that were read, by id. `flows`: ids by name; a name may have several.
    `queries`: ids of the devices that each query selects, by its JSON text. `other_classes`: the class of each device
    of another class, by name; only of those that were looked up. `deleted`: ids of deleted devices by name, for names
    that no device has; `missing`: ids that no device has; both only of those that were looked up.
    """

    devices: Mapping[DeviceId, Device] = NO_ITEMS
    flows: Mapping[str, tuple[FlowId, ...]] = NO_ITEMS
    queries: Mapping[str, frozenset[DeviceId]] = NO_ITEMS
    other_classes: Mapping[str, str] = NO_ITEMS
    deleted: Mapping[str, tuple[DeviceId, ...]] = NO_ITEMS
    missing: frozenset[DeviceId] = frozenset()


class Former(NamedTuple):
    """What a reference to a device that may have been deleted refers to.

    `ids`: none if it did not resolve. A name may have several if they were all deleted.
    """

    ids: tuple[DeviceId, ...] = ()
    is_deleted: bool = False


class _Unresolved(NamedTuple):
    found: Collection[str]
    places: set[Place]


class Names:
    """Resolves references, and records those that cannot be resolved.

    `forgivable`: ids and names of devices that may have been deleted; whether they were has yet to be looked up.
    `warnings`: one for each place that refers to a deleted device where that is allowed.
    `excluded`: device references that may be unknown (`--exclude device=`). Unknown ones are recorded in
    `excluded_devices`.
    """

    def __init__(self, aliases: Mapping[str, Ref], inventory: Inventory, excluded: Collection[str] = ()) -> None:
        self._aliases = aliases
        self._inventory = inventory
        self._excluded = excluded
        self.excluded_devices: set[str] = set()
        self.forgivable: set[str] = set()
        self.warnings: list[Warning] = []
        self._flows: dict[str, FlowId] = {}
        self._spellings: dict[str, Spelling] = {}
        self._unresolved: dict[tuple[str, str], _Unresolved] = {}

    @cached_property
    def devices_by_name(self) -> Mapping[str, list[DeviceId]]:
        """Ids of the devices that were read, by name."""
        by_name: dict[str, list[DeviceId]] = {}
        for device in self._inventory.devices.values():
            if device.name is not None:
                by_name.setdefault(device.name, []).append(device.id)
        return by_name

    def flow(self, ref: Ref) -> FlowId | None:
        """The id of a flow, or None (recorded as a problem)."""
        flow_id = self._flows.get(ref.text)
        if flow_id is None:
            target = self._aliases.get(ref.text, ref)
            flow_id = target.text if is_id(target.text) else self._one("flow", target, self._inventory.flows)
            if flow_id is not None:
                self._flows[ref.text] = flow_id
        return flow_id

    def known_flow(self, alias: str) -> FlowId | None:
        """The id that an alias stands for, or None (without recording a problem)."""
        text = self._aliases[alias].text
        found = (text,) if is_id(text) else self._inventory.flows.get(text, ())
        return found[0] if len(found) == 1 else None

    def device(self, ref: Ref) -> DeviceId | None:
        """The id of a device, or None (recorded as a problem)."""
        return ref.text if is_id(ref.text) else self._one("device", ref, self.devices_by_name)

    def former(self, ref: Ref, role: str) -> Former:
        """A device that is `protected`, `pinned` or `excluded` (the role), and may have been deleted.

        Such an entry says what must not happen to the device, or nothing for any other, so a deleted one is a warning.
        A name that no device ever had stays a problem: a typing error would let a device in.
        """
        self.forgivable.add(ref.text)
        deleted = self._inventory.deleted.get(ref.text, ()) if ref.text not in self.devices_by_name else ()
        if deleted:
            message = f'the {role} device "{ref.text}" was deleted (id {", ".join(deleted)})'
        elif is_id(ref.text) and ref.text in self._inventory.missing:
            deleted = (ref.text,)
            message = f"the {role} device {ref.text} does not exist: it was deleted, or its id is misspelt"
        else:
            device_id = self.device(ref)
            return Former(() if device_id is None else (device_id,))
        self.warnings.append(Warning(message, ref.place, "remove this entry"))
        return Former(deleted, is_deleted=True)

    def unknown_devices(self) -> frozenset[str]:
        """Device names that match no device."""
        return frozenset(text for (noun, text), one in self._unresolved.items() if noun == "device" and not one.found)

    def problems(self) -> list[Problem]:
        """One problem for each name that did not resolve, at its first place."""
        problems = []
        for count, ((noun, text), unresolved) in enumerate(self._unresolved.items()):
            others = len(unresolved.places) - 1
            more = f", here{and_more(others, 'place')}" if others else ""
            if unresolved.found:
                message = f'{len(unresolved.found)} {noun}s are named "{text}"{more}'
                hint = f"use an id instead: {', '.join(sorted(unresolved.found)[:10])}"
            else:
                message = f'no {noun} is named "{text}"{more}'
                hint = self._hint(noun, text) if count < _SUGGESTIONS else "check the spelling"
            problems.append(min(unresolved.places).problem(message, hint))
        return problems

    def _one(self, noun: str, ref: Ref, by_name: Mapping[str, Collection[str]]) -> str | None:
        found = by_name.get(ref.text, ())
        if len(found) == 1:
            return next(iter(found))
        if noun == "device" and ref.text in self._excluded:
            self.excluded_devices.add(ref.text)
        else:
            self._unresolved.setdefault((noun, ref.text), _Unresolved(found, set())).places.add(ref.place)
        return None

    def _hint(self, noun: str, text: str) -> str:
        known = {*self._aliases, *self._inventory.flows} if noun == "flow" else self.devices_by_name.keys()
        if noun not in self._spellings:
            self._spellings[noun] = Spelling(known)
        if near := self._spellings[noun].hint(text):
            return near
        if noun == "device" and text in self._inventory.other_classes:
            other_class = self._inventory.other_classes[text]
            return f"a device of class {other_class} is, but these deployments do not support that class"
        if 20 <= len(text) <= 28 and re.fullmatch("[0-9a-fA-F]+", text):
            return f"an id has 24 hex digits, this has {len(text)}"
        if noun == "device" and "*" in text:
            return "a * stands for several names only in a group's `select`"
        return f"check the spelling; the application has {len(known):,} {noun} names" if known else "check the spelling"


class Spelling:
    """Finds the names that a misspelt name may have meant.

    Comparing with each of 100,000 names takes seconds, so only the names with the longest common prefix or suffix are
    compared: a typing error rarely affects both.
    """

    def __init__(self, known: Iterable[str]) -> None:
        self._names = {name.casefold(): name for name in sorted(known, reverse=True)}
        self._by_beginning = sorted(self._names)
        self._by_end = sorted(name[::-1] for name in self._names)

    @cached_property
    def _looks(self) -> Mapping[str, str]:
        return {skeleton(name): name for name in self._names.values()}

    def hint(self, text: str) -> str:
        """`nearest: …`, or nothing; of a name that only looks like the text, what it has instead."""
        alike = self._looks.get(skeleton(text))
        if alike is not None and alike.casefold() != text.casefold():
            return f"nearest: {alike}, which looks alike but has {apart(text, alike)}"
        near = self.nearest(text)
        return f"nearest: {', '.join(near)}" if near else ""

    def nearest(self, text: str, *, count: int = 3) -> list[str]:
        """The most similar names, best first."""
        folded = text.casefold()
        near = {*_around(self._by_beginning, folded), *(name[::-1] for name in _around(self._by_end, folded[::-1]))}
        from difflib import get_close_matches  # noqa: PLC0415 - slow to import, and only mistakes need it

        matches = get_close_matches(folded, sorted(near), n=count, cutoff=0.6)
        return [self._names[match] for match in matches]


def _around(ordered: Sequence[str], text: str, reach: int = 100) -> Sequence[str]:
    index = bisect.bisect_left(ordered, text)
    return ordered[max(0, index - reach) : index + reach]
