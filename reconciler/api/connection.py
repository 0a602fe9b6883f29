"""One run's connection to the API: a pool of sockets, a pace, a budget of retries, a count of requests.

Several applications share a connection; each brings its own token.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import httpx

from reconciler import __version__
from reconciler.api.address import api_url, is_loopback
from reconciler.api.clock import SystemClock
from reconciler.api.credentials import Token
from reconciler.api.failures import no_answer, redirected, refused, unreadable
from reconciler.api.request import ApiRequest
from reconciler.api.retry import BUDGET, Pace, Retries
from reconciler.errors import ApiError, UsageError
from reconciler.ports import Clock

ACCEPT_VERSION = "^1.30.0"
MAX_BODY = 256 * 1024 * 1024
MAX_ERROR_BODY = 64 * 1024
# Shorter than what servers commonly keep an idle connection: a write must not run into one that is being closed.
KEEPALIVE_S = 4.0


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: to connect, between two pieces of an answer (or of a request), and for a request as a whole."""

    connect_s: float = 10.0
    read_s: float = 60.0
    total_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request that was sent, for verbose logs. `status` None: no answer. Holds no headers and no bodies."""

    action: str
    name: str
    status: int | None
    duration_s: float


class Connection:
    """What `connect` opens. `counts` is the number of requests sent, by the API's name of the action."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        clock: Clock,
        parallelism: int,
        rng: random.Random,
        timeouts: Timeouts,
        retry_budget: int,
        observe: Callable[[Exchange], None] | None,
        note: Callable[[str], None] | None,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.parallelism = parallelism
        self.pace = Pace(parallelism, clock)
        self.retries = Retries(clock=clock, rng=rng, budget=retry_budget, note=note)
        self._http = http
        self.clock = clock
        self._timeouts = timeouts
        self._observe = observe

    async def read(self, request: ApiRequest, token: Token) -> bytes:
        """The body of a 2xx answer, asking again where the failure may pass."""

        async def ask() -> bytes:
            return await self.once(request, token)

        return await self.retries.run(ask)

    async def once(self, request: ApiRequest, token: Token) -> bytes:
        """The body of a 2xx answer, asking exactly once."""
        async with self.pace.turn():
            self.counts[request.action] += 1
            started = self.clock.monotonic()
            outcome = await self._exchange(request, token)
            if self._observe:
                spent_s = self.clock.monotonic() - started
                self._observe(Exchange(request.action, request.name, outcome.status, spent_s))
            if isinstance(outcome, ApiError):
                raise outcome
            return outcome.body

    async def _exchange(self, request: ApiRequest, token: Token) -> _Answer | ApiError:
        """The answer, or the error to raise: raised by the caller, it carries no foreign exception with it."""
        try:
            async with asyncio.timeout(self._timeouts.total_s), self._stream(request, token) as response:
                return await self._body(request, response, token)
        except _Redirect as redirect:
            return redirected(request, redirect.status, redirect.location, token)
        except (httpx.HTTPError, TimeoutError, OSError) as error:
            return no_answer(request, error, host=self._http.base_url.host, token=token)
        except (httpx.InvalidURL, UnicodeError):
            return unreadable(request, "the request's URL could not be built")

    def _stream(self, request: ApiRequest, token: Token) -> contextlib.AbstractAsyncContextManager[httpx.Response]:
        return self._http.stream(
            request.method, request.target, json=request.body, headers={"Authorization": token.header}
        )

    async def _body(self, request: ApiRequest, response: httpx.Response, token: Token) -> _Answer | ApiError:
        if not response.is_success:
            body = await _head(response)
            return refused(request, response.status_code, response.headers, body, token=token, now=self.clock.utc_now())
        pieces, size = [], 0
        async for piece in response.aiter_bytes():
            size += len(piece)
            if size > MAX_BODY:
                return unreadable(
                    request, f"the answer is larger than {MAX_BODY >> 20} MiB", status=response.status_code
                )
            pieces.append(piece)
        body = b"".join(pieces)
        if token.is_in(body):
            return unreadable(request, "the answer repeats the API token", status=response.status_code)
        return _Answer(response.status_code, body)


@dataclass(frozen=True, slots=True)
class _Answer:
    """A 2xx answer that was read to its end."""

    status: int
    body: bytes


async def _head(response: httpx.Response) -> bytes:
    """The start of an error's body; the status says enough when it cannot be read."""
    pieces, size = [], 0
    with contextlib.suppress(httpx.HTTPError):
        async for piece in response.aiter_bytes():
            pieces.append(piece)
            size += len(piece)
            if size >= MAX_ERROR_BODY:
                break
    return b"".join(pieces)[:MAX_ERROR_BODY]


class _Redirect(Exception):
    """A 3xx, caught before httpx looks at where it leads."""

    def __init__(self, status: int, location: str) -> None:
        self.status = status
        self.location = location
        super().__init__()


async def _stop_at_redirect(response: httpx.Response) -> None:
    if 300 <= response.status_code < 400:
        raise _Redirect(response.status_code, response.headers.get("location", ""))


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

    `observe` is told of every request, `note` of every pause before another try (a sentence for people).

    Raises:
        UsageError: a URL that a token must not be sent to, or proxy or certificate variables that are not valid.
    """
    timeouts = timeouts or Timeouts()
    for name in ("httpx", "httpcore"):  # they log the headers of answers, and an answer may echo the token
        logging.getLogger(name).setLevel(logging.WARNING)
    async with _open_http(api_url(url), parallelism, timeouts, transport) as http:
        yield Connection(
            http,
            clock=clock or SystemClock(),
            parallelism=parallelism,
            rng=rng or random.Random(),  # noqa: S311 - spreads retries, guards nothing
            timeouts=timeouts,
            retry_budget=retry_budget,
            observe=observe,
            note=note,
        )


def _open_http(
    url: str, parallelism: int, timeouts: Timeouts, transport: httpx.AsyncBaseTransport | None
) -> httpx.AsyncClient:
    """The pool. No proxy is used for loopback: it would see the token in plain text, and could not reach it anyway."""
    try:
        return httpx.AsyncClient(
            base_url=url,
            headers={
                "Accept": "application/json",
                "Accept-Version": ACCEPT_VERSION,
                "Accept-Encoding": "gzip, deflate",
                "User-Agent": f"reconciler/{__version__}",
            },
            timeout=httpx.Timeout(timeouts.read_s, connect=timeouts.connect_s, pool=None),
            limits=httpx.Limits(
                max_connections=parallelism, max_keepalive_connections=parallelism, keepalive_expiry=KEEPALIVE_S
            ),
            event_hooks={"response": [_stop_at_redirect]},
            follow_redirects=False,
            trust_env=not is_loopback(httpx.URL(url).host),
            verify=url.startswith("https:"),  # without TLS no certificates need to be loaded
            transport=transport,
        )
    except (ValueError, ImportError, httpx.InvalidURL) as error:
        raise UsageError(
            f"the proxy variables cannot be used: {error}",
            hint="HTTPS_PROXY, HTTP_PROXY and ALL_PROXY hold http:// URLs",
        ) from None
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"the certificates cannot be loaded: {error}", hint="SSL_CERT_FILE names a PEM file, SSL_CERT_DIR a folder"
        ) from None
