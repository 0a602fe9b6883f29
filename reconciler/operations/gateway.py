"""The way to the API for one run: where it is, which token each application has, one pool of connections."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from urllib.parse import urlsplit

from reconciler.api.address import api_url
from reconciler.api.client import LosantApi
from reconciler.api.connection import Exchange, connect
from reconciler.api.credentials import Token, find_token
from reconciler.model.state import Kind
from reconciler.ports import Clock
from reconciler.runtime import SystemClock

PARALLELISM = 4
ApiOf = Callable[[str, Kind], LosantApi]


class Gateway:
    """How to reach the API. Nothing is opened until `open`.

    Attributes:
        parallelism: requests in flight at most.
        clock: all time of the run.
    """

    def __init__(
        self,
        tokens: Mapping[str, Token],
        *,
        url: str | None = None,
        parallelism: int = PARALLELISM,
        clock: Clock | None = None,
        note: Callable[[str], None] | None = None,
        observe: Callable[[Exchange], None] | None = None,
        count: Callable[[Counter[str]], None] | None = None,
    ) -> None:
        """Check the URL.

        Args:
            tokens: by id of the application.
            url: base URL of the API; Losant's own if None or empty.
            parallelism: requests in flight at most.
            clock: the system's if None.
            note: told of pauses and retries. The text may come from the API and is untrusted.
            observe: told of each request.
            count: told how many requests of each action were sent, when a connection is closed.

        Raises:
            UsageError: a URL that a token must not be sent to.
        """
        self._url = api_url(url)
        self._tokens = tokens
        self._note = note
        self._observe = observe
        self._count = count
        self.parallelism = parallelism
        self.clock: Clock = clock or SystemClock()

    @property
    def host(self) -> str:
        """The host of the API's URL."""
        return urlsplit(self._url).hostname or ""

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[ApiOf]:
        """A function that gives the API of an application and kind, all over one connection."""
        async with connect(
            url=self._url, parallelism=self.parallelism, clock=self.clock, observe=self._observe, note=self._note
        ) as connection:

            def api_of(application_id: str, kind: Kind) -> LosantApi:
                token = self._tokens[application_id]
                return LosantApi(connection, token=token, application_id=application_id, kind=kind)

            try:
                yield api_of
            finally:
                if self._count:
                    self._count(connection.counts)


def find_tokens(
    environ: Mapping[str, str], application_ids: Iterable[str], *, token_file: str | None = None
) -> dict[str, Token]:
    """The token of each application, found before anything is read.

    Raises:
        UsageError: an application has none.
    """
    return {one: find_token(environ, one, token_file=token_file) for one in application_ids}
