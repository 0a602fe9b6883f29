"""Replies, intact and damaged, and how to send them.

What an HTTP server does not support (a truncated body, a reset, slow headers) is written directly to the connection.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.client import responses
from typing import Any

from starlette.types import Send

from reconciler.simulator import faults
from reconciler.simulator.faults import Fault

JSON = {"Content-Type": "application/json"}
_STEPS = 10
_HUGE_BYTES = 10_000_000
_HTML = b"<!DOCTYPE html><html><head><title>Unavailable</title></head><body><h1>Service unavailable</h1></body></html>"
_NAMES = {400: "Validation", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 429: "RateLimit"}


@dataclass(frozen=True, slots=True)
class Reply:
    """Bytes to send, and how: with a false Content-Length (`claimed`), or slowly over a number of seconds."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    claimed: int | None = None  # the connection is closed after the body
    slow_headers_s: float = 0.0
    slow_body_s: float = 0.0


def damage_page(body: Any, struck: Iterable[Fault]) -> Any:
    """Apply the faults that edit pages to the body of a collection; other bodies are returned unchanged."""
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
    """The reply that replaces the API's response."""
    if isinstance(fault, faults.Redirect):
        return Reply(fault.status, b"", {"Location": fault.location})
    message = fault.message or f"Simulated {fault.status}"
    if fault.body == "echo":
        message = f"{message} (Authorization: {authorization})"
    envelope = json.dumps({"type": fault.type or _NAMES.get(fault.status, "Error"), "message": message}).encode()
    bodies = {
        "html": ("text/html", _HTML),
        "text": ("text/plain", message.encode()),
        "empty": ("text/plain", b""),
        "huge": ("text/plain", b"x" * (_HUGE_BYTES if fault.body == "huge" else 0)),
    }
    kind, body = bodies.get(fault.body, ("application/json", envelope))
    headers = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
    return Reply(fault.status, body, {"Content-Type": kind, **headers})


def _with_duplicate_keys(body: bytes) -> bytes:
    """Repeat every key of the object with an empty value: a parser that keeps the last one sees no data."""
    empty = {list: "[]", int: "0", bool: "false", str: '""', dict: "{}", type(None): "null", float: "0"}
    again = "".join(f",{json.dumps(key)}:{empty[type(value)]}" for key, value in json.loads(body).items())
    return body[:-1] + again.encode() + b"}"


_HARMS: Mapping[faults.Harm, tuple[Mapping[str, str], Callable[[bytes], bytes]]] = {
    "html": ({"Content-Type": "text/html"}, lambda _: _HTML),
    "text": ({"Content-Type": "text/plain"}, lambda _: b"ok"),
    "array": (JSON, lambda _: b"[]"),
    "truncated": (JSON, lambda body: body[: len(body) // 2]),
    "gzip": ({**JSON, "Content-Encoding": "gzip"}, lambda _: b"this is not compressed"),
    "utf8": (JSON, lambda body: body[:-1] + b',"note":"\xff\xfe"}'),
    "duplicate_keys": (JSON, _with_duplicate_keys),
}
"""The headers of a damaged reply, and the function from an intact body to its body."""


def garbled(status: int, body: bytes, how: faults.Harm) -> Reply:
    """A damaged version of the reply with this status and JSON body."""
    headers, harm = _HARMS[how]
    return Reply(status, harm(body), headers, claimed=len(body) if how == "truncated" else None)


def abort(transport: asyncio.Transport | None) -> None:
    """Reset a connection: the peer gets an RST, not an end of file."""
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def send_reply(reply: Reply, send: Send, transport: asyncio.Transport | None) -> None:
    """Send a reply; a raw one closes the connection, which is None if the client has disconnected."""
    headers = {"Content-Length": str(len(reply.body) if reply.claimed is None else reply.claimed), **reply.headers}
    if reply.claimed is not None or reply.slow_headers_s:  # an HTTP server would not send these
        if transport is not None:
            await _send_raw(reply, {**headers, "Connection": "close"}, transport)
        return
    encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": encoded})
    for chunk in _pieces(reply.body, reply.slow_body_s):
        if reply.slow_body_s:
            await asyncio.sleep(reply.slow_body_s / _STEPS)
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _send_raw(reply: Reply, headers: Mapping[str, str], transport: asyncio.Transport) -> None:
    lines = [f"HTTP/1.1 {reply.status} {responses.get(reply.status, '')}", *(f"{k}: {v}" for k, v in headers.items())]
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    for text, seconds in ((head, reply.slow_headers_s), (reply.body, reply.slow_body_s)):
        for chunk in _pieces(text, seconds):
            await asyncio.sleep(seconds / _STEPS)
            transport.write(chunk)
    transport.close()


def _pieces(text: bytes, seconds: float) -> list[bytes]:
    if not seconds:
        return [text]
    size = max(1, -(-len(text) // _STEPS))
    return [text[at : at + size] for at in range(0, len(text), size)] or [b""]
