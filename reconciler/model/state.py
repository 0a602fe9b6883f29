"""The values that planning is about: what is live, what is desired, what is there to choose from.

All maps are keyed by ids (24 hex digits, lower case). Versions are names, compared as exact text.
`released` is what the platform last told a device to run, `reported` what the device last said it runs;
None means nothing. A missing entry, an entry with both None and a missing record are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, NamedTuple, TypeAlias

from reconciler.errors import Problem

# The words beside the types are what documents check of them where they are read back.
Id: TypeAlias = Annotated[str, "id"]
DeviceId: TypeAlias = Id
FlowId: TypeAlias = Id
Text: TypeAlias = Annotated[str, "text"]  # never empty
Version: TypeAlias = Text
Count: TypeAlias = Annotated[int, "count"]  # never negative
Digest: TypeAlias = Annotated[str, "digest"]
Row: TypeAlias = tuple[DeviceId, FlowId]


class Kind(StrEnum):
    """The two sorts of deployment the API knows; a manifest document is about one of them."""

    EMBEDDED = "embedded"
    EDGE = "edge"

    @property
    def device_class(self) -> str:
        """The only `deviceClass` that deployments of this kind go to."""
        return "embedded" if self is Kind.EMBEDDED else "edgeCompute"


class Entry(NamedTuple):
    """One row as the API shows it. Few distinct values exist in a fleet, so readers share instances."""

    released: Version | None
    reported: Version | None


NOTHING = Entry(None, None)


class ChangedBy(NamedTuple):
    """Who made a change, as the deployment's log says."""

    type: str | None = None
    id: str | None = None


NOBODY = ChangedBy()


class LogEntry(NamedTuple):
    """One line of a device's deployment log. Times are RFC 3339 text as the API sent it."""

    date: str | None = None
    change: str | None = None  # "desired" | "current"
    flow_id: FlowId | None = None
    version: Version | None = None
    bundle: str | None = None
    attempted: str | None = None
    error: str | None = None
    source_type: str | None = None
    source_id: str | None = None
    update: str | None = None  # embedded: newFlow, replaceFlow, removeFlow, clear, globals, device, …
    previous: Version | None = None  # edge

    @property
    def changed_by(self) -> ChangedBy:
        """Who made this change."""
        return ChangedBy(self.source_type, self.source_id)


class LiveDevice(NamedTuple):
    """What the API says of one device's deployments. A tuple, since a read makes one for every device of a fleet.

    `logs` may be left out (empty) for a device whose every entry is converged, unless that device was asked for.
    `unmanageable` names flows of custom-node records (edge): they are rows, but never changes.
    """

    flows: Mapping[FlowId, Entry]
    name: str | None = None
    connected: bool | None = None
    connection_time: str | None = None
    unknown_bundle: bool = False
    released_bundle: str | None = None
    reported_bundle: str | None = None
    logs: tuple[LogEntry, ...] = ()
    unmanageable: frozenset[FlowId] = frozenset()


NO_RECORD = LiveDevice(flows={})


@dataclass(frozen=True, slots=True)
class Live:
    """The released and reported versions of an application, as read from the API.

    `only_flow`: the listing was restricted to that flow, so rows of other flows are unknown, not absent.
    `flow_names`: names that came with the records.
    """

    devices: Mapping[DeviceId, LiveDevice]
    flow_names: Mapping[FlowId, str] = field(default_factory=dict)
    only_flow: FlowId | None = None

    def entry(self, device_id: DeviceId, flow_id: FlowId) -> Entry:
        """The row's versions; `NOTHING` where there is no record."""
        device = self.devices.get(device_id)
        return NOTHING if device is None else device.flows.get(flow_id, NOTHING)

    def rows(self) -> Iterator[tuple[DeviceId, FlowId, Entry]]:
        """Every row that was read, in the order it was read."""
        for device_id, device in self.devices.items():
            for flow_id, entry in device.flows.items():
                yield device_id, flow_id, entry


class Read(NamedTuple):
    """A complete read of an application's deployments, made behind the port and carried unchanged from there.

    `began` and `ended` are monotonic seconds of the run's clock. A read confirms only calls that were accepted before
    it began; its age counts from its end.
    """

    live: Live
    began: float
    ended: float


class Place(NamedTuple):
    """A spot in a manifest; line and column count from 1. Sorts by path, line and column."""

    path: Text
    line: int
    column: int = 1

    def __str__(self) -> str:
        """`path:line`, the form that plans show."""
        return f"{self.path}:{self.line}"

    def problem(self, message: str, hint: str | None = None) -> Problem:
        """What is wrong there."""
        return Problem(message, *self, hint)


class Decision(NamedTuple):
    """What the manifests say for one row, who says so, and what that overrode.

    `version` None means absent. `rule` is `pin`, `device`, `group NAME` or `prune`. Devices that the same rules
    decide share one mapping of decisions, so comparing 100,000 of them stays cheap.
    """

    version: Version | None
    place: Place
    rule: str
    overrides: tuple[Decision, ...] = ()

    @property
    def group(self) -> str | None:
        """Name of the group that decided, if it was one."""
        return self.rule[6:] if self.rule.startswith("group ") else None


@dataclass(frozen=True, slots=True)
class Desired:
    """What the manifests say, resolved: device -> flow -> decision. Nothing else is called desired."""

    devices: Mapping[DeviceId, Mapping[FlowId, Decision]]

    def rows(self) -> Iterator[tuple[DeviceId, FlowId, Decision]]:
        """Every row that is declared."""
        for device_id, flows in self.devices.items():
            for flow_id, decision in flows.items():
                yield device_id, flow_id, decision


NO_TAGS: Mapping[str, tuple[str, ...]] = MappingProxyType({})


class Device(NamedTuple):
    """A device of the application. `tags` keeps every value of a repeated key; readers share what is alike."""

    id: DeviceId
    name: str | None = None
    device_class: str | None = None
    tags: Mapping[str, tuple[str, ...]] = NO_TAGS


class Flow(NamedTuple):
    """A flow of the application; `flow_class` is the API's (`embedded`, `edge`, `customNode`, …)."""

    id: FlowId
    name: str | None = None
    flow_class: str | None = None


class Application(NamedTuple):
    """An application of the account."""

    id: Id
    name: str | None = None
