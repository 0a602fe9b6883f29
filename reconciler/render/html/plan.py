"""The page of plans: the summary, what is removed or leaves, each flow with the calls that move it, and the waves."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from heapq import nsmallest
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from reconciler.model.changes import Change, Changes, LeavingRow, Op, PendingRow, UnmanagedRow
from reconciler.model.digest import Digests
from reconciler.model.plan import Gone, Plan, PlannedCall, Refusal, Warning
from reconciler.model.requests import Release, RemoveDevice, RemoveFlow, RemoveRow, Replace
from reconciler.model.state import DeviceId, FlowId, Row, Version
from reconciler.model.text import and_more, counted
from reconciler.render.html.engine import page
from reconciler.render.html.rollouts import RolloutView, attention, next_time, rollout_views, withheld
from reconciler.render.html.room import Listed, Room
from reconciler.render.inert import EXAMPLES
from reconciler.render.rollouts.tallies import Tally, by_wave
from reconciler.render.summary import by_name, gone_of, leaving_by_group, ranges, totals_of

_REACH: Mapping[type, str] = {RemoveDevice: "remove whole device", RemoveFlow: "remove whole flow"}


class RowView(NamedTuple):
    """A row by name: a change, a pending or an unmanaged one, or one of a refusal."""

    device: str | None
    device_id: DeviceId
    flow: str
    op: Op | None = None
    before: Version | None = None
    after: Version | None = None
    source: str | None = None
    note: str | None = None


class MoveView(NamedTuple):
    """The devices of a flow that move alike, how many of them move now, and the calls that move them."""

    flow: str | None
    flow_id: FlowId
    op: Op
    before: Version | None
    after: Version | None
    devices: int
    now: int
    calls: str


class CallView(NamedTuple):
    """A request: what it does to which devices, after which others, and why."""

    id: int
    action: str
    flow: str | None
    before: Version | None
    after: Version | None
    reach: str
    changes: int
    waits_for: str
    reason: str


class RefusalView(NamedTuple):
    """A refusal, its way out and its rows."""

    refusal: Refusal
    rows: Listed[RowView]


class LeavingView(NamedTuple):
    """Rows of a flow that leave management: the version and the group that they had, and who they are."""

    flow: str
    version: Version | None
    group: str | None
    devices: int
    names: str


class PlanView(NamedTuple):
    """A plan."""

    plan: Plan
    removals: Listed[RowView]
    leaving: Listed[LeavingView]
    leaving_rows: Listed[RowView]
    rollouts: Listed[RolloutView]
    withheld: Listed[str]
    going_back: int
    unmanaged: Listed[RowView]
    deleted: Listed[RowView]
    flows: tuple[tuple[str | None, FlowId, tuple[MoveView, ...]], ...]
    moves_left: int
    calls: Listed[CallView]
    refusals: tuple[RefusalView, ...]
    warnings: Listed[Warning]
    pending: Listed[RowView]
    changes: Listed[RowView]


def plan_html(plans: Sequence[Plan], both: Digests, *, commit: str | None = None, read: str | None = None) -> str:
    """The plans of one run; `commit` is the commit of the manifests, `read` when the live state was read."""
    room = Room()
    totals = totals_of(plans)
    views = [_Names(plan) for plan in plans]
    # What is refused and what goes has room before everything else.
    first = [(view.refusals(room), view.removals(room), view.leaving(room)) for view in views]
    told = [one for plan in plans if plan.rollouts for one in plan.rollouts.reports]
    gone = room.all(gone_of(plans))
    refused = any(plan.refused for plan in plans)
    nothing = "No changes, refused" if refused else "No changes"
    rollouts = [view.rollouts(room) for view in views]
    return page(
        "plan.html",
        title=f"Plan: {totals}" if totals else nothing,
        refused=refused,
        partial=any(plan.partial for plan in plans),
        totals={op: sum(getattr(plan.summary, op) for plan in plans) for op in Op},
        calls=sum(len(plan.calls) for plan in plans),
        kept=sum(plan.summary.keep for plan in plans),
        plans=[view.whole(*parts, waves, room) for view, parts, waves in zip(views, first, rollouts, strict=True)],
        gone=gone,
        attention=attention(told),
        waved=bool(totals) and any(plan.rollouts for plan in plans),
        now=sum(len(plan.sent) for plan in plans),
        withheld=sum(plan.withheld for plan in plans),
        next=next_time(told),
        digests=both,
        commit=commit,
        read=read,
        room=room,
    )


class _Names:
    """A plan, whose rows are shown by name."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._device = plan.device_names.get
        self._flow = plan.flow_names.get
        self._tally = Tally(plan)

    def refusals(self, room: Room) -> tuple[RefusalView, ...]:
        return tuple(
            RefusalView(one, room.take(map(self._row, by_name(self._plan, one.rows)), len(one.rows)))
            for one in self._plan.refused
        )

    def removals(self, room: Room) -> Listed[RowView]:
        gone = (self._change(one) for one in self._plan.changes if one.op is Op.REMOVE)
        return room.take(gone, self._plan.summary.remove)

    def leaving(self, room: Room) -> Listed[LeavingView]:
        return room.all([self._left(*one) for one in leaving_by_group(self._plan)])

    def _left(
        self, flow_id: FlowId, version: Version | None, group: str | None, ids: Sequence[DeviceId]
    ) -> LeavingView:
        names = nsmallest(EXAMPLES, (self._device(one) or one for one in ids))
        some = f"{', '.join(names)}{and_more(len(ids) - len(names), '')}"
        return LeavingView(self._flow(flow_id) or flow_id, version, group, len(ids), some)

    def rollouts(self, room: Room) -> Listed[RolloutView]:
        plan = self._plan
        reports = plan.rollouts.reports if plan.rollouts else ()
        return rollout_views(reports, plan.flow_names, room, changes=by_wave(plan))

    def whole(
        self,
        refusals: tuple[RefusalView, ...],
        removals: Listed[RowView],
        leaving: Listed[LeavingView],
        rollouts: Listed[RolloutView],
        room: Room,
    ) -> PlanView:
        plan = self._plan
        deleted = {one.device_id for one in plan.deleted_devices}
        parts = [[row for row in plan.unmanaged if (row.device_id in deleted) is one] for one in (False, True)]
        unmanaged, of_deleted = (room.take(map(self._unmanaged, rows), len(rows)) for rows in parts)
        moves = room.all(self._moves())
        by_flow = groupby(moves.rows, key=attrgetter("flow", "flow_id"))
        return PlanView(
            plan=plan,
            removals=removals,
            leaving=leaving,
            leaving_rows=room.take(map(self._leaves, plan.leaving or ()), len(plan.leaving or ())),
            rollouts=rollouts,
            withheld=room.all([*withheld(self._tally.reasons)]),
            going_back=self._tally.going_back,
            unmanaged=unmanaged,
            deleted=of_deleted,
            flows=tuple((*key, tuple(group)) for key, group in by_flow),
            moves_left=moves.left,
            warnings=room.all([one for one in plan.warnings if not isinstance(one, Gone)]),  # told first
            calls=room.take(map(self._call, plan.calls), len(plan.calls)),
            refusals=refusals,
            pending=room.take(map(self._pending, plan.pending), len(plan.pending)),
            changes=room.take(
                (self._change(one) for one in plan.changes if one.op is not Op.REMOVE),
                plan.summary.add + plan.summary.update,
            ),
        )

    def _row(self, row: Row) -> RowView:
        device_id, flow_id = row
        return RowView(self._device(device_id), device_id, self._flow(flow_id) or flow_id)

    def _change(self, one: Change) -> RowView:
        row = self._row(one.row)
        return row._replace(
            op=one.op,
            before=one.from_version,
            after=one.to_version,
            source=str(one.source),
            note=self._tally.why(one.device_id, one.flow_id).removeprefix(", ") or None,
        )

    def _leaves(self, one: LeavingRow) -> RowView:
        row = self._row((one.device_id, one.flow_id))
        return row._replace(before=one.version, after=one.released, source=str(one.source), note=one.group)

    def _unmanaged(self, one: UnmanagedRow) -> RowView:
        return self._row((one.device_id, one.flow_id))._replace(before=one.released, after=one.reported)

    def _pending(self, one: PendingRow) -> RowView:
        notes = ["offline"] if one.connected is False else []
        notes += [f"last error: {one.last_error}"] if one.last_error else []
        row = self._row((one.device_id, one.flow_id))
        return row._replace(before=one.reported, after=one.released, note=", ".join(notes))

    def _moves(self) -> list[MoveView]:
        """By the name that a reader sees; removals first."""
        carried, actions = self._plan.calls_by_row(), {call.id: call.request for call in self._plan.calls}
        found: dict[tuple[FlowId, Op, Version | None, Version | None], Counter[int]] = defaultdict(Counter)
        for move, device_ids in Changes.of(self._plan.changes).by_move.items():
            calls = found[move.flow_id, move.op, move.from_version, move.to_version]
            calls.update(carried.get((device_id, move.flow_id), -1) for device_id in device_ids)
        views = [
            MoveView(self._flow(key[0]), *key, calls.total(), self._now(key, calls), ", ".join(_how(calls, actions)))
            for key, calls in found.items()
        ]
        return sorted(views, key=_reading_order)

    def _now(self, key: tuple[FlowId, Op, Version | None, Version | None], calls: Counter[int]) -> int:
        flow_id, _, before, after = key
        return self._tally.sent(flow_id, before, after) if self._plan.rollouts else calls.total()

    def _call(self, call: PlannedCall) -> CallView:
        request = call.request
        flow_id = getattr(request, "flow_id", None)
        device_id = getattr(request, "device_id", None)
        before, after, reach = None, None, ""
        match request:
            case Release():
                after, reach = request.version, f"{counted(len(request.device_ids), 'device')}, by id"
            case Replace():
                before, after, reach = request.old, request.new, "every device that was given the old version"
            case RemoveRow():
                reach = self._device(request.device_id) or request.device_id
            case RemoveDevice():
                reach = f"all flows of {self._device(device_id or '') or device_id}"
            case RemoveFlow():
                reach = "every device that has the flow"
        flow = (self._flow(flow_id) or flow_id) if flow_id else None
        waits_for = ranges(call.after) if call.after else ""
        return CallView(call.id, request.action, flow, before, after, reach, call.count, waits_for, call.reason)


def _how(calls: Counter[int], requests: Mapping[int, object]) -> Iterator[str]:
    """`release #1, #5`. A saved plan that was edited may lack some."""
    by_action: dict[str, list[int]] = defaultdict(list)
    for number in sorted(one for one in calls if one in requests):
        request = requests[number]
        by_action[_REACH.get(type(request), str(getattr(request, "action", "")))].append(number)
    for action, numbers in by_action.items():
        yield f"{action} {ranges(numbers)}"


def _reading_order(move: MoveView) -> tuple[str, str, bool, str, str]:
    return (move.flow or "", move.flow_id, move.op is not Op.REMOVE, move.before or "", move.after or "")
