"""A plan, as `plan` and `show` write it, `--out` saves it and `apply --plan` reads it.

The digest is over the changes alone, and only the changes are ever carried out: calls are computed anew from them.
So whoever edits a call in a saved plan changes what is shown and nothing that is sent, and whoever edits a change
breaks the digest.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Any, Literal, NotRequired, TypeAlias, cast

from pydantic import Field
from typing_extensions import TypedDict

from reconciler import __version__
from reconciler.documents.json import FORMAT_VERSION
from reconciler.documents.parts import (
    ApplicationPart,
    Count,
    Document,
    ErrorPart,
    Id,
    KindWord,
    NamedRowPart,
    PlacePart,
    ProblemPart,
    RowPart,
    StatedDigest,
    Step,
    Text,
    Version,
    application_part,
    rule,
    word,
)
from reconciler.model.changes import PendingRow
from reconciler.model.plan import Guard, Guards, Plan, PlannedCall, Refusal, Warning
from reconciler.model.rules import Forbid
from reconciler.model.state import Kind, Place, Row
from reconciler.planner.digest import digest


class ToolPart(TypedDict):
    """What made a plan."""

    name: Literal["reconciler"]
    version: str


class ManifestPart(TypedDict):
    """A file that a plan was made from."""

    path: Text
    sha256: Text


class SummaryPart(TypedDict):
    """add + update + remove + keep = managed rows; pending is part of keep; devices = distinct managed devices."""

    add: Count
    update: Count
    remove: Count
    keep: Count
    pending: Count
    unmanaged: Count
    devices: Count
    calls: Count


class ChangePart(NamedRowPart, Step):
    """A row whose released version moves."""

    reported: Version
    source: Annotated[str, rule("must be path:line", "^(?s:.+):[0-9]{1,9}$")]
    call: int | None


class CallPart(TypedDict):
    """One request, and the number of changes that it carries."""

    id: Count
    action: Literal["release", "replace", "remove"]
    body: dict[str, Any]
    count: Count
    after: list[Count]


class PendingPart(NamedRowPart):
    """Released as desired, not yet reported."""

    released: Version
    reported: Version
    connected: bool | None
    last_error: str | None


class UnmanagedPart(RowPart):
    """Live, and declared by no manifest."""

    released: Version
    reported: Version


class RefusalPart(ProblemPart):
    """A guard's no."""

    guard: Annotated[Guard, word(Guard)]
    rows: list[RowPart]


_DECIMAL = r"^[0-9]{1,9}(\.[0-9]{1,99})?$"
Percent: TypeAlias = Annotated[str, rule("must be a decimal number as text", _DECIMAL, published=True)]


class LimitPart(TypedDict):
    """The most rows that may change, as a number and in percent (a decimal number as text); null: no such limit."""

    count: Count | None
    percent: Percent | None


class LimitsPart(TypedDict):
    """How much a plan may do, and where the manifests say so."""

    removals: LimitPart
    changes: LimitPart
    path: str | None
    line: int | None
    column: int | None


class ProtectionPart(TypedDict):
    """Rows that must not be removed, or not changed; null stands for every device, or every flow."""

    device_id: Id | None
    flow_id: Id | None
    forbid: Annotated[Forbid, word(Forbid)]
    path: Text
    line: int
    column: int


class GuardsPart(TypedDict):
    """What one plan is judged by, again when `apply --plan` carries it out.

    `released`: managed rows with something released, before targets; `live`: all rows with something released. Both
    are of that flow alone where `only_flow` names one. `empty`: no row is declared.
    """

    limits: LimitsPart
    protect: list[ProtectionPart]
    released: Count
    live: Count
    only_flow: Id | None
    empty: bool
    allow_removals: Count
    allow_empty: bool
    strict: bool


class PlanPart(TypedDict):
    """One application and kind."""

    tool: ToolPart
    application: ApplicationPart
    kind: KindWord
    manifests: list[ManifestPart]
    partial: bool
    digest: StatedDigest
    summary: SummaryPart
    changes: list[ChangePart]
    calls: list[CallPart]
    pending: list[PendingPart]
    unmanaged: list[UnmanagedPart]
    warnings: list[ProblemPart]
    refused: list[RefusalPart]


class PlanDocument(Document):
    """What `plan` writes, and `show` of a saved plan. `digest` and `guards` are missing where nothing could be planned.

    The keys of `guards` are application id, slash, kind.
    """

    command: Literal["plan", "show"]
    digest: NotRequired[Annotated[StatedDigest | None, Field(json_schema_extra={"default": None})]]
    guards: NotRequired[Annotated[dict[str, GuardsPart] | None, Field(json_schema_extra={"default": None})]]
    plans: list[PlanPart]


def plan_document(
    plans: Iterable[Plan], command: Literal["plan", "show"], *, error: ErrorPart | None = None
) -> PlanDocument:
    """The JSON document that holds plans, sorted by application and kind."""
    ordered = sorted(plans, key=lambda plan: (plan.application.id, plan.kind.value))
    parts = [_plan(plan) for plan in ordered]
    return {
        "format_version": FORMAT_VERSION,
        "command": command,
        "error": error,
        "digest": parts[0]["digest"] if len(parts) == 1 else digest(ordered),
        "guards": {guards_key(plan.application.id, plan.kind): _guards(plan.guards) for plan in ordered},
        "plans": parts,
    }


def guards_key(application_id: str, kind: Kind) -> str:
    """Under which key of `guards` a document says what a plan is judged by."""
    return f"{application_id}/{kind}"


def _plan(plan: Plan) -> PlanPart:
    return {
        "tool": {"name": "reconciler", "version": __version__},
        "application": application_part(plan.application),
        "kind": plan.kind,
        "manifests": [{"path": source.path, "sha256": source.sha256} for source in plan.sources],
        "partial": plan.partial,
        "digest": digest([plan]),
        "summary": cast("SummaryPart", plan.summary._asdict()),
        "changes": _changes(plan),
        "calls": [_call(call) for call in plan.calls],
        "pending": [_pending(plan, row) for row in plan.pending],
        "unmanaged": [cast("UnmanagedPart", row._asdict()) for row in plan.unmanaged],
        "warnings": [warning_part(warning) for warning in plan.warnings],
        "refused": [_refusal(refusal) for refusal in plan.refusals],
    }


def _changes(plan: Plan) -> list[ChangePart]:
    call_of: dict[Row, int] = {row: call.id for call in plan.calls for row in call.rows}
    device_name, flow_name = plan.device_names.get, plan.flow_names.get
    return [
        {
            "op": change.op,
            "device_id": change.device_id,
            "device_name": device_name(change.device_id),
            "flow_id": change.flow_id,
            "flow_name": flow_name(change.flow_id),
            "from": change.from_version,
            "to": change.to_version,
            "reported": change.reported,
            "source": str(change.source),
            "call": call_of.get(change.row),
        }
        for change in plan.changes
    ]


def _call(call: PlannedCall) -> CallPart:
    return {
        "id": call.id,
        "action": call.request.action,  # type: ignore[typeddict-item]
        "body": call.request.body,
        "count": len(call.rows),
        "after": list(call.after),
    }


def _pending(plan: Plan, row: PendingRow) -> PendingPart:
    return {
        "device_id": row.device_id,
        "device_name": plan.device_names.get(row.device_id),
        "flow_id": row.flow_id,
        "flow_name": plan.flow_names.get(row.flow_id),
        "released": row.released,
        "reported": row.reported,
        "connected": row.connected,
        "last_error": row.last_error,
    }


def _guards(guards: Guards) -> GuardsPart:
    """What an apply of the saved plan judges it by again. Percentages are text: they may have any decimals."""
    limits = guards.limits
    return {
        "limits": {
            "removals": {"count": limits.removals_count, "percent": _percent(limits.removals_percent)},
            "changes": {"count": limits.changes_count, "percent": _percent(limits.changes_percent)},
            **_place(limits.place),
        },
        "protect": [
            {
                "device_id": one.device_id,
                "flow_id": one.flow_id,
                "forbid": one.forbid,
                "path": one.place.path,
                "line": one.place.line,
                "column": one.place.column,
            }
            for one in guards.protected
        ],
        "released": guards.released,
        "live": guards.live,
        "only_flow": guards.only_flow,
        "empty": guards.empty,
        "allow_removals": guards.allow_removals,
        "allow_empty": guards.allow_empty,
        "strict": guards.strict,
    }


def _percent(percent: Decimal | None) -> str | None:
    return None if percent is None else f"{percent:f}"


def warning_part(warning: Warning) -> ProblemPart:
    """A warning in the shape that `error.problems` has."""
    return {**_place(warning.place), "message": warning.message, "hint": warning.hint}


def _refusal(refusal: Refusal) -> RefusalPart:
    """A refusal in the shape that `error.problems` has, with its guard and its rows."""
    return {
        "guard": refusal.guard,
        **_place(refusal.place),
        "message": refusal.message,
        "hint": refusal.hint,
        "rows": [{"device_id": device_id, "flow_id": flow_id} for device_id, flow_id in refusal.rows],
    }


def _place(place: Place | None) -> PlacePart:
    if place is None:
        return {"path": None, "line": None, "column": None}
    return {"path": place.path, "line": place.line, "column": place.column}
