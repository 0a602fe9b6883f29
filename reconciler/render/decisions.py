"""Renders decisions: each rule that decides rows, its place, what it overrides, and for which devices."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from reconciler.model.state import Decision, DeviceId, FlowId
from reconciler.model.text import and_more
from reconciler.model.world import World
from reconciler.render.inert import inert, left_out

LISTED = 200  # maximum decisions shown; a device-by-device manifest has one for each row
EXAMPLES = 3  # devices named for one decision


def decisions_text(world: World) -> str:
    """One line for each decision, sorted by flow and place."""
    by_decision, flows = _devices_by_decision(world), _flow_names(world)
    lines = [f"Decisions for {world.application.id} ({world.kind}):"]
    ordered = sorted(by_decision, key=lambda key: (flows.get(key[0], key[0]), key[1].place, key[1].overrides))
    for flow_id, decision in ordered[:LISTED]:
        devices = _some(by_decision[flow_id, decision], world.device_names)
        lines.append(f"  {inert(flows.get(flow_id, flow_id))} {inert(explained(decision))}: {devices}")
    return "\n".join([*lines, *left_out(len(ordered) - LISTED, "decision", indent=2)])


def explained(decision: Decision) -> str:
    """`v1.3.0 by group canary (m.yaml:14), over v1.2.3 by group leeds (m.yaml:11)`."""
    parts = [f"{one.version or 'absent'} by {one.rule} ({one.place})" for one in (decision, *decision.overrides)]
    return ", over ".join(parts)


def _devices_by_decision(world: World) -> Mapping[tuple[FlowId, Decision], list[DeviceId]]:
    """Devices decided by the same rules share a mapping of decisions, so each mapping is processed once."""
    sharing: dict[int, list[DeviceId]] = defaultdict(list)
    for device_id, decisions in world.desired.devices.items():
        sharing[id(decisions)].append(device_id)
    by_decision: dict[tuple[FlowId, Decision], list[DeviceId]] = defaultdict(list)
    for device_ids in sharing.values():
        for flow_id, decision in world.desired.devices[device_ids[0]].items():
            by_decision[flow_id, decision] += device_ids
    return by_decision


def _flow_names(world: World) -> Mapping[FlowId, str]:
    """The name of each flow; of several aliases, the first."""
    return {**world.flow_names, **{flow_id: alias for alias, flow_id in sorted(world.aliases.items(), reverse=True)}}


def _some(device_ids: list[DeviceId], names: Mapping[DeviceId, str]) -> str:
    shown = [inert(names.get(device_id) or device_id) for device_id in sorted(device_ids)[:EXAMPLES]]
    return ", ".join(shown) + and_more(len(device_ids) - len(shown), "")
