"""The part of a plan's document that holds its rollouts: each group with a policy, and its resolved rows by wave.

An apply of the saved plan judges the rollouts again by these, so they are read back as they were written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from reconciler.model.rollout import Rollout
from reconciler.model.rules import Budget, Gate, Policy, Ref, Selector, Window
from reconciler.model.state import Count, DeviceId, FlowId, Place, Text, Version
from reconciler.planner.resolution.selector import with_excludes


class SelectorPart(NamedTuple):
    """The keys of a wave's selector, but for `exclude`."""

    place: Place
    devices: tuple[Ref, ...] | None
    tags: Mapping[str, tuple[str, ...]] | None
    all: bool
    percent: Decimal | None


class WavePart(NamedTuple):
    """A wave: its selector, then what that excludes, then what the latter excludes, and so on."""

    select: tuple[SelectorPart, ...]


class PolicyPart(NamedTuple):
    """A policy, complete."""

    name: Text
    place: Place
    waves: tuple[WavePart, ...]
    gate: Gate
    patience_s: Count
    budget: Budget | None
    window: Window | None


class RowsPart(NamedTuple):
    """Devices of a wave on which the group decides the same versions."""

    wave: Count
    flows: Mapping[FlowId, Version | None]
    device_ids: tuple[DeviceId, ...]


class GroupPart(NamedTuple):
    """A group with a policy, resolved."""

    group: Text
    place: Place
    policy: PolicyPart
    up_to: Count | None
    rows: tuple[RowsPart, ...]


class SetPart(NamedTuple):
    """Devices that belong to the same sets of a budget."""

    names: tuple[Text, ...]
    device_ids: tuple[DeviceId, ...]


class SetsPart(NamedTuple):
    """The devices of the application by the values of some tags, for all budgets `by` these."""

    by: tuple[Text, ...]
    devices: tuple[SetPart, ...]


class WavedPart(NamedTuple):
    """The groups with a policy, by name. `sets`: those of their budgets; without `by`, a group is one set."""

    groups: tuple[GroupPart, ...]
    sets: tuple[SetsPart, ...]


def waved_part(rollouts: Sequence[Rollout]) -> WavedPart:
    """The groups as the document holds them."""
    shared = {one.policy.budget.by: one.sets for one in rollouts if one.policy.budget and one.policy.budget.by}
    return WavedPart(
        groups=tuple(
            GroupPart(one.group, one.place, _policy_part(one.policy), one.up_to, tuple(_rows_parts(one)))
            for one in rollouts
        ),
        sets=tuple(SetsPart(by, _set_parts(sets)) for by, sets in sorted(shared.items())),
    )


def _policy_part(policy: Policy) -> PolicyPart:
    waves = tuple(WavePart(tuple(map(_selector_part, with_excludes(wave.select)))) for wave in policy.waves)
    return PolicyPart(policy.name, policy.place, waves, policy.gate, policy.patience_s, policy.budget, policy.window)


def _selector_part(selector: Selector) -> SelectorPart:
    return SelectorPart(selector.place, selector.devices, selector.tags, selector.all, selector.percent)


def _rows_parts(rollout: Rollout) -> Iterator[RowsPart]:
    alike: dict[tuple[int, int], list[DeviceId]] = defaultdict(list)  # by wave and identity: most devices share rows
    kinds: dict[int, Mapping[FlowId, Version | None]] = {}
    for device_id, rows in rollout.rows.items():
        kinds[id(rows)] = rows
        alike[rollout.waves[device_id], id(rows)].append(device_id)
    equal: dict[tuple[int, tuple[tuple[FlowId, Version | None], ...]], list[DeviceId]] = defaultdict(list)
    for (wave, kind), device_ids in alike.items():
        equal[wave, tuple(sorted(kinds[kind].items()))] += device_ids
    for (wave, flows), device_ids in sorted(equal.items(), key=lambda one: (one[0][0], min(one[1]))):
        yield RowsPart(wave, dict(flows), tuple(sorted(device_ids)))


def _set_parts(sets: Mapping[DeviceId, tuple[str, ...]]) -> tuple[SetPart, ...]:
    members: dict[tuple[str, ...], list[DeviceId]] = defaultdict(list)
    for device_id, names in sets.items():
        members[names].append(device_id)
    return tuple(SetPart(names, tuple(sorted(device_ids))) for names, device_ids in sorted(members.items()))
