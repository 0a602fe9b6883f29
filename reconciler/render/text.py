"""A plan as text for people: what changes, grouped; what a reviewer must know; and last the lines that tools read.

Every name goes through `inert`. Colour is the caller's wish; without it the text is plain ASCII but for the names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter

import click

from reconciler.planner.plan import Change, Op, Plan, PlannedCall
from reconciler.planner.state import Row
from reconciler.render.inert import inert

EXAMPLES = 3  # names shown where a group stands for many devices
LISTED = 20  # rows of a refusal that are named
_SIGN = {Op.ADD: ("+", "green"), Op.UPDATE: ("~", "yellow"), Op.REMOVE: ("-", "red")}
_ORDER = {Op.ADD: 0, Op.UPDATE: 1, Op.REMOVE: 2}


def plan_text(plans: Sequence[Plan], digest: str, *, verbose: int = 0, color: bool = False) -> str:
    """The plans of one run, each under its application, then the digest and the line with the totals."""
    paint = Paint(color=color)
    lines: list[str] = []
    for plan in plans:
        lines += PlanText(plan, verbose=verbose, paint=paint).lines()
        lines.append("")
    lines.append(f"Digest: {digest}")
    lines.append(verdict(plans, paint))
    return "\n".join(lines) + "\n"


def verdict(plans: Sequence[Plan], paint: Paint) -> str:
    """The last line, in Terraform's words."""
    if not any(plan.changes for plan in plans):
        return paint("No changes.", "green")
    add, update, remove = (sum(getattr(plan.summary, op) for plan in plans) for op in ("add", "update", "remove"))
    return paint("Plan:", "bold") + f" {add:d} to add, {update:d} to change, {remove:d} to destroy."


def counted(number: int, noun: str) -> str:
    """`1 device`, `1,200 devices`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


class Paint:
    """Wraps text in a colour, or does not."""

    def __init__(self, *, color: bool) -> None:
        self._color = color

    def __call__(self, text: str, style: str) -> str:
        """The text in that colour, or bold."""
        if not self._color:
            return text
        return click.style(text, bold=True) if style == "bold" else click.style(text, fg=style)


class Names:
    """Shows ids with the names that are known for them."""

    def __init__(self, devices: Mapping[str, str], flows: Mapping[str, str]) -> None:
        self._devices = devices
        self._flows = flows

    def device(self, device_id: str) -> str:
        """The device's name, or its id where no name is known."""
        return inert(self._devices.get(device_id) or device_id)

    def device_in_full(self, device_id: str) -> str:
        """Name and id."""
        return _with_id(self._devices.get(device_id), device_id)

    def flow(self, flow_id: str) -> str:
        """The flow's name, or its id."""
        return inert(self._flows.get(flow_id) or flow_id)

    def flow_in_full(self, flow_id: str) -> str:
        """Name and id."""
        return _with_id(self._flows.get(flow_id), flow_id)

    def row(self, row: Row) -> str:
        """`device / flow`."""
        return f"{self.device(row[0])} / {self.flow(row[1])}"


def _with_id(name: str | None, identifier: str) -> str:
    return f"{inert(name)} ({identifier})" if name else identifier


class PlanText:
    """The section of one plan."""

    def __init__(self, plan: Plan, *, verbose: int, paint: Paint) -> None:
        self._plan = plan
        self._verbose = verbose
        self._paint = paint
        self._names = Names(plan.device_names, plan.flow_names)
        self._call_of = {row: call for call in plan.calls for row in call.rows}

    def lines(self) -> Iterator[str]:
        """Header, changes by flow, then calls, pending, unmanaged, warnings, refusals."""
        yield from self._header()
        yield from self._changes()
        yield from self._calls()
        yield from self._quiet_rows()
        yield from self._warnings()
        yield from self._refusals()

    def _header(self) -> Iterator[str]:
        application = self._plan.application
        title = f"Application {_with_id(application.name, application.id)}, {self._plan.kind}"
        yield self._paint(title, "bold")
        if self._plan.partial:
            yield "Partial plan: rows outside --target and --exclude are left out."

    def _changes(self) -> Iterator[str]:
        by_flow = sorted(self._plan.changes, key=self._reading_order)
        for flow_id, in_flow in groupby(by_flow, key=itemgetter(1)):
            yield ""
            yield f"  flow {self._paint(self._names.flow_in_full(flow_id), 'bold')}"
            for _, group in groupby(in_flow, key=lambda change: (change.op, change.from_version, change.to_version)):
                yield from self._group(list(group))

    def _reading_order(self, change: Change) -> tuple[str, str, int, str, str, str, str]:
        """By the names that a reader sees; ids decide between equal ones."""
        return (
            self._plan.flow_names.get(change.flow_id, ""),
            change.flow_id,
            _ORDER[change.op],
            change.from_version or "",
            change.to_version or "",
            self._plan.device_names.get(change.device_id, ""),
            change.device_id,
        )

    def _group(self, changes: list[Change]) -> Iterator[str]:
        first = changes[0]
        sign, style = _SIGN[first.op]
        told = ", ".join([counted(len(changes), "device"), *self._how(changes)])
        yield "    " + self._paint(f"{sign} {_movement(first)}", style) + f"  {told}"
        if first.op is Op.REMOVE or self._verbose:
            for change in changes:
                yield f"        {sign} {self._names.device_in_full(change.device_id)}  {inert(str(change.source))}"
        else:
            yield f"        {self._examples([change.device_id for change in changes])}"

    def _how(self, changes: Iterable[Change]) -> Iterator[str]:
        """The calls, by action. A saved plan that was edited may lack some."""
        calls = {call.id: call for change in changes if (call := self._call_of.get(change.row))}
        by_action: dict[str, list[int]] = {}
        for number in sorted(calls):
            by_action.setdefault(calls[number].request.action, []).append(number)
        for action, numbers in by_action.items():
            yield f"{action} {ranges(numbers)}"

    def _examples(self, device_ids: Sequence[str]) -> str:
        named = ", ".join(self._names.device(device_id) for device_id in device_ids[:EXAMPLES])
        more = len(device_ids) - EXAMPLES
        return f"{named} and {more:,} more" if more > 0 else named

    def _calls(self) -> Iterator[str]:
        plan = self._plan
        if not plan.calls:
            return
        actions = Counter(call.request.action for call in plan.calls)
        kinds = ", ".join(f"{number} {action}" for action, number in sorted(actions.items()))
        per_device = Counter(change.device_id for change in plan.changes)
        yield ""
        yield f"  Calls: {len(plan.calls):,} ({kinds})"
        most = counted(max(per_device.values()), "change")
        yield f"  Devices touched: {len(per_device):,}, at most {most} each"
        if self._verbose:
            for call in plan.calls:
                yield f"    {self._call(call)}"

    def _call(self, call: PlannedCall) -> str:
        after = f", after {ranges(call.after)}" if call.after else ""
        reason = f": {inert(call.reason)}" if call.reason else ""
        return f"#{call.id} {call.request.action}, {counted(len(call.rows), 'change')}{after}{reason}"

    def _quiet_rows(self) -> Iterator[str]:
        plan = self._plan
        yield ""
        yield f"  In sync: {counted(plan.summary.keep, 'row')}"
        if plan.pending:
            yield f"  Pending: {counted(len(plan.pending), 'row')} released as desired, not yet reported"
            pending = sorted(plan.pending, key=lambda row: self._names.row(row[:2]))
            shown = pending if self._verbose else pending[:EXAMPLES]
            for row in shown:
                offline = ", offline" if row.connected is False else ""
                failed = f", last error: {inert(row.last_error, limit=200)}" if row.last_error else ""
                yield (
                    f"    {self._names.row((row.device_id, row.flow_id))}: {_version(row.released)}, "
                    f"reports {_version(row.reported)}{offline}{failed}"
                )
            yield from _more(len(plan.pending), len(shown))
        if plan.unmanaged:
            yield f"  Unmanaged: {counted(len(plan.unmanaged), 'row')} that no manifest declares, left alone"
            unmanaged = sorted(plan.unmanaged, key=lambda row: self._names.row(row[:2]))
            loose = unmanaged if self._verbose else unmanaged[:EXAMPLES]
            for other in loose:
                yield f"    {self._names.row((other.device_id, other.flow_id))}: {_version(other.released)}"
            yield from _more(len(plan.unmanaged), len(loose))

    def _warnings(self) -> Iterator[str]:
        for warning in self._plan.warnings:
            place = f"{inert(str(warning.place))}: " if warning.place else ""
            hint = f" ({inert(warning.hint)})" if warning.hint else ""
            yield "  " + self._paint("Warning:", "yellow") + f" {place}{inert(warning.message)}{hint}"

    def _refusals(self) -> Iterator[str]:
        for refusal in self._plan.refusals:
            place = f"{inert(str(refusal.place))}: " if refusal.place else ""
            yield "  " + self._paint("Refused:", "red") + f" {place}{inert(refusal.message)}"
            for row in refusal.rows[:LISTED]:
                yield f"    {self._names.row(row)}"
            yield from _more(len(refusal.rows), min(len(refusal.rows), LISTED))
            yield f"    {inert(refusal.hint)}"


def _more(total: int, shown: int) -> Iterator[str]:
    if total > shown:
        yield f"    and {total - shown:,} more"


def _movement(change: Change) -> str:
    if change.op is Op.ADD:
        return _version(change.to_version)
    if change.op is Op.REMOVE:
        return _version(change.from_version)
    return f"{_version(change.from_version)} -> {_version(change.to_version)}"


def _version(version: str | None) -> str:
    return "nothing" if version is None else inert(version)


def ranges(numbers: Sequence[int]) -> str:
    """Ascending call numbers as `#0-3, #7`."""
    parts: list[str] = []
    start = previous = numbers[0]
    for number in [*numbers[1:], None]:
        if number is not None and number == previous + 1:
            previous = number
            continue
        parts.append(f"#{start}" if start == previous else f"#{start}-{previous}")
        if number is not None:
            start = previous = number
    return ", ".join(parts)
