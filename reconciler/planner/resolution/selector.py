"""Selectors: what they need to know of the fleet, and which devices they pick from it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from reconciler.model.rules import DeviceRules, Group, Pin, Ref, Rules, Selector
from reconciler.model.state import DeviceId, Place
from reconciler.planner.resolution.names import Inventory, Names, is_id


def is_glob(ref: Ref) -> bool:
    """Whether a reference in a selector stands for any number of names."""
    return "*" in ref.text


@dataclass(slots=True)
class Needs:
    """What must be asked of the API before the rules can be resolved.

    Attributes:
        listing: every device of the class.
        device_names: devices with these names.
        device_ids: the records (name and tags) of these devices.
        queries: the devices that these select.
        flow_names: the list of flows, for these names.
    """

    listing: bool = False
    device_names: set[str] = field(default_factory=set)
    device_ids: set[DeviceId] = field(default_factory=set)
    queries: set[str] = field(default_factory=set)
    flow_names: set[str] = field(default_factory=set)


def needs_of(rules: Rules) -> Needs:
    """What the rules need to know. Rules that hold only ids need nothing."""
    needs = Needs()
    needs.device_names = {ref.text for ref in written_devices(rules) if not is_id(ref.text)}
    for group in rules.groups:
        _selector_needs(group.select, needs)
    texts = {ref.text for ref in written_flows(rules)}
    targets = {rules.aliases[text].text if text in rules.aliases else text for text in texts}
    needs.flow_names = {text for text in targets if not is_id(text)}
    return needs


def written_devices(rules: Rules) -> Iterator[Ref]:
    """Every device that is written out, but for those in selectors."""
    yield from (one.device for one in rules.devices)
    yield from (pin.device for pin in rules.pins)
    yield from (protection.device for protection in rules.protect if protection.device)


def written_flows(rules: Rules) -> Iterator[Ref]:
    """Every flow that is written out, as an alias, an id or a name."""
    parts: tuple[Group | DeviceRules | Pin, ...] = (*rules.groups, *rules.devices, *rules.pins)
    yield from (rule.flow for part in parts for rule in part.flows)
    yield from (protection.flow for protection in rules.protect if protection.flow)


def _selector_needs(selector: Selector, needs: Needs) -> None:
    """A selector picks from a base: its exact devices, else its query's, else all; the rest filters that base."""
    exact = selector.devices is not None and not any(map(is_glob, selector.devices))
    if not exact and selector.query is None:
        needs.listing = True
    parts = list(with_excludes(selector))
    if exact and any(part.tags is not None or any(map(is_glob, part.devices or ())) for part in parts):
        needs.device_ids |= {ref.text for ref in selector.devices or () if is_id(ref.text)}
    for part in parts:
        needs.queries |= {part.query} if part.query is not None else set()
        needs.device_names |= {ref.text for ref in part.devices or () if not is_id(ref.text) and not is_glob(ref)}


def with_excludes(selector: Selector | None) -> Iterator[Selector]:
    """A selector and what it excludes, outermost first."""
    while selector is not None:
        yield selector
        selector = selector.exclude


class Selection:
    """Picks devices. `written` collects every device that a selector names, with its place."""

    def __init__(self, inventory: Inventory, names: Names) -> None:
        self._inventory = inventory
        self._names = names
        self._by_tag: dict[str, dict[str, set[DeviceId]]] = {}
        self.written: dict[DeviceId, Place] = {}

    def members(self, selector: Selector, salt: str, *, among: Set[DeviceId] | None = None) -> Set[DeviceId]:
        """The devices that a selector picks, in no order; `among` those given, else among all that were read."""
        parts: list[Set[DeviceId]] = [] if among is None else [among]
        if selector.devices is not None:
            parts.append(self._named(selector.devices))
        if selector.query is not None:
            parts.append(self._inventory.queries[selector.query])
        parts += [self._tagged(key, values) for key, values in (selector.tags or {}).items()]
        found: Set[DeviceId] = set.intersection(*map(set, parts)) if parts else self._inventory.devices.keys()
        if selector.percent is not None:
            found = set(within_percent(found, selector.percent, salt))
        if selector.exclude is not None:
            found = found - self.members(selector.exclude, salt, among=found)
        return found

    def _named(self, refs: Iterable[Ref]) -> set[DeviceId]:
        found: set[DeviceId] = set()
        for ref in refs:
            if is_glob(ref):
                parts = ref.text.split("*")
                for name, ids in self._names.devices_by_name.items():
                    if _fits(name, parts):
                        found.update(ids)
            elif device_id := self._names.device(ref):
                self.written.setdefault(device_id, ref.place)
                found.add(device_id)
        return found

    def _tagged(self, key: str, values: Iterable[str]) -> set[DeviceId]:
        index = self._by_tag.get(key)
        if index is None:
            index = self._by_tag[key] = {}
            for device_id, device in self._inventory.devices.items():
                for value in device.tags.get(key, ()):
                    index.setdefault(value, set()).add(device_id)
        return set().union(*(index.get(value, ()) for value in values))


def _fits(name: str, parts: Sequence[str]) -> bool:
    """Whether a name is `parts` with anything between them. Not by `re`, which can take for ever over many stars."""
    first, *middle, last = parts
    position, end = len(first), len(name) - len(last)
    if position > end or not name.startswith(first) or not name.endswith(last):
        return False
    for part in middle:
        found = name.find(part, position, end)
        if found < 0:
            return False
        position = found + len(part)
    return True


def within_percent(device_ids: Iterable[DeviceId], percent: Decimal, salt: str) -> Iterable[DeviceId]:
    """The devices whose hash with the salt falls below a percentage: the same ones for ever, more as it grows."""
    threshold = Fraction(percent) * 2**64 / 100
    if threshold >= 2**64:
        return device_ids
    # A hash h is kept when h < threshold; for whole numbers that is h < ceil(threshold), compared as 8 bytes.
    limit = (-(-threshold.numerator // threshold.denominator)).to_bytes(8, "big")
    prefix = f"{salt}\0".encode()
    return [one for one in device_ids if hashlib.sha256(prefix + one.encode()).digest()[:8] < limit]
