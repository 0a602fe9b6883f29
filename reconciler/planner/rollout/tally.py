"""How many devices of each wave stand where: the evidence for its gate."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from reconciler.model.log import unix_time
from reconciler.model.rollout import Rollout, RolloutVerdict, Rows
from reconciler.model.state import NO_RECORD, DeviceId, FlowId, LiveDevice, Read, values_of
from reconciler.planner.rollout.evidence import Judge, Judgement

_BAD = (RolloutVerdict.FAILED, RolloutVerdict.SILENT)


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


class Tally:
    """The devices of a rollout, judged and counted by one read.

    Attributes:
        judged: the verdicts on the devices that take more than a glance.
        counts: devices by wave, rows and verdict; `rows` are those rows, by their `id`.
        due: when the devices that soak will be proven, by wave and rows.
        away: by wave, how many devices are disconnected for longer than `patience`.
        moving: the flows that some device still has to move to a version.
        failing: the devices that failed or are silent.
    """

    def __init__(self, rollout: Rollout, read: Read) -> None:
        self.rollout, self.live, self.now = rollout, read.live, read.server_time
        self.judge = Judge(rollout.policy, self.now)
        self.judged: dict[DeviceId, RolloutVerdict] = {}
        self.counts: Counter[tuple[int, int, RolloutVerdict]] = Counter()
        self.rows: dict[int, Rows] = {}
        self.due: dict[tuple[int, int], list[float]] = defaultdict(list)
        self.away: Counter[int] = Counter()
        self.moving: set[FlowId] = set()
        self.failing: list[tuple[DeviceId, Judgement]] = []

    def look(self) -> None:
        """Judge each device, and count it; whose target is not released yet has nothing to be judged by."""
        decided, known, at_a_glance = self.rollout.rows, self.rows, self.judge.at_a_glance
        numbers: dict[tuple[int, int, int], int] = defaultdict(int)  # verdicts by `id`: hashing one takes long
        beside = zip(
            decided.items(),
            values_of(self.live.devices, decided, NO_RECORD),
            values_of(self.rollout.waves, decided, 0),  # each has one
            strict=True,
        )
        for (device_id, rows), device, wave in beside:
            if device.unmanageable and not (rows := manageable(rows, device)):
                continue
            key = id(rows)
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


def manageable(rows: Rows, device: LiveDevice) -> Rows:
    """Without the flows of custom nodes, which are never changed."""
    return {flow_id: version for flow_id, version in rows.items() if flow_id not in device.unmanageable}
