"""Finds the groups of an imported manifest: selectors that say in few lines what the devices of a fleet run.

By majority, each flow gets one selector, which is all devices or one tag key, and each value of that key the version
that most of its devices run. What a device runs otherwise becomes an entry of its own. A row that a manifest cannot
declare must not be declared by a group either, so its device is excluded there.

A fleet has few kinds of devices, so everything is counted once for all that are alike.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from reconciler.model.state import Device, DeviceId, FlowId, Version

Runs: TypeAlias = tuple[tuple[FlowId, Version], ...]  # sorted by flow

ALL = ""  # stands for the tag key of the selector `all: true`, with itself as the one value; no tag key is empty
ABSENT = "absent"
INLINE = 8  # values that one line holds; more are listed, one a line


class Held(NamedTuple):
    """What a device holds: the flows that it is to run, and the flows whose row a manifest cannot declare."""

    runs: Runs = ()
    undeclarable: frozenset[FlowId] = frozenset()


_NOTHING = Held()
_NO_VERSIONS: Counter[Version] = Counter()


class Alike(NamedTuple):
    """Devices that hold the same, and have the same values of each tag key that may select them."""

    held: Held
    values: Mapping[str, tuple[str, ...]]
    devices: list[DeviceId]


class Choice(NamedTuple):
    """The selector of one flow: a tag key, and the version of each of its values that selects."""

    key: str
    versions: Mapping[str, Version]


Choices: TypeAlias = Mapping[FlowId, Choice]


class Group(NamedTuple):
    """Devices with one of these values of a tag key, or all devices, but for the excluded ones."""

    key: str
    values: tuple[str, ...]
    runs: Runs
    excluded: tuple[DeviceId, ...] = ()


# --- the fleet ----------------------------------------------------------------------------------------------------


def alike(
    devices: Iterable[Device], held: Mapping[DeviceId, Held], may_select: Callable[[str, str], bool], *, least: int = 1
) -> list[Alike]:
    """The devices of a fleet, those together that differ in nothing that matters here.

    `may_select`: whether a tag key and its value may stand in a selector; it must be the value of `least` devices.
    """
    by_tags: dict[int, list[Device]] = defaultdict(list)
    for device in devices:
        by_tags[id(device.tags)].append(device)  # readers share equal mappings
    sizes: Counter[tuple[str, str]] = Counter()
    for members in by_tags.values():
        for tag in _tags(members[0]):
            sizes[tag] += len(members)
    selecting = {tag for tag, size in sizes.items() if size >= least and may_select(*tag)}
    found: dict[tuple[tuple[tuple[str, str], ...], Held], list[DeviceId]] = defaultdict(list)
    for members in by_tags.values():
        tags = tuple(sorted(selecting & _tags(members[0])))
        for device in members:
            found[tags, held.get(device.id, _NOTHING)].append(device.id)
    return [Alike(what, _by_key(tags), device_ids) for (tags, what), device_ids in found.items()]


def _tags(device: Device) -> set[tuple[str, str]]:
    return {(key, value) for key, values in device.tags.items() for value in values}


def _by_key(tags: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    by_key: dict[str, tuple[str, ...]] = {ALL: (ALL,)}
    for key, value in tags:
        by_key[key] = (*by_key.get(key, ()), value)
    return by_key


# --- choosing -----------------------------------------------------------------------------------------------------


def exactly(fleet: Iterable[Alike], key: str) -> Choices:
    """Each value of a tag key whose devices all run the same selects them; the other values select nothing."""
    found: dict[str, set[Runs]] = defaultdict(set)
    for part in fleet:
        for value in part.values.get(key, ()):
            found[value].add(part.held.runs)
    versions: dict[FlowId, dict[str, Version]] = defaultdict(dict)
    for value, runs in found.items():
        for flow_id, version in next(iter(runs)) if len(runs) == 1 else ():
            versions[flow_id][value] = version
    return {flow_id: Choice(key, its) for flow_id, its in versions.items()}


def by_majority(fleet: Sequence[Alike]) -> Choices:
    """The selector of each flow that leaves the fewest lines.

    Flows that share a selector share the lines of its groups. So it is also tried whether one key for all flows takes
    fewer lines.
    """
    tallies, flows = _tallies(fleet), sorted({flow_id for part in fleet for flow_id, _ in part.held.runs})
    single = {flow_id: _best(flow_id, tallies.values()) for flow_id in flows}
    keys = sorted({choice.key for choice in single.values() if choice.versions})
    common = [{flow_id: tallies[key].majority(flow_id) for flow_id in flows} for key in keys]
    return min([single, *common], key=lambda choices: _lines(fleet, choices))


@dataclass(slots=True)
class _Tally:
    """Of one tag key: how many devices have the same values of it, and how many of those run a version of a flow."""

    key: str
    sizes: Counter[tuple[str, ...]] = field(default_factory=Counter)
    sizes_of_values: Counter[str] = field(default_factory=Counter)
    running: dict[FlowId, dict[tuple[str, ...], Counter[Version]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(Counter))
    )

    def count(self, values: tuple[str, ...], runs: Runs, devices: int) -> None:
        """Count devices that are alike."""
        self.sizes[values] += devices
        for value in values:
            self.sizes_of_values[value] += devices
        for flow_id, version in runs:
            self.running[flow_id][values][version] += devices

    def majority(self, flow_id: FlowId) -> Choice:
        """The version of each value that spares entries, if all of them spare as many as their group has lines."""
        by_value: dict[str, Counter[Version]] = defaultdict(Counter)
        for values, versions in self.running[flow_id].items():
            for value in values:
                by_value[value].update(versions)
        dropped: set[Version] = set()
        while True:  # where a version is not worth a group, the next best may be
            spared = self._spared(by_value, dropped)
            poor = {version for version, its in spared.items() if sum(its.values()) < _group_lines(len(its))}
            if not poor:
                return Choice(self.key, {value: version for version, its in spared.items() for value in its})
            dropped |= poor

    def _spared(
        self, by_value: Mapping[str, Counter[Version]], dropped: Collection[Version]
    ) -> dict[Version, dict[str, int]]:
        """The entries that the most frequent version of each value spares, if any, by version and value."""
        spared: dict[Version, dict[str, int]] = defaultdict(dict)
        for value, versions in by_value.items():
            left = [(-number, version) for version, number in versions.items() if version not in dropped]
            if left:
                number, version = min(left)
                otherwise = self.sizes_of_values[value] - versions.total()  # they need an entry only if it selects them
                if -number > otherwise:
                    spared[version][value] = -number - otherwise
        return spared

    def added_lines(self, choice: Choice, flow_id: FlowId) -> int:
        """How many lines a choice adds to an entry for each device that runs the flow; negative if it spares lines."""
        lines = sum(map(_group_lines, Counter(choice.versions.values()).values()))
        running = self.running[flow_id]
        for values, size in self.sizes.items() if lines else ():
            if said := _said(choice, values):
                versions = running.get(values, _NO_VERSIONS)
                fitting = versions[min(said)] if len(said) == 1 else 0
                lines += size - fitting - versions.total()
        return lines


def _tallies(fleet: Iterable[Alike]) -> dict[str, _Tally]:
    """A tally of each tag key. Of one key alone, far fewer devices differ than of all keys together."""
    known: dict[Runs, int] = {}
    devices: Counter[tuple[str, tuple[str, ...], int]] = Counter()
    for part in fleet:
        runs = known.setdefault(part.held.runs, len(known))
        for key, values in part.values.items():
            devices[key, values, runs] += len(part.devices)
    tallies: dict[str, _Tally] = {ALL: _Tally(ALL)}
    all_runs = list(known)
    for (key, values, runs), number in devices.items():
        tallies.setdefault(key, _Tally(key)).count(values, all_runs[runs], number)
    return tallies


def _best(flow_id: FlowId, tallies: Collection[_Tally]) -> Choice:
    """The choice that adds the fewest lines; of several the one with the fewest values, but rather one than none."""

    def rank(tally: _Tally) -> tuple[int, bool, int, str]:
        choice = choices[tally.key]
        return tally.added_lines(choice, flow_id), not choice.versions, len(choice.versions), tally.key

    choices = {tally.key: tally.majority(flow_id) for tally in tallies}
    return choices[min(tallies, key=rank).key]


def _said(choice: Choice, values: Iterable[str]) -> set[Version]:
    """The versions that groups give a device with these values: several conflict, so that it needs an entry."""
    return {choice.versions[value] for value in values if value in choice.versions}


def _lines(fleet: Sequence[Alike], choices: Choices) -> int:
    """The lines of the groups, and of the entries if each had only one flow."""
    groups = sum(_group_lines(len(group.values)) + len(group.excluded) for group in groups_of(fleet, choices))
    return groups + sum(len(part.devices) * len(entry_of(part, choices)) for part in fleet)


def _group_lines(values: int) -> int:
    return 3 + (values if values > INLINE else 0)


# --- saying it ----------------------------------------------------------------------------------------------------


def groups_of(fleet: Iterable[Alike], choices: Choices) -> list[Group]:
    """The groups: flows that the same devices run share one, and so do values whose devices run the same."""
    excluded: dict[tuple[FlowId, str], list[DeviceId]] = defaultdict(list)
    for part in fleet:
        for flow_id in part.held.undeclarable & choices.keys():
            for value in part.values.get(choices[flow_id].key, ()):
                excluded[flow_id, value] += part.devices
    by_value: dict[tuple[str, str], dict[frozenset[DeviceId], list[tuple[FlowId, Version]]]] = {}
    for flow_id, choice in sorted(choices.items()):
        for value, version in choice.versions.items():
            parts = by_value.setdefault((choice.key, value), defaultdict(list))
            parts[frozenset(excluded.get((flow_id, value), ()))].append((flow_id, version))
    values: dict[tuple[str, Runs], list[str]] = defaultdict(list)
    without: dict[tuple[str, Runs], set[DeviceId]] = defaultdict(set)
    for (key, value), parts in sorted(by_value.items(), key=lambda item: item[0]):
        for left_out, runs in sorted(parts.items(), key=lambda item: sorted(item[0])):
            values[key, tuple(runs)].append(value)
            without[key, tuple(runs)] |= left_out
    return [Group(key, tuple(its), runs, tuple(sorted(without[key, runs]))) for (key, runs), its in values.items()]


def entry_of(part: Alike, choices: Choices) -> Runs:
    """What an entry of its own has to say for each of these devices: what the groups do not say, or say otherwise."""
    left = dict(part.held.runs)
    entry: list[tuple[FlowId, Version]] = []
    for flow_id, choice in choices.items():
        if flow_id in part.held.undeclarable:
            continue
        said = _said(choice, part.values.get(choice.key, ()))
        version = left.pop(flow_id, None)
        if said != ({version} if version else set()):
            entry.append((flow_id, version or ABSENT))
    return tuple(sorted([*entry, *left.items()]))
