"""Where a rollout stands: which waves are open, which have passed, and whether it is stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.model.changes import Move
from reconciler.model.log import UNDATED
from reconciler.model.rollout import Hold, Rollout, RolloutVerdict, Withheld
from reconciler.model.state import NO_RECORD, DeviceId, FlowId, Live, LiveDevice, Read
from reconciler.planner.rollout.evidence import Judge, Judgement
from reconciler.planner.rollout.gates import Gate, Gates
from reconciler.planner.rollout.tally import Tally, manageable
from reconciler.planner.rollout.window import opens


@dataclass(frozen=True, slots=True, eq=False)
class Position:
    """Where the rollout of a group stands by one read.

    Attributes:
        live: what it was judged by; `judged`: the verdicts on those of its devices that took more than a glance.
        counts: devices by wave and verdict; `evidence`: those of a wave that prove some flow.
        gates: one for each wave.
        opened: for each wave, whether it is open, whatever else withholds its changes.
        stopped: why it is stopped.
        closed: for each wave, why its changes are withheld, the budget aside; None: they may be sent.
        opens_at: when the window opens, outside of it.
        failing: the devices that failed or are silent, in the order of ids.
        is_complete: every row is released at its target.
        away: of the devices that count, how many of the waves that are open are disconnected for longer than
            `patience`, and how many there are.
    """

    rollout: Rollout
    judge: Judge
    live: Live
    judged: Mapping[DeviceId, RolloutVerdict]
    counts: Mapping[tuple[int, RolloutVerdict], int]
    evidence: Mapping[int, int]
    gates: tuple[Gate, ...]
    opened: tuple[bool, ...]
    stopped: str | None
    closed: tuple[Withheld | None, ...]
    opens_at: float | None
    failing: tuple[tuple[DeviceId, Judgement], ...]
    is_complete: bool
    away: tuple[int, int]

    def hold(self, device_id: DeviceId, device: LiveDevice, move: Move) -> Hold:
        """What the waves say of a change."""
        wave = self.waves[device_id]
        if self.judge.goes_back(device, move):
            return Hold(wave, goes_back=True)
        return Hold(wave, self.closed[wave - 1])

    def verdict(self, device_id: DeviceId) -> RolloutVerdict | None:
        """The verdict on one of its devices; None where nothing of it can be managed."""
        if found := self.judged.get(device_id):
            return found
        device, rows = self.live.devices.get(device_id, NO_RECORD), self.rollout.rows[device_id]
        rows = manageable(rows, device) if device.unmanageable else rows
        return self.judge.at_a_glance(device, rows) if rows else None

    @property
    def waves(self) -> Mapping[DeviceId, int]:
        """The waves of devices."""
        return self.rollout.waves


def is_idle(position: Position, live: Live, threshold: float) -> bool:
    """Whether the last release or new proof was before a time; not where nothing is known of either."""
    last = UNDATED
    for device_id, rows in position.rollout.rows.items():
        last = max(last, position.judge.last_step(live.devices.get(device_id, NO_RECORD), rows))
        if last >= threshold:
            return False
    return last > UNDATED


def position_of(rollout: Rollout, read: Read, flow_names: Mapping[FlowId, str]) -> Position:
    """Judge a rollout by a read with evidence and its server's time. `flow_names` are for what it says."""
    tally = Tally(rollout, read)
    tally.look()
    gates = Gates(tally, flow_names)
    by_wave = {wave: tally.evidence_in(wave) for wave in gates.waves}
    stopped = next(gates.stops(by_wave), None)
    passing = [gates.gate_of(wave, by_wave, stopped) for wave in gates.waves]
    opened = gates.opened(passing)
    stopped = stopped or next(gates.unproven(by_wave, opened), None)
    if stopped:
        passing = [gate._replace(passed=False) for gate in passing]
        opened = gates.opened(passing)
    opens_at = None if tally.now is None else opens(rollout.policy.window, tally.now)
    counts: Counter[tuple[int, RolloutVerdict]] = Counter()
    evidence: Counter[int] = Counter()
    for (wave, rows, verdict), number in tally.counts.items():
        counts[wave, verdict] += number
        if any(version is not None for version in tally.rows[rows].values()):
            evidence[wave] += number
    reached = [wave for wave in gates.waves if opened[wave - 1]]
    return Position(
        rollout=rollout,
        judge=tally.judge,
        live=tally.live,
        judged=tally.judged,
        counts=counts,
        evidence=evidence,
        gates=tuple(passing),
        opened=tuple(opened),
        stopped=stopped,
        closed=tuple(gates.closed(wave, opened, passing, stopped, opens_at) for wave in gates.waves),
        opens_at=opens_at,
        failing=tuple(sorted(tally.failing, key=lambda one: one[0])),
        is_complete=not any(verdict is RolloutVerdict.TO_RELEASE for _, _, verdict in tally.counts),
        away=(
            sum(tally.away[wave] for wave in reached),
            sum(evidence[wave] - counts[wave, RolloutVerdict.OFFLINE] for wave in reached),
        ),
    )
