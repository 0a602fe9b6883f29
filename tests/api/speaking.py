"""How these tests speak to the client: a handler in place of a server, and answers as the API gives them."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, TypeVar

import httpx

from reconciler.api.client import LosantApi
from reconciler.api.http.credentials import Token
from reconciler.api.pages import Page
from reconciler.model.state import Kind
from tests.builders import hex_id
from tests.fakes import FakeClock
from tests.support.api import open_api

T = TypeVar("T")

APPLICATION = hex_id(0xA)
FLOW = hex_id(0xF)
SECRET = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhcHAiLCJzY29wZSI6W119.c2lnbmF0dXJlLW9mLXRoaXM"
URL = "https://api.example.test"

Handler = Callable[[httpx.Request], httpx.Response]


def token() -> Token:
    return Token(SECRET, source="LOSANT_API_TOKEN")


@contextlib.asynccontextmanager
async def api_over(handler: Handler, *, kind: Kind = Kind.EMBEDDED, **options: Any) -> AsyncIterator[LosantApi]:
    """A client whose every request goes to `handler`. Time is virtual, jitter is fixed."""
    options = {
        "transport": httpx.MockTransport(handler),
        "clock": FakeClock(),
        "rng": random.Random(1),
        "token": token(),
        "url": URL,
        **options,
    }
    async with open_api(application_id=APPLICATION, kind=kind, **options) as api:
        yield api


def listing(items: Iterable[Any], *, total: int | None = None, **more: Any) -> dict[str, Any]:
    """A page as the API sends it."""
    items = list(items)
    return {"items": items, "count": len(items), "totalCount": len(items) if total is None else total, **more}


def record(number: int, *, released: str | None = "v1", reported: str | None = "v1", **more: Any) -> dict[str, Any]:
    """An embedded deployment with one flow."""
    flows = {FLOW: {"flowName": "pump", "desiredVersion": released, "currentVersion": reported}}
    return {"id": hex_id(number, "e"), "deviceId": hex_id(number, "d"), "flows": flows, **more}


class Pages:
    """A handler that serves records in pages, as the real API does, and remembers what was asked."""

    def __init__(self, records: list[dict[str, Any]], *, cap: int = 1000, echo: bool = True) -> None:
        self.records = records
        self.cap = cap
        self.echo = echo
        self.asked: list[httpx.QueryParams] = []
        self.instead: dict[int, Callable[[], httpx.Response]] = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.params)
        number = int(request.url.params["page"])
        if number in self.instead:
            return self.instead[number]()
        size = min(self.cap, int(request.url.params["perPage"]))
        page = self.records[number * size : (number + 1) * size]
        echo = {"perPage": size, "page": number} if self.echo else {}
        return httpx.Response(200, json=listing(page, total=len(self.records), **echo))


def body_of(request: httpx.Request) -> Any:
    return json.loads(request.content)


def records_of(page: Page[T]) -> dict[str, T]:
    """The records of a page by their ids."""
    return dict(zip(page.ids, page.values, strict=True))
