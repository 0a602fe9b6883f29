"""`extends`: a document on a base. Maps merge, `pins` and `protect` add up, a `select` is replaced whole."""

from __future__ import annotations

from reconciler.manifest.document import GroupLayer, Layer, LimitRules
from reconciler.model.rules import DeviceRules, FlowRule


def extend(base: Layer, child: Layer) -> Layer:
    """What a document says together with its base; where both speak, the document wins."""
    return Layer(
        place=child.place,
        application=child.application,
        kind=child.kind or base.kind,
        prune=child.prune or base.prune,
        aliases={**base.aliases, **child.aliases},
        groups=_merged_groups(base, child),
        devices=_merged_devices(base, child),
        pins=base.pins + child.pins,
        protect=base.protect + child.protect,
        limits=_merged_limits(base.limits, child.limits),
        sources=tuple(sorted({*base.sources, *child.sources})),
    )


def _merged_groups(base: Layer, child: Layer) -> dict[str, GroupLayer]:
    groups = dict(base.groups)
    for name, group in child.groups.items():
        if name in groups:
            below = groups[name]
            groups[name] = GroupLayer(
                name,
                group.place,
                group.select or below.select,
                _merged_flows(below.flows, group.flows),
                below.priority if group.priority is None else group.priority,
                below.salt if group.salt is None else group.salt,
            )
        else:
            groups[name] = group
    return groups


def _merged_devices(base: Layer, child: Layer) -> dict[str, DeviceRules]:
    devices = dict(base.devices)
    for text, rules in child.devices.items():
        below = devices[text].flows if text in devices else ()
        devices[text] = DeviceRules(rules.device, _merged_flows(below, rules.flows))
    return devices


def _merged_flows(below: tuple[FlowRule, ...], above: tuple[FlowRule, ...]) -> tuple[FlowRule, ...]:
    return tuple({rule.flow.text: rule for rule in (*below, *above)}.values())


def _merged_limits(base: LimitRules | None, child: LimitRules | None) -> LimitRules | None:
    if base is None or child is None:
        return child or base
    return LimitRules(child.place, {**base.given, **child.given})
