"""Which waves pass on which evidence, and what stops a rollout.

A wave passes on the proof of its own devices and of those of the waves before it, never on that of later ones, which
may run the version for another reason. It is judged for each flow to which the group gives a version, changed or not;
the evidence of a flow is the devices on which the group decides it.

One number, `converged`, says how much of the evidence must be proven and how much may fail. Devices that were offline
before anything was released to them are left out; but each wave needs living proof of its own (`sample`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from reconciler.model.log import LATEST
from reconciler.model.rollout import RolloutVerdict, Withheld, floor_percent
from reconciler.model.state import FlowId
from reconciler.model.text import counted
from reconciler.planner.rollout.tally import Evidence, Tally


class Gate(NamedTuple):
    """One wave. `needs`: what is missing for it to pass. `earliest`: the Unix time at which it may pass, if known."""

    passed: bool
    needs: str | None = None
    earliest: float = LATEST


class Gates:
    """The gates of a rollout; they are asked with the evidence of each wave, by flow."""

    def __init__(self, tally: Tally, flow_names: Mapping[FlowId, str]) -> None:
        self.rollout, self.now, self.gate = tally.rollout, tally.now, tally.rollout.policy.gate
        self.waves = range(1, tally.rollout.last_wave + 1)
        self.counts, self.moving = tally.counts, tally.moving
        self.flow_names = flow_names

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
        """How many devices may fail or fall silent."""
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
