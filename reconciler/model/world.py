"""The inputs of planning: the world as read and resolved, and the options of the run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from reconciler.errors import UsageError
from reconciler.model.changes import Compared, LeavingRow
from reconciler.model.plan import EmptyGroup, Gone, Leaving, Protected, Warning
from reconciler.model.requests import MAX_DEVICES
from reconciler.model.rollout import Rollout
from reconciler.model.rules import Former, Rules
from reconciler.model.state import NO_ITEMS, Application, DeletedDevice, Desired, DeviceId, FlowId, Kind, Live, Read


class World(NamedTuple):
    """Everything that planning uses, for one application and kind: read, resolved, pruned, checked.

    `groups`: every group of the manifests, even those that decide no row. `excluded_devices`: names given to
    `--exclude device=` that occur in the manifests but match no device, which is allowed. `deleted_devices`: devices
    with a record that were deleted, as far as that is known. `deleted_names`: of the names given to `--exclude
    device=`, those of deleted devices without a record. `deleted_rows`: the number of declared rows of deleted
    devices, which are not in `desired`. `rollouts`: the groups with a policy, by name,
    if they can be judged; `waved`: names of all of these groups. `empty_groups`: groups that
    select nothing, with their flows. `may_be_empty`: names of the groups that may. `leaving`, `leaving_rows`: what
    leaves management, if an earlier revision was given. `compared`: a comparison that was made while reading.
    """

    application: Application
    kind: Kind
    desired: Desired
    read: Read
    protected: tuple[Protected, ...] = ()
    warnings: tuple[Warning, ...] = ()
    device_names: Mapping[DeviceId, str] = NO_ITEMS
    flow_names: Mapping[FlowId, str] = NO_ITEMS
    aliases: Mapping[str, FlowId] = NO_ITEMS
    groups: frozenset[str] = frozenset()
    excluded_devices: frozenset[str] = frozenset()
    deleted_devices: frozenset[DeviceId] = frozenset()
    deleted_names: frozenset[str] = frozenset()
    deleted_rows: int = 0
    rollouts: tuple[Rollout, ...] = ()
    waved: frozenset[str] = frozenset()
    empty_groups: Mapping[EmptyGroup, frozenset[FlowId]] = NO_ITEMS
    may_be_empty: tuple[str, ...] = ()
    leaving: Leaving | None = None
    leaving_rows: tuple[LeavingRow, ...] = ()
    compared: Compared | None = None

    @property
    def live(self) -> Live:
        """The live state that was read."""
        return self.read.live

    def device_name(self, device_id: DeviceId) -> str | None:
        """The name in the device list, else the one in the device's deployment record."""
        record = self.live.devices.get(device_id)
        return self.device_names.get(device_id) or (record.name if record else None)

    def deleted(self, device_ids: Iterable[DeviceId]) -> tuple[DeletedDevice, ...]:
        """Those of these devices that were deleted, sorted."""
        return tuple(
            DeletedDevice(one, self.device_name(one)) for one in sorted(self.deleted_devices.intersection(device_ids))
        )

    def names_of(self, device_ids: list[DeviceId]) -> Mapping[DeviceId, str]:
        """The names of these devices, of those that have one, by `device_name`."""
        if device_ids == [*self.device_names]:
            return self.device_names
        listed = self.device_names.get
        return {one: name for one in device_ids if (name := listed(one) or self.device_name(one))}

    def flow_name(self, flow_id: FlowId) -> str | None:
        """The name in the flow list, else the one in the deployment records."""
        return self.flow_names.get(flow_id) or self.live.flow_names.get(flow_id)


class Earlier(NamedTuple):
    """The rules of an earlier revision, what they had that is gone, and what could not be read of them."""

    revision: str
    rules: tuple[Rules, ...]
    gone: tuple[Gone, ...] = ()
    warnings: tuple[Warning, ...] = ()

    def of(self, rules: Rules) -> Former:
        """Those for the application and kind of the present rules."""
        mine = (one for one in self.rules if (one.application.id, one.kind) == (rules.application.id, rules.kind))
        return Former(self.revision, next(mine, None))

    @property
    def concerns(self) -> tuple[Warning, ...]:
        """Everything that concerns the run as a whole."""
        return (*self.gone, *self.warnings)


class CallMode(StrEnum):
    """`fewest` may use wildcards where they are safe; `explicit` names every device."""

    FEWEST = "fewest"
    EXPLICIT = "explicit"


@dataclass(frozen=True, slots=True)
class Filter:
    """One `--target` or `--exclude`: `by` is `device`, `flow` or `group`."""

    by: str
    text: str

    def __post_init__(self) -> None:
        if self.by not in ("device", "flow", "group"):
            raise UsageError(f"a filter by {self.by!r}", hint="filter by device, flow or group")


@dataclass(frozen=True, slots=True)
class Options:
    """The options of planning.

    `frozen`: refuse a version that no lock names. `chunk`: the most devices that one release names.
    """

    targets: tuple[Filter, ...] = ()
    excludes: tuple[Filter, ...] = ()
    calls: CallMode = CallMode.FEWEST
    allow_removals: int = 0
    allow_empty: bool = False
    strict: bool = False
    frozen: bool = False
    chunk: int = MAX_DEVICES

    def __post_init__(self) -> None:
        if self.chunk not in range(1, MAX_DEVICES + 1):
            raise UsageError(f"chunk is {self.chunk}", hint=f"give 1 to {MAX_DEVICES} devices per release")
        if not isinstance(self.calls, CallMode):  # compared by identity: text would mean `fewest`
            raise UsageError(f"calls is {self.calls!r}", hint="give a `CallMode`")
