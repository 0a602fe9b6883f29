"""`--target` and `--exclude`: which rows a plan is about.

They choose among rows after resolution, so what a manifest says never depends on them. Targets add up, excludes win.
A row outside keeps what it has, and so stands in the way of every wildcard like any other row that must stay.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from reconciler.errors import Problem, UsageError
from reconciler.model.state import Decision, Desired, DeviceId, FlowId
from reconciler.model.world import Filter, Options, World
from reconciler.planner.resolution.names import Spelling, is_id

SORTS = ("device", "flow", "group")


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


def read_scope(world: World, options: Options, *, elsewhere: Collection[Filter] = ()) -> Scope | None:
    """The scope that the options ask for, None without filters.

    Args:
        world: what filters may name.
        options: the filters.
        elsewhere: those that name something in another application of the same run (`recognised`). Here they need
            not, and then name nothing.

    Raises:
        UsageError: every filter that names nothing known, or a name that several things have.
    """
    if not options.targets and not options.excludes:
        return None
    known = _Known(world)
    problems: list[Problem] = []
    choices = []
    for flag, filters in (("--target", options.targets), ("--exclude", options.excludes)):
        found: dict[str, set[str]] = {by: set() for by in SORTS}
        for one in filters:
            matches = known.matches(one)
            if len(matches) == 1:
                found[one.by] |= matches
            elif matches or not (one in elsewhere or (flag == "--exclude" and _was_dropped(one, world))):
                problems.append(known.problem(flag, one, matches))
        choices.append(Choice(*(frozenset(found[by]) for by in SORTS)))
    if problems:
        raise UsageError(problems)
    targets, excludes = choices
    return Scope(targets if options.targets else None, excludes)


def recognised(world: World, options: Options) -> frozenset[Filter]:
    """The filters that name something in this application: for the others of the same run (see `read_scope`)."""
    filters = {*options.targets, *options.excludes}
    if not filters:
        return frozenset()
    known = _Known(world)
    return frozenset(one for one in filters if known.matches(one))


def _was_dropped(one: Filter, world: World) -> bool:
    """Whether resolution left this device out already, so that nobody asked whether it exists."""
    return one.by == "device" and not world.dropped.isdisjoint({one.text, one.text.lower()})


class _Known:
    """Everything that a filter may name, by id and by name."""

    def __init__(self, world: World) -> None:
        names = {device_id: device.name for device_id, device in world.live.devices.items() if device.name}
        names |= world.device_names
        flow_names = {**world.live.flow_names, **world.flow_names}
        mappings = {id(flows): flows for flows in world.desired.devices.values()}.values()
        flow_ids = {flow_id for device in world.live.devices.values() for flow_id in device.flows}
        flow_ids.update(*mappings, flow_names, world.aliases.values())
        deciding = {decision.group for mapping in mappings for decision in mapping.values() if decision.group}
        self._by: dict[str, dict[str, set[str]]] = {
            "device": _by_name({*world.live.devices, *world.desired.devices, *names}, names),
            "flow": _by_name(flow_ids, flow_names) | {alias: {flow_id} for alias, flow_id in world.aliases.items()},
            "group": {group: {group} for group in deciding | world.groups},
        }

    def matches(self, one: Filter) -> set[str]:
        """Ids, or the group's name. An id may be written in upper case."""
        known, lower = self._by[one.by], one.text.lower()
        return known.get(one.text) or (known.get(lower, set()) if is_id(lower) else set())

    def problem(self, flag: str, one: Filter, matches: Collection[str]) -> Problem:
        """What is wrong with a filter that has no match, or several."""
        subject = f"{flag} {one.by}={one.text}"
        if matches:
            more = f" and {len(matches) - 5} more" if len(matches) > 5 else ""
            hint = f"name one by its id: {', '.join(sorted(matches)[:5])}{more}"
            return Problem(f"{subject}: {len(matches)} {one.by}s have that name", hint=hint)
        near = Spelling(self._by[one.by]).nearest(one.text)
        hint = f"nearest: {', '.join(near)}" if near else "check the spelling"
        where = "in the manifests" if one.by == "group" else "in the manifests or among the deployments"
        return Problem(f"{subject}: there is no such {one.by} {where}", hint=hint)


def _by_name(ids: Iterable[str], names: Mapping[str, str]) -> dict[str, set[str]]:
    """What a text may stand for: an id for itself, a name for everything that has it. An id wins over a name."""
    by_name: dict[str, set[str]] = {}
    for one_id, name in names.items():
        by_name.setdefault(name, set()).add(one_id)
    return by_name | {one_id: {one_id} for one_id in ids}
