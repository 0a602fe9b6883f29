"""Rollouts: the policy of a group, as written and as resolved, and where its rollout stands.

A policy divides the devices of a group into waves. A wave opens when the waves before it have proved themselves; until
then the changes of its devices are withheld. Nothing about a rollout is stored: its position is computed from the
manifests, the live state with its logs, and the server's time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias

from reconciler.model.changes import Change
from reconciler.model.rules import Policy, Rules
from reconciler.model.state import NO_ITEMS, Count, DeviceId, FlowId, Place, Quiet, Text, Version

STALLED_S: Final = 7 * 24 * 3600  # and the soak: so long without a release or a new proof

Rows: TypeAlias = Mapping[FlowId, Version | None]
"""What a group decides on a device: flow -> version, None for `absent`."""


class Rollout(NamedTuple):
    """A group with a policy, resolved.

    Attributes:
        group: the group's name.
        place: the place of the group's `rollout`.
        policy: its policy.
        up_to: waves above it stay shut; None opens all, in their turn.
        rows: the rows that the group decides, by device. Devices that are alike share one mapping.
        waves: the wave of each of these devices, counted from 1. The last one is the rest.
        sets: the sets of the budget that each device of the application belongs to; empty without a budget.
    """

    group: str
    place: Place
    policy: Policy
    up_to: Count | None
    rows: Mapping[DeviceId, Rows]
    waves: Mapping[DeviceId, int]
    sets: Mapping[DeviceId, tuple[str, ...]] = NO_ITEMS

    @property
    def last_wave(self) -> int:
        """The number of the last wave, which is the rest."""
        return len(self.policy.waves) + 1


def quiet_of(rules: Rules) -> Quiet | None:
    """Which logs decide nothing in the rollouts of some rules; None where any may.

    That is where a rollout removes a flow: it goes back on a device that ran without, and a log says that in many ways.
    """
    waved = [group for group in rules.groups if group.rollout]
    versions = {rule.version for group in waved for rule in group.flows}
    if None in versions:
        return None
    longest = max((policy.gate.soak_s for policy in rules.policies_in_use), default=0)
    proven_s = longest + 1  # so long after its last line a device is proven, at the latest
    return Quiet(STALLED_S + longest + proven_s, frozenset(filter(None, versions)))


class RolloutVerdict(StrEnum):
    """Where a device stands in a rollout; the first that fits.

    `to_release`: some row is not released at its target. `proven`, `soaking`: it runs its targets and was seen doing so
    for `soak`, or not that long yet. `failed`: an error later than its last release. `offline`: it was disconnected
    before its target was first released to it. `silent`: `patience` has passed since its release and since it
    connected. `waiting`: none of these.
    """

    TO_RELEASE = "to_release"
    PROVEN = "proven"
    SOAKING = "soaking"
    FAILED = "failed"
    OFFLINE = "offline"
    SILENT = "silent"
    WAITING = "waiting"


class Withheld(StrEnum):
    """Why a change is not sent yet. The first that applies is the reason."""

    STOPPED = "stopped"
    WAVE = "wave"
    UP_TO = "up_to"
    WINDOW = "window"
    BUDGET = "budget"


class Hold(NamedTuple):
    """What a rollout says of one change: its wave, why it is withheld if it is, and whether it goes back.

    A change that goes back is never withheld. `NO_HOLD` is that of changes that no rollout waves.
    """

    wave: Count | None = None
    withheld: Withheld | None = None
    goes_back: bool = False


NO_HOLD = Hold()


class RolloutState(StrEnum):
    """The state of a rollout, see `RolloutReport`."""

    STOPPED = "stopped"
    OPEN = "open"
    COMPLETE = "complete"
    HELD = "held"
    STALLED = "stalled"


class WaveReport(NamedTuple):
    """One wave: who is in it and how many of them stand where.

    Attributes:
        wave: its number, from 1.
        select: its selector as text; None for the rest.
        devices: its devices.
        evidence: those that a version of the group is decided for, and so can prove it.
        proven, soaking, waiting, offline, failed, silent, to_release: devices by standing.
        open: whether its changes may be sent, the window and the budget aside.
        passed: whether the next wave may open.
        needs: what is missing for it to pass, as text.
        earliest: when it may pass at the earliest, as RFC 3339 text, if that is known.
    """

    wave: Count
    select: str | None
    devices: Count
    evidence: Count
    proven: Count
    soaking: Count
    waiting: Count
    offline: Count
    failed: Count
    silent: Count
    to_release: Count
    open: bool
    passed: bool
    needs: str | None = None
    earliest: str | None = None


class FailingDevice(NamedTuple):
    """A device that failed or fell silent, its last error, and the versions that it ran before, as far as known.

    `former` has every flow that the group decides on the device, None for nothing: what a pin would say.
    """

    device_id: DeviceId
    device_name: str | None
    verdict: RolloutVerdict
    since: str | None
    error: str | None
    former: Mapping[FlowId, Version | None]


class RolloutReport(NamedTuple):
    """Where the rollout of one group stands.

    Attributes:
        state: `stopped`; `complete`, nothing is left to change; `open`, something is sent now; `held`, nothing may be
            sent now; `stalled`, held for 7 days and the soak without a release or a new proof.
        reason: why it is stopped, held or stalled, as text.
        earliest: when it may go on at the earliest, as RFC 3339 text, if that is known.
        held_by: what withholds the changes that are next, if nothing is sent now.
        judged_at: the server's time of the read that it was judged by, as RFC 3339 text, if that is known.
    """

    group: Text
    policy: Text
    state: RolloutState
    reason: str | None
    up_to: Count | None
    waves: tuple[WaveReport, ...]
    failing: tuple[FailingDevice, ...] = ()
    earliest: str | None = None
    held_by: Withheld | None = None
    judged_at: str | None = None

    @property
    def needs_attention(self) -> bool:
        """Whether somebody has to do something: it is stopped or stalled."""
        return self.state in (RolloutState.STOPPED, RolloutState.STALLED)

    @property
    def failing_by_name(self) -> list[FailingDevice]:
        """The failing devices by the name that a reader sees; the id decides between equal ones."""
        return sorted(self.failing, key=lambda one: (one.device_name or "", one.device_id))


class Rollouts(NamedTuple):
    """What the rollouts of a plan say.

    Attributes:
        groups: the groups with a policy, by name.
        reports: where each of them stands.
        sent: the changes that are sent now.
        holds: by device, what a rollout says of each of its changes, in their order; devices whose changes no rollout
            concerns are left out.
    """

    groups: tuple[Rollout, ...]
    reports: tuple[RolloutReport, ...]
    sent: Sequence[Change]
    holds: Mapping[DeviceId, tuple[Hold, ...]]

    def of_change(self, device_id: DeviceId, moves: int) -> tuple[Hold, ...]:
        """What a rollout says of each of so many changes of a device."""
        return self.holds.get(device_id) or (NO_HOLD,) * moves


def need_attention(reports: Iterable[RolloutReport]) -> bool:
    """Whether some rollout is stopped or stalled."""
    return any(one.needs_attention for one in reports)


def floor_percent(percent: Decimal, number: int) -> int:
    """That many percent of a number, rounded down."""
    return int(percent * number // 100)
