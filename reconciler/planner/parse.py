"""Saved plans back from plain data: shape, `format_version` and digest checked, since anybody may have edited them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from reconciler.errors import ManifestError, Problem
from reconciler.model.changes import Change, PendingRow, UnmanagedRow
from reconciler.model.plan import Guard, Guards, Plan, PlannedCall, Protected, Refusal, Summary, Warning
from reconciler.model.requests import Release, RemoveDevice, RemoveFlow, RemoveRow, Replace, Request
from reconciler.model.rules import Forbid, Limits, Source
from reconciler.model.state import Application, Kind, Place, Row
from reconciler.planner.digest import digest
from reconciler.planner.guards import check
from reconciler.planner.nodes import Misshapen, Node

FORMAT_VERSION = "1"


def parse_document(data: object, *, path: str | None = None) -> tuple[Plan, ...]:
    """The plans of a saved document, `path` being the file it came from.

    Raises:
        ManifestError: not such a document, of another format, damaged, or edited in what would change.
    """
    try:
        return _document(Node(data))
    except Misshapen as error:
        hint = "make the plan again with `reconciler plan --out FILE`"
        raise ManifestError([Problem(str(error), path=path, hint=hint)]) from None


def guards_key(application_id: str, kind: Kind) -> str:
    """Under which key of `guards` a document says what a plan is judged by."""
    return f"{application_id}/{kind}"


def _document(node: Node) -> tuple[Plan, ...]:
    version = node.get("format_version")
    if version != FORMAT_VERSION:
        raise Misshapen(f'format_version is {version!r}; this version of reconciler reads "{FORMAT_VERSION}"')
    if node.get("error") is not None:
        raise Misshapen("the document holds an error, not a plan")
    judged_by = node.node("guards")
    plans = tuple(_plan(item, judged_by) for item in node.nodes("plans"))
    seen = [(plan.application.id, plan.kind) for plan in plans]
    if len(set(seen)) < len(seen):
        raise Misshapen("plans holds one application and kind twice")
    _check_digest(node, plans)
    return plans


def _check_digest(node: Node, plans: tuple[Plan, ...]) -> None:
    stated, actual = node.text("digest"), digest(plans)
    if stated != actual:
        raise node.fail("digest", f"is {stated}, but the changes give {actual}: the file was edited or damaged")


def _plan(node: Node, judged_by: Node) -> Plan:
    application = node.node("application")
    changes: list[Change] = []
    carried: dict[int, list[Row]] = {}
    device_names: dict[str, str] = {}
    flow_names: dict[str, str] = {}
    for item in node.nodes("changes"):
        change = _change(item)
        changes.append(change)
        if item.get("call") is not None:
            carried.setdefault(item.number("call"), []).append(change.row)
        _note_names(item, device_names, flow_names)
    rows = [change.row for change in changes]
    if rows != sorted(set(rows)):
        raise node.fail("changes", "must be sorted by device and flow, each row once")
    pending = []
    for item in node.nodes("pending"):
        pending.append(_pending(item))
        _note_names(item, device_names, flow_names)
    application_id, kind = application.id("id"), node.choice("kind", Kind)
    plan = Plan(
        application=Application(application_id, application.text_or_none("name")),
        kind=kind,
        sources=tuple(Source(item.text("path"), item.text("sha256")) for item in node.nodes("manifests")),
        partial=node.flag("partial"),
        summary=_summary(node.node("summary")),
        changes=tuple(changes),
        calls=tuple(_call(item, carried) for item in node.nodes("calls")),
        pending=tuple(pending),
        unmanaged=tuple(_unmanaged(item) for item in node.nodes("unmanaged")),
        warnings=tuple(_warning(item) for item in node.nodes("warnings")),
        guards=_guards(judged_by.node(guards_key(application_id, kind))),
        refusals=tuple(_refusal(item) for item in node.nodes("refused")),
        device_names=device_names,
        flow_names=flow_names,
    )
    _check_digest(node, (plan,))
    _check_refusals(node, plan)
    return plan


def _check_refusals(node: Node, plan: Plan) -> None:
    """What refused the plan follows from what it is judged by, so neither can be edited without the other."""
    stated, actual = ([(one.guard, one.rows) for one in refusals] for refusals in (plan.refusals, check(plan)))
    if stated != actual:
        raise node.fail("refused", "is not what its guards give: the file was edited or damaged")


def _note_names(item: Node, device_names: dict[str, str], flow_names: dict[str, str]) -> None:
    if device_name := item.text_or_none("device_name"):
        device_names[item.id("device_id")] = device_name
    if flow_name := item.text_or_none("flow_name"):
        flow_names[item.id("flow_id")] = flow_name


def _change(item: Node) -> Change:
    change = Change(
        item.id("device_id"),
        item.id("flow_id"),
        item.text_or_none("from"),
        item.text_or_none("to"),
        item.text_or_none("reported"),
        _source(item),
    )
    if change.from_version == change.to_version:
        raise item.fail("to", "is the same as `from`")
    if change.op != item.text("op"):
        raise item.fail("op", f"must be {change.op}, by its `from` and `to`")
    return change


def _source(item: Node) -> Place:
    path, _, line = item.text("source").rpartition(":")
    if not path or not re.fullmatch("[0-9]{1,9}", line):
        raise item.fail("source", "must be path:line")
    return Place(path, int(line))


def _summary(node: Node) -> Summary:
    return Summary(**{name: node.number(name) for name in Summary._fields})


def _call(item: Node, carried: Mapping[int, list[Row]]) -> PlannedCall:
    number = item.number("id")
    rows = tuple(carried.get(number, ()))
    after = tuple(other for other in item.list("after") if isinstance(other, int))
    if len(after) < len(item.list("after")):
        raise item.fail("after", "must be a list of call ids")
    if item.number("count") != len(rows):
        raise item.fail("count", f"must be {len(rows)}, the number of changes with this call")
    return PlannedCall(number, _request(item), rows, after)


def _request(item: Node) -> Request:
    body = item.node("body")
    match item.text("action"):
        case "release":
            ids = tuple(one for one in body.list("deviceIds") if isinstance(one, str))
            if len(ids) < len(body.list("deviceIds")):
                raise body.fail("deviceIds", "must be a list of ids")
            return Release(body.id("flowId"), body.text_or_none("version"), ids)
        case "replace":
            return Replace(body.id("flowId"), body.text("oldVersion"), body.text_or_none("newVersion"))
        case "remove":
            return _removal(body)
    raise item.fail("action", "must be one of release, replace, remove")


def _removal(body: Node) -> Request:
    flow_id, device_id = body.id_or_none("flowId"), body.id_or_none("deviceId")
    if flow_id is not None:
        return RemoveFlow(flow_id) if device_id is None else RemoveRow(flow_id, device_id)
    if device_id is None:
        raise body.fail("deviceId", "is null like flowId, which no call may have")
    return RemoveDevice(device_id)


def _pending(item: Node) -> PendingRow:
    return PendingRow(
        item.id("device_id"),
        item.id("flow_id"),
        item.text_or_none("released"),
        item.text_or_none("reported"),
        item.flag_or_none("connected"),
        item.text_or_none("last_error"),
    )


def _unmanaged(item: Node) -> UnmanagedRow:
    return UnmanagedRow(
        item.id("device_id"), item.id("flow_id"), item.text_or_none("released"), item.text_or_none("reported")
    )


def _warning(item: Node) -> Warning:
    return Warning(item.text("message"), _place(item), item.text_or_none("hint"))


def _refusal(item: Node) -> Refusal:
    rows = tuple((row.id("device_id"), row.id("flow_id")) for row in item.nodes("rows"))
    return Refusal(item.choice("guard", Guard), item.text("message"), item.text("hint"), rows, _place(item))


def _place(item: Node) -> Place | None:
    if item.get("path") is None:
        return None
    return Place(item.text("path"), item.number("line"), item.number("column"))


def _guards(node: Node) -> Guards:
    limits = node.node("limits")
    removals, changes = limits.node("removals"), limits.node("changes")
    return Guards(
        Limits(
            removals.number_or_none("count"),
            removals.decimal_or_none("percent"),
            changes.number_or_none("count"),
            changes.decimal_or_none("percent"),
            _place(limits),
        ),
        tuple(_protected(item) for item in node.nodes("protect")),
        released=node.number("released"),
        live=node.number("live"),
        only_flow=node.id_or_none("only_flow"),
        empty=node.flag("empty"),
        allow_removals=node.number("allow_removals"),
        allow_empty=node.flag("allow_empty"),
        strict=node.flag("strict"),
    )


def _protected(item: Node) -> Protected:
    place = Place(item.text("path"), item.number("line"), item.number("column"))
    return Protected(item.id_or_none("device_id"), item.id_or_none("flow_id"), item.choice("forbid", Forbid), place)
