"""What plans say as a whole, in every format: what is gone, what leaves, the totals, what is sent now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from reconciler.model.changes import Op
from reconciler.model.plan import Gone, Plan
from reconciler.model.state import DeviceId, FlowId, Row, Version
from reconciler.model.text import and_more, counted
from reconciler.render.inert import inert
from reconciler.render.rollouts.text import next_wave

RANGES = 3  # ranges of call numbers listed in a line


def gone_of(plans: Sequence[Plan]) -> list[Gone]:
    """What no plan of the run is made for any more; it is told first."""
    return [warning for plan in plans for warning in plan.warnings if isinstance(warning, Gone)]


def gone_text(one: Gone) -> str:
    """One warning that is told first."""
    return inert(f"Warning: {one.message} ({one.hint})")


def leaving_by_group(plan: Plan) -> list[tuple[FlowId, Version | None, str | None, list[DeviceId]]]:
    """The rows that leave management, by flow, version and the group that held them."""
    found: dict[tuple[FlowId, Version | None, str | None], list[DeviceId]] = defaultdict(list)
    for row in plan.leaving or ():
        found[row.flow_id, row.version, row.group].append(row.device_id)
    order = sorted(found, key=lambda key: (plan.flow_names.get(key[0], ""), *(part or "" for part in key)))
    return [(*key, found[key]) for key in order]


def by_name(plan: Plan, rows: Iterable[Row]) -> list[Row]:
    """Rows in the order of the names that a reader sees; ids decide between equal ones."""
    devices, flows = plan.device_names, plan.flow_names
    return sorted(rows, key=lambda row: (devices.get(row[0], ""), row[0], flows.get(row[1], ""), row[1]))


def totals_of(plans: Sequence[Plan]) -> str:
    """The number of changes by operation, in Terraform's words; empty if there are none."""
    if not any(plan.changes for plan in plans):
        return ""
    add, update, remove = (sum(getattr(plan.summary, op) for plan in plans) for op in Op)
    return f"{add:d} to add, {update:d} to change, {remove:d} to destroy."


def now_of(plans: Sequence[Plan]) -> Iterator[str]:
    """With rollouts, the line that says how many of the changes are sent now, and when the next wave may go."""
    waved = [plan for plan in plans if plan.rollouts]
    if waved and any(len(plan.changes) for plan in plans):
        withheld = sum(plan.withheld for plan in waved)
        now = sum(len(plan.sent) for plan in plans)
        earliest = (
            next_wave(one for plan in waved if plan.rollouts for one in plan.rollouts.reports) if withheld else ""
        )
        yield f"Now: {counted(now, 'change')}; withheld: {withheld:,}{earliest}."


def ranges(numbers: Sequence[int]) -> str:
    """Ascending call numbers as `#0-3, #7`; after a few ranges the others are only counted."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    parts = [f"#{run[0]}" if len(run) == 1 else f"#{run[0]}-{run[-1]}" for run in runs[:RANGES]]
    return ", ".join(parts) + and_more(sum(map(len, runs[RANGES:])), "")
