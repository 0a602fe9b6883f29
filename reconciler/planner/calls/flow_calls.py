"""The rows of one flow that move to one version, and the best mix of calls for them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from reconciler.model.changes import FlowDevices
from reconciler.model.requests import Release, RemoveFlow, RemoveRow, Replace, Request
from reconciler.model.state import DeviceId, FlowId, Version
from reconciler.model.text import counted
from reconciler.planner.calls.order import Draft


class Mix(NamedTuple):
    """The number of calls, and how many of them are replaces, starting with the largest cohort."""

    calls: int
    replaces: int


class Saving(NamedTuple):
    """The number of calls if every row were named, the number of calls used, and how many of those are wildcards."""

    named: int
    calls: int
    wildcards: int

    @property
    def text(self) -> str:
        """The saving as text for the reason of each wildcard. It is shared: what one saves depends on the others."""
        saved, others = self.named - self.calls, self.wildcards - 1
        saves = f"saves {counted(saved, 'call')}"
        return f"{saves}, together with {counted(others, 'other wildcard')}" if others > 0 else saves


def best_mix(total: int, sizes: Sequence[int], chunk: int) -> Mix:
    """The fewest calls for `total` rows; at equal count, the fewest replaces.

    `sizes`: the rows that each replace certainly moves, largest first. `chunk`: the most rows one release may name.
    """
    best, rest = Mix(-(-total // chunk), 0), total
    for replaces, size in enumerate(sizes, 1):
        rest -= size
        best = min(best, Mix(replaces + -(-rest // chunk), replaces))
    return best


class FlowCalls(NamedTuple):
    """The changes of one flow to one version (None: removals), and the calls for them. Device ids are sorted.

    `chunk`: the most rows one release may name. `cohorts`: by old version, the rows that an allowed replace certainly
    moves; largest first. `maybe`: how many others it may or may not move. `flow_wide`: the flow may be removed from
    every device. `why_named`: why the devices that no wildcard covers are named. `explicit`: use releases only.
    """

    flow_id: FlowId
    version: Version | None
    device_ids: Sequence[DeviceId]
    chunk: int
    cohorts: Mapping[Version, Sequence[DeviceId]]
    maybe: Mapping[Version, int]
    why_named: str
    flow_wide: bool = False
    explicit: bool = False

    @property
    def mix(self) -> Mix:
        """The best mix of replaces and releases."""
        return best_mix(len(self.device_ids), [len(ids) for ids in self.cohorts.values()], self.chunk)

    @property
    def replaced(self) -> tuple[Version, ...]:
        """The old versions that the best mix replaces."""
        return tuple(self.cohorts)[: self.mix.replaces]

    @property
    def removes_flow(self) -> bool:
        """Whether the flow is removed from every device by one call."""
        return self.flow_wide and self.mix.calls > 1

    @property
    def saving(self) -> Saving:
        """What wildcards save."""
        calls, wildcards = (1, 1) if self.removes_flow else self.mix
        return Saving(best_mix(len(self.device_ids), (), self.chunk).calls, calls, wildcards)

    def without_replace(self, old: Version, why_named: str) -> FlowCalls:
        """The same changes with one of the replaces disallowed."""
        cohorts = {version: ids for version, ids in self.cohorts.items() if version != old}
        return self._replace(cohorts=cohorts, why_named=why_named)

    def without_devices(self, gone: Collection[DeviceId]) -> FlowCalls:
        """The changes without the rows of some devices; a replace may or may not still move those."""
        device_ids = [device_id for device_id in self.device_ids if device_id not in gone]
        cohorts = {old: [one for one in ids if one not in gone] for old, ids in self.cohorts.items()}
        maybe = {old: self.maybe[old] + len(ids) - len(cohorts[old]) for old, ids in self.cohorts.items()}
        return self._replace(device_ids=device_ids, cohorts=largest_first(cohorts), maybe=maybe)

    def drafts(self, saving: str) -> Iterator[Draft]:
        """The calls of the best mix. `saving`: what the wildcards save, as text."""
        if self.removes_flow:
            reason = f"no device is to run the flow ({len(self.device_ids):,} lose it); {saving}"
            yield self._draft(RemoveFlow(self.flow_id), self.device_ids, reason)
            return
        replaced = self.replaced
        for old in replaced:
            ids, maybe = self.cohorts[old], self.maybe[old]
            if maybe:
                sure = f"{len(ids):,} surely, {maybe:,} maybe"
                what = f"every device on {old} is to run {self.version or 'nothing'} ({sure})"
            else:
                what = f"every device on {old} is managed and wants {self.version or 'absent'} ({len(ids):,})"
            yield self._draft(Replace(self.flow_id, old, self.version), sorted(ids), f"{what}; {saving}")
        left: Sequence[DeviceId] = ()
        if sum(len(self.cohorts[old]) for old in replaced) < len(self.device_ids):
            left = sorted(set(self.device_ids).difference(*map(self.cohorts.__getitem__, replaced)))
        for start in range(0, len(left), self.chunk):
            named = tuple(left[start : start + self.chunk])
            request: Request = Release(self.flow_id, self.version, named)
            if self.version is None and len(named) == 1 and not self.explicit:
                request = RemoveRow(self.flow_id, named[0])
            yield self._draft(request, named, f"{counted(len(named), 'device')} by id; {self.why_named}")

    def _draft(self, request: Request, ids: Sequence[DeviceId], reason: str) -> Draft:
        return Draft(request, FlowDevices(self.flow_id, tuple(ids)), reason)


def largest_first(cohorts: Mapping[Version, Sequence[DeviceId]]) -> dict[Version, Sequence[DeviceId]]:
    """Cohorts by size, then version; empty ones left out."""
    order = sorted(cohorts, key=lambda old: (-len(cohorts[old]), old))
    return {old: cohorts[old] for old in order if cohorts[old]}
