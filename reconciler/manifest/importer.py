"""Writes a manifest of the live state, whose plan is empty.

Devices that run the same become a group if a tag identifies them exactly: every device with the tag, including those
that run nothing, runs the same. All other devices are listed individually. Names are added as comments.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, TypeAlias

from reconciler.model.characters import is_hidden
from reconciler.model.state import Application, Device, DeviceId, FlowId, Kind, Live, Version
from reconciler.model.text import is_id

Runs: TypeAlias = tuple[tuple[FlowId, Version], ...]  # sorted; the flows released to a device

AUTO, NONE = "auto", "none"
_UNWRITABLE = frozenset({"absent", "develop", "default"})  # versions that a manifest cannot declare
_WIDTH = 100


class TagGroup(NamedTuple):
    """A group: devices with one of these values of a tag all run the same, and no others have such a value."""

    key: str
    values: tuple[str, ...]
    runs: Runs


def write_manifest(
    live: Live, devices: Mapping[DeviceId, Device] | None, *, application: Application, kind: Kind, group_by: str
) -> str:
    """A manifest of everything that is released.

    Args:
        live: the live state of the whole application, for that kind.
        devices: every device of the kind's class; None if the token may not list them, then nothing is grouped.
        application: its id, and its name for a comment.
        kind: the kind of deployments.
        group_by: `auto`, `none` or `tag:KEY`.
    """
    runs, left_out = _runs_of(live, devices)
    groups = list(_groups(runs, devices or {}, group_by))
    grouped = _covered(groups, devices or {})
    aliases = _aliases(runs, live.flow_names)
    names = {one: device.name for one, device in (devices or {}).items()}
    names |= {one: device.name for one, device in live.devices.items() if not names.get(one)}
    flow_lines = [f"  {quoted(alias)}: {one}" for one, alias in sorted(aliases.items(), key=lambda item: item[1])]
    device_lines = [
        line
        for one, what in runs.items()
        if one not in grouped
        for line in _runs_lines(f"  {quoted(one)}", what, aliases, comment(names.get(one)))
    ]
    lines = [
        "apiVersion: reconciler/v1",
        f"application: {application.id}{comment(application.name)}",
        f"kind: {kind}",
        *_section("flows", flow_lines),
        *_section("groups", _group_lines(groups, aliases)),
        *_section("devices", device_lines),
        *(f"# Not written: {_inert(reason)}" for reason in sorted(left_out)),
    ]
    return "\n".join(lines) + "\n"


def _runs_of(live: Live, devices: Mapping[DeviceId, Device] | None) -> tuple[dict[DeviceId, Runs], list[str]]:
    """What each device runs, and why rows are left out."""
    found: dict[DeviceId, Runs] = {}
    left_out: list[str] = []
    for device_id, record in sorted(live.devices.items()):
        runs = []
        for flow_id, entry in sorted(record.flows.items()):
            if entry.released is None or flow_id in record.unmanageable:
                continue
            if _is_text(entry.released) and entry.released not in _UNWRITABLE:
                runs.append((flow_id, entry.released))
            else:
                left_out.append(f"device {device_id}, flow {flow_id}: a manifest cannot declare that version")
        if runs and devices is not None and device_id not in devices:
            left_out.append(f"device {device_id}: it has a deployment record, but is not in the device list")
        elif runs:
            found[device_id] = tuple(runs)
    return found, left_out


def _is_text(text: str) -> bool:
    return 0 < len(text) <= 255 and not re.search("[\0-\x1f\x7f-\x9f\ud800-\udfff]", text)


# --- groups -----------------------------------------------------------------------------------------------------


def _groups(runs: Mapping[DeviceId, Runs], devices: Mapping[DeviceId, Device], group_by: str) -> Iterator[TagGroup]:
    """Greedily choose the tag key that covers most of the remaining devices, until none covers two."""
    if group_by == NONE:
        return
    least = 2 if group_by == AUTO else 1
    explained = _explained_by(runs, devices, least)
    if group_by != AUTO:
        key = group_by.removeprefix("tag:")
        explained = {key: explained[key]} if key in explained else {}
    done: set[DeviceId] = set()
    while explained:
        gain = {
            key: len({one for _, members in values.values() for one in members} - done)
            for key, values in explained.items()
        }
        key = min(gain, key=lambda one: (-gain[one], len(explained[one]), one))
        values = explained.pop(key)
        if gain[key] < least:
            return
        by_runs: dict[Runs, list[str]] = defaultdict(list)
        for value, (what, members) in sorted(values.items()):
            if not done.issuperset(members):
                by_runs[what].append(value)
                done |= members
        yield from (TagGroup(key, tuple(found), what) for what, found in by_runs.items())


def _explained_by(
    runs: Mapping[DeviceId, Runs], devices: Mapping[DeviceId, Device], least: int
) -> dict[str, dict[str, tuple[Runs, set[DeviceId]]]]:
    """Tag key -> value -> what all devices with it run, and those devices."""
    members: dict[tuple[str, str], set[DeviceId]] = defaultdict(set)
    for device in devices.values():
        for key, values in device.tags.items():
            for value in values:
                if _is_key(key) and _is_key(value):
                    members[key, value].add(device.id)
    explained: dict[str, dict[str, tuple[Runs, set[DeviceId]]]] = defaultdict(dict)
    for (key, value), found in members.items():
        what = {runs.get(device_id, ()) for device_id in found}
        if len(found) >= least and len(what) == 1 and (same := what.pop()):
            explained[key][value] = (same, found)
    return explained


def _is_key(text: str) -> bool:
    # YAML limits a key to 1,024 characters on one line, including escapes.
    return _is_text(text) and len(quoted(text)) < 1000


def _covered(groups: Iterable[TagGroup], devices: Mapping[DeviceId, Device]) -> set[DeviceId]:
    wanted = {(group.key, value) for group in groups for value in group.values}
    return {
        device.id
        for device in devices.values()
        if any((key, value) in wanted for key, values in device.tags.items() for value in values)
    }


# --- text -------------------------------------------------------------------------------------------------------


def _aliases(runs: Mapping[DeviceId, Runs], flow_names: Mapping[FlowId, str]) -> dict[FlowId, str]:
    """An alias for each flow: its name, with the end of its id appended if two flows share the name."""
    used = sorted({flow_id for what in runs.values() for flow_id, _ in what})
    named = {one: name for one in used if _is_key(name := flow_names.get(one, "")) and not is_id(name)}
    times = Counter(named.values())
    aliases: dict[FlowId, str] = {}
    for flow_id, name in named.items():
        alias = f"{name[:200]}-{flow_id[-6:]}" if times[name] > 1 else name
        if alias not in aliases.values() and (alias == name or alias not in times):
            aliases[flow_id] = alias
    return aliases


def _section(key: str, lines: list[str]) -> list[str]:
    return [f"{key}:", *lines] if lines else []


def _group_lines(groups: Iterable[TagGroup], aliases: Mapping[FlowId, str]) -> list[str]:
    lines: list[str] = []
    names: set[str] = set()
    for group in groups:
        name = base = f"{group.key}-{'-'.join(group.values)}"[:60]
        while name in names:
            name = f"{base}-{len(names)}"
        names.add(name)
        values = quoted(group.values[0]) if len(group.values) == 1 else f"[{', '.join(map(quoted, group.values))}]"
        lines += [
            f"  {quoted(name)}:",
            f"    select: {{tags: {{{quoted(group.key)}: {values}}}}}",
            *_runs_lines("    flows", group.runs, aliases, ""),
        ]
    return lines


def _runs_lines(head: str, runs: Runs, aliases: Mapping[FlowId, str], comment: str) -> list[str]:
    """`head: {flow: version, …}`, or a block if that is too long."""
    pairs = [f"{quoted(aliases.get(flow_id, flow_id))}: {quoted(version)}" for flow_id, version in runs]
    line = f"{head}: {{{', '.join(pairs)}}}"
    if len(line) <= _WIDTH:
        return [line + comment]
    indent = " " * (len(head) - len(head.lstrip()) + 2)
    return [f"{head}:{comment}", *(indent + pair for pair in pairs)]


_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./+-]*")
_NUMBER_LIKE = re.compile("[0-9]+e[0-9]+")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})  # text here, but not to other tools
_CI_COMMAND = re.compile(r"##(?=[a-z]*\[)", re.IGNORECASE)  # acted on anywhere in a line of a CI log
_BREAKS = re.compile("[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


def quoted(text: str) -> str:
    """Text as a YAML scalar that every YAML parser reads as that text."""
    is_plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    if is_plain or (is_id(text) and text.islower() and not _NUMBER_LIKE.fullmatch(text)):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    if not text.isascii():
        escaped = "".join(_escape(char) if is_hidden(char) else char for char in escaped)
    escaped = _CI_COMMAND.sub(r"#\\x23", escaped)
    return '"' + _BREAKS.sub(lambda found: _escape(found[0]), escaped) + '"'


def _escape(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


def comment(name: str | None) -> str:
    """A name as a comment at the end of a line; nothing without one."""
    return f"  # {_inert(name)}" if name else ""


def _inert(text: str) -> str:
    """Text that stays on its line."""
    return _CI_COMMAND.sub("#?", "".join("?" if is_hidden(char) else char for char in text))
