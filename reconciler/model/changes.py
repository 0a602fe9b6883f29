"""What differs: rows whose released version must move, and the other rows that a reviewer must know about.

A fleet has hundreds of thousands of rows and few kinds of them. So changes are held once for all devices whose rows
move alike (`Changes`); whoever needs them one by one iterates.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import cached_property
from itertools import chain, repeat
from typing import Any, NamedTuple, TypeVar, overload

from reconciler.model.state import Decision, Desired, DeviceId, FlowId, Live, Place, Row, Version, by_id

Mark = TypeVar("Mark", bound=Hashable)


class Op(StrEnum):
    """The operation on a row."""

    ADD = "add"
    UPDATE = "update"
    REMOVE = "remove"


def op_of(from_version: Version | None, to_version: Version | None) -> Op:
    """`add` when nothing is released, `remove` when nothing shall be, else `update`."""
    if from_version is None:
        return Op.ADD
    return Op.REMOVE if to_version is None else Op.UPDATE


class Move(NamedTuple):
    """What happens to a row, whatever its device."""

    flow_id: FlowId
    from_version: Version | None
    to_version: Version | None
    reported: Version | None

    @property
    def op(self) -> Op:
        """What happens."""
        return op_of(self.from_version, self.to_version)


class Change(NamedTuple):
    """A row whose released version must change. Sorts by device, then flow."""

    device_id: DeviceId
    flow_id: FlowId
    from_version: Version | None
    to_version: Version | None
    reported: Version | None
    source: Place

    @property
    def op(self) -> Op:
        """What happens to the row."""
        return op_of(self.from_version, self.to_version)

    @property
    def row(self) -> Row:
        """The row's key."""
        return (self.device_id, self.flow_id)


class Changes(Sequence[Change]):
    """Changes, sorted by device, then flow.

    `cohorts`: what happens to a device, its moves sorted by flow, and the devices to which exactly that happens.
    `decided`: for each of the devices and flows, the decision that says so.
    """

    def __init__(
        self,
        cohorts: Mapping[tuple[Move, ...], Sequence[DeviceId]],
        decided: Mapping[DeviceId, Mapping[FlowId, Decision]],
    ) -> None:
        self.cohorts = cohorts
        self.decided = decided
        self._count = sum(len(moves) * len(devices) for moves, devices in cohorts.items())

    @classmethod
    def of(cls, changes: Iterable[Change]) -> Changes:
        """Any changes in this form."""
        if isinstance(changes, Changes):
            return changes
        of_device: dict[DeviceId, dict[FlowId, Change]] = defaultdict(dict)
        for change in sorted(changes):
            of_device[change.device_id][change.flow_id] = change
        cohorts: dict[tuple[Move, ...], list[DeviceId]] = defaultdict(list)
        for device_id, rows in of_device.items():
            cohorts[tuple(Move(*change[1:5]) for change in rows.values())].append(device_id)
        decided = {
            device_id: {flow_id: Decision(change.to_version, change.source, "") for flow_id, change in rows.items()}
            for device_id, rows in of_device.items()
        }
        return cls(cohorts, decided)

    def picked(self, marks: Mapping[DeviceId, tuple[Mark, ...]], keep: Callable[[Mark], bool]) -> Changes:
        """The changes whose mark is to be kept; `marks` has one for each change of a device, in their order.

        Those of devices without marks are kept.
        """
        cohorts: dict[tuple[Move, ...], list[DeviceId]] = defaultdict(list)
        for moves, device_ids in self.cohorts.items():
            alike: dict[int, list[DeviceId]] = defaultdict(list)  # those that share their marks
            for device_id in device_ids:
                alike[id(marks.get(device_id))].append(device_id)
            for some in alike.values():
                own = marks.get(some[0])
                kept = moves if own is None else tuple(one for one, mark in zip(moves, own, strict=True) if keep(mark))
                if kept:
                    cohorts[kept] += some
        return Changes(cohorts, self.decided)

    @cached_property
    def devices(self) -> dict[DeviceId, tuple[Move, ...]]:
        """What happens to each device, in the order of ids."""
        found: dict[DeviceId, tuple[Move, ...]] = {}
        for moves, device_ids in self.cohorts.items():
            found.update(dict.fromkeys(device_ids, moves))
        return by_id(found)

    @cached_property
    def by_move(self) -> dict[Move, Sequence[DeviceId]]:
        """The devices of each move, sorted; moves in the order of their flows."""
        found: dict[Move, list[Sequence[DeviceId]]] = defaultdict(list)
        for moves, device_ids in self.cohorts.items():
            ordered = sorted(device_ids)
            for move in moves:
                found[move].append(ordered)
        return {move: merged(found[move]) for move in sorted(found, key=str)}

    @cached_property
    def _rows(self) -> tuple[Change, ...]:
        decided = self.decided
        return tuple(
            [
                Change(device_id, *move, decided[device_id][move.flow_id].place)
                for device_id, moves in self.devices.items()
                for move in moves
            ]
        )

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Change]:
        return iter(self._rows)

    @overload
    def __getitem__(self, place: int) -> Change: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Change, ...]: ...
    def __getitem__(self, place: int | slice) -> Change | tuple[Change, ...]:
        return self._rows[place]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._rows == tuple(other)

    def __hash__(self) -> int:
        return hash(self._rows)

    def __repr__(self) -> str:
        return f"Changes.of({self._rows!r})"


def merged(parts: Sequence[Sequence[DeviceId]]) -> Sequence[DeviceId]:
    """All ids of sorted parts, sorted."""
    return parts[0] if len(parts) == 1 else sorted(chain(*parts))


class FlowDevices(Sequence[Row]):
    """The rows of one flow on some devices."""

    __slots__ = ("device_ids", "flow_id")

    def __init__(self, flow_id: FlowId, device_ids: Sequence[DeviceId]) -> None:
        self.flow_id = flow_id
        self.device_ids = device_ids

    def __len__(self) -> int:
        return len(self.device_ids)

    def __iter__(self) -> Iterator[Row]:
        return zip(self.device_ids, repeat(self.flow_id))

    def __getitem__(self, place: Any) -> Any:
        picked = self.device_ids[place]
        return tuple(FlowDevices(self.flow_id, picked)) if isinstance(place, slice) else (picked, self.flow_id)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))


class PendingRow(NamedTuple):
    """A managed row that is released as desired but not yet reported."""

    device_id: DeviceId
    flow_id: FlowId
    released: Version | None
    reported: Version | None
    connected: bool | None
    last_error: str | None


class LeavingRow(NamedTuple):
    """A row that an earlier revision of the manifests managed, and this one does not; nothing is sent for it.

    `version`, `group` and `source` are those of that revision: None means absent, and no group.
    """

    device_id: DeviceId
    flow_id: FlowId
    version: Version | None
    released: Version | None
    group: str | None
    source: Place


class UnmanagedRow(NamedTuple):
    """A live row that no manifest declares."""

    device_id: DeviceId
    flow_id: FlowId
    released: Version | None
    reported: Version | None


class Difference(NamedTuple):
    """The result of a comparison. Lists are sorted by device, then flow.

    `rows` counts the managed rows, `released` those of them with a released version, `devices` the distinct devices
    that have a managed row.
    """

    changes: Changes
    pending: tuple[PendingRow, ...]
    unmanaged: tuple[UnmanagedRow, ...]
    rows: int
    released: int
    devices: int

    @property
    def kept(self) -> int:
        """Managed rows that need no change, the pending ones included."""
        return self.rows - len(self.changes)


class Compared(NamedTuple):
    """A comparison, and what was compared."""

    desired: Desired
    live: Live
    difference: Difference
