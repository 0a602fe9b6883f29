"""The client of one application, over a connection of its own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx

from reconciler.api.client import LosantApi
from reconciler.api.http.connection import connect
from reconciler.api.http.credentials import Token
from reconciler.model.state import Kind


class _Unread(httpx.AsyncBaseTransport):
    """A transport whose responses are read by the client, as from a network; httpx has read those made of bytes."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The response of the transport inside."""
        made = await self._inner.handle_async_request(request)
        if not (made.is_stream_consumed and isinstance(made.stream, httpx.ByteStream)):
            return made
        return httpx.Response(made.status_code, headers=made.headers, stream=httpx.ByteStream(b"".join(made.stream)))

    async def aclose(self) -> None:
        """Close the transport inside."""
        await self._inner.aclose()


@contextlib.asynccontextmanager
async def open_api(
    *, url: str, token: Token, application_id: str, kind: Kind = Kind.EMBEDDED, **options: Any
) -> AsyncIterator[LosantApi]:
    """`options` are those of `connect`."""
    if transport := options.get("transport"):
        options["transport"] = _Unread(transport)
    async with connect(url=url, **options) as connection:
        yield LosantApi(connection, token=token, application_id=application_id, kind=kind)
