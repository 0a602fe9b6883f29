"""Selectors: which reads they need, which devices they select, and which of them are explicit.

Each function here unpacks a whole selector as a tuple. So none of them can forget a new key: it would fail type
checking, and on the first call.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from reconciler.model.rules import DeviceRules, Group, Pin, Ref, Rules, Selector
from reconciler.model.state import DeviceId, Place
from reconciler.model.text import and_more, counted, is_id
from reconciler.planner.resolution.names import Inventory, Names, Spelling
from reconciler.planner.resolution.percent import within_percent

_SUGGESTED = 5  # tags in a hint
_MOST_KINDS = 1_000  # of tags; where there are more, devices are looked at one by one


def is_glob(ref: Ref) -> bool:
    """Whether a reference in a selector is a pattern that may match several names."""
    return "*" in ref.text


@dataclass(slots=True)
class Needs:
    """What must be read before the rules can be resolved.

    `listing`: every device of the class. `device_names`: devices with these names. `device_ids`: the records (name and
    tags) of these devices. `queries`: the devices that these select, each with the place of a selector that uses it.
    `flow_names`: the list of flows, to look up these names.
    """

    listing: bool = False
    device_names: set[str] = field(default_factory=set)
    device_ids: set[DeviceId] = field(default_factory=set)
    queries: dict[str, Place] = field(default_factory=dict)
    flow_names: set[str] = field(default_factory=set)


def needs_of(rules: Rules) -> Needs:
    """The reads that the rules need. Rules that contain only ids need none."""
    parts: tuple[Group | DeviceRules | Pin, ...] = (*rules.groups, *rules.devices, *rules.pins)
    devices = [*(one.device for one in rules.devices), *(one.device for one in rules.pins)]
    devices += [one.device for one in rules.protect if one.device]
    flows = [*(rule.flow for part in parts for rule in part.flows), *(one.flow for one in rules.protect if one.flow)]
    targets = {rules.aliases.get(flow.text, flow).text for flow in flows}
    needs = Needs(
        device_names={ref.text for ref in devices if not is_id(ref.text)},
        flow_names={text for text in targets if not is_id(text)},
    )
    for group in rules.groups:
        _selector_needs(group.select, needs)
    for policy in rules.policies_in_use:
        for wave in policy.waves:  # they pick from the devices of the group, whose records must be known for tags
            needs.listing |= wave.select.tags is not None or wave.select.exclude is not None
            _selector_needs(wave.select, needs, picks=True)
        needs.listing |= policy.budget is not None and bool(policy.budget.by)
    return needs


def _selector_needs(selector: Selector, needs: Needs, *, picks: bool = False) -> None:
    """A selector filters a base: its exact devices, else the result of its query, else all devices.

    One that `picks` from devices that are known reads no base of its own.
    """
    exact = selector.devices is not None and not any(map(is_glob, selector.devices))
    if not exact and selector.query is None and not picks:
        needs.listing = True
    reads_records = False
    for place, devices, tags, query, _all, _percent, _exclude in with_excludes(selector):
        reads_records |= tags is not None or any(map(is_glob, devices or ()))
        needs.device_names |= {ref.text for ref in devices or () if not is_id(ref.text) and not is_glob(ref)}
        if query is not None:
            needs.queries.setdefault(query, place)
    if exact and reads_records:
        needs.device_ids |= {ref.text for ref in selector.devices or () if is_id(ref.text)}


def is_explicit(selector: Selector) -> bool:
    """Whether a selector selects the same devices whatever the API returns."""
    refs: list[Ref] = []
    has_percent = False
    for _place, devices, tags, query, _all, percent, _exclude in with_excludes(selector):
        if tags is not None or query is not None or any(map(is_glob, devices or ())):
            return False
        refs += devices or ()
        has_percent |= percent is not None
    # An id and a name may be the same device, and `percent` hashes ids: only the API knows.
    by_id = {bool(is_id(ref.text)) for ref in refs}
    return selector.devices is not None and (by_id == {True} or (by_id == {False} and not has_percent))


def selector_text(selector: Selector, salt: str) -> str:
    """A canonical text: the same for selectors with the same meaning. `all` is dropped where other keys select."""
    _place, devices, tags, query, _all, percent, exclude = selector
    parts = []
    if devices is not None:
        parts.append("devices " + ", ".join(sorted({ref.text for ref in devices})))
    if tags is not None:
        parts += [f"tag {key}={'|'.join(sorted(set(values)))}" for key, values in sorted(tags.items())]
    if query is not None:
        parts.append(f"query {query}")
    if not parts:
        parts.append("all")
    if percent is not None:
        parts.append(f"{percent.normalize():f} percent by {salt}")
    if exclude is not None:
        parts.append(f"except ({selector_text(exclude, salt)})")
    return ", ".join(parts)


def symbolic(group: Group) -> Group:
    """A group for offline use: its query is its selector's text, and matches one placeholder device of that name."""
    return group._replace(
        select=Selector(group.select.place, query=f"<{selector_text(group.select, group.effective_salt)}>")
    )


def with_excludes(selector: Selector | None) -> Iterator[Selector]:
    """A selector and what it excludes, outermost first."""
    while selector is not None:
        yield selector
        selector = selector.exclude


def asks(selector: Selector) -> bool:
    """Whether a query of Losant has a part in it: what that selects is not for us to judge."""
    return any(one.query is not None for one in with_excludes(selector))


def _before_shares(selector: Selector) -> Selector:
    """The selector without its `percent`, and without an exclusion that takes a share."""
    place, devices, tags, query, everything, _percent, exclude = selector
    shares = any(one.percent is not None for one in with_excludes(exclude))
    return Selector(place, devices, tags, query, everything, None, None if shares else exclude)


class Nothing(NamedTuple):
    """Why a selector selects nothing, and the nearest that exists."""

    reason: str
    nearest: str


class Selection:
    """Selects devices. `written` collects every device that a selector names, with its place."""

    def __init__(self, inventory: Inventory, names: Names) -> None:
        self._inventory = inventory
        self._names = names
        self._by_tag: dict[str, dict[str, dict[DeviceId, None]]] = {}
        self.written: dict[DeviceId, Place] = {}

    def members(
        self, selector: Selector, salt: str, *, among: Set[DeviceId] | None = None, excluding: bool = False
    ) -> Set[DeviceId]:
        """The devices that a selector selects, from `among` or else from all that were read.

        `excluding`: they are left out of a group, so they may have been deleted.
        """
        _place, devices, tags, query, _all, percent, exclude = selector
        parts: list[Set[DeviceId]] = [] if among is None else [among]
        if devices is not None:
            parts.append(self._named(devices, excluding=excluding))
        if query is not None:
            parts.append(self._inventory.queries[query])
        parts += [self._tagged(key, values) for key, values in (tags or {}).items()]
        found = _common(parts) if parts else self._inventory.devices.keys()
        if percent is not None:
            found = _ordered(within_percent(found, percent, salt))
        if exclude is not None:
            left_out = self.members(exclude, salt, among=found, excluding=not excluding)
            found = _ordered(one for one in found if one not in left_out)
        return found

    def kinds(self, selector: Selector) -> Collection[int] | None:
        """The kinds of tags whose devices a selector selects, by the `id` of `Device.tags`.

        None where more than tags decides, or where tags differ from device to device.
        """
        place, _devices, tags, _query, everything, _percent, _exclude = selector
        if selector != Selector(place, tags=tags, all=everything) or len(self._kinds) > _MOST_KINDS:
            return None
        of = self._kinds_by_tag.get
        parts = [set[int]().union(*[of((key, one), ()) for one in values]) for key, values in (tags or {}).items()]
        return set.intersection(*parts) if parts else self._kinds.keys()

    @cached_property
    def _kinds(self) -> Mapping[int, Mapping[str, tuple[str, ...]]]:
        """The different tags. Devices with equal ones share them."""
        return {id(device.tags): device.tags for device in self._inventory.devices.values()}

    @cached_property
    def _kinds_by_tag(self) -> Mapping[tuple[str, str], set[int]]:
        """The kinds that have a value of a tag."""
        found: dict[tuple[str, str], set[int]] = defaultdict(set)
        for kind, tags in self._kinds.items():
            for key, values in tags.items():
                for value in values:
                    found[key, value].add(kind)
        return found

    def nothing(self, selector: Selector, salt: str) -> Nothing | None:
        """Why a selector that found no device selects nothing; None if only a share drew nobody."""
        whole = _before_shares(selector)
        if self.members(whole, salt):
            return None
        _place, devices, tags, _query, _all, _percent, exclude = whole
        if exclude is not None and (taken := self.members(whole._replace(exclude=None), salt)):
            return Nothing(f"its `exclude` takes away {counted(len(taken), 'device')}, which is all", "")
        if not self._inventory.devices:
            return Nothing("no device that it could select exists", "")
        for key, values in (tags or {}).items():
            if not self._tagged(key, values):
                return Nothing(f"no device has the tag {key}={'|'.join(values)}", self._nearest_tags(key, values))
        for ref in devices or ():
            if is_glob(ref) and not self._named([ref], excluding=False):
                near = Spelling(self._names.devices_by_name).hint(ref.text)
                return Nothing(f'no device is named "{ref.text}"', near)
        return Nothing("no device has all that it asks for", "")

    def _nearest_tags(self, key: str, values: Iterable[str]) -> str:
        """The nearest values of the tag and other tags with one of its values; else the nearest keys, or some tags."""
        known: dict[str, set[str]] = {}
        for device in self._inventory.devices.values():
            for other, its in device.tags.items():
                known.setdefault(other, set()).update(its)
        own, wanted = Spelling(known.get(key, ())), sorted(values)
        near = [f"{key}={one}" for value in wanted for one in own.nearest(value)]
        near += [f"{other}={one}" for other, its in sorted(known.items()) for one in wanted if one in its]
        near = near or ([] if key in known else Spelling(known).nearest(key))
        if near:
            return f"nearest: {', '.join(dict.fromkeys(near[:_SUGGESTED]))}"
        shown = [f"{key}={one}" for one in sorted(known.get(key, ()))] or sorted(known)
        more = and_more(len(shown) - _SUGGESTED, "") if len(shown) > _SUGGESTED else ""
        return f"tags that exist: {', '.join(shown[:_SUGGESTED])}{more}" if shown else "no device has any tag"

    def _named(self, refs: Iterable[Ref], *, excluding: bool) -> set[DeviceId]:
        found: set[DeviceId] = set()
        for ref in refs:
            if is_glob(ref):
                parts = ref.text.split("*")
                for name, ids in self._names.devices_by_name.items():
                    if _fits(name, parts):
                        found.update(ids)
            elif excluding and (former := self._names.former(ref, "excluded")).is_deleted:
                found.update(former.ids)
            elif device_id := self._names.device(ref):
                self.written.setdefault(device_id, ref.place)
                found.add(device_id)
        return found

    def _tagged(self, key: str, values: Iterable[str]) -> Set[DeviceId]:
        index = self._by_tag.get(key)
        if index is None:
            index = self._by_tag[key] = {}
            for device_id, device in self._inventory.devices.items():
                for value in device.tags.get(key, ()):
                    index.setdefault(value, {})[device_id] = None
        return _ordered(one for value in values for one in index.get(value, ()))


def _ordered(device_ids: Iterable[DeviceId]) -> Set[DeviceId]:
    """A set that keeps the order: a large fleet in the order of ids is sorted, and gone through, much faster."""
    return dict.fromkeys(device_ids).keys()


def _common(parts: Sequence[Set[DeviceId]]) -> Set[DeviceId]:
    """The devices that are in all parts."""
    smallest, *others = sorted(parts, key=len)
    return _ordered(one for one in smallest if all(one in other for other in others)) if others else smallest


def _fits(name: str, parts: Sequence[str]) -> bool:
    """Whether a name is `parts` with anything between them. A regex could take exponential time for many stars."""
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
