"""A run's connection to the API: connection pool, concurrency limit, retry budget and request counts.

Several applications share a connection; each uses its own token.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from email.utils import format_datetime
from functools import partial
from typing import NamedTuple

import httpx

from reconciler import __version__
from reconciler.api.http.address import api_url
from reconciler.api.http.body import ACCEPT_ENCODING, Undecodable, read_body
from reconciler.api.http.certificates import validity
from reconciler.api.http.credentials import Token
from reconciler.api.http.environment import Way, way_to
from reconciler.api.http.failures import (
    TokenRenewed,
    http_date,
    mistimed,
    no_answer,
    redirected,
    refused,
    unreadable,
    untimely,
)
from reconciler.api.http.request import ApiRequest
from reconciler.api.http.retry import BUDGET, Pace, Retries
from reconciler.errors import ApiError, AuthenticationFailed, UsageError
from reconciler.ports import Clock
from reconciler.runtime import SystemClock

ACCEPT_VERSION = "^1.30.0"
MAX_BODY = 64 * 1024 * 1024  # the largest page of flows, with all of their nodes, is a small part of that
MAX_ERROR_BODY = 64 * 1024
# Shorter than common server idle timeouts: a write must not be sent on a connection that is being closed.
KEEPALIVE_S = 4.0


class Timeouts(NamedTuple):
    """Timeouts in seconds: to connect, between two chunks of a body, and for a request as a whole."""

    connect_s: float = 10.0
    read_s: float = 60.0
    total_s: float = 300.0


class Exchange(NamedTuple):
    """One request that was sent, for verbose logs, without headers or body. `status` is None without a response."""

    action: str
    name: str
    status: int | None
    duration_s: float


class Answer(NamedTuple):
    """A 2xx response, read in full. `date` is its header, empty without one."""

    status: int
    body: bytes
    date: str

    @property
    def sent_at(self) -> float | None:
        """When the server sent it, by its own clock, in Unix time; None if it has no date as HTTP prescribes it."""
        try:
            date = http_date(self.date)
            return date.timestamp() if date and format_datetime(date, usegmt=True) == self.date else None
        except (ValueError, OverflowError):
            return None


@dataclass(frozen=True, slots=True)
class Connection:
    """An open connection, made by `connect`. `counts`: requests sent, by the API's name of the action."""

    http: httpx.AsyncClient
    way: Way
    clock: Clock
    parallelism: int
    pace: Pace
    retries: Retries
    timeouts: Timeouts
    observe: Callable[[Exchange], None] | None
    counts: Counter[str] = field(default_factory=Counter)

    async def read(self, request: ApiRequest, token: Token) -> Answer:
        """A 2xx response; transient failures are retried."""
        return await self.retries.run(partial(self.once, request, token))

    async def once(self, request: ApiRequest, token: Token) -> Answer:
        """A 2xx response; the request is never retried.

        Raises:
            TokenRenewed: it had no effect, but would with the token that there is now. It is for the caller to send it
                again, for getting a token takes time, and a call may be too old by then.
        """
        async with self.pace.turn():
            if await self._renewed(request, token, None) and request.method != "GET":
                raise TokenRenewed(f"{request.name}: not sent, because the token had expired; there is a new one")
            header = token.header
            self.counts[request.action] += 1
            started = self.clock.monotonic()
            outcome = await self._exchange(request, token)
            if self.observe:
                spent_s = self.clock.monotonic() - started
                self.observe(Exchange(request.action, request.name, outcome.status, spent_s))
            if isinstance(outcome, AuthenticationFailed) and await self._renewed(request, token, header):
                raise TokenRenewed(f"{request.name}: HTTP 401 for a token of which there is a new one now")
            if isinstance(outcome, ApiError):
                raise outcome
            return outcome

    async def _renewed(self, request: ApiRequest, token: Token, refused: str | None) -> bool:
        """Whether there is another token, for one that has expired, or the one of a refused header."""
        now = self.clock.utc_now()
        try:
            return await (token.renew_expired(now) if refused is None else token.replace_refused(refused, now))
        except UsageError as error:
            (problem,) = error.problems
            cause = "the token has expired" if refused is None else "HTTP 401"
            raise AuthenticationFailed(
                f"{request.name}: {cause}; {problem.message}", hint=problem.hint, status=401 if refused else None
            ) from None

    async def _exchange(self, request: ApiRequest, token: Token) -> Answer | ApiError:
        """The response, or an error for the caller to raise, so that it has no foreign exception as its context."""
        try:
            async with asyncio.timeout(self.timeouts.total_s), self._stream(request, token) as response:
                return await self._answer(request, response, token)
        except (httpx.HTTPError, TimeoutError, OSError) as error:
            if untimely(error):
                valid = await validity(self.http.base_url, self.way.proxy)
                return mistimed(request, error, host=self.http.base_url.host, valid=valid, now=self.clock.utc_now())
            return no_answer(request, error, host=self.http.base_url.host, token=token)
        except (httpx.InvalidURL, UnicodeError):
            return unreadable(request, "the request's URL could not be built")

    def _stream(self, request: ApiRequest, token: Token) -> contextlib.AbstractAsyncContextManager[httpx.Response]:
        return self.http.stream(
            request.method, request.target, json=request.body, headers={"Authorization": token.header}
        )

    async def _answer(self, request: ApiRequest, response: httpx.Response, token: Token) -> Answer | ApiError:
        status = response.status_code
        if 300 <= status < 400:
            return redirected(request, status, response.extensions[_LOCATION], token)
        if not response.is_success:
            body = b""
            with contextlib.suppress(httpx.HTTPError, Undecodable):  # the status says enough
                body = await read_body(response, MAX_ERROR_BODY)
            return refused(request, status, response.headers, body, token=token, now=self.clock.utc_now())
        try:
            body = await read_body(response, MAX_BODY)
        except Undecodable as error:
            return unreadable(request, str(error), status=status)
        if len(body) > MAX_BODY:
            return unreadable(request, f"the response is larger than {MAX_BODY >> 20} MiB", status=status)
        if token.is_in(body):
            return unreadable(request, "the response repeats the API token", status=status)
        return Answer(status, body, response.headers.get("date", ""))


_LOCATION = "reconciler.location"


async def _take_location(response: httpx.Response) -> None:
    """Remove the Location header: httpx parses it even when it does not follow redirects, and can fail on it."""
    response.extensions[_LOCATION] = response.headers.pop("location", "")


@contextlib.asynccontextmanager
async def connect(
    *,
    url: str,
    parallelism: int = 4,
    clock: Clock | None = None,
    rng: random.Random | None = None,
    timeouts: Timeouts | None = None,
    retry_budget: int = BUDGET,
    observe: Callable[[Exchange], None] | None = None,
    note: Callable[[str], None] | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> AsyncIterator[Connection]:
    """Open a run's connection to the API at `url`.

    `observe` is called after every request, `note` with a message before every retry.

    Raises:
        UsageError: an API URL that is not acceptable, or invalid proxy or certificate variables.
    """
    timeouts = timeouts or Timeouts()
    clock = clock or SystemClock()
    rng = rng or random.Random()  # noqa: S311 - spreads retries, guards nothing
    for name in ("httpx", "httpcore"):  # they log the headers of responses, and a response may echo the token
        logging.getLogger(name).setLevel(logging.WARNING)
    url = api_url(url)
    way = Way(verify=False, proxy=None) if transport else way_to(httpx.URL(url))
    async with _open_http(url, way, parallelism, timeouts, transport) as http:
        retries = Retries(clock, rng, budget=retry_budget, note=note)
        yield Connection(http, way, clock, parallelism, Pace(parallelism, clock), retries, timeouts, observe)


def _open_http(
    url: str, way: Way, parallelism: int, timeouts: Timeouts, transport: httpx.AsyncBaseTransport | None
) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=url,
        headers={
            "Accept": "application/json",
            "Accept-Version": ACCEPT_VERSION,
            "Accept-Encoding": ACCEPT_ENCODING,
            "User-Agent": f"reconciler/{__version__}",
        },
        timeout=httpx.Timeout(timeouts.read_s, connect=timeouts.connect_s, pool=None),
        limits=httpx.Limits(
            max_connections=parallelism, max_keepalive_connections=parallelism, keepalive_expiry=KEEPALIVE_S
        ),
        event_hooks={"response": [_take_location]},
        follow_redirects=False,
        trust_env=False,
        verify=way.verify,
        proxy=way.proxy,
        transport=transport,
    )
