"""Saved plans back from plain data: shape, `format_version` and digest checked, since anybody may have edited them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import TypeVar

from reconciler.errors import ManifestError, Problem
from reconciler.planner.digest import digest
from reconciler.planner.plan import (
    Change,
    Guard,
    PendingRow,
    Plan,
    PlannedCall,
    Refusal,
    Summary,
    UnmanagedRow,
    Warning,
)
from reconciler.planner.requests import Release, RemoveDevice, RemoveFlow, RemoveRow, Replace, Request
from reconciler.planner.rules import Source
from reconciler.planner.state import Application, Kind, Place, Row

FORMAT_VERSION = "1"
_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")  # ids go into URLs; whether they exist is the API's to say
_Choice = TypeVar("_Choice", bound=StrEnum)


def parse_document(data: object, *, path: str | None = None) -> tuple[Plan, ...]:
    """The plans of a saved document, `path` being the file it came from.

    Raises:
        ManifestError: not such a document, of another format, damaged, or edited in what would change.
    """
    try:
        return _document(_Node(data))
    except _Misshapen as error:
        hint = "make the plan again with `reconciler plan --out FILE`"
        raise ManifestError([Problem(str(error), path=path, hint=hint)]) from None


def from_data(data: Mapping[str, object]) -> Plan:
    """One plan from what `to_data` gave. Reasons of calls and columns of places are not part of it.

    Raises:
        ManifestError: another shape, or changes that do not fit its digest.
    """
    try:
        return _plan(_Node(data))
    except _Misshapen as error:
        raise ManifestError([Problem(str(error))]) from None


class _Misshapen(Exception):
    """What is wrong, and where in the document."""


class _Node:
    """An object in a document; where that is in there is worked out only when something is wrong with it."""

    __slots__ = ("_key", "_parent", "_value")

    def __init__(self, value: object, parent: _Node | None = None, key: str = "") -> None:
        self._parent, self._key = parent, key
        if not isinstance(value, dict):
            raise _Misshapen(f"{self.where() or 'the document'} must be an object")
        self._value: dict[str, object] = value

    def where(self) -> str:
        above = self._parent.where() if self._parent else ""
        return f"{above}.{self._key}" if above else self._key

    def fail(self, key: str, message: str) -> _Misshapen:
        where = self.where()
        return _Misshapen(f"{f'{where}.{key}' if where else key} {message}")

    def get(self, key: str) -> object:
        try:
            return self._value[key]
        except KeyError:
            raise self.fail(key, "is missing") from None

    def list(self, key: str) -> list[object]:
        value = self.get(key)
        if not isinstance(value, list):
            raise self.fail(key, "must be a list")
        return value

    def node(self, key: str) -> _Node:
        return _Node(self.get(key), self, key)

    def nodes(self, key: str) -> Iterator[_Node]:
        for number, value in enumerate(self.list(key)):
            yield _Node(value, self, f"{key}[{number}]")

    def text(self, key: str) -> str:
        value = self.get(key)
        if not isinstance(value, str) or not value:
            raise self.fail(key, "must be text")
        return value

    def text_or_none(self, key: str) -> str | None:
        return None if self.get(key) is None else self.text(key)

    def id(self, key: str) -> str:
        text = self.text(key)
        if not _ID.fullmatch(text):
            raise self.fail(key, "must be an id")
        return text

    def id_or_none(self, key: str) -> str | None:
        return None if self.get(key) is None else self.id(key)

    def number(self, key: str) -> int:
        value = self.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self.fail(key, "must be a whole number")
        return value

    def flag(self, key: str) -> bool:
        value = self.get(key)
        if not isinstance(value, bool):
            raise self.fail(key, "must be true or false")
        return value

    def flag_or_none(self, key: str) -> bool | None:
        return None if self.get(key) is None else self.flag(key)

    def choice(self, key: str, kind: type[_Choice]) -> _Choice:
        text = self.text(key)
        try:
            return kind(text)
        except ValueError:
            raise self.fail(key, f"must be one of {', '.join(kind)}") from None


def _document(node: _Node) -> tuple[Plan, ...]:
    version = node.get("format_version")
    if version != FORMAT_VERSION:
        raise _Misshapen(f'format_version is {version!r}; this version of reconciler reads "{FORMAT_VERSION}"')
    if node.get("error") is not None:
        raise _Misshapen("the document holds an error, not a plan")
    plans = tuple(_plan(item) for item in node.nodes("plans"))
    seen = [(plan.application.id, plan.kind) for plan in plans]
    if len(set(seen)) < len(seen):
        raise _Misshapen("plans holds one application and kind twice")
    _check_digest(node, plans)
    return plans


def _check_digest(node: _Node, plans: tuple[Plan, ...]) -> None:
    stated, actual = node.text("digest"), digest(plans)
    if stated != actual:
        raise node.fail("digest", f"is {stated}, but the changes give {actual}: the file was edited or damaged")


def _plan(node: _Node) -> Plan:
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
    plan = Plan(
        application=Application(application.id("id"), application.text_or_none("name")),
        kind=node.choice("kind", Kind),
        sources=tuple(Source(item.text("path"), item.text("sha256")) for item in node.nodes("manifests")),
        partial=node.flag("partial"),
        summary=_summary(node.node("summary")),
        changes=tuple(changes),
        calls=tuple(_call(item, carried) for item in node.nodes("calls")),
        pending=tuple(pending),
        unmanaged=tuple(_unmanaged(item) for item in node.nodes("unmanaged")),
        warnings=tuple(_warning(item) for item in node.nodes("warnings")),
        refusals=tuple(_refusal(item) for item in node.nodes("refused")),
        device_names=device_names,
        flow_names=flow_names,
    )
    _check_digest(node, (plan,))
    return plan


def _note_names(item: _Node, device_names: dict[str, str], flow_names: dict[str, str]) -> None:
    if device_name := item.text_or_none("device_name"):
        device_names[item.id("device_id")] = device_name
    if flow_name := item.text_or_none("flow_name"):
        flow_names[item.id("flow_id")] = flow_name


def _change(item: _Node) -> Change:
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


def _source(item: _Node) -> Place:
    path, _, line = item.text("source").rpartition(":")
    if not path or not line.isascii() or not line.isdigit():
        raise item.fail("source", "must be path:line")
    return Place(path, int(line))


def _summary(node: _Node) -> Summary:
    return Summary(**{name: node.number(name) for name in Summary.__slots__})


def _call(item: _Node, carried: Mapping[int, list[Row]]) -> PlannedCall:
    number = item.number("id")
    rows = tuple(carried.get(number, ()))
    after = tuple(other for other in item.list("after") if isinstance(other, int))
    if len(after) < len(item.list("after")):
        raise item.fail("after", "must be a list of call ids")
    if item.number("count") != len(rows):
        raise item.fail("count", f"must be {len(rows)}, the number of changes with this call")
    return PlannedCall(number, _request(item), rows, after)


def _request(item: _Node) -> Request:
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


def _removal(body: _Node) -> Request:
    flow_id, device_id = body.id_or_none("flowId"), body.id_or_none("deviceId")
    if flow_id is not None:
        return RemoveFlow(flow_id) if device_id is None else RemoveRow(flow_id, device_id)
    if device_id is None:
        raise body.fail("deviceId", "is null like flowId, which no call may have")
    return RemoveDevice(device_id)


def _pending(item: _Node) -> PendingRow:
    return PendingRow(
        item.id("device_id"),
        item.id("flow_id"),
        item.text_or_none("released"),
        item.text_or_none("reported"),
        item.flag_or_none("connected"),
        item.text_or_none("last_error"),
    )


def _unmanaged(item: _Node) -> UnmanagedRow:
    return UnmanagedRow(
        item.id("device_id"), item.id("flow_id"), item.text_or_none("released"), item.text_or_none("reported")
    )


def _warning(item: _Node) -> Warning:
    return Warning(item.text("message"), _place(item), item.text_or_none("hint"))


def _refusal(item: _Node) -> Refusal:
    rows = tuple((row.id("device_id"), row.id("flow_id")) for row in item.nodes("rows"))
    return Refusal(item.choice("guard", Guard), item.text("message"), item.text("hint"), rows, _place(item))


def _place(item: _Node) -> Place | None:
    if item.get("path") is None:
        return None
    return Place(item.text("path"), item.number("line"), item.number("column"))
