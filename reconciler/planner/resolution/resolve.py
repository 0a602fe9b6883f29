"""Resolves rules and an inventory to desired rows: which rule decides each row, and what it overrides.

Precedence for a row: pin, then `devices`, then the group with the highest priority. Different versions at the deciding
level are an error that gives both places.

A fleet has few distinct sets of deciding groups, so devices are distinguished by a bit mask of their groups and share
one mapping of decisions per mask. So each of 100,000 devices takes only a few operations, here and in the planner.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from datetime import date
from typing import NamedTuple, TypeAlias

from reconciler.errors import Problem
from reconciler.model.plan import EmptyGroup, Protected, Warning
from reconciler.model.rollout import Rollout
from reconciler.model.rules import FlowRule, Group, Pin, Rules, Selector
from reconciler.model.state import NO_ITEMS, Decision, Desired, DeviceId, FlowId, Place, by_id
from reconciler.model.text import and_more
from reconciler.planner.resolution.names import Inventory, Names
from reconciler.planner.resolution.rule_warnings import expired_pins, idle_policies, skipped_files
from reconciler.planner.resolution.selector import Selection, asks

Decisions: TypeAlias = Mapping[FlowId, Decision]

_PIN = (2, 0)
_DEVICE = (1, 0)


class Vote(NamedTuple):
    """The version that one rule gives to one flow. The highest level decides."""

    level: tuple[int, int]
    flow_id: FlowId
    decision: Decision
    flow_text: str


class Resolution(NamedTuple):
    """The result of resolving rules. If there are `problems`, nothing else may be used.

    `flows`: those that some rule gives a version or `absent`, whether or not it selects a device. `written`: devices
    that a rule names, with the place; their existence has yet to be checked. `unknown`: names of devices that did not
    resolve. `excluded_devices`: excluded names that match no device. `forgivable`: ids and names of devices that may
    have been deleted, see `Names.former`. `rollouts`: the groups with a policy. `empty_groups`: groups that select
    nothing, with their flows.
    """

    desired: Desired
    protected: tuple[Protected, ...] = ()
    warnings: tuple[Warning, ...] = ()
    problems: tuple[Problem, ...] = ()
    aliases: Mapping[str, FlowId] = NO_ITEMS
    flows: frozenset[FlowId] = frozenset()
    written: Mapping[DeviceId, Place] = NO_ITEMS
    unknown: frozenset[str] = frozenset()
    excluded_devices: frozenset[str] = frozenset()
    forgivable: frozenset[str] = frozenset()
    rollouts: tuple[Rollout, ...] = ()
    empty_groups: Mapping[EmptyGroup, frozenset[FlowId]] = NO_ITEMS


def resolve(rules: Rules, inventory: Inventory, *, today: date, excluded_devices: Collection[str] = ()) -> Resolution:
    """Resolve rules. Pure: `inventory` must contain what `needs_of` returned; `today` is the UTC date.

    `excluded_devices`: references to devices that may be unknown (`--exclude device=`), whose rows are then skipped.
    """
    return _Resolver(rules, inventory, today, excluded_devices).run()


def decide(votes: Sequence[Vote]) -> tuple[Decisions, list[tuple[Vote, Vote]]]:
    """Decide the rows of one device, and return conflicting pairs of votes. `votes`: highest level first."""
    alone = {vote.flow_id: vote.decision for vote in votes}
    if len(alone) == len(votes):  # the common case, where many devices are named
        return alone, []
    ranked: dict[FlowId, list[Vote]] = {}
    for vote in votes:
        ranked.setdefault(vote.flow_id, []).append(vote)
    decisions: dict[FlowId, Decision] = {}
    conflicts: list[tuple[Vote, Vote]] = []
    for flow_id, (top, *rest) in ranked.items():
        decisions[flow_id] = top.decision
        if not rest:
            continue
        version = top.decision.version
        conflicts += [(top, vote) for vote in rest if vote.level == top.level and vote.decision.version != version]
        if below := tuple(vote.decision for vote in rest if vote.level < top.level):
            decisions[flow_id] = top.decision._replace(overrides=below)
    return decisions, conflicts


class _Resolver:
    """One run of the resolution. Groups are sorted by priority, highest first, and so are the bits of a mask."""

    def __init__(self, rules: Rules, inventory: Inventory, today: date, excluded_devices: Collection[str]) -> None:
        self.rules = rules
        self.inventory = inventory
        self.names = Names(rules.aliases, inventory, excluded_devices)
        self.selection = Selection(inventory, self.names)
        self.written: dict[DeviceId, Place] = {}
        self.flows: set[FlowId] = set()
        self.warnings = [*skipped_files(rules), *expired_pins(rules, today), *idle_policies(rules)]
        self.problems: list[Problem] = []
        self.empty_groups: dict[EmptyGroup, frozenset[FlowId]] = {}
        self.conflicts: dict[tuple[Vote, Vote], list[DeviceId]] = defaultdict(list)
        self.groups = sorted(rules.groups, key=lambda group: (-group.priority, group.name))
        self.group_votes = [self.votes((0, one.priority), one.flows, f"group {one.name}") for one in self.groups]

    def run(self) -> Resolution:
        masks = self.masks()
        own, pins = self.device_votes(), self.pins()
        decided = self.decide_special(masks, own, pins)
        shared = {one: mask for one, mask in masks.items() if one not in decided} if decided else masks
        decided.update(self.decide_shared(shared))
        protected = tuple(self.protections())
        desired = Desired(by_id(decided))
        rollouts = self.rollouts(desired) if self.rules.policies_in_use else ()
        problems = [*self.names.problems(), *self.problems, *itertools.starmap(self.conflict, self.conflicts.items())]
        return Resolution(
            desired=desired,
            protected=protected,
            warnings=tuple(sorted([*self.warnings, *self.names.warnings], key=lambda warning: warning.sort_key)),
            problems=tuple(sorted(problems, key=lambda problem: problem.sort_key)),
            # An unused alias declares nothing, so its flow need not be known.
            aliases={alias: known for alias in self.rules.aliases if (known := self.names.known_flow(alias))},
            flows=frozenset(self.flows),
            written={**self.selection.written, **self.written},
            unknown=self.names.unknown_devices(),
            excluded_devices=frozenset(self.names.excluded_devices),
            forgivable=frozenset(self.names.forgivable),
            rollouts=rollouts,
            empty_groups=self.empty_groups,
        )

    def rollouts(self, desired: Desired) -> tuple[Rollout, ...]:
        """The rollouts of the groups with a policy."""
        from reconciler.planner.rollout.waves import rollouts_of  # noqa: PLC0415 - most plans have no rollouts

        def members(selector: Selector, salt: str, among: Set[DeviceId]) -> Set[DeviceId]:
            return self.selection.members(selector, salt, among=among)

        return rollouts_of(self.rules.groups, self.rules.policies, desired.devices, self.inventory.devices, members)

    def votes(self, level: tuple[int, int], flows: Iterable[FlowRule], rule: str) -> list[Vote]:
        """The votes of a `flows` mapping, without flows that did not resolve."""
        votes = []
        for ref, version in flows:
            flow_id = self.names.flow(ref)
            if flow_id is not None:
                votes.append(Vote(level, flow_id, Decision(version, ref.place, rule), ref.text))
                self.flows.add(flow_id)
        return votes

    def masks(self) -> dict[DeviceId, int]:
        """Each selected device with its set of groups, as a bit mask; groups by tags are told by the kind of tags."""
        of_kind: dict[int, int] = {}
        of_device: dict[DeviceId, int] = {}
        for index, group in enumerate(self.groups):
            bit, kinds = 1 << index, self.selection.kinds(group.select)
            if kinds is not None:
                of_kind.update({kind: of_kind.get(kind, 0) | bit for kind in kinds})
            elif members := self.selection.members(group.select, group.effective_salt):
                of_device.update({one: of_device.get(one, 0) | bit for one in members})
            if not (members if kinds is None else kinds):
                self.note_empty(group, index)
        if not of_kind:
            return of_device
        devices, own = self.inventory.devices, of_device.get
        masks = {
            device_id: mask
            for device_id, device in devices.items()
            if (mask := of_kind.get(id(device.tags), 0) | (own(device_id, 0) if of_device else 0))
        }
        masks.update({one: mask for one, mask in of_device.items() if one not in devices})
        return masks

    def note_empty(self, group: Group, index: int) -> None:
        """A group without devices: a warning where that may be chance, or Losant's answer; else it is to be judged."""
        nothing = self.selection.nothing(group.select, group.effective_salt)
        is_excluded = not self.names.excluded_devices.isdisjoint(ref.text for ref in group.select.devices or ())
        if group.may_be_empty and nothing:
            return
        if nothing and not asks(group.select) and not is_excluded:
            nearest = f"{nothing.nearest}; " if nothing.nearest else ""
            hint = f"{nearest}if it may be empty, add `may_be_empty: true` to the group"
            message = f'group "{group.name}" selects nothing: {nothing.reason}'
            empty = EmptyGroup(group.name, group.select.place, message, hint)
            self.empty_groups[empty] = frozenset(vote.flow_id for vote in self.group_votes[index])
            return
        hint = "check its query" if nothing else "a small percentage of few devices may be none"
        hint = "what it names is left out by --exclude" if is_excluded else hint
        self.warnings.append(Warning(f'group "{group.name}" selects no device', group.select.place, hint))

    def device_votes(self) -> dict[DeviceId, list[Vote]]:
        own: dict[DeviceId, list[Vote]] = {}
        for device, flows in self.rules.devices:
            device_id = self.names.device(device)
            if device_id is None:
                continue
            if device_id in own:
                first, second = sorted((self.written[device_id], device.place))
                message = f'device "{device.text}" is declared in two places, first at {first}:{first.column}'
                hint = "one uses its name, the other its id; keep one of them"
                self.problems.append(second.problem(message, hint))
                continue
            self.written[device_id] = device.place
            own[device_id] = self.votes(_DEVICE, flows, "device")
        return own

    def pins(self) -> dict[DeviceId, list[tuple[Pin, list[Vote]]]]:
        pins: dict[DeviceId, list[tuple[Pin, list[Vote]]]] = {}
        for pin in sorted(self.rules.pins, key=lambda pin: pin.place):  # of two pins that agree, the first decides
            former = self.names.former(pin.device, "pinned")
            votes = self.votes(_PIN, pin.flows, "pin")
            for device_id in () if former.is_deleted else former.ids:
                self.written.setdefault(device_id, pin.device.place)
                pins.setdefault(device_id, []).append((pin, votes))
        return pins

    def decide_special(
        self,
        masks: Mapping[DeviceId, int],
        own: Mapping[DeviceId, list[Vote]],
        pins: Mapping[DeviceId, list[tuple[Pin, list[Vote]]]],
    ) -> dict[DeviceId, Decisions]:
        """Devices that are named in `devices` or pinned: each is decided individually."""
        decided: dict[DeviceId, Decisions] = {}
        for device_id in own.keys() | pins.keys():
            mask = masks.get(device_id)
            below = [*own.get(device_id, ()), *(self.group_rows(mask) if mask else ())]
            pinned = pins.get(device_id, ())
            decided[device_id], conflicts = decide([*(vote for _, votes in pinned for vote in votes), *below])
            for conflict in conflicts:
                self.conflicts[conflict].append(device_id)
            if pinned:
                self.warn_of_idle(pinned, decide(below)[0])
        return decided

    def decide_shared(self, masks: Mapping[DeviceId, int]) -> dict[DeviceId, Decisions]:
        """Devices that only groups decide: decided once for each set of groups."""
        by_mask: dict[int, Decisions] = {}
        for mask in set(masks.values()):
            by_mask[mask], conflicts = decide(self.group_rows(mask))
            affected = [device_id for device_id, its in masks.items() if its == mask] if conflicts else []
            for conflict in conflicts:
                self.conflicts[conflict] += affected
        if len(by_mask) == 1 and all(by_mask.values()):
            return dict.fromkeys(masks, *by_mask.values())
        return {device_id: decisions for device_id, mask in masks.items() if (decisions := by_mask[mask])}

    def group_rows(self, mask: int) -> list[Vote]:
        return [vote for index, votes in enumerate(self.group_votes) if mask >> index & 1 for vote in votes]

    def warn_of_idle(self, pinned: Iterable[tuple[Pin, list[Vote]]], without: Decisions) -> None:
        for pin, votes in pinned:
            others = [without.get(vote.flow_id) for vote in votes]
            if all(other and other.version == vote.decision.version for other, vote in zip(others, votes, strict=True)):
                message = f'pin for device "{pin.device.text}" changes nothing'
                self.warnings.append(Warning(message, pin.place, "remove it: without it the device gets the same"))

    def protections(self) -> Iterator[Protected]:
        for rule in self.rules.protect:
            # A deleted device stays protected: it may be restored.
            device_ids = self.names.former(rule.device, "protected").ids if rule.device else (None,)
            flow_id = self.names.flow(rule.flow) if rule.flow else None
            if (flow_id is None) == (rule.flow is None):
                for device_id in device_ids:
                    yield Protected(device_id, flow_id, rule.forbid, rule.place)

    def conflict(self, votes: tuple[Vote, Vote], device_ids: list[DeviceId]) -> Problem:
        first, second = sorted(votes, key=lambda vote: vote.decision.place)
        device = self.inventory.devices.get(min(device_ids))
        example = (device.name if device else None) or min(device_ids)
        also = "" if first.flow_text == second.flow_text else f' (which is "{first.flow_text}" too)'
        message = (
            f'flow "{second.flow_text}"{also} on device "{example}"{and_more(len(device_ids) - 1)}: '
            f"{_says(second)}, {_says(first)} at {first.decision.place}:{first.decision.place.column}"
        )
        hint = "give one group a higher `priority`" if first.level[0] == 0 else "keep one of them"
        return second.decision.place.problem(message, hint)


def _says(vote: Vote) -> str:
    rule = {"device": "its entry", "pin": "a pin"}.get(vote.decision.rule, f'group "{vote.decision.group}"')
    return f"{rule} says {vote.decision.version or 'absent'}"
