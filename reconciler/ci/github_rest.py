"""The requests to GitHub's REST API that the steps need."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import count
from typing import Any, TypeVar

import httpx

from reconciler.api.http.body import ACCEPT_ENCODING, Body, Undecodable
from reconciler.api.http.credentials import read_token
from reconciler.api.http.environment import way_to
from reconciler.ci.provider import Gone, Merged, Post, Unsettled, settled
from reconciler.errors import ReconcilerError
from reconciler.render.inert import inert

_BOT = "github-actions[bot]"  # the author of what a job's own token writes
_PER_PAGE = 100
_TIMEOUT_S = 30
_MAX_BODY = 64 * 1024 * 1024
_PASSING = frozenset({429, 500, 502, 503, 504})

Data = Mapping[str, Any]
T = TypeVar("T")


class Repository:
    """The repository of the workflow, as a `Forge`."""

    def __init__(self, url: str, token: str, log: Callable[[str], None]) -> None:
        """`url`: the API's URL of the repository."""
        self._log = log
        self._token = read_token(token, source="GITHUB_TOKEN", issuer="GitHub")
        way = way_to(httpx.URL(url))
        self._http = httpx.Client(
            base_url=url,
            headers={
                "Authorization": self._token.header,
                "Accept": "application/vnd.github+json",
                "Accept-Encoding": ACCEPT_ENCODING,
                "X-GitHub-Api-Version": "2022-11-28",
            },
            timeout=_TIMEOUT_S,
            trust_env=False,
            verify=way.verify,
            proxy=way.proxy,
        )

    def head(self, number: int) -> str:
        return str(self.read(f"pulls/{number}", dict)["head"]["sha"])

    def merged(self, commit: str, branch: str) -> Merged | None:
        pulls = [
            pull
            for pull in self.pages(f"commits/{commit}/pulls")
            if pull["merged_at"] and pull["base"]["ref"] == branch
        ]
        own = [pull for pull in pulls if pull["merge_commit_sha"] == commit]
        return next((Merged(pull["number"], pull["head"]["sha"]) for pull in own or pulls), None)

    def applied(self, commits: Sequence[str], marks: Collection[str]) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for commit in commits:
            decided: set[str] = set()  # of several statuses of one name, the newest comes first and counts
            for status in self.pages(f"commits/{commit}/statuses"):
                mark = status["context"]
                if mark in marks and mark not in found and mark not in decided and _is_by_us(status["creator"]):
                    decided.add(mark)
                    found |= {mark: commit} if status["state"] == "success" else {}
            if len(found) == len(set(marks)):
                break
        return found

    def comments(self, number: int) -> Iterator[Post]:
        for comment in self.pages(f"issues/{number}/comments"):
            if _is_ours(comment):
                yield Post(int(comment["id"]), comment["body"] or "")

    def write_comment(self, number: int, text: str, over: Post | None) -> None:
        place = ("PATCH", f"issues/comments/{over.id}") if over else ("POST", f"issues/{number}/comments")
        self.send(*place, {"body": text})

    def issues(self) -> Iterator[Post]:
        for issue in self.pages("issues", state="open"):
            if _is_ours(issue) and "pull_request" not in issue:
                yield Post(int(issue["number"]), issue["body"] or "")

    def write_issue(self, title: str, text: str, over: Post | None) -> int:
        if over:
            self.send("PATCH", f"issues/{over.id}", {"body": text})
            return over.id
        return int(self.send("POST", "issues", {"title": title, "body": text})["number"])

    def close_issue(self, post: Post, comment: str) -> None:
        with suppress(Gone):
            self.send("PATCH", f"issues/{post.id}", {"state": "closed", "state_reason": "completed"})
            # Last, so that a repetition cannot comment twice: a closed issue is not found again.
            self.send("POST", f"issues/{post.id}/comments", {"body": comment})

    def send(self, method: str, path: str, body: Data | None = None, query: Data | None = None) -> Any:
        """Send one request; returns the JSON of the response.

        Reads follow redirects, but without the token to another host; redirected writes are refused.

        Raises:
            Unsettled: the failure may be transient.
            Gone: the resource no longer exists.
            ReconcilerError: GitHub refuses the request.
        """
        try:
            follow = method == "GET"
            with self._http.stream(method, path, json=body, params=query, follow_redirects=follow) as answer:
                if answer.is_success:
                    return json.loads(text) if (text := _read(answer)) else None
        except (httpx.HTTPError, httpx.InvalidURL, Undecodable, ValueError) as error:
            reason = inert(self._token.redact(str(error)), limit=200)
            raise Unsettled(f"no usable response from GitHub to {method} {path}: {reason}") from None
        raise _error(answer, method, path)

    def read(self, path: str, shape: type[T], query: Data | None = None) -> T:
        """One GET, retried while the failure may be transient."""

        def get() -> T:
            answer = self.send("GET", path, query=query)
            if not isinstance(answer, shape):
                raise Unsettled(f"no usable response from GitHub to GET {path}: it is not a {shape.__name__}")
            return answer

        return settled(get, self._log)

    def pages(self, path: str, **query: str) -> Iterator[Data]:
        """All items of a paginated listing."""
        for number in count(1):
            page = self.read(path, list, {**query, "per_page": _PER_PAGE, "page": number})
            yield from page
            if len(page) < _PER_PAGE:
                return


def _read(answer: httpx.Response) -> bytes:
    """The body; Undecodable if it is longer than any that is needed."""
    body = Body(answer, _MAX_BODY)
    for raw in answer.iter_raw():
        if not body.add(raw):
            raise Undecodable(f"the response is larger than {_MAX_BODY >> 20} MiB")
    return body.decoded()


def _is_ours(post: Data) -> bool:
    return _is_by_us(post["user"])


def _is_by_us(author: Data | None) -> bool:
    return (author or {}).get("login") == _BOT


def _error(answer: httpx.Response, method: str, path: str) -> Exception:
    """The error for an unsuccessful response."""
    code = answer.status_code
    if code == 410 or (code == 404 and method == "PATCH"):
        return Gone(path)
    reason = f"GitHub returned {code} for {method} {path}"
    if code in _PASSING or (code == 403 and "Retry-After" in answer.headers):
        return Unsettled(reason)
    hint = "; check that the calling job grants the permissions that the guide lists" if code == 403 else ""
    return ReconcilerError(f"{reason}{hint}")
