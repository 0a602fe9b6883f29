"""The body of a response, decoded within a bound.

httpx decodes whatever codings a response names, one on top of the other and without a limit: 2 KiB can become 1 GiB.
Here one coding is accepted, the one that requests ask for, and no more is decoded than may be kept.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Final, TypeAlias

import httpx

ACCEPT_ENCODING: Final = "gzip"
_GZIP: Final = 16 + zlib.MAX_WBITS

_Decode: TypeAlias = Callable[[bytes, int], bytes]


class Undecodable(Exception):
    """The body's coding was not asked for, or the body is damaged; the message says which."""


async def read_body(response: httpx.Response, limit: int) -> bytes:
    """The body, truncated soon after `limit` bytes if it is longer.

    Raises:
        Undecodable: its coding was not asked for, or it is damaged.
    """
    coding = response.headers.get("content-encoding", "").strip().lower()
    if coding in ("", "identity"):
        return await _read(response, limit, lambda piece, _: piece)
    if coding not in ("gzip", "x-gzip"):
        raise Undecodable("the response's Content-Encoding is not the one that was asked for")
    stream = zlib.decompressobj(_GZIP)
    try:
        body = await _read(response, limit, stream.decompress)
    except zlib.error:
        raise Undecodable("the response's compressed body is corrupt") from None
    if len(body) <= limit and (not stream.eof or stream.unused_data):
        raise Undecodable("the response's compressed body is corrupt")
    return body


async def _read(response: httpx.Response, limit: int, decode: _Decode) -> bytes:
    pieces, left = [], limit + 1
    async for raw in response.aiter_raw():
        piece = decode(raw, left)
        pieces.append(piece)
        left -= len(piece)
        if left <= 0:
            break
    return b"".join(pieces)
