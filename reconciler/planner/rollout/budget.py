"""How many devices that share something may be away at once, such as the two halves of a redundant pair.

A device is away when it is disconnected, or is taking up a release: some flow is not reported as released, without an
error since, and for no longer than `patience`. An error or silence ends that, or a broken half would hold its own fix.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from reconciler.model.log import LATEST, UNDATED, last_error, last_release, unix_time
from reconciler.model.rollout import Rollout, floor_percent
from reconciler.model.rules import Budget
from reconciler.model.state import DeviceId, Live, LiveDevice


class Room(NamedTuple):
    """A set without room: how many of its devices are away, or are sent something now, and how many may be."""

    name: str
    away: tuple[DeviceId, ...]
    allowed: int


class Rooms:
    """The room that is left in the sets of a rollout's budget."""

    def __init__(self, rollout: Rollout, live: Live, now: float | None) -> None:
        self._sets = rollout.sets
        budget = rollout.policy.budget
        sizes = Counter(name for names in self._sets.values() for name in names)
        self._allowed = {name: _allowed(budget, size) for name, size in sizes.items()} if budget else {}
        self._away: dict[str, set[DeviceId]] = {name: set() for name in sizes}
        records = live.devices
        for device_id in self._sets:
            device = records.get(device_id)
            if device is not None and is_away(device, now, rollout.policy.patience_s):
                self.take(device_id)

    def take(self, device_id: DeviceId) -> None:
        """Count a device as away: it is, or it is sent something."""
        for name in self._sets.get(device_id, ()):
            self._away[name].add(device_id)

    def has_room(self, device_id: DeviceId) -> bool:
        """Whether a device may be sent something, as far as its sets go."""
        return not any(True for _ in self._full(device_id))

    def _full(self, device_id: DeviceId) -> Iterator[str]:
        for name in self._sets.get(device_id, ()):
            if len(self._away[name] | {device_id}) > self._allowed[name]:
                yield name

    def without_room(self, device_ids: Iterable[DeviceId]) -> tuple[Room, ...]:
        """The sets that hold these devices back, by name."""
        names = sorted({name for device_id in device_ids for name in self._full(device_id)})
        return tuple(Room(name, tuple(sorted(self._away[name])), self._allowed[name]) for name in names)


def _allowed(budget: Budget, size: int) -> int:
    if budget.count is not None:
        return budget.count
    return max(1, floor_percent(budget.percent, size)) if budget.percent is not None else size


def is_away(device: LiveDevice, now: float | None, patience_s: float) -> bool:
    """Whether a device is disconnected or is taking up a release."""
    if device.connected is False:
        return True
    behind = [flow for flow, entry in device.flows.items() if entry.released != entry.reported or device.unknown_bundle]
    if not behind:
        return False
    lines, instants = device.evidence.lines, device.evidence.instants
    releases = [index for flow_id in behind if (index := last_release(lines, flow_id)) is not None]
    release = max(releases, default=None)
    if last_error(lines, behind, release) is not None:
        return False
    began = away_since(device) if release is None else instants[release]
    return now is None or began == UNDATED or now - began <= patience_s


def away_since(device: LiveDevice) -> float:
    """Since when a device may be away, if its log does not show the release: since its oldest entry or connection."""
    oldest = next((at for at in device.evidence.instants if at > UNDATED), LATEST)
    connection = unix_time(device.connection_time)
    return connection if oldest == LATEST else max(oldest, connection)


def turns(rollout: Rollout, hashes: Mapping[DeviceId, bytes], device_ids: Iterable[DeviceId]) -> list[DeviceId]:
    """Devices in the order in which they take their turns: by wave, then by hash."""
    return sorted(device_ids, key=lambda one: (rollout.waves[one], hashes[one]))
