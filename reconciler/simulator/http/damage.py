"""What faults do to an answer."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, assert_never

from reconciler.simulator import faults
from reconciler.simulator.faults import Fault
from reconciler.simulator.http.delivery import Reply

_HUGE_BYTES = 10_000_000
_HTML = b"<!DOCTYPE html><html><head><title>Unavailable</title></head><body><h1>Service unavailable</h1></body></html>"
_JSON = "application/json"
_JSON_TYPE = {"Content-Type": _JSON}
_NAMES = {400: "Validation", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 429: "RateLimit"}


def damage_page(body: Any, struck: Iterable[Fault]) -> Any:
    """The body of a collection after the faults that edit pages; any other body as it is."""
    if not (isinstance(body, dict) and isinstance(body.get("items"), list)):
        return body
    for fault in struck:
        items = list(body["items"])
        match fault:
            case faults.Total():
                body = {**body, "totalCount": max(0, body["totalCount"] + fault.delta)}
            case faults.Duplicate() if items:
                items = [*(items[:-1] if fault.instead else items), items[0]]
            case faults.Missing():
                items = items[:-1]
            case faults.Damage() if items:
                first = {key: value for key, value in items[0].items() if key != fault.field}
                items[0] = first if fault.absent else {**first, fault.field: fault.value}
            case _:
                continue
        body = {**body, "items": items, "count": len(items)}
    return body


def refusal(fault: faults.Status | faults.Redirect, authorization: str | None) -> Reply:
    """The reply that takes the place of the API's answer."""
    if isinstance(fault, faults.Redirect):
        return Reply(fault.status, b"", {"Location": fault.location})
    message = fault.message or f"Simulated {fault.status}"
    if fault.body == "echo":
        message = f"{message} (Authorization: {authorization})"
    envelope = json.dumps({"type": fault.type or _NAMES.get(fault.status, "Error"), "message": message}).encode()
    kind, body = {
        "json": (_JSON, envelope),
        "echo": (_JSON, envelope),
        "html": ("text/html", _HTML),
        "text": ("text/plain", message.encode()),
        "empty": ("text/plain", b""),
        "huge": ("text/plain", b"x" * (_HUGE_BYTES if fault.body == "huge" else 0)),
    }[fault.body]
    headers = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
    return Reply(fault.status, body, {"Content-Type": kind, **headers})


def garbled(status: int, body: bytes, how: faults.Harm) -> Reply:
    """A damaged reply in place of a good one with this status and JSON body."""
    match how:
        case "html" | "text":
            kind, text = {"html": ("text/html", _HTML), "text": ("text/plain", b"ok")}[how]
            return Reply(status, text, {"Content-Type": kind})
        case "truncated":
            return Reply(status, body[: len(body) // 2], _JSON_TYPE, claimed=len(body))
        case "gzip":
            return Reply(status, b"this is not compressed", {**_JSON_TYPE, "Content-Encoding": "gzip"})
        case "array":
            damaged = b"[]"
        case "utf8":
            damaged = body[:-1] + b',"note":"\xff\xfe"}'
        case "duplicate_keys":
            damaged = _with_duplicate_keys(body)
        case _ as never:
            assert_never(never)
    return Reply(status, damaged, _JSON_TYPE)


def _with_duplicate_keys(body: bytes) -> bytes:
    """Every key of the object a second time, empty: a parser that keeps the last one sees an empty world."""
    empty = {list: "[]", int: "0", bool: "false", str: '""', dict: "{}", type(None): "null", float: "0"}
    again = "".join(f",{json.dumps(key)}:{empty[type(value)]}" for key, value in json.loads(body).items())
    return body[:-1] + again.encode() + b"}"
