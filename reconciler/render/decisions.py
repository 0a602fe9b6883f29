"""Renders decisions: each rule that decides rows, its place, what it overrides, and for which devices."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from heapq import nsmallest

from reconciler.model.state import Decision, DeviceId, FlowId
from reconciler.model.text import and_more
from reconciler.model.world import World
from reconciler.render.inert import inert, left_out
from reconciler.render.kinds import by_kind, lines

LISTED = 200  # maximum kinds of decisions shown
EXAMPLES = 3  # devices named for one decision


def decisions_text(world: World) -> str:
    """One line for each kind of decisions, sorted by flow and place.

    A kind is one decision, or those of one file that differ only in their line and decide a single device each.
    """
    by_decision, flows = _devices_by_decision(world), _flow_names(world)
    told = [f"Decisions for {world.application.id} ({world.kind}):"]
    ordered = sorted(by_decision, key=lambda key: (flows.get(key[0], key[0]), key[1].place, key[1].overrides))
    alike = by_kind(ordered, lambda key: (key[0], _kind(key[1])) if len(by_decision[key]) == 1 else key)
    for keys in alike[:LISTED]:
        flow_id, decision = keys[0]
        devices = _some([device_id for key in keys for device_id in by_decision[key]], world.device_names)
        place = lines([one.place for _, one in keys])
        told.append(f"  {inert(flows.get(flow_id, flow_id))} {inert(explained(decision, place))}: {devices}")
    return "\n".join([*told, *left_out(sum(map(len, alike[LISTED:])), "decision", indent=2)])


def _kind(decision: Decision) -> tuple[object, ...]:
    """What decisions on single devices may have in common."""
    return decision.version, decision.rule, decision.place.path, decision.overrides


def explained(decision: Decision, place: str) -> str:
    """`v1.3.0 by group canary (m.yaml:14), over v1.2.3 by group leeds (m.yaml:11)`; `place`: that of the first."""
    parts = [f"{decision.version or 'absent'} by {decision.rule} ({place})"]
    parts += [f"{one.version or 'absent'} by {one.rule} ({one.place})" for one in decision.overrides]
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
    first = nsmallest(EXAMPLES, device_ids, key=lambda device_id: (names.get(device_id) or "", device_id))
    shown = [inert(names.get(device_id) or device_id) for device_id in first]
    return ", ".join(shown) + and_more(len(device_ids) - len(shown), "")
