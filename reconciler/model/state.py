"""The inputs of planning: the live state, the desired state, and the objects that rules refer to.

All maps are keyed by ids (24 hex digits, lower case). Versions are names, compared as exact text. `released` is the
version that the platform last assigned to a device, `reported` the one that the device last reported; None means
nothing. A missing entry, an entry with both None and a missing record are equivalent.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from operator import eq
from types import MappingProxyType
from typing import Annotated, Any, Final, NamedTuple, TypeAlias, TypeVar

from reconciler.errors import Problem

# The annotations select the check that documents apply to such values when they are read.
Id: TypeAlias = Annotated[str, "id"]
DeviceId: TypeAlias = Id
FlowId: TypeAlias = Id
Text: TypeAlias = Annotated[str, "text"]  # never empty
Version: TypeAlias = Text
Count: TypeAlias = Annotated[int, "count"]  # never negative
Digest: TypeAlias = Annotated[str, "digest"]
Row: TypeAlias = tuple[DeviceId, FlowId]
V = TypeVar("V")


NO_ITEMS: Final[Mapping[Any, Any]] = MappingProxyType({})  # the default of maps in named tuples


def are_same(ids: Collection[DeviceId], others: Collection[DeviceId]) -> bool:
    """Whether these are the same ids in the same order: of a large fleet that is told much sooner than by hashing."""
    return len(ids) == len(others) and all(map(eq, ids, others))


def values_of(found: Mapping[DeviceId, V], ids: Collection[DeviceId], default: V) -> Iterable[V]:
    """The value of each id."""
    return found.values() if are_same(ids, found) else (found.get(one, default) for one in ids)


def by_id(found: dict[DeviceId, V]) -> dict[DeviceId, V]:
    """The same in the order of ids."""
    ids = sorted(found)
    return found if ids == [*found] else {one: found[one] for one in ids}


class Kind(StrEnum):
    """The two kinds of deployment of the API; a manifest document is for one of them."""

    EMBEDDED = "embedded"
    EDGE = "edge"

    @property
    def device_class(self) -> str:
        """The only `deviceClass` that supports deployments of this kind."""
        return "embedded" if self is Kind.EMBEDDED else "edgeCompute"


class Entry(NamedTuple):
    """The versions of one row. A fleet has few distinct values, so readers share instances."""

    released: Version | None
    reported: Version | None


NOTHING = Entry(None, None)


class ChangedBy(NamedTuple):
    """Who made a change, according to the deployment log."""

    type: str | None = None
    id: str | None = None


NOBODY = ChangedBy()


class LogEntry(NamedTuple):
    """One entry of a device's deployment log. Times are RFC 3339 text as sent by the API."""

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


class LogLine(NamedTuple):
    """What an entry of a log says, without its date. Fleets have few distinct lines, so readers share them.

    The fields are those of `LogEntry`.
    """

    change: str | None = None
    flow_id: FlowId | None = None
    version: Version | None = None
    bundle: str | None = None
    error: str | None = None
    update: str | None = None
    previous: Version | None = None


class EdgeEvidence(NamedTuple):
    """Of one edge record: the etag that is reported, and when it was last updated (Unix time; -inf: unknown)."""

    etag: str | None
    updated: float


class Evidence(NamedTuple):
    """What a read keeps of a device for rollouts: its condensed log, and when its record was last updated.

    `lines` are in the order of `model.log.in_order`, oldest first, and shared by devices whose logs say the same;
    `instants` has the Unix time of each (without a readable date inf for an error, else -inf); a quiet log is one line,
    at a time after all of its own. `updated`: the record's `lastUpdated`; -inf if it is unknown. `bundle`: the reported
    bundle as the lines name it; None if they do not. `records`: of edge devices, by flow.
    """

    lines: tuple[LogLine, ...] = ()
    instants: Sequence[float] = ()
    updated: float = float("-inf")
    bundle: str | None = None
    records: Mapping[FlowId, EdgeEvidence] | None = None


NO_EVIDENCE = Evidence()


class Quiet(NamedTuple):
    """When the log of a device decides nothing in any rollout, so that its date is all that a read keeps of it.

    The device is connected and runs what is released to it; nothing of its record is newer than `for_s` seconds; and of
    `versions`, which are all that rollouts may move a device to, the log names none but those that are released. So it
    is proven wherever its rows are at their targets, nothing of it goes back, and it has been idle for too long to keep
    a rollout from being stalled.
    """

    for_s: float
    versions: frozenset[Version]


class LiveDevice(NamedTuple):
    """The deployments of one device. A tuple for speed, since a read makes one for every device of a fleet.

    `logs` may be omitted (empty) if every entry of the device has converged, unless that device alone was read.
    `unmanageable`: flows of custom-node records (edge), which are rows but never changes. `evidence`: only in reads
    for rollouts.
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
    evidence: Evidence = NO_EVIDENCE


NO_RECORD = LiveDevice(flows={})


class Live(NamedTuple):
    """The released and reported versions of an application, as read from the API.

    `only_flow`: the listing was restricted to that flow, so rows of other flows are unknown, not absent.
    `flow_names`: names found in the records.
    """

    devices: Mapping[DeviceId, LiveDevice]
    flow_names: Mapping[FlowId, str] = NO_ITEMS
    only_flow: FlowId | None = None

    def entry(self, device_id: DeviceId, flow_id: FlowId) -> Entry:
        """The row's versions; `NOTHING` if there is no record."""
        device = self.devices.get(device_id)
        return NOTHING if device is None else device.flows.get(flow_id, NOTHING)

    def rows(self) -> Iterator[tuple[DeviceId, FlowId, Entry]]:
        """Every row, in the order in which it was read."""
        for device_id, device in self.devices.items():
            for flow_id, entry in device.flows.items():
                yield device_id, flow_id, entry


class Read(NamedTuple):
    """A complete read of an application's deployments, made behind the port and passed on unchanged.

    `began` and `ended` are monotonic seconds of the run's clock. A read confirms only calls that were accepted before
    it began; its age counts from its end. `server_time` is the `Date` of the first answer, in Unix time; None if it
    could not be read.
    """

    live: Live
    began: float
    ended: float
    server_time: float | None = None


class Place(NamedTuple):
    """A position in a manifest; line and column count from 1. Sorts by path, line and column."""

    path: Text
    line: int
    column: int = 1

    def __str__(self) -> str:
        """`path:line`, as shown in plans."""
        return f"{self.path}:{self.line}"

    def problem(self, message: str, hint: str | None = None) -> Problem:
        """A problem at this place."""
        return Problem(message, *self, hint)


class Decision(NamedTuple):
    """The desired version of one row, the rule that decided it, and the decisions it overrode.

    `version` None means absent. `rule` is `pin`, `device`, `group NAME` or `prune`. Devices that the same rules
    decide share one mapping of decisions, so comparing 100,000 of them stays cheap.
    """

    version: Version | None
    place: Place
    rule: str
    overrides: tuple[Decision, ...] = ()

    @property
    def group(self) -> str | None:
        """The name of the group that decided, if it was a group."""
        return _group(self.rule)


@lru_cache(maxsize=1000)  # one text, however many rows ask
def _group(rule: str) -> str | None:
    return rule[6:] if rule.startswith("group ") else None


class Desired(NamedTuple):
    """The resolved manifests: device -> flow -> decision. Nothing else is called desired."""

    devices: Mapping[DeviceId, Mapping[FlowId, Decision]]

    def rows(self) -> Iterator[tuple[DeviceId, FlowId, Decision]]:
        """Every declared row."""
        for device_id, flows in self.devices.items():
            for flow_id, decision in flows.items():
                yield device_id, flow_id, decision


NO_TAGS: Mapping[str, tuple[str, ...]] = MappingProxyType({})


class Device(NamedTuple):
    """A device of the application. `tags` keeps all values of a repeated key; readers share equal mappings."""

    id: DeviceId
    name: str | None = None
    device_class: str | None = None
    tags: Mapping[str, tuple[str, ...]] = NO_TAGS


class DeletedDevice(NamedTuple):
    """A device that was deleted and still has a deployment record."""

    device_id: DeviceId
    device_name: str | None


class Flow(NamedTuple):
    """A flow of the application; `flow_class` is the API's (`embedded`, `edge`, `customNode`, …)."""

    id: FlowId
    name: str | None = None
    flow_class: str | None = None


class Application(NamedTuple):
    """An application of the account."""

    id: Id
    name: str | None = None
