"""What `diff` says of rollouts: which policies changed, which groups name another one, and what became looser.

A policy that no group names has no meaning here. Groups of two sides are the same if they have the same name or, where
no group has it any more, the same selector.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from reconciler.manifest.comparing.loosening import KEYS, is_looser, policy_text
from reconciler.model.plan import Warning
from reconciler.model.rules import Difference, FlowRule, Group, GroupRollout, Policy, Rules
from reconciler.model.state import Kind
from reconciler.planner.resolution.selector import selector_text

_LOOSER = "_looser"


class _Guard(NamedTuple):
    """The rollout of a group with its policy."""

    rollout: GroupRollout
    policy: Policy

    @property
    def text(self) -> str:
        up_to = self.rollout.up_to
        return self.policy.name if up_to is None else f"{self.policy.name} up to wave {up_to}"

    @property
    def last_open(self) -> int:
        """The last wave that may open."""
        last = len(self.policy.waves) + 1
        return last if self.rollout.up_to is None else min(self.rollout.up_to, last)

    @property
    def opens_all(self) -> bool:
        return self.last_open > len(self.policy.waves)


class Rollouts:
    """The rollouts of two sides of a comparison of one application and kind."""

    def __init__(self, key: tuple[str, Kind], before: Rules | None, after: Rules | None) -> None:
        self._key = key
        self._before, self._after = _guards(before), _guards(after)
        self._same = _same_groups(before.groups if before else (), after.groups if after else ())

    def __bool__(self) -> bool:
        """Whether a group of either side has a rollout."""
        return bool(self._before or self._after)

    def differences(self) -> Iterator[Difference]:
        """The differences in policies, and in what groups say of them."""
        before, after = ({one.policy.name: one.policy for one in side.values()} for side in (self._before, self._after))
        for name in before.keys() | after.keys():
            yield from self._of_policy(name, before.get(name), after.get(name))
        for old, new in self._same.items():
            yield from self._of_group(f"group {new}", None, self._before.get(old), self._after.get(new))

    def of_row(self, subject: str, flow: str, old: str | None, new: str | None) -> Iterator[Difference]:
        """The difference for a row, by the groups that decide it; none if they are the same group, which is told."""
        if old is None or new is None or self._same.get(old) != new:
            guards = self._before.get(old or ""), self._after.get(new or "")
            yield from self._of_group(subject, flow, *guards)

    def _of_policy(self, name: str, old: Policy | None, new: Policy | None) -> Iterator[Difference]:
        if old and new:
            for key, (text, looser) in KEYS.items():
                if (before := text(old)) != (after := text(new)):
                    what = f"policy{_LOOSER if looser(old, new) else ''}"
                    yield Difference(*self._key, what, f"{name} {key}", None, before, after, new.place)
        elif one := old or new:
            whole = Difference(*self._key, "policy", name, None, None, None, one.place)
            yield whole._replace(before=policy_text(one)) if old else whole._replace(after=policy_text(one))

    def _of_group(self, subject: str, flow: str | None, old: _Guard | None, new: _Guard | None) -> Iterator[Difference]:
        before, after = old and old.text, new and new.text
        if before != after:
            what = f"rollout{_LOOSER if _is_looser(old, new) else ''}"
            place = (guard := new or old) and guard.rollout.place
            yield Difference(*self._key, what, subject, flow, before, after, place)


def _guards(rules: Rules | None) -> dict[str, _Guard]:
    groups = rules.groups if rules else ()
    policies = rules.policies if rules else {}
    return {one.name: _Guard(one.rollout, policies[one.rollout.policy]) for one in groups if one.rollout}


def _is_looser(old: _Guard | None, new: _Guard | None) -> bool:
    if old is None or new is None:
        return old is not None
    more = new.last_open > old.last_open and not old.opens_all
    return more or (new.opens_all and not old.opens_all) or is_looser(old.policy, new.policy)


def _same_groups(before: Iterable[Group], after: Iterable[Group]) -> dict[str, str]:
    """The name on the new side of each group that is on both."""
    old, new = ({one.name: one for one in side} for side in (before, after))
    same = {name: name for name in old if name in new}
    free = {_meaning(one): name for name, one in new.items() if name not in old}
    same |= {name: free.pop(text) for name, one in old.items() if name not in new and (text := _meaning(one)) in free}
    return same


def _meaning(group: Group) -> str:
    return selector_text(group.select, group.salt)


def stale_approvals(base: Iterable[Rules], head: Iterable[Rules]) -> Iterator[Warning]:
    """Targets that changed in groups whose `up_to` is above 1: it was an approval of the former version."""
    before = {(one.application.id, one.kind): one for one in base}
    for rules in head:
        if (old := before.get((rules.application.id, rules.kind))) is not None:
            same = {new: name for name, new in _same_groups(old.groups, rules.groups).items()}
            former = {one.name: one for one in old.groups}
            for group in rules.groups:
                if group.name in same:
                    yield from _stale(_targets(former[same[group.name]], old), group, rules)


def _stale(former: Mapping[str, str], group: Group, rules: Rules) -> Iterator[Warning]:
    rollout = group.rollout
    if rollout is None or rollout.up_to is None or rollout.up_to <= 1:
        return
    for rule in group.flows:
        flow, version = _target(rule, rules)
        if former.get(flow) != version:
            message = f'in group "{group.name}", {version} of {rule.flow.text} is approved up to wave {rollout.up_to}'
            hint = "its target changed: lower `up_to` to 1 to approve the waves of the new one, each by itself"
            yield Warning(message, rollout.place, hint)


def _targets(group: Group, rules: Rules) -> dict[str, str]:
    return dict(_target(rule, rules) for rule in group.flows)


def _target(rule: FlowRule, rules: Rules) -> tuple[str, str]:
    """A flow, without its alias, and its version."""
    return rules.aliases.get(rule.flow.text, rule.flow).text, rule.version or "absent"
