"""What rollouts say of the changes of a plan, counted once for all devices that are alike."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from reconciler.model.changes import Changes
from reconciler.model.plan import Plan
from reconciler.model.rollout import Hold, Rollout, Withheld
from reconciler.model.state import DeviceId, FlowId, Version

_Way: TypeAlias = tuple[FlowId, Version | None, Version | None]  # flow, from and to
_ORDER: Mapping[str, int] = {reason: rank for rank, reason in enumerate(Withheld)}


class WaveTally(NamedTuple):
    """The changes of one wave: how many are sent now, and how many are withheld for each reason."""

    now: int
    withheld: Mapping[str, int]


class Tally:
    """The changes that are sent and withheld. Without rollouts it has nothing to say.

    Attributes:
        reasons: the number of changes withheld for each reason.
        going_back: the number of changes that go back.
    """

    def __init__(self, plan: Plan) -> None:
        self._changes = Changes.of(plan.changes)
        self._holds: Mapping[DeviceId, tuple[Hold, ...]] | None = plan.rollouts.holds if plan.rollouts else None
        self._withheld: Counter[_Way] = Counter()
        self._total: Counter[_Way] = Counter()
        reasons: Counter[str] = Counter()
        self.going_back = 0
        for way, hold, number in self._counted():
            self._total[way] += number
            self.going_back += number if hold and hold.goes_back else 0
            if hold and hold.withheld is not None:
                self._withheld[way] += number
                reasons[hold.withheld] += number
        self.reasons = in_order(reasons)

    def _counted(self) -> Iterator[tuple[_Way, Hold | None, int]]:
        """What a rollout says of each kind of change, and how often."""
        if self._holds is None:
            return
        for moves, device_ids in self._changes.cohorts.items():
            found = list(map(self._holds.get, device_ids))
            alike = {id(holds): holds for holds in found}  # devices that are alike share them
            for key, number in Counter(map(id, found)).items():
                holds = alike[key] or (None,) * len(moves)
                for move, hold in zip(moves, holds, strict=True):
                    yield (move.flow_id, move.from_version, move.to_version), hold, number

    def sent(self, flow_id: FlowId, from_version: Version | None, to_version: Version | None) -> int:
        """How many changes of a flow from one version to another are sent now."""
        way = (flow_id, from_version, to_version)
        return self._total[way] - self._withheld[way]

    def now(self, flow_id: FlowId, from_version: Version | None, to_version: Version | None) -> Iterator[str]:
        """`2 now`, `none now`; nothing if all of them are sent."""
        if self._withheld[flow_id, from_version, to_version]:
            sent = self.sent(flow_id, from_version, to_version)
            yield f"{sent:,} now" if sent else "none now"

    def why(self, device_id: DeviceId, flow_id: FlowId) -> str:
        """`, withheld (wave)` if the change of that row is."""
        holds = (self._holds or {}).get(device_id, ())
        for move, hold in zip(self._changes.devices[device_id] if holds else (), holds, strict=True):
            if move.flow_id == flow_id and hold.withheld is not None:
                return f", withheld ({hold.withheld})"
        return ""


def by_wave(plan: Plan) -> Mapping[tuple[str, int], WaveTally]:
    """The changes of each wave, by group and number; waves without changes are left out."""
    now: Counter[tuple[str, int]] = Counter()
    withheld: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    if plan.rollouts is not None:
        moves = Changes.of(plan.changes).devices
        for device_id, holds in plan.rollouts.holds.items():
            mine = [one for one in plan.rollouts.groups if device_id in one.rows]
            for move, hold in zip(moves.get(device_id, ()), holds, strict=False):
                if hold.wave is None or not (group := _group(mine, device_id, move.flow_id, hold.wave)):
                    continue
                if hold.withheld is None:
                    now[group, hold.wave] += 1
                else:
                    withheld[group, hold.wave][hold.withheld] += 1
    return {key: WaveTally(now[key], in_order(withheld[key])) for key in {*now, *withheld}}


def _group(mine: Sequence[Rollout], device_id: DeviceId, flow_id: FlowId, wave: int) -> str | None:
    """The group that decides the row; a removal by `prune` waits with other rows of its device, so with their group."""
    decides = [one.group for one in mine if flow_id in one.rows[device_id]]
    waits_with = [one.group for one in mine if one.waves[device_id] == wave]
    return next(iter([*decides, *waits_with]), None)


def in_order(reasons: Mapping[str, int]) -> Mapping[str, int]:
    """Numbers by reason, in the order in which the reasons count."""
    return dict(sorted(reasons.items(), key=lambda one: _ORDER.get(one[0], len(_ORDER))))
