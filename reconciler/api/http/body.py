"""The body of a response, decoded within a bound.

httpx decodes whatever codings a response names, one on top of the other and without a limit: 2 KiB can become 1 GiB.
Here one coding is accepted, the one that requests ask for, and no more is decoded than may be kept.
"""

from __future__ import annotations

import zlib
from typing import Final

import httpx

ACCEPT_ENCODING: Final = "gzip"
_GZIP: Final = 16 + zlib.MAX_WBITS
_CORRUPT: Final = "the response's compressed body is corrupt"


class Undecodable(Exception):
    """The body's coding was not asked for, or the body is damaged; the message says which."""


class Body:
    """A body as it arrives. It is truncated soon after `limit` bytes if it is longer."""

    def __init__(self, response: httpx.Response, limit: int) -> None:
        """Raises Undecodable if its coding was not asked for."""
        coding = response.headers.get("content-encoding", "").strip().lower()
        if coding not in ("", "identity", "gzip", "x-gzip"):
            raise Undecodable("the response's Content-Encoding is not the one that was asked for")
        self._gzip = zlib.decompressobj(_GZIP) if "gzip" in coding else None
        self._pieces: list[bytes] = []
        self._left = limit + 1

    def add(self, raw: bytes) -> bool:
        """Add what has arrived; whether there is room for more. Raises Undecodable if it is damaged."""
        try:
            piece = self._gzip.decompress(raw, self._left) if self._gzip else raw
        except zlib.error:
            raise Undecodable(_CORRUPT) from None
        self._pieces.append(piece)
        self._left -= len(piece)
        return self._left > 0

    def decoded(self) -> bytes:
        """All of it. Raises Undecodable if it ends too early or too late."""
        if self._gzip and self._left > 0 and (not self._gzip.eof or self._gzip.unused_data):
            raise Undecodable(_CORRUPT)
        return b"".join(self._pieces)


async def read_body(response: httpx.Response, limit: int) -> bytes:
    """The body of a response, truncated soon after `limit` bytes. Raises Undecodable."""
    body = Body(response, limit)
    async for raw in response.aiter_raw():
        if not body.add(raw):
            break
    return body.decoded()
