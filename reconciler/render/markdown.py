"""Renders plans as Markdown for a pull request: verdict, table by flow, individual removals, folded details."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.model.changes import Change, Op, PendingRow, UnmanagedRow
from reconciler.model.plan import Gone, Plan, PlannedCall, Refusal, Warning
from reconciler.model.result import Move, moves_of
from reconciler.model.state import DeviceId, FlowId, Version
from reconciler.model.text import and_more, counted
from reconciler.render.inert import EXAMPLES
from reconciler.render.page import (
    DEFAULT_MAX_BYTES,
    MOVES,
    Page,
    Rank,
    code,
    gone_line,
    heading,
    move_row,
    version_code,
)
from reconciler.render.rollouts.pages import rollout_sections, withheld_line
from reconciler.render.rollouts.tallies import Tally
from reconciler.render.summary import gone_of, leaving_by_group, now_of, totals_of

_ELSEWHERE = "Run `reconciler plan`, or see the plan that the job saved, for the whole of it."

_MOVES_NOW = "\n| flow | | from | to | devices | now |\n| --- | --- | --- | --- | ---: | ---: |\n"


def plan_markdown(
    plans: Sequence[Plan],
    digest: str,
    *,
    review_digest: str | None = None,
    commit: str | None = None,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> str:
    """The plans of one run on one page of at most `max_bytes` bytes; `commit` is the commit of the manifests."""
    page = Page(max_bytes, elsewhere=_ELSEWHERE)
    if any(plan.rollouts for plan in plans):
        page.reserve_for_rollouts()
    for one in gone_of(plans):
        page.line(gone_line(one))
    page.line(f"**{_verdict(plans)}**")
    for line in now_of(plans):
        page.line()
        page.line(line)
    page.line()
    review = f", review digest `{review_digest}`" if review_digest else ""
    page.line(f"Digest: `{digest}`{review}" + (f", commit {code(commit, limit=40)}" if commit else ""))
    parts = [_PlanPage(plan, page) for plan in plans]
    write_all = (
        _PlanPage.refusals,
        _PlanPage.changes,
        _PlanPage.rollouts,
        _PlanPage.removals,
        _PlanPage.leaving,
        _PlanPage.details,
    )
    for write in write_all:
        for part in parts:
            write(part)
    return page.text()


def _verdict(plans: Sequence[Plan]) -> str:
    totals = totals_of(plans)
    partial = " Partial plan." if any(plan.partial for plan in plans) else ""
    refused = " Refused." if any(plan.refused for plan in plans) else ""
    return f"{f'Plan: {totals}' if totals else 'No changes.'}{partial}{refused}"


class _PlanPage:
    """The sections of one plan."""

    def __init__(self, plan: Plan, page: Page) -> None:
        self._plan = plan
        self._deleted = {device.device_id for device in plan.deleted_devices}
        self._section, self._page = page.section, page
        self._tally = Tally(plan)
        self._heading = heading(plan.application, plan.kind)

    def refusals(self) -> None:
        opening = f"{self._heading}\nRefused:\n\n"
        self._section("refusals", self._plan.refused, _refusal, opening=opening, rank=Rank.LEADS)

    def changes(self) -> None:
        moves = moves_of(self._plan, self._plan.changes)
        if self._plan.rollouts is None:
            self._section("kinds of change", moves, move_row, opening=self._heading + MOVES, rank=Rank.LEADS)
        else:
            opening = self._heading + withheld_line(self._tally.reasons, self._tally.going_back) + _MOVES_NOW
            self._section("kinds of change", moves, self._move_now, opening=opening, rank=Rank.LEADS)

    def _move_now(self, move: Move) -> str:
        return f"{move_row(move)} {self._tally.sent(move.flow_id, move.from_version, move.to_version):,} |"

    def rollouts(self) -> None:
        """Where each rollout stands."""
        if self._plan.rollouts:
            rollout_sections(self._page, self._heading, self._plan.rollouts.reports, self._plan.flow_names)

    def removals(self) -> None:
        gone = [change for change in self._plan.changes if change.op is Op.REMOVE]
        self._section("removals", gone, self._change, opening=f"{self._heading}\nRemovals:\n\n", rank=Rank.VITAL)

    def leaving(self) -> None:
        """What leaves management. Its rows are many and alike: each line tells of all that one group held."""
        leaving = self._plan.guards.leaving
        if leaving is not None:
            heading = f"**Leaves management: {counted(leaving.rows, 'row')}** of {leaving.managed:,} that "
            opening = f"{self._heading}\n{heading}{code(leaving.against)} manages. Nothing is sent for them.\n\n"
            rows = leaving_by_group(self._plan)
            self._section("groups that leave", rows, self._left, opening=opening, rank=Rank.VITAL)

    def _left(self, one: tuple[FlowId, Version | None, str | None, list[DeviceId]]) -> str:
        flow_id, version, group, device_ids = one
        held = f"group {code(group)}" if group is not None else "named devices"
        names = sorted(self._plan.device_names.get(device_id) or device_id for device_id in device_ids)
        some = ", ".join(map(code, names[:EXAMPLES])) + and_more(max(0, len(names) - EXAMPLES), "")
        flow = code(self._plan.flow_names.get(flow_id) or flow_id)
        return f"- {flow} {version_code(version or 'absent')}, {held}: {counted(len(device_ids), 'row')} ({some})"

    def details(self) -> None:
        plan, section = self._plan, self._section
        others = [change for change in plan.changes if change.op is not Op.REMOVE]
        pending, unmanaged = (counted(len(rows), "row") for rows in (plan.pending, plan.unmanaged))
        section("notes", plan.notes, lambda note: f"- {code(note)}", opening=f"{self._heading}\nNotes:\n\n")
        warnings = [one for one in plan.warnings if not isinstance(one, Gone)]
        section("warnings", warnings, _warning, opening=f"{self._heading}\nWarnings:\n\n")
        section("calls", plan.calls, _call, summary=counted(len(plan.calls), "call"))
        section("changes", others, self._change, summary=counted(len(others), "device change"))
        section("pending rows", plan.pending, self._pending, summary=f"{pending} pending")
        section("unmanaged rows", plan.unmanaged, self._unmanaged, summary=f"{unmanaged} unmanaged, left alone")

    def _change(self, change: Change) -> str:
        versions = f"{version_code(change.from_version)} to {version_code(change.to_version)}"
        why = self._tally.why(change.device_id, change.flow_id)
        return f"{self._row(change)}: {versions} ({code(str(change.source))}){why}"

    def _pending(self, row: PendingRow) -> str:
        offline = ", offline" if row.connected is False else ""
        failed = f", last error {code(row.last_error)}" if row.last_error else ""
        versions = f"{version_code(row.released)}, reports {version_code(row.reported)}"
        return f"{self._row(row)}: {versions}{offline}{failed}"

    def _unmanaged(self, row: UnmanagedRow) -> str:
        deleted = ", device deleted" if row.device_id in self._deleted else ""
        return f"{self._row(row)}: {version_code(row.released)}{deleted}"

    def _row(self, row: Change | PendingRow | UnmanagedRow) -> str:
        name = self._plan.device_names.get(row.device_id)
        device = f"{code(name)} `{row.device_id}`" if name else f"`{row.device_id}`"
        return f"- {device} {code(self._plan.flow_names.get(row.flow_id) or row.flow_id)}"


def _refusal(refusal: Refusal) -> str:
    return f"- {code(refusal.message)}: {code(refusal.hint)}"


def _warning(warning: Warning) -> str:
    return f"- {code(warning.message)}" + (f" ({code(str(warning.place))})" if warning.place else "")


def _call(call: PlannedCall) -> str:
    after = f", after {', '.join(map(str, call.after))}" if call.after else ""
    reason = f": {code(call.reason)}" if call.reason else ""
    return f"- call {call.id}: {call.action}, {counted(call.count, 'change')}{after}{reason}"
