"""Maps every request failure to one of `reconciler.errors`, with place, cause and remedy."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from reconciler.api.http.certificates import EXPIRED, NOT_YET_VALID
from reconciler.api.http.credentials import Token
from reconciler.api.http.request import ApiRequest
from reconciler.errors import (
    ApiError,
    AuthenticationFailed,
    ConnectionFailed,
    NotFound,
    PermissionDenied,
    RateLimited,
    RequestRefused,
    ServerFailed,
    UnexpectedAnswer,
)

MAX_QUOTED = 300
LONGEST_S = 1e9  # of a Retry-After; nobody waits that long, and any number may come
_TOO_LONG = 10_000  # maximum characters of a server's message to examine


class CertificateRejected(ConnectionFailed):
    """The server's certificate is not trusted: retrying cannot help."""

    outcome_unknown = False


class TokenRenewed(ConnectionFailed):
    """A request had no effect for want of a valid token, and there is another token now: it may go again."""

    outcome_unknown = False


def inert(text: str, token: Token) -> str:
    """A server's text, safe to quote: token removed, unprintable characters escaped, at most 300 characters."""
    text = token.redact(text[:_TOO_LONG])
    text = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return text if len(text) <= MAX_QUOTED else text[: MAX_QUOTED - 1] + "…"


def refused(
    request: ApiRequest, status: int, headers: Mapping[str, str], body: bytes, *, token: Token, now: str
) -> ApiError:
    """The error for a status that is neither 2xx nor 3xx; `now` is RFC 3339 text, to interpret a Retry-After date."""
    message = _message(body)
    cause = f"HTTP {status}" + (f', the server says "{inert(message, token)}"' if message else "")
    kind, hint = _STATUSES.get(status) or (_SERVER_FAILED if status >= 500 else (RequestRefused, None))
    if hint:
        hint = hint.format(source=token.source, action=request.action, remedy=request.remedy)
    return kind(f"{request.name}: {cause}", hint=hint, status=status, retry_after_s=retry_after_s(headers, now))


_SERVER_FAILED = (ServerFailed, "the server, or a proxy in front of it, has failed: try again later")
_STATUSES: dict[int, tuple[type[ApiError], str]] = {
    401: (
        AuthenticationFailed,
        "the token from {source} is wrong, revoked or expired: create a new application API token",
    ),
    403: (PermissionDenied, "the token from {source} needs the scope {action}, and must belong to this application"),
    404: (NotFound, "{remedy}"),
    405: (RequestRefused, "check that the API URL points to the Losant API"),
    413: (RequestRefused, "the request is too large for the server, or for a proxy in front of it"),
    429: (RateLimited, "the API is rate limiting: try again later, or with a lower --parallelism"),
}


def _message(body: bytes) -> str | None:
    """The `message` of the API's error body; nothing else is quoted."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return None
    message = data.get("message") if isinstance(data, dict) else None
    return message if isinstance(message, str) and message.strip() else None


def retry_after_s(headers: Mapping[str, str], now: str) -> float | None:
    """`Retry-After`, a number or a date, in seconds of at most `LONGEST_S`; None if it is neither.

    A date is measured against the response's own `Date`: this machine's clock may be off. `now` is only for responses
    without one.
    """
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_S)
    try:
        date = http_date(text)
    except OverflowError:
        return LONGEST_S
    if date is None:
        return None
    try:
        sent = http_date(headers.get("date", ""))
    except OverflowError:
        sent = None
    left_s = (date - (sent or datetime.fromisoformat(now))).total_seconds()
    return min(max(0.0, left_s), LONGEST_S)


def http_date(text: str) -> datetime | None:
    """An HTTP date, or None. OverflowError if it has numbers that no date has."""
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def redirected(request: ApiRequest, status: int, location: str, token: Token) -> UnexpectedAnswer:
    """A redirect. It is not followed, so that a response cannot make the client send the token elsewhere."""
    try:
        host = httpx.URL(token.redact(location)).host
    except (httpx.InvalidURL, ValueError):
        host = ""
    where = f" to host {inert(host, token)}" if host else ""
    return UnexpectedAnswer(
        f"{request.name}: HTTP {status}, a redirect{where}, which is not followed",
        hint="set --api-url or LOSANT_API_URL to the API's own address; a captive portal also redirects",
        status=status,
    )


def unreadable(request: ApiRequest, problem: str, *, status: int | None = None) -> UnexpectedAnswer:
    """The error for a response that does not have the API's format."""
    return UnexpectedAnswer(
        f"{request.name}: {problem}",
        hint="check the API URL, and whether a proxy or a login page responds in its place",
        status=status,
    )


def no_answer(request: ApiRequest, error: Exception, *, host: str, token: Token) -> ApiError:
    """The error for a request without a complete response."""
    causes = list(_chain(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return CertificateRejected(
                f"{request.name}: the certificate of {host} is not trusted: {inert(str(cause.verify_message), token)}",
                hint="add your company's certificate authority with SSL_CERT_FILE",
            )
    failure = ConnectionFailed(
        f"{request.name}: no response from {host}: {_reason(error, causes, token)}",
        hint="check the network, the proxy variables, and the API URL",
    )
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)):
        failure.outcome_unknown = False  # nothing was sent
    return failure


def untimely(error: Exception) -> int | None:
    """Whether a certificate was rejected for the time on this machine: OpenSSL's code, or None."""
    for cause in _chain(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            code = getattr(cause, "verify_code", None)  # absent if the host name does not match
            return code if code in (NOT_YET_VALID, EXPIRED) else None
    return None


def mistimed(
    request: ApiRequest, error: Exception, *, host: str, valid: tuple[datetime, datetime] | None, now: str
) -> ApiError:
    """The error for an `untimely` certificate; `valid`: from when until when it is valid, if that is known."""
    early = untimely(error) == NOT_YET_VALID
    times = f"this machine's clock says {datetime.fromisoformat(now):{_TIME}}"
    if valid:
        times = f"it is valid from {valid[0]:{_TIME}} to {valid[1]:{_TIME}}, and {times}"
    return CertificateRejected(
        f"{request.name}: the certificate of {host} {'is not yet valid' if early else 'has expired'}: {times}",
        hint="this machine's clock may be wrong: set its date and time"
        + ("" if early else "; if it is right, the server needs a new certificate"),
    )


_TIME = "%Y-%m-%dT%H:%M:%SZ"


def _reason(error: Exception, causes: list[BaseException], token: Token) -> str:
    for cause in causes:
        if isinstance(cause, ssl.SSLError):
            reason = getattr(cause, "reason", None) or str(cause)  # OpenSSL's reason code, if present
            return f"TLS failed ({inert(reason, token)})"
    for kind, reason in _REASONS:
        if any(isinstance(cause, kind) for cause in causes):
            return reason
    return inert(str(error) or type(error).__name__, token)


_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (socket.gaierror, "the host name does not resolve"),
    (ConnectionRefusedError, "connection refused"),
    (httpx.ConnectTimeout, "connecting timed out"),
    (httpx.TimeoutException, "timed out"),
    (TimeoutError, "timed out"),
    (ConnectionResetError, "connection reset"),
)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception, its causes, and the members of groups among them."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        current = waiting.pop(0)
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting += [current.__cause__, current.__context__]
        if isinstance(current, BaseExceptionGroup):
            waiting += current.exceptions
