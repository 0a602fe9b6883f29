"""The gateway to the API for one run: its URL, the tokens of the applications, one connection pool."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from reconciler.api.client import LosantApi, WasRead
from reconciler.api.http.address import DEFAULT_URL
from reconciler.api.http.connection import Exchange, connect
from reconciler.api.http.credentials import Token
from reconciler.api.pages import PageRead
from reconciler.errors import UsageError
from reconciler.model.state import Kind
from reconciler.ports import Clock
from reconciler.runtime import DEFAULT_PARALLELISM, MAX_PARALLELISM, SystemClock

ApiOf = Callable[[str, Kind], LosantApi]


@dataclass(frozen=True, slots=True)
class Gateway:
    """How to reach the API. Nothing is opened until `open`.

    Attributes:
        tokens: the tokens by application id.
        url: base URL of the API.
        parallelism: maximum requests in flight, 1 to 32.
        clock: the run's only source of time.
        note: called for pauses and retries. The text may come from the API and is untrusted.
        observe: called for each request.
        count: called with the number of requests by action when a connection is closed.
        was_read: called after each reading of an application's deployments.
        page_read: called after each page of a listing.
    """

    tokens: Mapping[str, Token]
    url: str = DEFAULT_URL
    parallelism: int = DEFAULT_PARALLELISM
    clock: Clock = field(default_factory=SystemClock)
    note: Callable[[str], None] | None = None
    observe: Callable[[Exchange], None] | None = None
    count: Callable[[Counter[str]], None] | None = None
    was_read: Callable[[WasRead], None] | None = None
    page_read: Callable[[PageRead], None] | None = None

    def __post_init__(self) -> None:
        if self.parallelism not in range(1, MAX_PARALLELISM + 1):
            raise UsageError(f"parallelism is {self.parallelism}", hint=f"give 1 to {MAX_PARALLELISM}")

    @property
    def host(self) -> str:
        """The host of the API's URL."""
        return urlsplit(self.url).hostname or ""

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[ApiOf]:
        """A function that returns the API for an application and kind; all share one connection."""
        async with connect(
            url=self.url, parallelism=self.parallelism, clock=self.clock, observe=self.observe, note=self.note
        ) as connection:

            def api_of(application_id: str, kind: Kind) -> LosantApi:
                return LosantApi(
                    connection,
                    token=self.tokens[application_id],
                    application_id=application_id,
                    kind=kind,
                    was_read=self.was_read,
                    page_read=self.page_read,
                )

            try:
                yield api_of
            finally:
                if self.count:
                    self.count(connection.counts)
