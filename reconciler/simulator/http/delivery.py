"""How replies are sent, damaged ones included.

What an HTTP server will not do (a body that is too short, a reset, headers that trickle) is done on the connection
itself.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import responses

from starlette.types import Send

JSON = {"Content-Type": "application/json"}
_STEPS = 10


@dataclass(frozen=True, slots=True)
class Reply:
    """Bytes to send, and how: with a Content-Length that differs from the body's, or trickling over so many seconds."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    claimed: int | None = None  # the connection is closed after the body
    slow_headers_s: float = 0.0
    slow_body_s: float = 0.0


def abort(transport: asyncio.Transport | None) -> None:
    """Reset a connection: the peer gets an RST, not an end of file."""
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def send_reply(reply: Reply, send: Send, transport: asyncio.Transport | None) -> None:
    """Send a reply; a raw one ends its connection, which is None if the client has left."""
    headers = {"Content-Length": str(len(reply.body) if reply.claimed is None else reply.claimed), **reply.headers}
    if reply.claimed is not None or reply.slow_headers_s:  # which an HTTP server would not send
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
