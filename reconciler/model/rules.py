"""The contents of a set of manifests, before anything is read from the API.

A `Rules` contains everything for one application and kind: all documents merged, `extends` applied, every scalar as
text, every part with its place. References to devices and flows are as written (`Ref`): an alias, an id (in lower case)
or a Losant name; `resolve` turns them into ids, using an inventory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Final, NamedTuple

from reconciler.model.state import NO_ITEMS, Count, Kind, Place, Text, Version
from reconciler.model.versions import Lock


class Ref(NamedTuple):
    """A reference as written in a manifest, and its place."""

    text: str
    place: Place


class FlowRule(NamedTuple):
    """`flow: version` in a `flows` map. `version` None means `absent`. The place is the flow key's."""

    flow: Ref
    version: Version | None


class Prune(StrEnum):
    """Which undeclared rows to remove."""

    OFF = "false"
    DEVICES = "devices"
    FLOWS = "flows"
    APPLICATION = "application"


class Forbid(StrEnum):
    """What a protection forbids."""

    REMOVAL = "removal"
    CHANGE = "change"


class Selector(NamedTuple):
    """The devices of a group. The parts that are set are ANDed; at least one is."""

    place: Place
    devices: tuple[Ref, ...] | None = None  # ids or names; a name may contain `*`
    tags: Mapping[str, tuple[str, ...]] | None = None  # AND across keys, OR inside a list
    query: str | None = None  # JSON text of an advanced device query
    all: bool = False
    percent: Decimal | None = None
    exclude: Selector | None = None


class Wave(NamedTuple):
    """A wave of a policy: the devices that its selector picks (no query), but for those of earlier waves."""

    place: Place
    select: Selector


class Gate(NamedTuple):
    """When a wave has passed.

    `converged`: the percentage of the devices so far that must be proven; the rest is what may fail. `soak_s`: how long
    a device must have been seen running its targets. `sample`: the least number of proven devices in each wave.
    """

    converged: Decimal = Decimal(95)
    soak_s: Count = 3600
    sample: Count = 1


@dataclass(frozen=True, slots=True)
class Budget:
    """How many devices that share the values of the tags `by` may be away at once; a number or a percentage.

    Without `by` all devices of the group are one set.
    """

    by: tuple[Text, ...]
    count: Count | None
    percent: Decimal | None


class Window(NamedTuple):
    """When a rollout may send: on these weekdays (Monday is 0), from one minute of the day to another.

    `end_min` before `start_min` runs over midnight, and belongs to the day on which it begins. `zone` is an IANA name.
    """

    days: tuple[Count, ...]
    start_min: Count
    end_min: Count
    zone: Text


class Policy(NamedTuple):
    """How a change of a group reaches its devices: in waves, each of which must pass the gate.

    `patience_s`: a device that is reachable and does not report its targets for longer is silent.
    """

    name: Text
    place: Place
    waves: tuple[Wave, ...]
    gate: Gate = Gate()
    patience_s: Count = 3600
    budget: Budget | None = None
    window: Window | None = None

    @property
    def salt(self) -> str:
        """The salt that the `percent` of its waves hashes with the device id."""
        return f"rollout\0{self.name}"


class GroupRollout(NamedTuple):
    """The policy that a group names, and the last wave that may open (None: all; 0 pauses)."""

    policy: str
    place: Place
    up_to: int | None = None


class Group(NamedTuple):
    """Devices by selector, and the flows they run; with `rollout`, changes reach them in waves."""

    name: str
    place: Place
    select: Selector
    flows: tuple[FlowRule, ...]
    priority: int = 0
    salt: str = ""  # for `percent`; if empty, the group's name
    rollout: GroupRollout | None = None
    may_be_empty: bool = False  # whether it may select nothing

    @property
    def effective_salt(self) -> str:
        """The salt that `percent` hashes with the device id."""
        return self.salt or self.name


class DeviceRules(NamedTuple):
    """One device, and the flows it runs."""

    device: Ref
    flows: tuple[FlowRule, ...]


class Pin(NamedTuple):
    """An exception for one device, with its reason and, optionally, its last day (UTC, inclusive)."""

    place: Place
    device: Ref
    flows: tuple[FlowRule, ...]
    reason: str
    until: date | None = None


class Protection(NamedTuple):
    """Rows that must not be removed, or not be changed at all. Keys are ANDed; at least one is set."""

    place: Place
    device: Ref | None = None
    flow: Ref | None = None
    forbid: Forbid = Forbid.REMOVAL


@dataclass(frozen=True, slots=True)
class Limit:
    """The most rows that may change, as a number and in percent; None means no such limit."""

    count: Count | None
    percent: Decimal | None


class Limits(NamedTuple):
    """How much one plan may change. Exceeding either limit of a pair refuses the plan; None means no such limit."""

    removals_count: int | None = 10
    removals_percent: Decimal | None = Decimal(10)
    changes_count: int | None = None
    changes_percent: Decimal | None = None
    leaving_count: int | None = 10
    leaving_percent: Decimal | None = Decimal(10)
    place: Place | None = None

    @property
    def removals(self) -> Limit:
        """The limit on removals alone."""
        return Limit(self.removals_count, self.removals_percent)

    @property
    def changes(self) -> Limit:
        """The limit on adds, updates and removals together."""
        return Limit(self.changes_count, self.changes_percent)

    @property
    def leaving(self) -> Limit:
        """The limit on rows that leave management."""
        return Limit(self.leaving_count, self.leaving_percent)


class ApplicationRef(NamedTuple):
    """The application a manifest is for: its id, and its name if the manifest gives one to check."""

    id: str
    place: Place
    name: str | None = None


class Source(NamedTuple):
    """A file that was read: its path as shown to users and the sha256 of its bytes (hex)."""

    path: Text
    sha256: Text


DEFAULT_LIMITS: Final = Limits()


class Rules(NamedTuple):
    """The merged manifests of one application and kind.

    `policies`: the `rollouts`, by name.
    `skipped`: files beside the manifests that look like one by their names, and were not read. `roots`: the files with
    an `application`. `lock`: what the locks beside these say; None if there is none.
    """

    application: ApplicationRef
    kind: Kind = Kind.EMBEDDED
    prune: Prune = Prune.OFF
    prune_place: Place | None = None
    aliases: Mapping[str, Ref] = NO_ITEMS  # alias -> flow id or name, with its place
    groups: tuple[Group, ...] = ()
    devices: tuple[DeviceRules, ...] = ()
    pins: tuple[Pin, ...] = ()
    protect: tuple[Protection, ...] = ()
    limits: Limits = DEFAULT_LIMITS
    policies: Mapping[str, Policy] = NO_ITEMS
    manifests: tuple[Source, ...] = ()
    skipped: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()
    lock: Lock | None = None

    @property
    def policies_in_use(self) -> tuple[Policy, ...]:
        """The policies that some group names, by name."""
        named = {group.rollout.policy for group in self.groups if group.rollout}
        return tuple(self.policies[name] for name in sorted(named))

    @property
    def paths(self) -> tuple[str, ...]:
        """The files, as shown to users."""
        return tuple(source.path for source in self.manifests)


class Former(NamedTuple):
    """The rules of an earlier revision for one application and kind; None if it had none."""

    revision: str
    rules: Rules | None


class Difference(NamedTuple):
    """One difference between two sets of rules; None means "nothing".

    Attributes:
        what: `version` or `priority` of a row; or a setting: `prune`, `limits`, `protect`, `name` (the application's);
            `policy`, a policy or one of its keys; `rollout`, what a group, or a row that moved to another group or to
            none, is guarded by. The latter two are `policy_looser` and `rollout_looser` where more may be sent, sooner,
            or on less proof.
        subject: for a row, a device (id or name) or a selector in angle brackets; else what the setting applies to.
        flow: for a row, its alias, else its id or name.
        source: of a row, a policy or a rollout, its place on the new side or, if it is not there, on the old side.
    """

    application: str
    kind: Kind
    what: str
    subject: str | None
    flow: str | None
    before: Annotated[str | None, "any"]
    after: Annotated[str | None, "any"]
    source: Place | None = None
