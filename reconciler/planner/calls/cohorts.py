"""One flow as wildcards see it: which rows hold which version, and where each of them ends.

This is the rule of `reach` for every version of a flow at once, in one pass over the devices.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from reconciler.model.requests import RemoveFlow, Replace
from reconciler.model.state import NOTHING, DeviceId, FlowId, Live, Version
from reconciler.planner.calls.reach import was_read

Moves: TypeAlias = Mapping[DeviceId, Version | None]  # the changes of one flow: device -> new version
Ends: TypeAlias = dict[Version | None, list[DeviceId]]  # where rows end -> the devices


@dataclass(slots=True)
class Cohort:
    """The rows that a `replace` of one old version could reach, devices with an unknown bundle aside.

    `sure`: rows with a change that every reading moves, because released and reported are the old version.
    """

    ends: Ends = field(default_factory=dict)
    sure: list[DeviceId] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class FlowRows:
    """A flow's rows by version, and apart from them those of devices with an unknown bundle.

    `unknown_ends`: where those end. `all_ends`: the versions at which any row of the flow ends.
    """

    flow_id: FlowId
    cohorts: Mapping[Version, Cohort]
    unknown_ends: Ends
    all_ends: frozenset[Version | None]
    live: Live

    def may_replace(self, old: Version, new: Version | None) -> bool:
        """Whether the rule allows that `replace`."""
        ends = self.cohorts[old].ends.keys() | self.unknown_ends.keys()
        return ends <= {new} and was_read(Replace(self.flow_id, old, new), self.live)

    def may_remove(self) -> bool:
        """Whether the rule allows the flow's removal from every device."""
        return self.all_ends <= {None} and was_read(RemoveFlow(self.flow_id), self.live)

    def reached(self, old: Version) -> int:
        """How many rows a `replace` could move."""
        parts = (self.cohorts[old].ends, self.unknown_ends)
        return len({device for ends in parts for devices in ends.values() for device in devices})

    def blockers(self, old: Version, new: Version | None) -> Sequence[tuple[DeviceId, Version | None]]:
        """Devices whose row a `replace` could move and must not, with where it ends; sorted."""
        parts = (self.cohorts[old].ends, self.unknown_ends)
        found = {device: end for ends in parts for end, devices in ends.items() if end != new for device in devices}
        return [(device, found[device]) for device in sorted(found)]


def flow_rows(flow_id: FlowId, moves: Moves, live: Live) -> FlowRows:
    """Sort the rows of a flow, with its changes, by version."""
    cohorts: dict[Version, Cohort] = defaultdict(Cohort)
    unknown_ends: Ends = {}
    for device_id, device in live.devices.items():
        released, reported = device.flows.get(flow_id, NOTHING)
        end = moves.get(device_id, released)
        if device.unknown_bundle:
            unknown_ends.setdefault(end, []).append(device_id)
        elif released is not None and released == reported and device_id in moves:
            cohorts[released].sure.append(device_id)
        for version in filter(None, {released, reported}):
            cohorts[version].ends.setdefault(end, []).append(device_id)
    staying = {end for cohort in cohorts.values() for end in cohort.ends}
    return FlowRows(flow_id, dict(cohorts), unknown_ends, frozenset({*staying, *moves.values()}), live)
