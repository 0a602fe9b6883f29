"""The plan: what would change, by which calls, and what else a reviewer must know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import repeat
from typing import Annotated, Literal, NamedTuple

from reconciler import __version__
from reconciler.errors import Problem
from reconciler.model.changes import Change, Changes, LeavingRow, PendingRow, UnmanagedRow
from reconciler.model.digest import digest
from reconciler.model.requests import Action, Request
from reconciler.model.rollout import NO_HOLD, Hold, Rollouts
from reconciler.model.rules import Forbid, Limits, Source
from reconciler.model.state import Application, Count, DeletedDevice, DeviceId, FlowId, Kind, Place, Row, Text
from reconciler.model.versions import Lock


class Tool(NamedTuple):
    """The program that makes a plan."""

    name: Literal["reconciler"]
    version: str


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """One request of a plan.

    `rows`: the changes it carries, each carried by exactly one call. `after`: ids of calls that must be confirmed
    before this one is sent. `reason`: one sentence for a reviewer.
    """

    id: int
    request: Request
    rows: Sequence[Row]
    after: tuple[int, ...] = ()
    reason: str = ""

    @property
    def action(self) -> Action:
        """`release`, `replace` or `remove`."""
        return self.request.action

    @property
    def body(self) -> Mapping[str, object]:
        """The request body on the wire."""
        return self.request.body

    @property
    def count(self) -> int:
        """The number of changes that the call carries."""
        return len(self.rows)


class Protected(NamedTuple):
    """A protection with its names resolved. None means every device, or every flow."""

    device_id: DeviceId | None
    flow_id: FlowId | None
    forbid: Forbid
    place: Place


class Warning(NamedTuple):  # noqa: A001 - the word that plans show
    """Something a reviewer should know; with `--strict` it refuses the plan."""

    message: str
    place: Place | None = None
    hint: str | None = None

    @property
    def problem(self) -> Problem:
        """The same as a problem."""
        return self.place.problem(self.message, self.hint) if self.place else Problem(self.message, hint=self.hint)

    @property
    def sort_key(self) -> tuple[tuple[str | int, ...], str, str]:
        """The order in reports: by place, warnings without one first."""
        return (self.place or (), self.message, self.hint or "")


class EmptyGroup(NamedTuple):
    """A group that selects nothing, though nothing says that it may; why, and the nearest that exists."""

    group: Text
    place: Place
    message: str
    hint: str

    @property
    def warning(self) -> Warning:
        """The same as a warning, where it is not for a guard to judge."""
        return Warning(self.message, self.place, self.hint)


class Gone(Warning):
    """A warning that is told first: something that no plan is made for any more."""


class Leaving(NamedTuple):
    """A comparison with an earlier revision of the manifests: the rows that it managed, and how many of them leave."""

    against: Text
    managed: Count
    rows: Count


class Guard(StrEnum):
    """The reason for a refusal."""

    REMOVALS = "removals"
    CHANGES = "changes"
    LEAVING = "leaving"
    PROTECT = "protect"
    EMPTY = "empty"
    SELECTS_NOTHING = "selects-nothing"
    CONTENT = "content"
    STRICT = "strict"


class Refusal(NamedTuple):
    """A refusal by a guard: the numbers, the rows, and the narrow override."""

    guard: Guard
    message: str
    hint: Annotated[str, "text or null"]
    rows: tuple[Row, ...] = ()
    place: Place | None = None


class Guards(NamedTuple):
    """The inputs of the guards; saved with a plan, so that applying it checks them again.

    `released`: managed rows with a released version, before targets: the base of percentages. `live`: all rows with a
    released version, managed or not. Both count the rows that were read, of `only_flow` if it is set. `empty`: no row
    is declared, except those that `prune` makes absent. `allow_removals`, `allow_empty`, `strict`: as in `Options`.
    `lock`: what versions were when they were locked, and what they are; None if there is no lock.
    `selects_nothing`: groups that select nothing and are not left out by filters. `may_be_empty`: names of groups whose
    manifests say so. `leaving`: what leaves management, if that was asked for.
    """

    limits: Limits
    protect: tuple[Protected, ...]
    released: Count
    live: Count
    only_flow: FlowId | None
    empty: bool
    allow_removals: Count
    allow_empty: bool
    strict: bool
    lock: Lock | None = None
    selects_nothing: tuple[EmptyGroup, ...] = ()
    may_be_empty: tuple[Text, ...] = ()
    leaving: Leaving | None = None


class Summary(NamedTuple):
    """Counts. add + update + remove + keep = managed rows; pending is part of keep.

    `leaving`: rows that leave management; None where no earlier revision was given. `withheld`: the changes that
    rollouts withhold, which are in add, update and remove, too; None without rollouts.
    """

    add: Count
    update: Count
    remove: Count
    keep: Count
    pending: Count
    unmanaged: Count
    devices: Count
    calls: Count
    leaving: Count | None = None
    withheld: Count | None = None


class Plan(NamedTuple):
    """The plan of one application and kind. Everything is sorted; equal inputs give equal bytes.

    `device_names` and `flow_names`: the names of the rows' devices and flows, of those that have one.
    `deleted_devices`: those of the unmanaged rows that were deleted; their rows are what is left of them.
    `rollouts`: None if no group has a policy.
    `leaving`: rows that an earlier revision managed and this one does not; None if there was none to compare with.
    `notes`: what a reader of a saved plan should know of it, beside what it holds; never saved.
    """

    application: Application
    kind: Kind
    manifests: tuple[Source, ...]
    partial: bool
    summary: Summary
    changes: Sequence[Change]
    calls: tuple[PlannedCall, ...]
    pending: tuple[PendingRow, ...]
    unmanaged: tuple[UnmanagedRow, ...]
    warnings: tuple[Warning, ...]
    guards: Guards
    refused: tuple[Refusal, ...]
    device_names: Mapping[DeviceId, str]
    flow_names: Mapping[FlowId, str]
    deleted_devices: tuple[DeletedDevice, ...] = ()
    leaving: tuple[LeavingRow, ...] | None = None
    notes: tuple[str, ...] = ()
    rollouts: Rollouts | None = None

    @property
    def sent(self) -> Sequence[Change]:
        """The changes that are sent now: all but those that a rollout withholds."""
        return self.changes if self.rollouts is None else self.rollouts.sent

    @property
    def withheld(self) -> int:
        """The number of changes that rollouts withhold."""
        return len(self.changes) - len(self.sent)

    def holds(self) -> Iterator[Hold]:
        """What a rollout says of each change, in their order."""
        if self.rollouts is None:
            yield from repeat(NO_HOLD, len(self.changes))
            return
        for device_id, moves in Changes.of(self.changes).devices.items():
            yield from self.rollouts.of_change(device_id, len(moves))

    @property
    def digest(self) -> str:
        """The digest of the changes; computed each time."""
        return digest([self])

    @property
    def tool(self) -> Tool:
        """The program, in this version."""
        return Tool("reconciler", __version__)

    def calls_by_row(self) -> Mapping[Row, int]:
        """The id of the call that carries each change."""
        return {row: call.id for call in self.calls for row in call.rows}
