"""What rollouts say of the changes of a plan, counted once for all devices that are alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from reconciler.model.changes import Changes
from reconciler.model.plan import Plan
from reconciler.model.rollout import Hold, Withheld
from reconciler.model.state import DeviceId, FlowId, Version

_Way: TypeAlias = tuple[FlowId, Version | None, Version | None]  # flow, from and to
_ORDER: Mapping[str, int] = {reason: rank for rank, reason in enumerate(Withheld)}


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
        self.reasons = dict(sorted(reasons.items(), key=lambda one: _ORDER.get(one[0], len(_ORDER))))

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
