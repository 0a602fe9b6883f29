"""Merges documents: a document with its base (`extends`), and all documents of one application and kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from reconciler.errors import Problem
from reconciler.manifest.document import GroupLayer, Layer, Placed
from reconciler.manifest.policies import Declared, PolicyLayer, declared, group_rollout, named, policy_on, rollout_on
from reconciler.manifest.tree import shown
from reconciler.model.rules import (
    DEFAULT_LIMITS,
    ApplicationRef,
    DeviceRules,
    FlowRule,
    Group,
    Limits,
    Pin,
    Protection,
    Prune,
    Ref,
    Rules,
)
from reconciler.model.state import Kind, Place

T = TypeVar("T")
Item = TypeVar("Item", Pin, Protection)


# --- extends ----------------------------------------------------------------------------------------------------


def extend(base: Layer, child: Layer) -> Layer:
    """Merge a document with its base: maps merge, `pins` and `protect` are concatenated, a `select` is replaced."""
    limits = child.limits or base.limits
    if base.limits and child.limits:
        limits = Placed(child.limits.place, {**base.limits.value, **child.limits.value})
    return Layer(
        place=child.place,
        application=child.application,
        kind=child.kind or base.kind,
        prune=child.prune or base.prune,
        aliases={**base.aliases, **child.aliases},
        groups={**base.groups, **{name: _group_on(base.groups.get(name), one) for name, one in child.groups.items()}},
        devices={
            **base.devices,
            **{text: _device_on(base.devices.get(text), one) for text, one in child.devices.items()},
        },
        pins=base.pins + child.pins,
        protect=base.protect + child.protect,
        limits=limits,
        policies={
            **base.policies,
            **{name: policy_on(base.policies.get(name), one) for name, one in child.policies.items()},
        },
        refused_policies=_refused((base, child)),
        manifests=tuple(sorted({*base.manifests, *child.manifests})),
    )


def _group_on(base: GroupLayer | None, child: GroupLayer) -> GroupLayer:
    if base is None:
        return child
    return GroupLayer(
        child.name,
        child.place,
        child.select or base.select,
        _flows_on(base.flows, child.flows),
        base.priority if child.priority is None else child.priority,
        base.salt if child.salt is None else child.salt,
        rollout_on(base.rollout, child.rollout),
        may_be_empty=base.may_be_empty if child.may_be_empty is None else child.may_be_empty,
    )


def _device_on(base: DeviceRules | None, child: DeviceRules) -> DeviceRules:
    return DeviceRules(child.device, _flows_on(base.flows if base else (), child.flows))


def _flows_on(base: tuple[FlowRule, ...], child: tuple[FlowRule, ...]) -> tuple[FlowRule, ...]:
    return tuple({rule.flow.text: rule for rule in (*base, *child)}.values())


# --- one application and kind -----------------------------------------------------------------------------------


def merge(layers: Sequence[Layer], problems: list[Problem], *, complete: bool = True) -> Rules:
    """Make one `Rules` from the documents of one application and kind. Problems are appended; valid parts merged.

    `complete`: no other document could be one of them, but was refused.
    """
    layers = sorted(layers, key=lambda layer: layer.place)
    prune = _one("prune", [layer.prune for layer in layers if layer.prune], problems)
    limits = _one("limits", [layer.limits for layer in layers if layer.limits], problems)
    aliases: dict[str, Placed[Ref]] = _joined("alias", [layer.aliases for layer in layers], problems)
    groups: dict[str, GroupLayer] = _joined("group", [layer.groups for layer in layers], problems)
    devices: dict[str, DeviceRules] = _joined("device", [layer.devices for layer in layers], problems)
    policies: dict[str, PolicyLayer] = _joined("policy", [layer.policies for layer in layers], problems)
    refused = _refused(layers)
    known = declared(policies, refused=refused or (), all_known=complete and refused is not None, problems=problems)
    rollouts = [group.rollout for group in groups.values() if group.rollout]
    return Rules(
        application=_application(layers, problems),
        kind=layers[0].kind or Kind.EMBEDDED,
        prune=prune.value if prune else Prune.OFF,
        prune_place=prune.place if prune else None,
        aliases={name: alias.value for name, alias in sorted(aliases.items())},
        groups=tuple(filter(None, (_group(groups[name], known, problems) for name in sorted(groups)))),
        devices=tuple(devices[text] for text in sorted(devices)),
        pins=_distinct(pin for layer in layers for pin in layer.pins),
        protect=_distinct(protection for layer in layers for protection in layer.protect),
        limits=Limits(**limits.value, place=limits.place) if limits else DEFAULT_LIMITS,  # type: ignore[arg-type]
        policies=named(rollouts, known.policies),
        manifests=tuple(sorted({source for layer in layers for source in layer.manifests})),
        roots=tuple(sorted({layer.application.place.path for layer in layers if layer.application})),
    )


def _joined(noun: str, maps: Iterable[Mapping[str, Any]], problems: list[Problem]) -> dict[str, Any]:
    """Merge maps of named items. The same item reached twice is one; different items with one name are a problem."""
    joined: dict[str, Any] = {}
    for items in maps:
        if not joined:
            joined = dict(items)
            continue
        problems += [
            _twice(f"{noun} {shown(name)}", _place(items[name]), _place(joined[name]))
            for name in sorted(items.keys() & joined.keys())
            if items[name] != joined[name]
        ]
        joined = {**items, **joined}
    return joined


def _one(key: str, found: list[Placed[T]], problems: list[Problem]) -> Placed[T] | None:
    hint = "keep it in one document per application and kind"
    problems += [_twice(key, one.place, found[0].place, hint) for one in found if one.place != found[0].place]
    return found[0] if found else None


def _twice(what: str, one: Place, other: Place, hint: str = "keep one of them") -> Problem:
    first, second = sorted((one, other))
    where = f"{first.path}:{first.line}:{first.column}"
    return second.problem(f"{what} is declared in two places, first at {where}", hint)


def _refused(layers: Sequence[Layer]) -> frozenset[str] | None:
    found = [layer.refused_policies for layer in layers]
    return None if None in found else frozenset[str]().union(*filter(None, found))


def _place(item: Placed[Ref] | GroupLayer | DeviceRules | PolicyLayer) -> Place:
    return item.device.place if isinstance(item, DeviceRules) else item.place


def _application(layers: Sequence[Layer], problems: list[Problem]) -> ApplicationRef:
    refs = [layer.application for layer in layers if layer.application]
    named = [ref for ref in refs if ref.name is not None]
    for other in named[1:]:
        if other.name != named[0].name:
            names = f"{shown(other.name or '')} here and {shown(named[0].name or '')} at {named[0].place}"
            message = f"application {other.id} is named {names}"
            problems.append(other.place.problem(message, "keep one name"))
    return (named or refs)[0]


def _group(group: GroupLayer, known: Declared, problems: list[Problem]) -> Group | None:
    for part in ("select", "flows"):
        if not getattr(group, part):
            message = f"group {shown(group.name)} has no `{part}`"
            problems.append(group.place.problem(message, f"add `{part}`, here or in its base"))
    rollout = group_rollout(group.name, group.rollout, known, problems)
    if group.select is None or not group.flows:
        return None
    return Group(
        group.name,
        group.place,
        group.select,
        group.flows,
        group.priority or 0,
        group.salt or "",
        rollout,
        may_be_empty=group.may_be_empty or False,
    )


def _distinct(items: Iterable[Item]) -> tuple[Item, ...]:
    """Items in the order of their places, without duplicates."""
    return tuple(dict.fromkeys(sorted(items, key=lambda item: item.place)))
