"""The result of a plan before anything of it was sent."""

from __future__ import annotations

from reconciler.model.plan import Plan
from reconciler.model.result import CallResult, CallState, Result
from reconciler.planner.digest import digest


def not_started(plan: Plan) -> Result:
    """The result of a plan of which nothing was sent yet: every call is planned."""
    calls = tuple(
        CallResult(call.id, call.request.action, call.request.body, len(call.rows), call.after, CallState.PLANNED)
        for call in plan.calls
    )
    return Result(
        application=plan.application,
        kind=plan.kind,
        digest=digest([plan]),
        calls=calls,
        total=len(plan.changes),
        confirmed=0,
        device_names=plan.device_names,
        flow_names=plan.flow_names,
    )
