"""All rollouts of an application, judged by one read: what plans, applies and status share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from reconciler.model.changes import Changes
from reconciler.model.log import UNDATED, unix_time
from reconciler.model.plan import Warning
from reconciler.model.rollout import Rollout, RolloutReport, Rollouts, RolloutState, RolloutVerdict, Withheld
from reconciler.model.state import NO_RECORD, DeviceId, FlowId, Read, Row
from reconciler.planner.rollout.position import Position, position_of
from reconciler.planner.rollout.report import report, warnings_of
from reconciler.planner.rollout.withhold import Step, withhold


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """The positions of rollouts by one read, and which of some changes are sent now."""

    read: Read
    changes: Changes
    positions: tuple[Position, ...]
    step: Step

    @property
    def warnings(self) -> list[Warning]:
        """What a reviewer should know beside the reports."""
        return [warning for position in self.positions for warning in warnings_of(position)]

    def reports(self, device_names: Mapping[DeviceId, str]) -> tuple[RolloutReport, ...]:
        """Where each rollout stands. Names that are missing are taken from the records."""
        records = self.read.live.devices
        named = {one for position in self.positions for one, _ in position.failing}
        named |= {one for rooms in self.step.full.values() for room in rooms for one in room.away}
        known = ((one, device_names.get(one) or records.get(one, NO_RECORD).name) for one in named)
        names = {one: name for one, name in known if name}
        return tuple(report(position, self.step, self.read.live, names) for position in self.positions)

    def rollouts(self, device_names: Mapping[DeviceId, str]) -> Rollouts | None:
        """What a plan says of its rollouts; None if there are none."""
        if not self.positions:
            return None
        groups = tuple(position.rollout for position in self.positions)
        return Rollouts(groups, self.reports(device_names), self.step.sent, self.step.holds)

    def may_send_within(self, seconds: float) -> bool:
        """Whether more may be sent by then: a wave may pass, a window opens, or a budget may have room."""
        now = self.read.server_time
        for position in self.positions:
            one = report(position, self.step, self.read.live, {})
            at = UNDATED if one.held_by is Withheld.BUDGET else unix_time(one.earliest)
            may = one.held_by is Withheld.BUDGET or (one.earliest is not None and now is not None)
            if may and one.state is not RolloutState.STOPPED and at <= (now or 0.0) + seconds:
                return True
        return False

    def verdict(self, row: Row) -> RolloutVerdict | None:
        """The verdict on the device of a row that a rollout waves; None for other rows."""
        device_id, flow_id = row
        for position in self.positions:
            if flow_id in position.rollout.rows.get(device_id, ()):
                return position.verdict(device_id)
        return None

    def is_withheld(self, row: Row) -> bool:
        """Whether the row has a change that is withheld."""
        holds = self.step.holds.get(row[0])
        if holds is None:
            return False
        moves = self.changes.devices.get(row[0], ())
        return any(
            move.flow_id == row[1] and hold.withheld is not None for move, hold in zip(moves, holds, strict=True)
        )

    def may_fail(self, row: Row) -> bool:
        """Whether a row failed on a device that may: its rollout is not stopped for it."""
        return any(
            row[1] in position.rollout.rows.get(row[0], ()) and position.stopped is None for position in self.positions
        )


def look(rollouts: Iterable[Rollout], changes: Changes, read: Read, flow_names: Mapping[FlowId, str]) -> Look:
    """Judge rollouts by a read with evidence, and divide changes into those that are sent now and the others."""
    positions = tuple(position_of(one, read, flow_names) for one in rollouts)
    return Look(read, changes, positions, withhold(changes, positions, read))
