"""The client of one application, over a connection of its own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from reconciler.api.client import LosantApi
from reconciler.api.connection import connect
from reconciler.api.credentials import Token
from reconciler.model.state import Kind


@contextlib.asynccontextmanager
async def open_api(
    *, url: str, token: Token, application_id: str, kind: Kind = Kind.EMBEDDED, **options: Any
) -> AsyncIterator[LosantApi]:
    """`options` are those of `connect`."""
    async with connect(url=url, **options) as connection:
        yield LosantApi(connection, token=token, application_id=application_id, kind=kind)
