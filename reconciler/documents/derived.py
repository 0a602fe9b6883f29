"""What follows from other parts of a saved plan is derived again on reading, so that editing it deceives nobody.

Summary and calls are those of the changes, whatever the file says; a note tells of the difference. The calls of a plan
are a forecast that may depend on rows it does not list, so they are kept if they say what the changes say. Unchanged
rows are not listed either, so of two counts only the bounds are known: of the kept rows, and of the devices.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from operator import attrgetter
from typing import get_args

from reconciler.documents.reading import wrong
from reconciler.errors import PlanUnsound
from reconciler.model.changes import Change, Op
from reconciler.model.plan import Guard, Plan, PlannedCall, Summary
from reconciler.model.requests import Release, RemoveDevice, RemoveFlow, RemoveRow, Replace, Request, named_rows
from reconciler.model.state import Live, Row
from reconciler.model.world import CallMode
from reconciler.planner.calls.cover import cover
from reconciler.planner.calls.order import Draft, in_order
from reconciler.planner.guards import check

EDITED = "the file was edited or damaged"


def derived(plan: Plan, *at: str | int) -> Plan:
    """The plan with the summary and the calls of its changes; raises `Misshapen` if its refusals are others."""
    calls, notes = plan.calls, []
    if not _fit(plan):
        calls = cover(plan.sent, Live({}), mode=CallMode.EXPLICIT)
        notes.append(f"the calls did not match the changes ({EDITED}); shown are explicit ones")
    summary = _summary(plan, calls)
    if summary._replace(calls=0) != plan.summary._replace(calls=0):
        notes.append(f"the summary did not match the changes ({EDITED}); it is counted again")
    _leaving(plan, *at, "leaving")
    _refusals(plan, *at, "refused")
    return plan._replace(calls=calls, summary=summary, notes=tuple(notes))


def _summary(plan: Plan, calls: Sequence[PlannedCall]) -> Summary:
    ops, stated = Counter(map(attrgetter("op"), plan.changes)), plan.summary
    keep = max(stated.keep, len(plan.pending))
    devices = {one.device_id for rows in (plan.changes, plan.pending) for one in rows}
    return Summary(
        add=ops[Op.ADD],
        update=ops[Op.UPDATE],
        remove=ops[Op.REMOVE],
        keep=keep,
        pending=len(plan.pending),
        unmanaged=len(plan.unmanaged),
        devices=min(max(stated.devices, len(devices)), len(plan.changes) + keep),
        calls=len(calls),
        leaving=None if plan.leaving is None else len(plan.leaving),
        withheld=plan.withheld if plan.rollouts else None,
    )


def _fit(plan: Plan) -> bool:
    """Whether each change that is sent has one call that says just that, in the order that the requests ask for."""
    if not all(isinstance(call.request, get_args(Request)) for call in plan.calls):
        return True  # of a later version: shown as they are
    changes = {change.row: change for change in plan.sent}
    carried = sum(call.count for call in plan.calls)
    if carried != len(changes) or not all(_says(call, changes) for call in plan.calls):
        return False
    try:
        ordered = in_order(Draft(call.request, call.rows, call.reason) for call in plan.calls)
    except PlanUnsound:
        return False
    return ordered == plan.calls


def _says(call: PlannedCall, changes: dict[Row, Change]) -> bool:
    """Whether the request moves the call's rows, just these as far as it names them, and as the changes say."""
    moves = [changes[row] for row in call.rows]
    versions = {(change.from_version, change.to_version) for change in moves}
    targets = {to for _, to in versions}
    flows, devices = {change.flow_id for change in moves}, {change.device_id for change in moves}
    match call.request:
        case Release() as request:
            return named_rows(request) == tuple(call.rows) and targets == {request.version}
        case RemoveRow() as request:
            return named_rows(request) == tuple(call.rows) and targets == {None}
        case Replace() as request:
            return flows == {request.flow_id} and versions == {(request.old, request.new)}
        case RemoveDevice() as request:
            return devices == {request.device_id} and targets == {None}
        case RemoveFlow() as request:
            return flows == {request.flow_id} and targets == {None}


def _leaving(plan: Plan, *at: str | int) -> None:
    """The rows that leave are as many as the guards say."""
    counted = plan.guards.leaving
    if (counted and counted.rows) != (None if plan.leaving is None else len(plan.leaving)):
        raise wrong(f"does not match its guards: {EDITED}", *at)


def _refusals(plan: Plan, *at: str | int) -> None:
    """They follow from the guards, so neither can be edited without the other; not so those of later versions."""
    known = [one for one in plan.refused if isinstance(one.guard, Guard)]
    stated, actual = ([(one.guard, one.rows) for one in refusals] for refusals in (known, check(plan)))
    if stated != actual:
        raise wrong(f"does not match its guards: {EDITED}", *at)
