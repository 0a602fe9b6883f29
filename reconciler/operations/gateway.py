"""The way to the API for one run: where it is, which token each application has, one pool of connections."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from reconciler.api.address import DEFAULT_URL
from reconciler.api.client import LosantApi
from reconciler.api.connection import Exchange, connect
from reconciler.api.credentials import Token
from reconciler.model.state import Kind
from reconciler.ports import Clock
from reconciler.runtime import SystemClock

PARALLELISM = 4
ApiOf = Callable[[str, Kind], LosantApi]


@dataclass(frozen=True, slots=True)
class Gateway:
    """How to reach the API. Nothing is opened until `open`.

    Attributes:
        tokens: by id of the application.
        url: base URL of the API.
        parallelism: requests in flight at most.
        clock: all time of the run.
        note: called for pauses and retries. The text may come from the API and is untrusted.
        observe: called for each request.
        count: called with how many requests of each action were sent, when a connection is closed.
    """

    tokens: Mapping[str, Token]
    url: str = DEFAULT_URL
    parallelism: int = PARALLELISM
    clock: Clock = field(default_factory=SystemClock)
    note: Callable[[str], None] | None = None
    observe: Callable[[Exchange], None] | None = None
    count: Callable[[Counter[str]], None] | None = None

    @property
    def host(self) -> str:
        """The host of the API's URL."""
        return urlsplit(self.url).hostname or ""

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[ApiOf]:
        """A function that gives the API of an application and kind, all over one connection."""
        async with connect(
            url=self.url, parallelism=self.parallelism, clock=self.clock, observe=self.observe, note=self.note
        ) as connection:

            def api_of(application_id: str, kind: Kind) -> LosantApi:
                token = self.tokens[application_id]
                return LosantApi(connection, token=token, application_id=application_id, kind=kind)

            try:
                yield api_of
            finally:
                if self.count:
                    self.count(connection.counts)
