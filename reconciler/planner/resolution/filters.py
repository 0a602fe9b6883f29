"""`--target` and `--exclude`: which rows a plan is about.

They choose among rows after resolution, so what a manifest says never depends on them. Targets add up, excludes win.
A row outside keeps what it has, and so stands in the way of every wildcard like any other row that must stay.

`scopes_of` looks the filters up, once for each application of a run; its answer is carried from there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from reconciler.errors import Problem, UsageError
from reconciler.model.state import Decision, Desired, DeviceId, FlowId
from reconciler.model.text import is_id
from reconciler.model.world import Filter, Options, World
from reconciler.planner.resolution.names import Spelling

_SORTS = ("device", "flow", "group")


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
    """What a plan is about: everything, or what filters leave of it.

    `desired`: the declared rows in scope. `targets` None means all rows. `is_partial`: there are filters, though those
    for other applications name nothing here.
    """

    desired: Desired
    targets: Choice | None = None
    excludes: Choice = Choice()
    is_partial: bool = False

    def holds(self, device_id: DeviceId, flow_id: FlowId, group: str | None = None) -> bool:
        """Whether a row is in scope; a row that no group decided has none."""
        targeted = self.targets is None or self.targets.names(device_id, flow_id, group)
        return targeted and not self.excludes.names(device_id, flow_id, group)

    def narrowed(self) -> Scope:
        """The scope with its declared rows only. Devices that shared a mapping of decisions share one again."""
        shared: dict[tuple[int, bool, bool], Mapping[FlowId, Decision]] = {}
        kept = {}
        for device_id, flows in self.desired.devices.items():
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
        return replace(self, desired=Desired(kept))


def scopes_of(worlds: Sequence[World], options: Options) -> tuple[Scope, ...]:
    """The scope that the options ask for in each application of a run.

    A filter has to name something in one of them; in the others it may name nothing.

    Raises:
        UsageError: every filter that matches nothing, or whose name several things have.
    """
    filters = [*options.targets, *options.excludes]
    if not filters or not worlds:
        return tuple(Scope(world.desired) for world in worlds)
    known = [_Known(world) for world in worlds]
    found = [{one: each.matches(one) for one in filters} for each in known]
    problems: list[Problem] = []
    for flag, asked in (("--target", options.targets), ("--exclude", options.excludes)):
        for one in asked:
            matched = [(each, matches[one]) for each, matches in zip(known, found, strict=True) if matches[one]]
            if not matched and not (flag == "--exclude" and any(_is_excused(one, world) for world in worlds)):
                problems.append(known[0].problem(flag, one, ()))
            problems += [each.problem(flag, one, matches) for each, matches in matched if len(matches) > 1]
    if problems:
        raise UsageError(problems)
    return tuple(_scope(world, matches, options) for world, matches in zip(worlds, found, strict=True))


def _scope(world: World, matches: Mapping[Filter, Collection[str]], options: Options) -> Scope:
    targets = _choice(options.targets, matches) if options.targets else None
    return Scope(world.desired, targets, _choice(options.excludes, matches), is_partial=True).narrowed()


def _choice(filters: Iterable[Filter], matches: Mapping[Filter, Collection[str]]) -> Choice:
    return Choice(*(frozenset(name for one in filters if one.by == by for name in matches[one]) for by in _SORTS))


def _is_excused(one: Filter, world: World) -> bool:
    """Whether resolution left out the device of an `--exclude`, so that nobody asked whether it exists."""
    return one.by == "device" and not world.excluded_devices.isdisjoint({one.text, one.text.lower()})


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
