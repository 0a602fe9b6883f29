"""`--target` and `--exclude`: which rows a plan is about.

They choose among rows after resolution, so what a manifest says never depends on them. Targets add up, excludes win.
A row outside keeps what it has, and so stands in the way of every wildcard like any other row that must stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial

from reconciler.errors import Problem, UsageError
from reconciler.planner.plan import Filter, Options, World
from reconciler.planner.state import Decision, Desired, DeviceId, FlowId


@dataclass(frozen=True, slots=True)
class Choice:
    """The rows that a list of filters names, by any of its three sorts."""

    devices: frozenset[DeviceId] = frozenset()
    flows: frozenset[FlowId] = frozenset()
    groups: frozenset[str] = frozenset()

    def names(self, device_id: DeviceId, flow_id: FlowId, group: str | None) -> bool:
        """Whether a row is among them; `group` is the one that decided it."""
        return device_id in self.devices or flow_id in self.flows or group in self.groups


@dataclass(frozen=True, slots=True)
class Scope:
    """What a partial plan is about. `targets` None means everything."""

    targets: Choice | None
    excludes: Choice

    def holds(self, device_id: DeviceId, flow_id: FlowId, group: str | None = None) -> bool:
        """Whether a row is in scope; a row that no group decided has none."""
        targeted = self.targets is None or self.targets.names(device_id, flow_id, group)
        return targeted and not self.excludes.names(device_id, flow_id, group)

    def narrow(self, desired: Desired) -> Desired:
        """The declared rows in scope. Devices that shared a mapping of decisions share one again."""
        shared: dict[tuple[int, bool, bool], Mapping[FlowId, Decision]] = {}
        kept = {}
        for device_id, flows in desired.devices.items():
            targeted = self.targets is not None and device_id in self.targets.devices
            key = (id(flows), targeted, device_id in self.excludes.devices)
            if key not in shared:
                shared[key] = {
                    flow_id: decision
                    for flow_id, decision in flows.items()
                    if self.holds(device_id, flow_id, decision.group)
                }
            if shared[key]:
                kept[device_id] = shared[key]
        return Desired(kept)


def read_scope(world: World, options: Options) -> Scope | None:
    """The scope that the options ask for, None without filters.

    Raises:
        UsageError: every filter that names nothing known, or a name that several things have.
    """
    if not options.targets and not options.excludes:
        return None
    problems: list[Problem] = []
    known = _Known(world)
    targets = known.choose("--target", options.targets, problems)
    excludes = known.choose(
        "--exclude",
        (one for one in options.excludes if not (one.by == "device" and one.text in world.dropped)),
        problems,
    )
    if problems:
        raise UsageError(problems)
    return Scope(targets if options.targets else None, excludes)


class _Known:
    """Everything that a filter may name, by id and by name."""

    def __init__(self, world: World) -> None:
        devices = {**dict.fromkeys(world.live.devices), **dict.fromkeys(world.desired.devices)}
        names = {device_id: device.name for device_id, device in world.live.devices.items() if device.name}
        names |= world.device_names
        self._devices = _by_name(devices.keys() | names.keys(), names)
        flow_names = {**world.live.flow_names, **world.flow_names}
        distinct = {id(flows): flows for flows in world.desired.devices.values()}.values()
        flows = {flow_id for device in world.live.devices.values() for flow_id in device.flows}
        flows |= {flow_id for mapping in distinct for flow_id in mapping} | flow_names.keys()
        self._flows = _by_name(flows | set(world.aliases.values()), flow_names)
        self._flows |= {alias: {flow_id} for alias, flow_id in world.aliases.items()}
        deciding = {decision.group for mapping in distinct for decision in mapping.values()}
        self._groups = {group: {group} for group in deciding | world.groups if group is not None}

    def choose(self, flag: str, filters: Iterable[Filter], problems: list[Problem]) -> Choice:
        """Ids and group names for filters; what cannot be found is added to `problems`."""
        found: dict[str, set[str]] = {"device": set(), "flow": set(), "group": set()}
        known = {"device": self._devices, "flow": self._flows, "group": self._groups}
        for by, text in filters:
            note = partial(_problem, f"{flag} {by}={text}")
            if by not in known:
                problems.append(note("filters are device=, flow= and group="))
                continue
            matches = known[by].get(text) or known[by].get(text.lower(), set())
            match len(matches):
                case 1:
                    found[by] |= matches
                case 0:
                    near = get_close_matches(text, sorted(known[by]), n=3)
                    hint = f"nearest: {', '.join(near)}" if near else None
                    problems.append(note(f"there is no such {by}", hint))
                case number:
                    problems.append(note(f"{number} {by}s have that name", f"name one by id: {_some(matches)}"))
        return Choice(*(frozenset(found[by]) for by in ("device", "flow", "group")))


def _by_name(ids: Iterable[str], names: Mapping[str, str]) -> dict[str, set[str]]:
    """What a text may stand for: an id for itself, a name for everything that has it. An id wins over a name."""
    by_name: dict[str, set[str]] = {}
    for one_id, name in names.items():
        by_name.setdefault(name, set()).add(one_id)
    return by_name | {one_id: {one_id} for one_id in ids}


def _some(ids: set[str], most: int = 5) -> str:
    more = f" and {len(ids) - most} more" if len(ids) > most else ""
    return ", ".join(sorted(ids)[:most]) + more


def _problem(subject: str, message: str, hint: str | None = None) -> Problem:
    return Problem(f"{subject}: {message}", hint=hint)
