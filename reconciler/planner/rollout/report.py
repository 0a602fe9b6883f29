"""What people read of a rollout: its state, why it does not go on, when it may, and who fails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from reconciler.model.log import LATEST, UNDATED
from reconciler.model.plan import Warning
from reconciler.model.rollout import (
    STALLED_S,
    FailingDevice,
    RolloutReport,
    RolloutState,
    RolloutVerdict,
    WaveReport,
    Withheld,
)
from reconciler.model.state import NO_RECORD, DeviceId, Live
from reconciler.model.text import and_more, counted
from reconciler.planner.resolution.selector import selector_text
from reconciler.planner.rollout.budget import Room, away_since, is_away
from reconciler.planner.rollout.history import former_versions
from reconciler.planner.rollout.position import Position, is_idle
from reconciler.planner.rollout.withhold import Step

_NAMED = 3  # devices of a set without room


class _Standing(NamedTuple):
    """A state and its reason; when it may go on, in Unix time."""

    state: RolloutState
    reason: str | None = None
    earliest: float = LATEST
    held_by: Withheld | None = None


def report(position: Position, step: Step, live: Live, device_names: Mapping[DeviceId, str]) -> RolloutReport:
    """The report on one rollout, given what is sent now."""
    rollout = position.rollout
    standing = _standing(position, step, live, device_names)
    return RolloutReport(
        group=rollout.group,
        policy=rollout.policy.name,
        state=standing.state,
        reason=standing.reason,
        up_to=rollout.up_to,
        waves=tuple(_wave(position, wave) for wave in range(1, rollout.last_wave + 1)),
        failing=tuple(_failing(position, live, device_names)),
        earliest=utc_date(standing.earliest),
        held_by=standing.held_by,
        judged_at=None if position.judge.now is None else utc_date(position.judge.now),
    )


def warnings_of(position: Position) -> Iterator[Warning]:
    """What a reviewer should know of a rollout beside its state."""
    rollout, (long_gone, base) = position.rollout, position.away
    if long_gone * 2 > base:
        message = (
            f'group "{rollout.group}": {long_gone:,} of {counted(base, "device")} are disconnected for longer than'
        )
        hint = f'if such devices sleep, raise `patience` of rollout "{rollout.policy.name}"'
        yield Warning(f"{message} {rollout.policy.patience_s // 60:,} min", rollout.place, hint)
    if rollout.up_to is not None and rollout.up_to > 1 and position.counts.get((1, RolloutVerdict.TO_RELEASE), 0):
        message = f'group "{rollout.group}": what begins at wave 1 now is approved up to wave {rollout.up_to} already'
        yield Warning(message, rollout.place, "set `up_to: 1`, and raise it when wave 1 has passed")


def _standing(position: Position, step: Step, live: Live, device_names: Mapping[DeviceId, str]) -> _Standing:
    if position.stopped:
        return _Standing(RolloutState.STOPPED, position.stopped, held_by=Withheld.STOPPED)
    if position.is_complete:
        return _Standing(RolloutState.COMPLETE)
    group, now = position.rollout.group, position.judge.now
    found = [(wave, why) for (one, wave, why), number in step.counts.items() if one == group and number]
    moving = {wave for wave, verdict in position.counts if verdict is RolloutVerdict.TO_RELEASE}
    left_out = moving - {wave for wave, _ in found}  # by filters
    found += [(wave, position.closed[wave - 1]) for wave in left_out]
    if any(why is None for _, why in found):
        return _Standing(RolloutState.OPEN)
    _, why = min(found, key=lambda one: one[0])
    reason, earliest = _why(position, why, step.full.get(group, ()), live, device_names)
    if now is None or why in (Withheld.UP_TO, Withheld.WINDOW):
        return _Standing(RolloutState.HELD, reason, earliest, why)
    if not is_idle(position, live, now - STALLED_S - position.rollout.policy.gate.soak_s):
        return _Standing(RolloutState.HELD, reason, earliest, why)
    reason = f"nothing was released or proven for over {STALLED_S // 86400} days; {reason}"
    return _Standing(RolloutState.STALLED, reason, earliest, why)


def _why(
    position: Position,
    why: Withheld | None,
    full: Sequence[Room],
    live: Live,
    device_names: Mapping[DeviceId, str],
) -> tuple[str, float]:
    """Why nothing more is sent now, and when that may change."""
    match why:
        case Withheld.UP_TO:
            return f"waves are approved up to {position.rollout.up_to} (`up_to`)", LATEST
        case Withheld.WINDOW:
            opens_at = position.opens_at or LATEST
            return f"the window opens at {utc_date(opens_at)}", opens_at
        case Withheld.BUDGET:
            rooms = "; ".join(_room(room, position, live, device_names) for room in full)
            return f"the budget has no room: {rooms}", LATEST
        case _:
            if position.judge.now is None:
                return "the time of the server could not be read, so nothing can be proven", LATEST
            number, gate = next((wave, gate) for wave, gate in enumerate(position.gates, 1) if not gate.passed)
            return f"wave {number} has not passed: {gate.needs}", gate.earliest


def _room(room: Room, position: Position, live: Live, device_names: Mapping[DeviceId, str]) -> str:
    some = ", ".join(_away(one, position, live, device_names) for one in room.away[:_NAMED])
    more = and_more(max(0, len(room.away) - _NAMED), "")
    return f"{room.name or 'the group'} ({len(room.away):,} of {room.allowed:,} away: {some}{more})"


def _away(device_id: DeviceId, position: Position, live: Live, device_names: Mapping[DeviceId, str]) -> str:
    """A device that is away, or that is sent something now, which takes its place in the budget as well."""
    name, device = device_names.get(device_id, device_id), live.devices.get(device_id, NO_RECORD)
    if not is_away(device, position.judge.now, position.rollout.policy.patience_s):
        return f"{name}, sent something now"
    since = utc_date(away_since(device))
    return f"{name} since {since}" if since else name


def _wave(position: Position, wave: int) -> WaveReport:
    policy, gate, is_open = position.rollout.policy, position.gates[wave - 1], position.opened[wave - 1]
    counts = {verdict: position.counts.get((wave, verdict), 0) for verdict in RolloutVerdict}
    is_lacking = is_open and not gate.passed
    selectors = [selector_text(one.select, policy.salt).replace(f" by {policy.salt}", "") for one in policy.waves]
    return WaveReport(
        wave=wave,
        select=[*selectors, None][wave - 1],
        devices=sum(counts.values()),
        evidence=position.evidence.get(wave, 0),
        **{str(verdict): number for verdict, number in counts.items()},
        open=is_open,
        passed=gate.passed,
        needs=gate.needs if is_lacking else None,
        earliest=utc_date(gate.earliest) if is_lacking else None,
    )


def _failing(position: Position, live: Live, device_names: Mapping[DeviceId, str]) -> Iterator[FailingDevice]:
    for device_id, judgement in position.failing:
        device, rollout = live.devices.get(device_id, NO_RECORD), position.rollout
        former = former_versions(device, rollout.rows[device_id], rollout.policy.gate.soak_s)
        name, since = device_names.get(device_id), utc_date(judgement.released)
        yield FailingDevice(device_id, name, judgement.verdict, since, judgement.error, former)


def utc_date(at: float) -> str | None:
    """RFC 3339 text in UTC, to the second; None for times that are unknown."""
    if not UNDATED < at < LATEST:
        return None
    try:
        return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return None
