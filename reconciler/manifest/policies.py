"""Policies and the groups that name them, before and after `extends` and merging.

A policy is kept as its keys until all documents are known, since a document may change single keys of its base.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any, NamedTuple

from reconciler.errors import Problem
from reconciler.manifest.scalars import NO_ROLLOUT
from reconciler.manifest.tree import shown
from reconciler.model.rules import Budget, Gate, GroupRollout, Policy, Ref, Selector, Wave, Window
from reconciler.model.state import Place
from reconciler.model.text import nearest
from reconciler.planner.resolution.selector import selector_text

_EVERY_DAY = tuple(range(7))


class Value(NamedTuple):
    """The value of a key, and where it stands."""

    place: Place
    value: Any


class PolicyLayer(NamedTuple):
    """The keys of a policy that one document sets, such as `gate.soak`, each as the schema has converted it.

    A map in it (`budget`, `window`) is a key of its own, so that an empty one is noticed.
    """

    name: str
    place: Place
    values: Mapping[str, Value]


class RolloutLayer(NamedTuple):
    """What one document says of a group's rollout.

    `whole`: it is a name or `none` and replaces that of the base, where a map merges with it. `policy` None: `none`, or
    only the base names one. `former`: the policies that its bases named.
    """

    place: Place
    policy: Ref | None = None
    up_to: Value | None = None
    whole: bool = True
    former: frozenset[str] = frozenset()


# --- extends ----------------------------------------------------------------------------------------------------


def policy_on(base: PolicyLayer | None, child: PolicyLayer) -> PolicyLayer:
    """A policy merged with that of the base: key by key, `waves` and lists as a whole."""
    return child if base is None else PolicyLayer(child.name, child.place, {**base.values, **child.values})


def rollout_on(base: RolloutLayer | None, child: RolloutLayer | None) -> RolloutLayer | None:
    """A group's rollout merged with that of the base."""
    if base is None or child is None:
        return child or base
    former = base.former | ({base.policy.text} if base.policy else set())
    if child.whole:
        return child._replace(former=former)
    return child._replace(policy=child.policy or base.policy, up_to=child.up_to or base.up_to, former=former)


# --- one application and kind -----------------------------------------------------------------------------------


class Declared(NamedTuple):
    """The policies of one application and kind: the sound ones, and the names of those that are declared at all.

    `all_known`: no document was refused that might have declared others.
    """

    policies: Mapping[str, Policy]
    names: Collection[str]
    all_known: bool


def declared(
    layers: Mapping[str, PolicyLayer], *, refused: Collection[str], all_known: bool, problems: list[Problem]
) -> Declared:
    """Complete the policies. `refused`: names of those that have problems already, perhaps only in a part."""
    found = {name: _policy(layers[name], problems) for name in sorted(layers) if name not in refused}
    sound = {name: policy for name, policy in found.items() if policy}
    return Declared(sound, {*layers, *refused}, all_known)


def named(groups: Collection[RolloutLayer], policies: Mapping[str, Policy]) -> dict[str, Policy]:
    """Without those policies of a base that every group here has exchanged or lifted: nobody forgot them."""
    used = {one.policy.text for one in groups if one.policy}
    former = frozenset[str]().union(*(one.former for one in groups))
    return {name: policy for name, policy in policies.items() if name in used or name not in former}


def group_rollout(
    group: str, layer: RolloutLayer | None, known: Declared, problems: list[Problem]
) -> GroupRollout | None:
    """The rollout of a group; None without one, or with `none`."""
    if layer is None or (layer.policy is None and layer.whole):
        return None
    if layer.policy is None:
        message = f"the rollout of group {shown(group)} has no `policy`"
        problems.append(layer.place.problem(message, "add `policy`, here or in its base"))
        return None
    name, up_to = layer.policy.text, layer.up_to
    if name not in known.names and known.all_known:
        problems.append(_unknown(layer.policy, known.names))
    policy = known.policies.get(name)
    if policy and up_to and up_to.value > (last := len(policy.waves) + 1):
        message = f"`up_to` is {up_to.value}, but policy {shown(name)} has {last} waves, with the rest as the last"
        problems.append(up_to.place.problem(message, f"write {last} at most, or leave `up_to` out"))
    return GroupRollout(name, layer.place, up_to.value if up_to else None)


def _unknown(policy: Ref, names: Collection[str]) -> Problem:
    near = nearest(policy.text, [*sorted(names), NO_ROLLOUT])
    hint = f"policies: {', '.join(sorted(names))}" if names else "declare it in `rollouts`, or write `none`"
    return policy.place.problem(f"there is no policy {shown(policy.text)}", f"did you mean {near}?" if near else hint)


def _policy(layer: PolicyLayer, problems: list[Problem]) -> Policy | None:
    found = [*_missing(layer), *_contradictions(layer)]
    problems += found
    if found:
        return None
    values = {key: one.value for key, one in layer.values.items()}
    gate = {word: values[f"gate.{key}"] for key, word in _GATE.items() if f"gate.{key}" in values}
    policy = Policy(
        layer.name,
        layer.place,
        values["waves"],
        Gate(**gate),
        budget=_budget(values) if "budget" in values else None,
        window=_window(values) if "window" in values else None,
    )
    return policy._replace(patience_s=values["patience"]) if "patience" in values else policy


_GATE = {"converged": "converged", "soak": "soak_s", "sample": "sample"}
_NEEDED = {"": ("waves",), "budget": ("unavailable",), "window": ("from", "to")}


def _missing(layer: PolicyLayer) -> Iterator[Problem]:
    for part, keys in _NEEDED.items():
        if part and part not in layer.values:
            continue
        for key in keys:
            if (f"{part}.{key}" if part else key) not in layer.values:
                what = f"`{part}` of policy {shown(layer.name)}" if part else f"policy {shown(layer.name)}"
                place = layer.values[part].place if part else layer.place
                yield place.problem(f"{what} has no `{key}`", f"add `{key}`, here or in its base")


def _contradictions(layer: PolicyLayer) -> Iterator[Problem]:
    opens, shuts = layer.values.get("window.from"), layer.values.get("window.to")
    if opens and shuts and opens.value == shuts.value:
        message = f"the window of policy {shown(layer.name)} begins and ends at the same time"
        later = max(opens.place, shuts.place)
        yield later.problem(message, "give it another end; to send at any time, leave `window` out")


def _budget(values: Mapping[str, Any]) -> Budget:
    most = values["budget.unavailable"]
    is_share = isinstance(most, Decimal)
    return Budget(tuple(values.get("budget.by", ())), None if is_share else most, most if is_share else None)


def _window(values: Mapping[str, Any]) -> Window:
    given = values.get("window.days")
    days = tuple(sorted({day for days in given for day in days})) if given else _EVERY_DAY
    return Window(days, values["window.from"], values["window.to"], values.get("window.zone", "UTC"))


# --- waves ------------------------------------------------------------------------------------------------------


def waves_of(selectors: Sequence[Selector], percent_at: Sequence[Place], problems: list[Problem]) -> tuple[Wave, ...]:
    """The waves; reports what cannot be meant, whatever the API has. `percent_at`: the place of each one's percent."""
    shares = [(number, one.percent) for number, one in enumerate(selectors, 1) if one.percent is not None]
    for (former, less), (number, more) in pairwise(shares):
        if more <= less:
            message = f"wave {number} has {more} percent, no more than the {less} of wave {former}"
            hint = "percent must grow: a larger share contains the smaller ones"
            problems.append(percent_at[number - 1].problem(message, hint))
    for number, one in enumerate(selectors, 1):
        taken = [former for former, other in enumerate(selectors[: number - 1], 1) if _takes_all(other, one)]
        if taken and one.percent is None:
            message = f"wave {number} picks no device: wave {taken[0]} has them all"
            problems.append(one.place.problem(message, "remove it, or pick other devices"))
    return tuple(Wave(one.place, one) for one in selectors)


def _takes_all(former: Selector, later: Selector) -> bool:
    """Whether a former wave takes whatever a later one could pick, as far as their texts tell."""
    takes_everything = former.percent == 100 and former._replace(place=later.place) == Selector(
        later.place, percent=former.percent
    )
    return takes_everything or selector_text(former, "") == selector_text(later, "")
