"""Requests to a forge's REST API: what is the same for all of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any, TypeVar

import httpx

from reconciler.api.http.body import ACCEPT_ENCODING, Body, Undecodable
from reconciler.api.http.credentials import Token
from reconciler.api.http.environment import way_to
from reconciler.api.http.failures import retry_after_s
from reconciler.ci.provider import Gone, Unsettled, settled
from reconciler.errors import ReconcilerError
from reconciler.render.inert import inert

TIMEOUT_S = 30
MAX_BODY = 64 * 1024 * 1024
PER_PAGE = 100
PASSING = frozenset({409, 429, 500, 502, 503, 504})  # 409: somebody else writes at the same time

Data = Mapping[str, Any]
T = TypeVar("T")


class Rest:
    """A forge's API below a URL.

    Attributes:
        forge: its name, for messages.
        forbidden: what to do about a 403, for messages.
    """

    def __init__(
        self,
        forge: str,
        url: str,
        token: Token,
        *,
        headers: Mapping[str, str],
        forbidden: str,
        log: Callable[[str], None],
    ) -> None:
        """`headers` authorize, and say what else the forge wants."""
        self.forge, self.forbidden = forge, forbidden
        self._log, self._token = log, token
        way = way_to(httpx.URL(url))
        self._http = httpx.Client(
            base_url=url,
            headers={"Accept-Encoding": ACCEPT_ENCODING, **headers},
            timeout=TIMEOUT_S,
            trust_env=False,
            verify=way.verify,
            proxy=way.proxy,
        )

    def send(self, method: str, path: str, body: object = None, query: Data | None = None, **more: Any) -> Any:
        """Send one request; returns the JSON of the response. `more`: further arguments of httpx, such as headers.

        Reads follow redirects, but without the token to another host; redirected writes are refused.

        Raises:
            Unsettled: the failure may be transient.
            Gone: the resource no longer exists.
            ReconcilerError: the forge refuses the request.
        """
        try:
            follow = method == "GET"
            with self._http.stream(method, path, json=body, params=query, follow_redirects=follow, **more) as answer:
                if self.accepts(answer):
                    return json.loads(text) if (text := _read(answer)) else None
        except (httpx.HTTPError, httpx.InvalidURL, Undecodable, ValueError) as error:
            reason = inert(self._token.redact(str(error)), limit=200)
            raise Unsettled(f"no usable response from {self.forge} to {method} {path}: {reason}") from None
        raise self._error(answer, method, path)

    def read(self, path: str, shape: type[T], query: Data | None = None) -> T:
        """One GET, retried while the failure may be transient."""

        def get() -> T:
            answer = self.send("GET", path, query=query)
            if not isinstance(answer, shape):
                reason = f"it is not a {shape.__name__}"
                raise Unsettled(f"no usable response from {self.forge} to GET {path}: {reason}")
            return answer

        return settled(get, self._log)

    def pages(self, path: str, **query: str) -> Iterator[Data]:
        """All items of a listing whose pages are numbered."""
        for number in count(1):
            page = self.read(path, list, {**query, "per_page": PER_PAGE, "page": number})
            yield from page
            if len(page) < PER_PAGE:
                return

    def accepts(self, answer: httpx.Response) -> bool:
        """Whether the forge has done what was asked."""
        return answer.is_success

    def asked_s(self, answer: httpx.Response) -> float | None:
        """For how many seconds the forge asks to be left alone; None if it does not."""
        return retry_after_s(answer.headers, datetime.now(UTC).isoformat())

    def _error(self, answer: httpx.Response, method: str, path: str) -> Exception:
        """The error for an unsuccessful response."""
        code = answer.status_code
        if code == 410 or (code == 404 and method in ("PATCH", "PUT", "DELETE")):
            return Gone(path)
        reason = f"{self.forge} returned {code} for {method} {path}"
        asked_s = self.asked_s(answer)
        if code in PASSING or (code == 403 and asked_s is not None):
            return Unsettled(reason, asked_s=asked_s or 0)
        if code == 401:
            return ReconcilerError(f"{reason}: {self._token.source} is not valid, or has expired")
        return ReconcilerError(f"{reason}; {self.forbidden}" if code == 403 else reason)


def first_bearers(
    commits: Sequence[str], marks: Collection[str], marks_of: Callable[[str], Mapping[str, str]]
) -> Mapping[str, str]:
    """For each mark the first of the commits that bears it. No more commits are asked than that takes."""
    found: dict[str, str] = {}
    for commit in commits:
        borne = marks_of(commit)
        found |= {mark: commit for mark in marks if mark in borne and mark not in found}
        if len(found) == len(set(marks)):
            break
    return found


def _read(answer: httpx.Response) -> bytes:
    """The body; Undecodable if it is longer than any that is needed."""
    body = Body(answer, MAX_BODY)
    for raw in answer.iter_raw():
        if not body.add(raw):
            raise Undecodable(f"the response is larger than {MAX_BODY >> 20} MiB")
    return body.decoded()
