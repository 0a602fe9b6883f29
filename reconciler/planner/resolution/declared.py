"""Which versions the rules declare, and what declares each: without devices, by the rules alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reconciler.model.rules import FlowRule, Rules
from reconciler.model.state import FlowId, Version
from reconciler.model.text import is_id
from reconciler.model.versions import Declaration
from reconciler.planner.resolution.names import Names


def declared_versions(rules: Rules, names: Names) -> Mapping[FlowId, Mapping[Version, tuple[Declaration, ...]]]:
    """Each version of each flow, sorted, with what declares it; what does not resolve is recorded in `names`."""
    found: dict[FlowId, dict[Version, set[Declaration]]] = {}
    for rule, flow in _flow_rules(rules):
        if flow.version is None:
            continue
        flow_id = names.flow(flow.flow)
        if flow_id is not None:
            by_version = found.setdefault(flow_id, {})
            by_version.setdefault(flow.version, set()).add(Declaration(rule, flow.flow.place))
    return {
        flow_id: {version: tuple(sorted(versions[version], key=_by_place)) for version in sorted(versions)}
        for flow_id, versions in sorted(found.items())
    }


def names_flow(rules: Rules) -> bool:
    """Whether a flow is given by its Losant name, which only the API knows."""
    return any(not _is_known(flow.flow.text, rules) for _, flow in _flow_rules(rules) if flow.version is not None)


def _by_place(one: Declaration) -> tuple[str, int, int, str]:
    return (*one.place, one.rule)


def _is_known(text: str, rules: Rules) -> bool:
    alias = rules.aliases.get(text)
    return bool(is_id(alias.text if alias else text))


def _flow_rules(rules: Rules) -> Iterator[tuple[str, FlowRule]]:
    for group in rules.groups:
        for flow in group.flows:
            yield f"group {group.name}", flow
    for device in rules.devices:
        for flow in device.flows:
            yield f"device {device.device.text}", flow
    for pin in rules.pins:
        for flow in pin.flows:
            yield f"pin {pin.device.text}", flow
