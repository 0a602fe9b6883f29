"""A plan as Markdown for a pull request: the verdict, a table by flow, removals one by one, details folded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from reconciler.model.changes import Change, Op
from reconciler.model.plan import Plan
from reconciler.model.result import moves_of
from reconciler.model.text import counted
from reconciler.render.page import DEFAULT_MAX_BYTES, MOVES, Page, Rank, code, folded, move_row, version_code

_ELSEWHERE = "Run `reconciler plan`, or see the plan that the job saved, for the whole of it."


def plan_markdown(
    plans: Sequence[Plan], digest: str, *, commit: str | None = None, max_bytes: int = DEFAULT_MAX_BYTES
) -> str:
    """The plans of one run on one page of at most `max_bytes` bytes; `commit` is the one that the files are of."""
    page = Page(max_bytes, elsewhere=_ELSEWHERE)
    page.line(f"**{_verdict(plans)}**")
    page.line()
    page.line(f"Digest: `{digest}`" + (f", commit {code(commit, limit=40)}" if commit else ""))
    for plan in plans:
        _refusals(page, plan)
    for plan in plans:
        _changes(page, plan)
    for plan in plans:
        _removals(page, plan)
    for plan in plans:
        _the_rest(page, plan)
    return page.text()


def _verdict(plans: Sequence[Plan]) -> str:
    refused = " Refused." if any(plan.refusals for plan in plans) else ""
    partial = " Partial plan." if any(plan.partial for plan in plans) else ""
    if not any(plan.changes for plan in plans):
        return f"No changes.{partial}{refused}"
    add, update, remove = (sum(getattr(plan.summary, op) for plan in plans) for op in ("add", "update", "remove"))
    return f"Plan: {add:d} to add, {update:d} to change, {remove:d} to destroy.{partial}{refused}"


def _title(plan: Plan) -> str:
    name = f"{code(plan.application.name)} " if plan.application.name else ""
    return f"\n### Application {name}`{plan.application.id}`, {plan.kind}\n"


def _refusals(page: Page, plan: Plan) -> None:
    rows = (f"- {code(refusal.message)}: {code(refusal.hint)}" for refusal in plan.refusals)
    page.section(rows, len(plan.refusals), noun="refusals", opening=f"{_title(plan)}\nRefused:\n\n", rank=Rank.LEADS)


def _changes(page: Page, plan: Plan) -> None:
    moves = moves_of(plan)
    page.section(
        map(move_row, moves), len(moves), noun="kinds of change", opening=_title(plan) + MOVES, rank=Rank.LEADS
    )


def _removals(page: Page, plan: Plan) -> None:
    removals = [change for change in plan.changes if change.op is Op.REMOVE]
    page.section(
        (_row(plan, change) for change in removals),
        len(removals),
        noun="removals",
        opening=f"{_title(plan)}\nRemovals:\n\n",
        rank=Rank.VITAL,
    )


def _the_rest(page: Page, plan: Plan) -> None:
    others = [change for change in plan.changes if change.op is not Op.REMOVE]
    warnings = (
        f"- {code(warning.message)}" + (f" ({code(str(warning.place))})" if warning.place else "")
        for warning in plan.warnings
    )
    page.section(warnings, len(plan.warnings), noun="warnings", opening=f"{_title(plan)}\nWarnings:\n\n")
    _fold(page, "call", _calls(plan), len(plan.calls), "calls")
    _fold(page, "device change", (_row(plan, change) for change in others), len(others), "changes")
    pending = (
        f"- {_device(plan, row.device_id)} {_flow(plan, row.flow_id)}: {version_code(row.released)}, "
        f"reports {version_code(row.reported)}"
        + (", offline" if row.connected is False else "")
        + (f", last error {code(row.last_error)}" if row.last_error else "")
        for row in plan.pending
    )
    _fold(page, "row", pending, len(plan.pending), "pending rows", ending=" pending")
    unmanaged = (
        f"- {_device(plan, row.device_id)} {_flow(plan, row.flow_id)}: {version_code(row.released)}"
        for row in plan.unmanaged
    )
    _fold(page, "row", unmanaged, len(plan.unmanaged), "unmanaged rows", ending=" unmanaged, left alone")


def _fold(page: Page, one: str, rows: Iterable[str], total: int, noun: str, *, ending: str = "") -> None:
    opening, closing = folded(counted(total, one) + ending)
    page.section(rows, total, noun=noun, opening=opening, closing=closing)


def _calls(plan: Plan) -> Iterator[str]:
    for call in plan.calls:
        after = f", after {', '.join(f'{number}' for number in call.after)}" if call.after else ""
        reason = f": {code(call.reason)}" if call.reason else ""
        yield f"- call {call.id}: {call.request.action}, {counted(len(call.rows), 'change')}{after}{reason}"


def _row(plan: Plan, change: Change) -> str:
    return (
        f"- {_device(plan, change.device_id)} {_flow(plan, change.flow_id)}: {version_code(change.from_version)} to "
        f"{version_code(change.to_version)} ({code(str(change.source))})"
    )


def _device(plan: Plan, device_id: str) -> str:
    name = plan.device_names.get(device_id)
    return f"{code(name)} `{device_id}`" if name else f"`{device_id}`"


def _flow(plan: Plan, flow_id: str) -> str:
    return code(plan.flow_names.get(flow_id) or flow_id)
