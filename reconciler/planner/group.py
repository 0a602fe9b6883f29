"""The rows of one flow that go to one version, and the best mix of calls for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from reconciler.planner.order import Draft
from reconciler.planner.requests import Release, RemoveFlow, RemoveRow, Replace, Request
from reconciler.planner.state import DeviceId, FlowId, Version


class Mix(NamedTuple):
    """How many calls do a group, and how many of them, counted from the largest cohort, are replaces."""

    calls: int
    replaces: int


def releases_for(rows: int, chunk: int) -> int:
    """How many releases name that many rows."""
    return -(-rows // chunk)


def best_mix(total: int, sizes: Sequence[int], chunk: int) -> Mix:
    """The fewest calls for `total` rows, at equal count the fewest replaces.

    Args:
        total: how many rows there are.
        sizes: how many of them each replace is sure to move, largest first.
        chunk: how many rows one release names at most.
    """
    best, rest = Mix(releases_for(total, chunk), 0), total
    for replaces, size in enumerate(sizes, 1):
        rest -= size
        best = min(best, Mix(replaces + releases_for(rest, chunk), replaces))
    return best


@dataclass(frozen=True, slots=True)
class Group:
    """Changes of one flow to one version (None: removals). Device ids are sorted.

    `cohorts`: by old version, the rows that an allowed replace is sure to move; largest first. `flow_wide`: the flow
    may be removed from every device. `hindrance`: why there is no wildcard, or not one more.
    """

    flow_id: FlowId
    version: Version | None
    device_ids: Sequence[DeviceId]
    cohorts: Mapping[Version, Sequence[DeviceId]]
    flow_wide: bool = False
    hindrance: str = ""

    def mix(self, chunk: int) -> Mix:
        """The best mix of replaces and releases."""
        return best_mix(len(self.device_ids), [len(ids) for ids in self.cohorts.values()], chunk)

    def replaced(self, chunk: int) -> tuple[Version, ...]:
        """The old versions that the best mix replaces."""
        return tuple(self.cohorts)[: self.mix(chunk).replaces]

    def without_replace(self, old: Version, hindrance: str) -> Group:
        """The group with one replace fewer to choose from."""
        cohorts = {version: ids for version, ids in self.cohorts.items() if version != old}
        return Group(self.flow_id, self.version, self.device_ids, cohorts, self.flow_wide, hindrance)

    def without_devices(self, gone: frozenset[DeviceId]) -> Group:
        """The group less the rows of some devices."""
        device_ids = [device_id for device_id in self.device_ids if device_id not in gone]
        cohorts = {old: [one for one in ids if one not in gone] for old, ids in self.cohorts.items()}
        return Group(self.flow_id, self.version, device_ids, largest_first(cohorts), self.flow_wide, self.hindrance)

    def drafts(self, chunk: int, *, rows_by_remove: bool) -> Iterator[Draft]:
        """The calls of the best mix; `rows_by_remove`: a single removal is a `remove`, not a release."""
        if self.flow_wide and self.mix(chunk).calls > 1:
            yield self._flow_wide(chunk)
            return
        rest = set(self.device_ids)
        for old in self.replaced(chunk):
            rest.difference_update(self.cohorts[old])
        for old in self.replaced(chunk):
            yield self._replace(old, len(rest), chunk)
        ids = sorted(rest)
        for start in range(0, len(ids), chunk):
            yield self._release(tuple(ids[start : start + chunk]), rows_by_remove=rows_by_remove)

    def _flow_wide(self, chunk: int) -> Draft:
        saved = _saved(self.mix(chunk).calls - 1)
        reason = f"no device is to run the flow ({len(self.device_ids):,} lose it); {saved}"
        return self._draft(RemoveFlow(self.flow_id), self.device_ids, reason)

    def _replace(self, old: Version, rest: int, chunk: int) -> Draft:
        ids = self.cohorts[old]
        saved = _saved(releases_for(rest + len(ids), chunk) - releases_for(rest, chunk) - 1)
        end = "is to lose it" if self.version is None else f"is to run {self.version}"
        return self._draft(
            Replace(self.flow_id, old, self.version),
            sorted(ids),
            f"every device on {old} {end} ({len(ids):,}); {saved}",
        )

    def _release(self, ids: tuple[DeviceId, ...], *, rows_by_remove: bool) -> Draft:
        reason = f"{len(ids):,} device{'' if len(ids) == 1 else 's'} by id; {self.hindrance}"
        request: Request = Release(self.flow_id, self.version, ids)
        if rows_by_remove and self.version is None and len(ids) == 1:
            request = RemoveRow(self.flow_id, ids[0])
        return self._draft(request, ids, reason)

    def _draft(self, request: Request, ids: Sequence[DeviceId], reason: str) -> Draft:
        return Draft(request, tuple((device_id, self.flow_id) for device_id in ids), reason)


def largest_first(cohorts: Mapping[Version, Sequence[DeviceId]]) -> dict[Version, Sequence[DeviceId]]:
    """Cohorts by size, then version; empty ones left out."""
    order = sorted(cohorts, key=lambda old: (-len(cohorts[old]), old))
    return {old: cohorts[old] for old in order if cohorts[old]}


def _saved(calls: int) -> str:
    return f"saves {calls:,} call{'' if calls == 1 else 's'}"
