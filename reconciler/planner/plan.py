"""The plan: what would change, by which calls, and what a reviewer must know besides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from reconciler.planner.requests import Request
from reconciler.planner.rules import Forbid, Limits, Source
from reconciler.planner.state import Application, Desired, DeviceId, FlowId, Kind, Live, Place, Row, Version


class Op(StrEnum):
    """What happens to a row."""

    ADD = "add"
    UPDATE = "update"
    REMOVE = "remove"


class Change(NamedTuple):
    """A row whose released version must move. Sorts by device, then flow."""

    device_id: DeviceId
    flow_id: FlowId
    from_version: Version | None
    to_version: Version | None
    reported: Version | None
    source: Place

    @property
    def op(self) -> Op:
        """`add` when nothing is released, `remove` when nothing shall be, else `update`."""
        if self.from_version is None:
            return Op.ADD
        return Op.REMOVE if self.to_version is None else Op.UPDATE

    @property
    def row(self) -> Row:
        """The row's key."""
        return (self.device_id, self.flow_id)


class PendingRow(NamedTuple):
    """A managed row that is released as desired and not yet reported so."""

    device_id: DeviceId
    flow_id: FlowId
    released: Version | None
    reported: Version | None
    connected: bool | None
    last_error: str | None


class UnmanagedRow(NamedTuple):
    """A live row that no manifest declares."""

    device_id: DeviceId
    flow_id: FlowId
    released: Version | None
    reported: Version | None


class PlannedCall(NamedTuple):
    """One request of a plan.

    `rows`: the changes it carries, each carried by exactly one call. `after`: ids of calls that must be confirmed
    before this one is sent. `reason`: one sentence for a reviewer.
    """

    id: int
    request: Request
    rows: tuple[Row, ...]
    after: tuple[int, ...] = ()
    reason: str = ""


class Protected(NamedTuple):
    """A protection with its names resolved. None stands for every device, or every flow."""

    device_id: DeviceId | None
    flow_id: FlowId | None
    forbid: Forbid
    place: Place


class Warning(NamedTuple):  # noqa: A001 - the contract's word
    """Something a reviewer should know; under `--strict` it refuses."""

    message: str
    place: Place | None = None
    hint: str | None = None


class Guard(StrEnum):
    """What refused."""

    REMOVALS = "removals"
    CHANGES = "changes"
    PROTECT = "protect"
    EMPTY = "empty"
    STRICT = "strict"


class Refusal(NamedTuple):
    """A guard's no: the numbers, the rows, and the narrow way out."""

    guard: Guard
    message: str
    hint: str
    rows: tuple[Row, ...] = ()
    place: Place | None = None


class Guards(NamedTuple):
    """What the guards judge a plan by; saved with it, so that an apply of a saved plan is judged again.

    `released`: managed rows with something released, before targets: what percentages are of. `live`: all rows with
    something released, managed or not. Both count the rows that were read: of `only_flow` where there is one.
    `empty`: no row is declared, but for those that `prune` makes absent. `allow_removals`, `allow_empty`, `strict`: as
    in `Options`.
    """

    limits: Limits
    protected: tuple[Protected, ...]
    released: int
    live: int
    only_flow: FlowId | None
    empty: bool
    allow_removals: int
    allow_empty: bool
    strict: bool


@dataclass(frozen=True, slots=True)
class World:
    """Everything planning looks at, for one application and kind: read, resolved, pruned, checked.

    `groups`: every group of the manifests, those that decide no row included. `dropped`: the `--exclude device=`
    texts that were honoured before devices were looked up, so that nobody asks whether they exist.
    """

    application: Application
    kind: Kind
    desired: Desired
    live: Live
    protected: tuple[Protected, ...] = ()
    warnings: tuple[Warning, ...] = ()
    device_names: Mapping[DeviceId, str] = field(default_factory=dict)
    flow_names: Mapping[FlowId, str] = field(default_factory=dict)
    aliases: Mapping[str, FlowId] = field(default_factory=dict)
    groups: frozenset[str] = frozenset()
    dropped: frozenset[str] = frozenset()


class CallMode(StrEnum):
    """`fewest` may use wildcards where that is sound; `explicit` sends releases to named devices only."""

    FEWEST = "fewest"
    EXPLICIT = "explicit"


class Filter(NamedTuple):
    """One `--target` or `--exclude`: `by` is `device`, `flow` or `group`."""

    by: str
    text: str


class Options(NamedTuple):
    """What the command line asks of planning."""

    targets: tuple[Filter, ...] = ()
    excludes: tuple[Filter, ...] = ()
    calls: CallMode = CallMode.FEWEST
    allow_removals: int = 0
    allow_empty: bool = False
    strict: bool = False
    chunk: int = 1000


class Summary(NamedTuple):
    """Counts. add + update + remove + keep = managed rows; pending is part of keep."""

    add: int
    update: int
    remove: int
    keep: int
    pending: int
    unmanaged: int
    devices: int
    calls: int


@dataclass(frozen=True, slots=True)
class Plan:
    """One application and kind. Everything is sorted; the same inputs give the same bytes."""

    application: Application
    kind: Kind
    sources: tuple[Source, ...]
    partial: bool
    summary: Summary
    changes: tuple[Change, ...]
    calls: tuple[PlannedCall, ...]
    pending: tuple[PendingRow, ...]
    unmanaged: tuple[UnmanagedRow, ...]
    warnings: tuple[Warning, ...]
    guards: Guards
    refusals: tuple[Refusal, ...]
    device_names: Mapping[DeviceId, str]
    flow_names: Mapping[FlowId, str]
