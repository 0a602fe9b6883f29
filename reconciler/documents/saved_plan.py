"""A saved plan back from data, checked: anybody may have edited it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TypeAlias

from typing_extensions import TypedDict

from reconciler.documents.parts import Id, PlacePart, ProblemPart, Text, Version
from reconciler.documents.plan import (
    CallPart,
    ChangePart,
    GuardsPart,
    LimitPart,
    PendingPart,
    PlanDocument,
    PlanPart,
    RefusalPart,
    guards_key,
)
from reconciler.documents.reading import Misshapen, checked, headed, told, wrong
from reconciler.model.changes import Change, PendingRow, UnmanagedRow
from reconciler.model.plan import Guards, Plan, PlannedCall, Protected, Refusal, Summary, Warning
from reconciler.model.requests import Release, RemoveDevice, RemoveFlow, RemoveRow, Replace, Request
from reconciler.model.rules import Limits, Source
from reconciler.model.state import Application, DeviceId, FlowId, Place, Row
from reconciler.planner.digest import digest
from reconciler.planner.guards import check

_HINT = "make the plan again with `reconciler plan --out FILE`"
_EDITED = "the file was edited or damaged"

At: TypeAlias = tuple[str | int, ...]


class ReleaseBody(TypedDict):
    """The request body of a release."""

    flowId: Id
    version: Version
    deviceIds: list[str]


class ReplaceBody(TypedDict):
    """The request body of a replace."""

    flowId: Id
    oldVersion: Text
    newVersion: Version


class RemoveBody(TypedDict):
    """The request body of a removal."""

    flowId: Id | None
    deviceId: Id | None


def read_plans(data: object, *, path: str | None = None, later: bool = False) -> tuple[Plan, ...]:
    """The plans of a saved document, `path` being the file it came from.

    With `later` it may be of a later minor version of the format, and what is not known of it is left out.

    Raises:
        ManifestError: not such a document, of another format, damaged, or edited in what would change.
    """
    with told(path, _HINT):
        head = headed(data, later=later)
        if head.get("error") is not None:
            raise Misshapen("the document holds an error, not a plan")
        return _plans(checked(PlanDocument, head, later=later), later=later)


def _plans(document: PlanDocument, *, later: bool) -> tuple[Plan, ...]:
    stated, judged_by = document.get("digest"), document.get("guards")
    if stated is None or judged_by is None:
        raise wrong("is missing", "digest" if stated is None else "guards")
    plans = tuple(
        _plan(part, judged_by, ("plans", number), later=later) for number, part in enumerate(document["plans"])
    )
    seen = [(plan.application.id, plan.kind) for plan in plans]
    if len(set(seen)) < len(seen):
        raise Misshapen("plans holds one application and kind twice")
    only = document["plans"][0]["digest"] if len(plans) == 1 else None  # which was compared already
    _check_digest(stated, only or digest(plans))
    return plans


def _check_digest(stated: str, actual: str, *at: str | int) -> None:
    if stated != actual:
        raise wrong(f"is {stated}, but the changes give {actual}: {_EDITED}", *at, "digest")


def _plan(part: PlanPart, judged_by: Mapping[str, GuardsPart], at: At, *, later: bool) -> Plan:
    changes = tuple(_change(item, *at, "changes", number) for number, item in enumerate(part["changes"]))
    rows = [change.row for change in changes]
    if rows != sorted(set(rows)):
        raise wrong("must be sorted by device and flow, each row once", *at, "changes")
    carried: dict[int, list[Row]] = {}
    for row, item in zip(rows, part["changes"], strict=True):
        if item["call"] is not None:
            carried.setdefault(item["call"], []).append(row)
    application, kind = Application(**part["application"]), part["kind"]
    key = guards_key(application.id, kind)
    if key not in judged_by:
        raise wrong("is missing", "guards", key)
    named = [*part["changes"], *part["pending"]]
    plan = Plan(
        application=application,
        kind=kind,
        sources=tuple(Source(**item) for item in part["manifests"]),
        partial=part["partial"],
        summary=Summary(**part["summary"]),
        changes=changes,
        calls=tuple(
            _call(item, carried.get(item["id"], ()), *at, "calls", number, later=later)
            for number, item in enumerate(part["calls"])
        ),
        pending=tuple(_pending(item) for item in part["pending"]),
        unmanaged=tuple(UnmanagedRow(**item) for item in part["unmanaged"]),
        warnings=tuple(_warning(item, *at, "warnings", number) for number, item in enumerate(part["warnings"])),
        guards=_guards(judged_by[key], "guards", key),
        refusals=tuple(_refusal(item, *at, "refused", number) for number, item in enumerate(part["refused"])),
        device_names={item["device_id"]: name for item in named if (name := item["device_name"])},
        flow_names={item["flow_id"]: name for item in named if (name := item["flow_name"])},
    )
    _check_digest(part["digest"], digest([plan]), *at)
    _check_refusals(plan, *at)
    return plan


def _check_refusals(plan: Plan, *at: str | int) -> None:
    """What refused the plan follows from what it is judged by, so neither can be edited without the other."""
    stated, actual = ([(one.guard, one.rows) for one in refusals] for refusals in (plan.refusals, check(plan)))
    if stated != actual:
        raise wrong(f"is not what its guards give: {_EDITED}", *at, "refused")


def _change(item: ChangePart, *at: str | int) -> Change:
    path, _, line = item["source"].rpartition(":")
    source = Place(path, int(line))
    change = Change(item["device_id"], item["flow_id"], item["from"], item["to"], item["reported"], source)
    if change.from_version == change.to_version:
        raise wrong("is the same as `from`", *at, "to")
    if change.op is not item["op"]:
        raise wrong(f"must be {change.op}, by its `from` and `to`", *at, "op")
    return change


def _call(item: CallPart, rows: Sequence[Row], *at: str | int, later: bool) -> PlannedCall:
    if item["count"] != len(rows):
        raise wrong(f"must be {len(rows)}, the number of changes with this call", *at, "count")
    return PlannedCall(item["id"], _request(item, *at, "body", later=later), tuple(rows), tuple(item["after"]))


def _request(item: CallPart, *at: str | int, later: bool) -> Request:
    match item["action"]:
        case "release":
            release = checked(ReleaseBody, item["body"], *at, later=later)
            return Release(release["flowId"], release["version"], tuple(release["deviceIds"]))
        case "replace":
            replace = checked(ReplaceBody, item["body"], *at, later=later)
            return Replace(replace["flowId"], replace["oldVersion"], replace["newVersion"])
        case _:
            remove = checked(RemoveBody, item["body"], *at, later=later)
            return _removal(remove["flowId"], remove["deviceId"], *at)


def _removal(flow_id: FlowId | None, device_id: DeviceId | None, *at: str | int) -> Request:
    if flow_id is not None:
        return RemoveFlow(flow_id) if device_id is None else RemoveRow(flow_id, device_id)
    if device_id is None:
        raise wrong("is null like flowId, which no call may have", *at, "deviceId")
    return RemoveDevice(device_id)


def _pending(item: PendingPart) -> PendingRow:
    return PendingRow(
        item["device_id"], item["flow_id"], item["released"], item["reported"], item["connected"], item["last_error"]
    )


def _warning(item: ProblemPart, *at: str | int) -> Warning:
    return Warning(item["message"], _place(item, *at), item["hint"])


def _refusal(item: RefusalPart, *at: str | int) -> Refusal:
    rows = tuple((row["device_id"], row["flow_id"]) for row in item["rows"])
    return Refusal(item["guard"], item["message"], item["hint"] or "", rows, _place(item, *at))


def _place(item: PlacePart, *at: str | int) -> Place | None:
    path, line, column = item["path"], item["line"], item["column"]
    if path is None:
        return None
    if line is None or column is None:
        raise wrong("must be a whole number", *at, "line" if line is None else "column")
    return Place(path, line, column)


def _guards(item: GuardsPart, *at: str | int) -> Guards:
    limits = item["limits"]
    removals, changes = limits["removals"], limits["changes"]
    return Guards(
        Limits(
            removals["count"],
            _percent(removals),
            changes["count"],
            _percent(changes),
            _place(limits, *at, "limits"),
        ),
        tuple(
            Protected(one["device_id"], one["flow_id"], one["forbid"], Place(one["path"], one["line"], one["column"]))
            for one in item["protect"]
        ),
        released=item["released"],
        live=item["live"],
        only_flow=item["only_flow"],
        empty=item["empty"],
        allow_removals=item["allow_removals"],
        allow_empty=item["allow_empty"],
        strict=item["strict"],
    )


def _percent(limit: LimitPart) -> Decimal | None:
    return None if limit["percent"] is None else Decimal(limit["percent"])
