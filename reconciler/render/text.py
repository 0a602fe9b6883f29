"""Renders plans as text: the changes, grouped; what a reviewer must know; and finally the lines that tools parse.

Every name goes through `inert`. Without colour the text is plain ASCII, except for names.
Lines are limited to 60 columns, except for longer ids, digests and words.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import nsmallest
from itertools import groupby
from operator import itemgetter

from reconciler.model.changes import Changes, Op, PendingRow, UnmanagedRow
from reconciler.model.plan import Gone, Plan, PlannedCall
from reconciler.model.requests import Release, RemoveDevice, RemoveFlow, RemoveRow, Replace
from reconciler.model.state import FlowId, Place, Row, Version
from reconciler.model.text import counted
from reconciler.render.inert import (
    EXAMPLES,
    LISTED,
    Paint,
    fitting,
    inert,
    left_out,
    painter,
    title,
    version_text,
    with_id,
    wrapped,
)
from reconciler.render.kinds import Cohort, by_kind, by_place
from reconciler.render.rollouts.tallies import Tally
from reconciler.render.summary import by_name, gone_of, gone_text, leaving_by_group, now_of, ranges, totals_of

_SIGN = {Op.ADD: ("+", "green"), Op.UPDATE: ("~", "yellow"), Op.REMOVE: ("-", "red")}
_ORDER = {op: place for place, op in enumerate(Op)}
_REACH: Mapping[type, str] = {RemoveDevice: "remove whole device", RemoveFlow: "remove whole flow"}


def plan_text(plans: Sequence[Plan], digest: str, *, verbose: int = 0, color: bool = False) -> str:
    """The plans of one run, each under its application, then the digest and the line with the totals."""
    paint = painter(color=color)
    lines = [f"{paint(line, 'bold')}" for one in gone_of(plans) for line in wrapped(gone_text(one), indent=0)]
    lines += [""] if lines else []
    lines += [line for plan in plans for line in (*_PlanText(plan, verbose=verbose, paint=paint).lines(), "")]
    totals = totals_of(plans)
    verdict = f"{paint('Plan:', 'bold')} {totals}" if totals else _no_changes(plans, paint)
    return "\n".join([*lines, f"Digest: {digest}", verdict, *now_of(plans), ""])


def _no_changes(plans: Sequence[Plan], paint: Paint) -> str:
    """Nothing to send; a guard may refuse it nevertheless, as where rows leave management."""
    guards = ", ".join(sorted({inert(refusal.guard) for plan in plans for refusal in plan.refused}))
    return f"No changes. {paint('Refused', 'red')} ({guards})." if guards else paint("No changes.", "green")


class _PlanText:
    """The section of one plan."""

    def __init__(self, plan: Plan, *, verbose: int, paint: Paint) -> None:
        self._plan = plan
        self._verbose = verbose
        self._paint = paint
        self._changes = Changes.of(plan.changes)
        self._tally = Tally(plan)

    def lines(self) -> Iterator[str]:
        """Header, changes by flow, then calls, pending, unmanaged, warnings, refusals."""
        yield from self._header()
        yield from self._moves()
        yield from self._calls()
        yield from self._rollouts()
        yield from self._quiet_rows()
        yield from self._leaving()
        yield from self._warnings()
        yield from self._refusals()

    def _device(self, device_id: str) -> str:
        return inert(self._plan.device_names.get(device_id) or device_id)

    def _flow(self, flow_id: str) -> str:
        return inert(self._plan.flow_names.get(flow_id) or flow_id)

    def _row(self, row: Row) -> str:
        return f"{self._device(row[0])} / {self._flow(row[1])}"

    def _header(self) -> Iterator[str]:
        yield self._paint(title(self._plan.application, self._plan.kind), "bold")
        if self._plan.partial:
            yield "Partial plan: --target and --exclude leave rows out."

    def _moves(self) -> Iterator[str]:
        groups: dict[tuple[FlowId, Op, Version | None, Version | None], list[Cohort]] = defaultdict(list)
        for moves, device_ids in self._changes.cohorts.items():
            cohort = Cohort(device_ids, self._plan.device_names)
            for move in moves:
                groups[move.flow_id, move.op, move.from_version, move.to_version].append(cohort)
        ordered = sorted(groups, key=self._reading_order)
        for flow_id, in_flow in groupby(ordered, key=itemgetter(0)):
            yield ""
            yield f"  flow {self._paint(with_id(self._plan.flow_names.get(flow_id), flow_id), 'bold')}"
            for group in in_flow:
                yield from self._group(*group, groups[group])

    def _reading_order(
        self, group: tuple[FlowId, Op, Version | None, Version | None]
    ) -> tuple[str, str, int, str, str]:
        """By the name that a reader sees; the id decides between equal ones."""
        flow_id, op, from_version, to_version = group
        return (self._plan.flow_names.get(flow_id, ""), flow_id, _ORDER[op], from_version or "", to_version or "")

    def _group(
        self, flow_id: FlowId, op: Op, from_version: Version | None, to_version: Version | None, cohorts: list[Cohort]
    ) -> Iterator[str]:
        sign, style = _SIGN[op]
        movement = f"{sign} {' -> '.join(map(inert, filter(None, (from_version, to_version))))}"
        total = sum(len(cohort.device_ids) for cohort in cohorts)
        now = self._tally.now(flow_id, from_version, to_version)
        extent = ", ".join([counted(total, "device"), *now, *self._how(flow_id, cohorts)])
        yield from self._painted(f"{movement}  {extent}", movement, style, indent=4)
        if op is Op.REMOVE or self._verbose:
            named = [(self._plan.device_names.get(one, ""), one) for cohort in cohorts for one in cohort.device_ids]
            places = {device_id: self._changes.decided[device_id][flow_id].place for _, device_id in sorted(named)}
            if op is not Op.REMOVE:
                for devices in by_place(places):
                    yield from wrapped(
                        f"{inert(devices.place)}  {counted(len(devices.device_ids), 'device')}", indent=8
                    )
                    names = [self._device(one) for one in devices.device_ids[:EXAMPLES]]
                    yield fitting(names, total=len(devices.device_ids), indent=12)
                return
            for device_id, place in places.items():
                name = self._plan.device_names.get(device_id)
                why = self._tally.why(device_id, flow_id)
                yield f"        {sign} {with_id(name or None, device_id)}  {inert(str(place))}{why}"
        else:
            examples = nsmallest(EXAMPLES, (name for cohort in cohorts for name in cohort.examples))
            yield fitting(list(map(inert, examples)), total=total, indent=8)

    def _painted(self, text: str, part: str, style: str, *, indent: int) -> Iterator[str]:
        """Wrapped lines, with the initial part in colour."""
        first, *others = wrapped(text, indent=indent)
        yield first.replace(part, self._paint(part, style), 1)
        yield from others

    def _how(self, flow_id: FlowId, cohorts: Iterable[Cohort]) -> Iterator[str]:
        """The calls, by action. A saved plan that was edited may lack some."""
        calls = {call.id: call for call in self._plan.calls if any(one.has_row_of(call, flow_id) for one in cohorts)}
        by_action: dict[str, list[int]] = {}
        for number in sorted(calls):
            request = calls[number].request
            by_action.setdefault(_REACH.get(type(request), request.action), []).append(number)
        for action, numbers in by_action.items():
            yield f"{action} {ranges(numbers)}"

    def _calls(self) -> Iterator[str]:
        plan = self._plan
        if not plan.calls:
            return
        actions = Counter(call.action for call in plan.calls)
        kinds = ", ".join(f"{number:,} {action}" for action, number in sorted(actions.items()))
        cohorts = Changes.of(plan.sent).cohorts
        devices = sum(map(len, cohorts.values()))
        yield ""
        yield f"  Calls: {len(plan.calls):,} ({kinds})"
        most = counted(max(map(len, cohorts), default=0), "change")
        yield f"  Devices touched: {devices:,}, at most {most} each"
        if self._verbose:
            for call in plan.calls:
                yield from self._call(call)

    def _call(self, call: PlannedCall) -> list[str]:
        after = f", after {ranges(call.after)}" if call.after else ""
        reason = f": {inert(call.reason)}" if call.reason else f", {counted(call.count, 'change')}"
        return wrapped(f"#{call.id} {self._request(call.request)}{after}{reason}", indent=4)

    def _request(self, request: object) -> str:
        match request:
            case Release():
                return f"release {self._flow(request.flow_id)} -> {version_text(request.version)}"
            case Replace():
                return f"replace {self._flow(request.flow_id)} {inert(request.old)} -> {version_text(request.new)}"
            case RemoveRow():
                return f"remove {self._flow(request.flow_id)} from {self._device(request.device_id)}"
            case RemoveDevice():
                return f"remove everything from {self._device(request.device_id)}"
            case RemoveFlow():
                return f"remove {self._flow(request.flow_id)} everywhere"
            case _:
                return "a request of a later version"

    def _rollouts(self) -> Iterator[str]:
        if self._plan.rollouts:
            from reconciler.render.rollouts.text import rollout_lines, withheld_lines  # noqa: PLC0415 - it is rare

            names = self._plan.flow_names
            yield from rollout_lines(self._plan.rollouts.reports, names, paint=self._paint, verbose=self._verbose)
            yield from withheld_lines(self._tally.reasons, self._tally.going_back)

    def _quiet_rows(self) -> Iterator[str]:
        plan = self._plan
        yield ""
        yield f"  In sync: {counted(plan.summary.keep, 'row')}"
        if plan.pending:
            yield f"  Pending: {len(plan.pending):,} of these, released but not yet reported"
            yield from self._some([(row, self._pending(row)) for row in plan.pending])
        deleted = {device.device_id for device in plan.deleted_devices}
        for heading, is_deleted in (("Unmanaged", False), ("Unmanaged, device deleted", True)):
            if rows := [row for row in plan.unmanaged if (row.device_id in deleted) is is_deleted]:
                yield f"  {heading}: {counted(len(rows), 'row')}, left alone"
                yield from self._some([(row, self._unmanaged(row)) for row in rows])

    def _leaving(self) -> Iterator[str]:
        """What an earlier revision managed, and the manifests do not any more: nothing is sent for it."""
        leaving = self._plan.guards.leaving
        if self._plan.leaving is None or leaving is None:
            return
        heading = f"Leaves management: {counted(leaving.rows, 'row')}"
        style = "red" if leaving.rows else "green"
        against = f"{heading} of {leaving.managed:,} that {inert(leaving.against)} manages"
        yield from self._painted(against, heading, style, indent=2)
        for flow_id, version, group, device_ids in leaving_by_group(self._plan):
            held = f"group {inert(group)}" if group is not None else "named devices"
            text = f"{self._flow(flow_id)} {inert(version or 'absent')}, {held}: {counted(len(device_ids), 'device')}"
            yield from wrapped(text, indent=4)
            names = sorted(map(self._device, device_ids))
            if self._verbose:
                yield from (f"        {name}" for name in names)
            else:
                yield fitting(names[:EXAMPLES], total=len(names), indent=8)

    def _some(self, rows: Sequence[tuple[PendingRow | UnmanagedRow, str]]) -> Iterator[str]:
        """A few of the rows, by name; with `-v` every kind of them."""
        lines = sorted((self._row((row.device_id, row.flow_id)), text, row) for row, text in rows)
        if self._verbose:
            yield from self._kinds(lines)
            return
        for name, text, _ in lines[:EXAMPLES]:
            yield from wrapped(f"{name}: {text}", indent=4)
        yield from left_out(len(lines) - EXAMPLES, indent=4)

    def _kinds(self, lines: Sequence[tuple[str, str, PendingRow | UnmanagedRow]]) -> Iterator[str]:
        """What the rows of a flow have in common, and the names of some."""
        alike = by_kind(lines, lambda line: (line[2].flow_id, line[1]))
        for rows in alike[:LISTED]:
            name, text, row = rows[0]
            if len(rows) == 1:
                yield from wrapped(f"{name}: {text}", indent=4)
                continue
            yield from wrapped(f"{counted(len(rows), 'device')} / {self._flow(row.flow_id)}: {text}", indent=4)
            yield fitting([self._device(row.device_id) for _, _, row in rows[:EXAMPLES]], total=len(rows), indent=8)
        yield from left_out(sum(map(len, alike[LISTED:])), indent=4)

    def _pending(self, row: PendingRow) -> str:
        offline = ", offline" if row.connected is False else ""
        failed = f", last error: {inert(row.last_error, limit=200)}" if row.last_error else ""
        return f"{version_text(row.released)}, reports {version_text(row.reported)}{offline}{failed}"

    def _unmanaged(self, row: UnmanagedRow) -> str:
        reports = "" if row.reported == row.released else f", reports {version_text(row.reported)}"
        return f"{version_text(row.released)}{reports}"

    def _warnings(self) -> Iterator[str]:
        for note in self._plan.notes:
            yield from self._painted(f"Note: {inert(note)}", "Note:", "yellow", indent=2)
        for warning in self._plan.warnings:
            if isinstance(warning, Gone):
                continue  # told first
            hint = f" ({inert(warning.hint)})" if warning.hint else ""
            text = f"Warning: {_place(warning.place)}{inert(warning.message)}{hint}"
            yield from self._painted(text, "Warning:", "yellow", indent=2)

    def _refusals(self) -> Iterator[str]:
        for refusal in self._plan.refused:
            text = f"Refused: {_place(refusal.place)}{inert(refusal.message)}"
            yield from self._painted(text, "Refused:", "red", indent=2)
            for row in by_name(self._plan, refusal.rows)[:LISTED]:
                yield from wrapped(self._row(row), indent=6)
            yield from left_out(len(refusal.rows) - LISTED, indent=6)
            yield from wrapped(f"Way out: {inert(refusal.hint)}", indent=4)


def _place(place: Place | None) -> str:
    return f"{inert(str(place))}: " if place else ""
