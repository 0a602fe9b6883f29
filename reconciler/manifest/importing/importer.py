"""Writes a manifest of the live state, whose plan is empty.

What devices run is said by groups as far as `grouping` finds any; what they run otherwise, by an entry for each. Names
of devices are added as comments, and at the head stands what could not be written.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from reconciler.manifest.importing.grouping import (
    ALL,
    INLINE,
    Alike,
    Choices,
    Group,
    Held,
    Runs,
    alike,
    by_majority,
    entry_of,
    exactly,
    groups_of,
)
from reconciler.manifest.quoting import comment, on_one_line, quoted
from reconciler.model.state import Application, Device, DeviceId, FlowId, Kind, Live, LiveDevice, Version
from reconciler.model.text import and_more, counted, is_id

AUTO, NONE = "auto", "none"
_UNWRITABLE = frozenset({"absent", "develop", "default"})  # versions that a manifest cannot declare
_WIDTH = 100
_EXAMPLES = 10


class Written(NamedTuple):
    """A manifest, and what it could not express, each with its count: one sentence without a full stop."""

    text: str
    not_written: tuple[str, ...] = ()


def write_manifest(
    live: Live, devices: Mapping[DeviceId, Device] | None, *, application: Application, kind: Kind, group_by: str
) -> Written:
    """A manifest of everything that is released.

    Args:
        live: the live state of the whole application, for that kind.
        devices: every device of the kind's class; None if the token may not list them, then nothing is grouped.
        application: its id, and its name if it is known: every plan then checks that they belong together.
        kind: the kind of deployments.
        group_by: `auto` for groups by majority, `tag:KEY` for devices that run exactly the same as all others with
            their value of that tag, or `none`.
    """
    names = {one: device.name for one, device in (devices or {}).items()}
    names |= {one: device.name for one, device in live.devices.items() if not names.get(one)}
    found = _Found(live, names)
    held = found.held(devices)
    fleet, choices = _grouped(held, devices, group_by)
    groups = groups_of(fleet, choices)
    aliases = _aliases(held.values(), live.flow_names)
    flow_lines = [f"  {quoted(alias)}: {one}" for one, alias in sorted(aliases.items(), key=lambda item: item[1])]
    entries = {one: lines for part in fleet for one, lines in _entries(part, choices, aliases, names)}
    lines = [
        *(f"# {on_one_line(line)}" for line in _head(groups, len(entries), found.not_written())),
        "apiVersion: reconciler/v1",
        f"application: {_identified(application)}",
        f"kind: {kind}",
        *_section("flows", flow_lines),
        *_section("groups", _group_lines(groups, aliases, names)),
        *_section("devices", [line for one in sorted(entries) for line in entries[one]]),
    ]
    return Written("\n".join(lines) + "\n", tuple(found.not_written()))


def _grouped(
    held: Mapping[DeviceId, Held], devices: Mapping[DeviceId, Device] | None, group_by: str
) -> tuple[list[Alike], Choices]:
    """The devices, those together that are alike, and what groups say of them."""
    if devices is None or group_by == NONE:
        return alike(map(Device, held), held, lambda _key, _value: False), {}
    if group_by == AUTO:
        fleet = alike(devices.values(), held, lambda key, value: _is_key(key) and _is_key(value), least=2)
        return fleet, by_majority(fleet)
    only = group_by.removeprefix("tag:")
    fleet = alike(devices.values(), held, lambda key, value: key == only and _is_key(key) and _is_key(value))
    return fleet, exactly(fleet, only)


# --- what is released ---------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Found:
    """What each device holds, and the rows that a manifest cannot express, counted."""

    live: Live
    names: Mapping[DeviceId, str | None]
    undeclarable: dict[FlowId, list[tuple[DeviceId, Version]]] = field(default_factory=lambda: defaultdict(list))
    custom_nodes: int = 0
    deleted_rows: int = 0
    deleted: list[DeviceId] = field(default_factory=list)

    def held(self, devices: Mapping[DeviceId, Device] | None) -> dict[DeviceId, Held]:
        """What each device holds; without the devices that are not in the list of devices, if there is one."""
        held: dict[DeviceId, Held] = {}
        known: dict[tuple[int, frozenset[FlowId]], Held] = {}  # readers share equal mappings
        for device_id, record in sorted(self.live.devices.items()):
            if devices is not None and device_id not in devices:
                self._count_deleted(device_id, record)
                continue
            key = (id(record.flows), record.unmanageable)
            if (what := known.get(key)) is None:
                what = known[key] = _held(record)
            held[device_id] = what
            if what.undeclarable:
                self._count_undeclarable(device_id, record)
        return held

    def _count_deleted(self, device_id: DeviceId, record: LiveDevice) -> None:
        if rows := sum(entry.released is not None for entry in record.flows.values()):
            self.deleted_rows += rows
            self.deleted.append(device_id)

    def _count_undeclarable(self, device_id: DeviceId, record: LiveDevice) -> None:
        for flow_id, entry in record.flows.items():
            if flow_id in record.unmanageable:
                self.custom_nodes += entry.released is not None
            elif entry.released is not None and not _is_declarable(entry.released):
                self.undeclarable[flow_id].append((device_id, entry.released))

    def not_written(self) -> Iterator[str]:
        """A sentence for each kind of row that is left out."""
        if self.deleted:
            what = f"{counted(self.deleted_rows, 'row')} of {counted(len(self.deleted), 'deleted device')}"
            yield f"{what}, not in the list of devices any more: {self._listed(self.deleted)}"
        for flow_id, rows in sorted(self.undeclarable.items()):
            name = self.live.flow_names.get(flow_id)
            flow = f"{name} ({flow_id})" if name else flow_id
            versions = sorted({version for _, version in rows})
            shown = ", ".join(version[:_WIDTH] for version in versions[:3]) + and_more(max(0, len(versions) - 3), "")
            what = f"{counted(len(rows), 'row')} of flow {flow}, whose version a manifest cannot declare ({shown})"
            yield f"{what}: {self._listed([device_id for device_id, _ in rows])}"
        if self.custom_nodes:
            yield f"{counted(self.custom_nodes, 'row')} of custom nodes, which go with the flows that use them"

    def _listed(self, device_ids: Sequence[DeviceId]) -> str:
        shown = [f"{name} ({one})" if (name := self.names.get(one)) else one for one in device_ids[:_EXAMPLES]]
        return ", ".join(shown) + and_more(max(0, len(device_ids) - _EXAMPLES))


def _held(record: LiveDevice) -> Held:
    released = {flow_id: entry.released for flow_id, entry in record.flows.items() if entry.released is not None}
    kept = {one: text for one, text in released.items() if one not in record.unmanageable and _is_declarable(text)}
    return Held(tuple(sorted(kept.items())), record.unmanageable | (released.keys() - kept.keys()))


def _is_declarable(version: Version) -> bool:
    return _is_text(version) and version not in _UNWRITABLE


def _is_text(text: str) -> bool:
    return 0 < len(text) <= 255 and not re.search("[\0-\x1f\x7f-\x9f\ud800-\udfff]", text)


def _is_key(text: str) -> bool:
    # YAML limits a key to 1,024 characters on one line, including escapes.
    return _is_text(text) and len(quoted(text)) < 1000


# --- text -------------------------------------------------------------------------------------------------------


def _head(groups: Sequence[Group], entries: int, not_written: Iterable[str]) -> Iterator[str]:
    if groups:
        yield "A group also manages devices that come later: what it selects then gets its versions."
        if entries:
            exceptions = counted(entries, "exception")
            yield f"Under `devices`, {exceptions}: other versions, or absent where a device does not run a flow."
    for reason in not_written:
        yield f"Not written: {reason}"


def _aliases(held: Iterable[Held], flow_names: Mapping[FlowId, str]) -> dict[FlowId, str]:
    """An alias for each flow: its name, with the end of its id appended if two flows share the name."""
    used = sorted({flow_id for what in set(held) for flow_id, _ in what.runs})
    named = {one: name for one in used if _is_key(name := flow_names.get(one, "")) and not is_id(name)}
    times = Counter(named.values())
    aliases: dict[FlowId, str] = {}
    for flow_id, name in named.items():
        alias = f"{name[:200]}-{flow_id[-6:]}" if times[name] > 1 else name
        if alias not in aliases.values() and (alias == name or alias not in times):
            aliases[flow_id] = alias
    return aliases


def _identified(application: Application) -> str:
    """The id and the name; without a name, or with one that no manifest can hold, the id."""
    if application.name is None or not _is_text(application.name):
        return f"{application.id}{comment(application.name)}"
    return f"{{id: {application.id}, name: {quoted(application.name)}}}"


def _section(key: str, lines: list[str]) -> list[str]:
    return [f"{key}:", *lines] if lines else []


def _group_lines(
    groups: Iterable[Group], aliases: Mapping[FlowId, str], names: Mapping[DeviceId, str | None]
) -> list[str]:
    lines: list[str] = []
    used: set[str] = set()
    for group in groups:
        name = base = "all" if group.key == ALL else f"{group.key}-{'-'.join(group.values)}"[:60]
        while name in used:
            name = f"{base}-{len(used)}"
        used.add(name)
        lines += [
            f"  {quoted(name)}:",
            *_select_lines(group, names),
            *_runs_lines("    flows", _pairs(group.runs, aliases)),
        ]
    return lines


def _select_lines(group: Group, names: Mapping[DeviceId, str | None]) -> list[str]:
    values = [*map(quoted, group.values)]
    short = "all: true" if group.key == ALL else f"tags: {{{quoted(group.key)}: {_list(values)}}}"
    line = f"    select: {{{short}}}"
    is_short = len(values) <= INLINE and (len(line) <= _WIDTH or len(values) == 1)
    if is_short and not group.excluded:
        return [line]
    lines = [f"      {short}"]
    if not is_short:
        lines = ["      tags:", f"        {quoted(group.key)}:", *(f"          - {value}" for value in values)]
    if group.excluded:
        excluded = (f"          - {quoted(one)}{comment(names.get(one))}" for one in group.excluded)
        lines += ["      exclude:", "        devices:", *excluded]
    return ["    select:", *lines]


def _list(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else f"[{', '.join(values)}]"


def _entries(
    part: Alike, choices: Choices, aliases: Mapping[FlowId, str], names: Mapping[DeviceId, str | None]
) -> Iterator[tuple[DeviceId, list[str]]]:
    """The lines of each of these devices, unless groups say all of it."""
    if entry := entry_of(part, choices):
        pairs = _pairs(entry, aliases)
        for one in part.devices:
            yield one, _runs_lines(f"  {quoted(one)}", pairs, comment(names.get(one)))


def _pairs(runs: Runs, aliases: Mapping[FlowId, str]) -> list[str]:
    """`flow: version`, sorted by the flow as it is written."""
    named = sorted((aliases.get(flow_id, flow_id), version) for flow_id, version in runs)
    return [f"{quoted(flow)}: {quoted(version)}" for flow, version in named]


def _runs_lines(head: str, pairs: Sequence[str], comment: str = "") -> list[str]:
    """`head: {flow: version, …}`, or a block if that is too long."""
    line = f"{head}: {{{', '.join(pairs)}}}"
    if len(line) <= _WIDTH:
        return [line + comment]
    indent = " " * (len(head) - len(head.lstrip()) + 2)
    return [f"{head}:{comment}", *(indent + pair for pair in pairs)]
