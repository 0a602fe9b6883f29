"""Who is in which wave, and who shares a budget. Both depend on the devices alone, so newcomers have a wave, too."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Set
from typing import TypeAlias

from reconciler.model.rollout import Rollout, Rows
from reconciler.model.rules import Budget, Group, Policy, Selector
from reconciler.model.state import Decision, Device, DeviceId, FlowId, Version
from reconciler.planner.resolution.percent import hashes_of, limit_of

Members: TypeAlias = Callable[[Selector, str, Set[DeviceId]], Set[DeviceId]]
"""The devices that a selector picks from some, `percent` hashed with a salt."""


def rollouts_of(
    groups: Iterable[Group],
    policies: Mapping[str, Policy],
    decided: Mapping[DeviceId, Mapping[FlowId, Decision]],
    devices: Mapping[DeviceId, Device],
    members: Members,
) -> tuple[Rollout, ...]:
    """The rollout of each group with a policy, by group name. `devices`: those of the application that were read."""
    rows = rows_by_group(decided)
    found = []
    for group in sorted(groups, key=lambda group: group.name):
        if group.rollout is None:
            continue
        policy, mine = policies[group.rollout.policy], rows.get(group.name, {})
        waves = _waves(policy, mine, len(group.flows), members)
        sets = sets_of(policy.budget, mine, devices) if policy.budget else {}
        found.append(Rollout(group.name, group.rollout.place, policy, group.rollout.up_to, mine, waves, sets))
    return tuple(found)


def rows_by_group(decided: Mapping[DeviceId, Mapping[FlowId, Decision]]) -> dict[str, dict[DeviceId, Rows]]:
    """The rows that each group decides. Devices that shared a mapping of decisions still share one."""
    shared: dict[int, list[tuple[dict[DeviceId, Rows], Rows]]] = {}
    found: dict[str, dict[DeviceId, Rows]] = defaultdict(dict)
    for device_id, decisions in decided.items():
        parts = shared.get(id(decisions))
        if parts is None:
            parts = shared[id(decisions)] = [(found[group], rows) for group, rows in _by_group(decisions).items()]
        for of_group, rows in parts:
            of_group[device_id] = rows
    return found


def _by_group(decisions: Mapping[FlowId, Decision]) -> dict[str, Rows]:
    found: dict[str, dict[FlowId, Version | None]] = defaultdict(dict)
    for flow_id, decision in decisions.items():
        if decision.group is not None:
            found[decision.group][flow_id] = decision.version
    return dict(found)


def _waves(policy: Policy, rows: Mapping[DeviceId, Rows], flows: int, members: Members) -> dict[DeviceId, int]:
    """The first wave that picks a device, else the last one, which is the rest."""
    numbers = dict.fromkeys(rows, len(policy.waves) + 1)
    limits = [None if (share := wave.select.percent) is None else limit_of(share) for wave in policy.waves]
    highest = max([limit for limit in limits if limit is not None], default=None)
    hashed = {} if highest is None else hashes_of(rows, policy.salt, below=highest)
    left = set(rows)
    for number, (wave, limit) in enumerate(zip(policy.waves, limits, strict=True), 1):
        others = wave.select._replace(percent=None)
        picked = left if others == Selector(others.place) else members(others, policy.salt, left)
        if limit is not None:
            below = {one for one, own in hashed.items() if own < limit and one in picked}
            picked = below | _first(picked, below, policy.salt, lambda one: len(rows[one]) == flows)
        numbers.update(dict.fromkeys(picked, number))
        left -= picked
    return numbers


def _first(
    picked: Set[DeviceId], below: Set[DeviceId], salt: str, is_whole: Callable[[DeviceId], bool]
) -> Set[DeviceId]:
    """Whom a wave has whatever its share: the first device that the group decides as a whole, else the first."""
    if any(map(is_whole, below)):
        return set()
    whole = set(filter(is_whole, picked)) or picked
    hashed = hashes_of(whole, salt)
    return set(sorted(hashed, key=hashed.__getitem__)[:1])


def sets_of(
    budget: Budget, rows: Iterable[DeviceId], devices: Mapping[DeviceId, Device]
) -> dict[DeviceId, tuple[str, ...]]:
    """The sets of each device: one for each combination of the values of its tags; "" for those without any."""
    if not budget.by:
        return dict.fromkeys(rows, ("",))
    shared: dict[tuple[tuple[str, ...], ...], tuple[str, ...]] = {}
    found = {}
    for device_id, device in devices.items():
        values = tuple(device.tags.get(key, ()) for key in budget.by)
        if values not in shared:
            shared[values] = _combined(budget.by, values)
        found[device_id] = shared[values]
    return found


def _combined(keys: tuple[str, ...], values: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    names = [""]
    for key, some in zip(keys, values, strict=True):
        parts = [f"{key}={value}" for value in dict.fromkeys(some)] or [f"no {key}"]
        names = [f"{name}, {part}" if name else part for name in names for part in parts]
    return tuple(names)
