"""`--target` and `--exclude`: restrict a plan to some rows.

They filter rows after resolution, so what a manifest means never depends on them. Targets are combined; excludes win.
A row outside the scope is not changed, so it blocks wildcards like any other row that must stay.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from reconciler.errors import Problem, UsageError
from reconciler.model.plan import Warning
from reconciler.model.state import Decision, Desired, DeviceId, FlowId
from reconciler.model.text import is_id
from reconciler.model.world import Filter, Options, World
from reconciler.planner.resolution.names import Spelling

_Known: TypeAlias = Mapping[str, Mapping[str, set[str]]]  # `device`, `flow` or `group` -> text -> what it refers to


class Choice(NamedTuple):
    """The rows that a list of filters selects, by device, flow or group."""

    devices: frozenset[DeviceId] = frozenset()
    flows: frozenset[FlowId] = frozenset()
    groups: frozenset[str] = frozenset()

    def picks(self, device_id: DeviceId, flow_id: FlowId, group: str | None) -> bool:
        """Whether a row is selected; `group` is the group that decided it."""
        return device_id in self.devices or flow_id in self.flows or group in self.groups


class Scope(NamedTuple):
    """The rows that a plan covers: all, or those that the filters select.

    `desired`: the declared rows in scope. `targets` None means all rows. `is_partial`: there are filters, even if those
    for other applications match nothing here. `warnings`: excluded devices that do not exist any more.
    """

    desired: Desired
    targets: Choice | None = None
    excludes: Choice = Choice()
    is_partial: bool = False
    warnings: tuple[Warning, ...] = ()

    def holds(self, device_id: DeviceId, flow_id: FlowId, group: str | None = None) -> bool:
        """Whether a row is in scope; `group` is None if no group decided the row."""
        targeted = self.targets is None or self.targets.picks(device_id, flow_id, group)
        return targeted and not self.excludes.picks(device_id, flow_id, group)

    def holds_group(self, group: str, flows: frozenset[FlowId]) -> bool:
        """Whether rows that a group would decide, if it selected devices, were in scope."""
        targets, excludes = self.targets, self.excludes
        targeted = targets is None or group in targets.groups or not flows.isdisjoint(targets.flows)
        return targeted and group not in excludes.groups and not flows <= excludes.flows

    def narrowed(self) -> Scope:
        """The scope with `desired` filtered. Devices that shared a mapping of decisions still share one."""
        shared: dict[tuple[int, bool, bool], Mapping[FlowId, Decision]] = {}
        kept = {}
        for device_id, flows in self.desired.devices.items():
            targeted = self.targets is not None and device_id in self.targets.devices
            key = (id(flows), targeted, device_id in self.excludes.devices)
            if key not in shared:
                shared[key] = {one: to for one, to in flows.items() if self.holds(device_id, one, to.group)}
            if shared[key]:
                kept[device_id] = shared[key]
        return self._replace(desired=Desired(kept))


def scopes_of(worlds: Sequence[World], options: Options) -> tuple[Scope, ...]:
    """The scope that the options give in each application of a run.

    A filter must match something in at least one of them.

    Raises:
        UsageError: filters that match nothing, or names that are ambiguous; lists all of them.
    """
    filters = [*(("--target", one) for one in options.targets), *(("--exclude", one) for one in options.excludes)]
    if not filters or not worlds:
        return tuple(Scope(world.desired) for world in worlds)
    known = [_known(world) for world in worlds]
    found = [{one: _matches(one, names) for _, one in filters} for names in known]
    problems: list[Problem] = []
    deleted: list[Warning] = []
    for flag, one in filters:
        matched = [(names, matches[one]) for names, matches in zip(known, found, strict=True) if matches[one]]
        if not matched and not (flag == "--exclude" and any(_is_excused(one, world) for world in worlds)):
            if flag == "--exclude" and (warning := _was_deleted(one, worlds)):
                deleted.append(warning)
            else:
                problems.append(_problem(flag, one, known[0], ()))
        problems += [_problem(flag, one, names, matches) for names, matches in matched if len(matches) > 1]
    if problems:
        raise UsageError(problems)
    scopes = []
    for world, matches in zip(worlds, found, strict=True):
        targets = _choice(options.targets, matches) if options.targets else None
        excludes = _choice(options.excludes, matches)
        scopes.append(Scope(world.desired, targets, excludes, is_partial=True).narrowed())
    scopes[0] = scopes[0]._replace(warnings=tuple(deleted))  # told once
    return tuple(scopes)


def _was_deleted(one: Filter, worlds: Iterable[World]) -> Warning | None:
    """The warning for an `--exclude device=` that matches nothing, but may once have matched; None for another."""
    if one.by == "device" and (is_id(one.text) or any(one.text in world.deleted_names for world in worlds)):
        what = "does not exist: it was deleted, or its id is misspelt" if is_id(one.text) else "was deleted"
        return Warning(f"the excluded device {one.text} {what}", hint=f"leave out --exclude device={one.text}")
    return None


def _choice(filters: Iterable[Filter], matches: Mapping[Filter, Collection[str]]) -> Choice:
    sorts = ("device", "flow", "group")
    return Choice(*(frozenset(match for one in filters if one.by == by for match in matches[one]) for by in sorts))


def _is_excused(one: Filter, world: World) -> bool:
    """Whether resolution skipped the device of an `--exclude`, so that its existence was never checked."""
    return one.by == "device" and not world.excluded_devices.isdisjoint({one.text, one.text.lower()})


def _known(world: World) -> _Known:
    """Everything that a filter may refer to, by id and by name."""
    names = {device_id: device.name for device_id, device in world.live.devices.items() if device.name}
    names |= world.device_names
    flow_names = {**world.live.flow_names, **world.flow_names}
    mappings = {id(flows): flows for flows in world.desired.devices.values()}.values()
    flow_ids = {flow_id for device in world.live.devices.values() for flow_id in device.flows}
    flow_ids.update(*mappings, flow_names, world.aliases.values())
    deciding = {decision.group for mapping in mappings for decision in mapping.values() if decision.group}
    return {
        "device": _by_name({*world.live.devices, *world.desired.devices, *names}, names),
        "flow": _by_name(flow_ids, flow_names) | {alias: {flow_id} for alias, flow_id in world.aliases.items()},
        "group": {group: {group} for group in deciding | world.groups},
    }


def _by_name(ids: Iterable[str], names: Mapping[str, str]) -> dict[str, set[str]]:
    """What a text may refer to: an id to itself, a name to everything that has it. An id wins over a name."""
    by_name: dict[str, set[str]] = {}
    for one_id, name in names.items():
        by_name.setdefault(name, set()).add(one_id)
    return by_name | {one_id: {one_id} for one_id in ids}


def _matches(one: Filter, known: _Known) -> set[str]:
    """The matching ids, or the group's name. An id may be written in upper case."""
    lower = one.text.lower()
    return known[one.by].get(one.text) or (known[one.by].get(lower, set()) if is_id(lower) else set())


def _problem(flag: str, one: Filter, known: _Known, matches: Collection[str]) -> Problem:
    """The problem of a filter that has no match, or several."""
    subject = f"{flag} {one.by}={one.text}"
    if matches:
        more = f" and {len(matches) - 5} more" if len(matches) > 5 else ""
        hint = f"use one of their ids: {', '.join(sorted(matches)[:5])}{more}"
        return Problem(f"{subject}: {len(matches)} {one.by}s have that name", hint=hint)
    hint = Spelling(known[one.by]).hint(one.text) or "check the spelling"
    where = "in the manifests" if one.by == "group" else "in the manifests or among the deployments"
    return Problem(f"{subject}: there is no such {one.by} {where}", hint=hint)
