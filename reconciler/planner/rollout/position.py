"""Which waves of a rollout are open, which have passed, and whether it is stopped.

A wave passes on the proof of its own devices and of those of the waves before it, never on that of later ones, which
may run the version for another reason. It is judged for each flow to which the group gives a version, changed or not;
the evidence of a flow is the devices on which the group decides it.

One number, `converged`, says how much of the evidence must be proven and how much may fail. Devices that were offline
before anything was released to them are left out; but each wave needs living proof of its own (`sample`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple, TypeAlias

from reconciler.model.changes import Move
from reconciler.model.log import LATEST, UNDATED, unix_time
from reconciler.model.rollout import Hold, Rollout, RolloutVerdict, Withheld, floor_percent
from reconciler.model.state import NO_RECORD, DeviceId, FlowId, Live, LiveDevice, Read, Version
from reconciler.model.text import counted
from reconciler.planner.rollout.evidence import Judge, Judgement
from reconciler.planner.rollout.window import opens

Rows: TypeAlias = Mapping[FlowId, Version | None]
_BAD = (RolloutVerdict.FAILED, RolloutVerdict.SILENT)


class Gate(NamedTuple):
    """One wave. `needs`: what is missing for it to pass. `earliest`: the Unix time at which it may pass, if known."""

    passed: bool
    needs: str | None = None
    earliest: float = LATEST


@dataclass(slots=True)
class Evidence:
    """The evidence of one flow in one wave. `due`: when those that soak will be proven."""

    devices: int = 0
    proven: int = 0
    bad: int = 0  # failed or silent
    offline: int = 0
    due: list[float] = field(default_factory=list)

    def plus(self, other: Evidence) -> Evidence:
        """The evidence of both."""
        return Evidence(
            self.devices + other.devices,
            self.proven + other.proven,
            self.bad + other.bad,
            self.offline + other.offline,
            self.due + other.due,
        )

    @property
    def base(self) -> int:
        """The devices that count."""
        return self.devices - self.offline


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
        rows = _manageable(rows, device) if device.unmanageable else rows
        return self.judge.at_a_glance(device, rows) if rows else None

    @property
    def waves(self) -> Mapping[DeviceId, int]:
        """The waves of devices."""
        return self.rollout.waves


def idle_since(position: Position, live: Live, threshold: float) -> float | None:
    """When the last release or new proof was, if that was before a time; else, and if nothing is known, None."""
    last = UNDATED
    for device_id, rows in position.rollout.rows.items():
        last = max(last, position.judge.last_step(live.devices.get(device_id, NO_RECORD), rows))
        if last >= threshold:
            return None
    return last if last > UNDATED else None


def position_of(rollout: Rollout, read: Read, flow_names: Mapping[FlowId, str]) -> Position:
    """Judge a rollout by a read with evidence and its server's time. `flow_names` are for what it says."""
    return _Judging(rollout, read, flow_names).run()


class _Judging:
    """One judgement: counts the devices, then asks the gates."""

    def __init__(self, rollout: Rollout, read: Read, flow_names: Mapping[FlowId, str]) -> None:
        self.rollout, self.live, self.now = rollout, read.live, read.server_time
        self.flow_names = flow_names
        self.gate = rollout.policy.gate
        self.judge = Judge(rollout.policy, self.now)
        self.waves = range(1, rollout.last_wave + 1)
        self.judged: dict[DeviceId, RolloutVerdict] = {}
        self.counts: Counter[tuple[int, int, RolloutVerdict]] = Counter()  # by wave, rows and verdict
        self.rows: dict[int, Rows] = {}
        self.due: dict[tuple[int, int], list[float]] = defaultdict(list)
        self.away: Counter[int] = Counter()
        self.moving: set[FlowId] = set()  # flows that change to a version
        self.failing: list[tuple[DeviceId, Judgement]] = []

    def run(self) -> Position:
        self.look()
        by_wave = {wave: self.evidence_in(wave) for wave in self.waves}
        stopped = next(self.stops(by_wave), None)
        gates = [self.gate_of(wave, by_wave, stopped) for wave in self.waves]
        opened = self.opened(gates)
        stopped = stopped or next(self.unproven(by_wave, opened), None)
        if stopped:
            gates = [gate._replace(passed=False) for gate in gates]
            opened = self.opened(gates)
        opens_at = None if self.now is None else opens(self.rollout.policy.window, self.now)
        counts: Counter[tuple[int, RolloutVerdict]] = Counter()
        evidence: Counter[int] = Counter()
        for (wave, rows, verdict), number in self.counts.items():
            counts[wave, verdict] += number
            if any(version is not None for version in self.rows[rows].values()):
                evidence[wave] += number
        reached = [wave for wave in self.waves if opened[wave - 1]]
        return Position(
            rollout=self.rollout,
            judge=self.judge,
            live=self.live,
            judged=self.judged,
            counts=counts,
            evidence=evidence,
            gates=tuple(gates),
            opened=tuple(opened),
            stopped=stopped,
            closed=tuple(self.closed(wave, opened, gates, stopped, opens_at) for wave in self.waves),
            opens_at=opens_at,
            failing=tuple(sorted(self.failing, key=lambda one: one[0])),
            is_complete=not any(verdict is RolloutVerdict.TO_RELEASE for _, _, verdict in self.counts),
            away=(
                sum(self.away[wave] for wave in reached),
                sum(evidence[wave] - counts[wave, RolloutVerdict.OFFLINE] for wave in reached),
            ),
        )

    def look(self) -> None:
        """Judge each device, and count it; whose target is not released yet has nothing to be judged by."""
        waves, records, known, at_a_glance = self.rollout.waves, self.live.devices, self.rows, self.judge.at_a_glance
        numbers: dict[tuple[int, int, int], int] = defaultdict(int)  # verdicts by `id`: hashing one takes long
        for device_id, rows in self.rollout.rows.items():
            device = records.get(device_id, NO_RECORD)
            if device.unmanageable and not (rows := _manageable(rows, device)):
                continue
            wave, key = waves[device_id], id(rows)
            known[key] = rows
            verdict = at_a_glance(device, rows) or self._judge(device_id, device, rows, wave)
            numbers[wave, key, id(verdict)] += 1
            if device.connected is False and verdict is not RolloutVerdict.OFFLINE:
                self.away[wave] += self._long_gone(device)
        by_id = {id(verdict): verdict for verdict in RolloutVerdict}
        self.counts.update({(wave, key, by_id[one]): number for (wave, key, one), number in numbers.items()})
        self.moving = self.judge.moving

    def _judge(self, device_id: DeviceId, device: LiveDevice, rows: Rows, wave: int) -> RolloutVerdict:
        found = self.judge.judge(device, rows)
        if found.verdict is RolloutVerdict.SOAKING:
            self.due[wave, id(rows)].append(found.due)
        elif found.verdict in _BAD:
            self.failing.append((device_id, found))
        self.judged[device_id] = found.verdict
        return found.verdict

    def _long_gone(self, device: LiveDevice) -> bool:
        return self.now is not None and self.now - unix_time(device.connection_time) > self.rollout.policy.patience_s

    def evidence_in(self, wave: int) -> dict[FlowId, Evidence]:
        """The evidence of a wave, for each flow to which the group gives a version."""
        found: dict[FlowId, Evidence] = defaultdict(Evidence)
        for (one, key, verdict), number in self.counts.items():
            if one != wave:
                continue
            for flow_id, version in self.rows[key].items():
                if version is None:
                    continue
                found[flow_id].devices += number
                found[flow_id].proven += number if verdict is RolloutVerdict.PROVEN else 0
                found[flow_id].bad += number if verdict in _BAD else 0
                found[flow_id].offline += number if verdict is RolloutVerdict.OFFLINE else 0
                if verdict is RolloutVerdict.SOAKING:
                    found[flow_id].due += self.due[wave, key]
        return found

    def stops(self, by_wave: Mapping[int, Mapping[FlowId, Evidence]]) -> Iterator[str]:
        """Why it is stopped: too many devices of some wave failed or are silent."""
        for wave, _, own, so_far in self.each(by_wave):
            allowed = self.allowed(so_far)
            if so_far.bad > allowed:
                found = f"{so_far.bad:,} of {counted(so_far.base, 'device')} failed or fell silent"
                yield f"wave {wave}: {found}, at most {allowed:,} may"
            elif own.devices - own.bad < (sample := min(self.gate.sample, own.devices)):
                left = f"{own.devices - own.bad:,} of its {counted(own.devices, 'device')}"
                yield f"wave {wave}: {left} neither failed nor fell silent, at least {sample:,} must run"

    def each(
        self, by_wave: Mapping[int, Mapping[FlowId, Evidence]]
    ) -> Iterator[tuple[int, FlowId, Evidence, Evidence]]:
        """For each wave and flow its own evidence and that of the waves up to it."""
        so_far: dict[FlowId, Evidence] = {}
        flows = sorted({flow_id for evidence in by_wave.values() for flow_id in evidence})
        for wave in self.waves:
            for flow_id in flows:
                own = by_wave[wave].get(flow_id, Evidence())
                so_far[flow_id] = so_far.get(flow_id, Evidence()).plus(own)
                yield wave, flow_id, own, so_far[flow_id]

    def allowed(self, evidence: Evidence) -> int:
        return floor_percent(Decimal(100) - self.gate.converged, evidence.base)

    def gate_of(self, wave: int, by_wave: Mapping[int, Mapping[FlowId, Evidence]], stopped: str | None) -> Gate:
        """Whether a wave has passed and, if not, what is missing for the flow that lacks most."""
        if not by_wave[wave]:
            return self.released(wave, stopped)
        lacking = [
            gate
            for one, _, own, so_far in self.each(by_wave)
            if one == wave and (gate := self.proof(own, so_far)) is not None
        ]
        if not lacking:
            return Gate(passed=stopped is None)
        return max(lacking, key=lambda gate: gate.earliest)

    def proof(self, own: Evidence, so_far: Evidence) -> Gate | None:
        """What one flow lacks, if anything."""
        needed = so_far.base - self.allowed(so_far)
        sample = min(self.gate.sample, own.devices)
        if so_far.proven >= needed and own.proven >= sample:
            return None
        if so_far.proven < needed:
            return Gate(
                passed=False, needs=f"{so_far.proven:,} of {needed:,} proven", earliest=self.earliest(so_far, needed)
            )
        return Gate(
            passed=False, needs=f"{own.proven:,} of {sample:,} of its own proven", earliest=self.earliest(own, sample)
        )

    def earliest(self, evidence: Evidence, needed: int) -> float:
        """When so many can be proven at the earliest, if all that are not offline come to run their targets now."""
        if self.now is None:
            return LATEST
        others = evidence.base - evidence.proven - len(evidence.due)
        due = sorted([*evidence.due, *[self.now + self.gate.soak_s] * others])
        missing = needed - evidence.proven
        return due[missing - 1] if missing <= len(due) else LATEST

    def released(self, wave: int, stopped: str | None) -> Gate:
        """A wave that can prove nothing passes once its devices are released at their targets."""
        of_wave = [(verdict, number) for (one, _, verdict), number in self.counts.items() if one == wave]
        whole = sum(number for _, number in of_wave)
        done = sum(number for verdict, number in of_wave if verdict is not RolloutVerdict.TO_RELEASE)
        return (
            Gate(passed=stopped is None)
            if done == whole
            else Gate(passed=False, needs=f"{done:,} of {whole:,} released")
        )

    def opened(self, gates: Sequence[Gate]) -> list[bool]:
        """Which waves are open, each if the one before it is and has passed."""
        up_to = self.rollout.up_to
        found = [up_to != 0 and self.now is not None]
        for wave, gate in zip(self.waves[:-1], gates, strict=False):
            found.append(found[-1] and gate.passed and (up_to is None or wave < up_to))
        return found

    def unproven(self, by_wave: Mapping[int, Mapping[FlowId, Evidence]], opened: Sequence[bool]) -> Iterator[str]:
        """Why nothing can be proven: a wave that should prove a change has nobody to prove it."""
        if not any(verdict is RolloutVerdict.TO_RELEASE for _, _, verdict in self.counts):
            return
        for flow_id in sorted(self.moving - by_wave[1].keys()):
            yield f"wave 1 has no device that could prove flow {self.flow_names.get(flow_id, flow_id)}"
        populated = {wave for wave, _, _ in self.counts}
        for wave, policy in enumerate(self.rollout.policy.waves, 1):
            by_name = policy.select.tags is not None or policy.select.devices is not None
            if by_name and wave not in populated and (wave == 1 or opened[wave - 2]):
                yield f"wave {wave} picks no device"

    def closed(
        self, wave: int, opened: Sequence[bool], gates: Sequence[Gate], stopped: str | None, opens_at: float | None
    ) -> Withheld | None:
        """Why the changes of a wave are withheld: the first reason that applies."""
        if stopped:
            return Withheld.STOPPED
        if self.now is None or not all(gate.passed for gate in gates[: wave - 1]):
            return Withheld.WAVE
        if not opened[wave - 1]:
            return Withheld.UP_TO
        return Withheld.WINDOW if opens_at is not None else None


def _manageable(rows: Rows, device: LiveDevice) -> Rows:
    """Without the flows of custom nodes, which are never changed."""
    return {flow_id: version for flow_id, version in rows.items() if flow_id not in device.unmanageable}
