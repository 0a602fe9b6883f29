"""A stand-in for the few endpoints of GitHub's REST API that the workflow uses, over loopback, with token permissions.

Shapes and permissions as in GitHub's REST reference: comments of a pull request are comments of its issue and need
`pull-requests` there; reading is refused without a permission too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.gitops.runner.standin import Asked, Trouble, serve_forge

REPOSITORY = "acme/fleet"
_EITHER = ("issues", "pull-requests")
BOT = {"login": "github-actions[bot]", "type": "Bot"}


@dataclass
class Hub:
    """The repository as GitHub knows it. `log` lists `METHOD path` of each request that was answered."""

    url: str = ""
    pulls: dict[int, dict[str, Any]] = field(default_factory=dict)
    commits: dict[str, list[int]] = field(default_factory=dict)
    issues: dict[int, dict[str, Any]] = field(default_factory=dict)
    comments: dict[int, dict[str, Any]] = field(default_factory=dict)
    statuses: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    protected: set[str] = field(default_factory=set)
    log: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    _tokens: dict[str, Mapping[str, str]] = field(default_factory=dict)
    _numbers: int = 100

    def token(self, permissions: Mapping[str, str]) -> str:
        """A token with these permissions, such as `{"issues": "write"}`."""
        text = f"ghs_{len(self._tokens):036d}"
        self._tokens[text] = permissions
        return text

    def open_pull(self, number: int, *, head: str, base: str = "main", repository: str = REPOSITORY) -> dict[str, Any]:
        """A pull request as event payloads and the API show it."""
        pull = {
            "number": number,
            "head": {"sha": head, "repo": {"full_name": repository}},
            "base": {"ref": base},
            "merged_at": None,
            "merge_commit_sha": None,
        }
        self.pulls[number] = pull
        return pull

    def merge(self, number: int, commit: str) -> None:
        self.pulls[number] |= {"merged_at": "2026-03-02T09:00:00Z", "merge_commit_sha": commit}
        self.commits[commit] = [number]

    def mark(
        self, commit: str, context: str, *, state: str = "success", user: Mapping[str, str] = BOT, **more: str
    ) -> dict[str, Any]:
        """Somebody's status of a commit; the newest comes first, as GitHub lists them."""
        status = {"context": context, "state": state, "creator": user, "description": None, **more}
        self.statuses.setdefault(commit, []).insert(0, status)
        return status

    def marks(self, commit: str) -> dict[str, str]:
        """The newest status of each name of a commit: what it says."""
        return {one["context"]: one["description"] for one in reversed(self.statuses.get(commit, []))}

    def comment(self, number: int, body: str, *, user: Mapping[str, str] = BOT) -> dict[str, Any]:
        """Somebody's comment."""
        self._numbers += 1
        written = {"id": self._numbers, "issue": number, "body": body, "user": user}
        self.comments[self._numbers] = written
        return written

    def bodies(self, number: int) -> list[str]:
        """The comments of an issue or pull request."""
        return [comment["body"] for comment in self.comments.values() if comment["issue"] == number]

    def writes(self) -> list[str]:
        return [line for line in self.log if not line.startswith("GET ")]

    # one method per endpoint: (needed permission, path pattern) -> answer

    def answer(self, asked: Asked) -> tuple[int, Any]:
        method, path, query, body, _ = asked
        self.authorizations.append(asked.headers.get("Authorization") or "")
        for wanted, pattern, needs, act in self._endpoints():
            match = re.fullmatch(pattern, path)
            if method != wanted or not match:
                continue
            if not self._may(asked.token, needs, path, write=method != "GET"):
                self.refused.append(f"{method} {path}")
                return 403, {"message": "Resource not accessible by integration"}
            self.log.append(f"{method} {path}")
            return act(query, body, *match.groups())
        return 404, {"message": "Not Found"}

    def _may(self, token: str, needs: tuple[str, ...], path: str, *, write: bool) -> bool:
        if token not in self._tokens:
            return False
        if needs == _EITHER and not self._is_of_pull(path):
            needs = ("issues",)
        enough = ("write",) if write else ("read", "write")
        return any(self._tokens[token].get(name) in enough for name in needs)

    def _is_of_pull(self, path: str) -> bool:
        """Whether a path about comments is about those of a pull request."""
        number = int(path.split("/")[-1 if "/comments/" in path else 1])
        if "/comments/" not in path:
            return number in self.pulls
        return number not in self.comments or self.comments[number]["issue"] in self.pulls

    def _endpoints(self) -> Iterator[tuple[str, str, tuple[str, ...], Callable[..., tuple[int, Any]]]]:
        yield "GET", r"commits/(\w+)/pulls", ("pull-requests",), self._pulls_of
        yield "GET", r"commits/(\w+)/statuses", ("statuses",), self._statuses_of
        yield "POST", r"statuses/(\w+)", ("statuses",), self._add_status
        yield "GET", r"pulls/(\d+)", ("pull-requests",), lambda _q, _b, number: (200, self.pulls[int(number)])
        yield "GET", r"issues/(\d+)/comments", _EITHER, self._comments_of
        yield "POST", r"issues/(\d+)/comments", _EITHER, self._add_comment
        yield "PATCH", r"issues/comments/(\d+)", _EITHER, self._edit_comment
        yield "GET", r"issues", ("issues",), self._issues
        yield "GET", r"branches/(\w+)", ("contents",), lambda _q, _b, one: (200, {"protected": one in self.protected})
        yield "POST", r"issues", ("issues",), self._open_issue
        yield "PATCH", r"issues/(\d+)", ("issues",), self._edit_issue

    def _pulls_of(self, query: Mapping[str, str], _body: Any, commit: str) -> tuple[int, Any]:
        return 200, _page([self.pulls[number] for number in self.commits.get(commit, [])], query)

    def _statuses_of(self, query: Mapping[str, str], _body: Any, commit: str) -> tuple[int, Any]:
        return 200, _page(self.statuses.get(commit, []), query)

    def _add_status(self, _query: Mapping[str, str], body: Any, commit: str) -> tuple[int, Any]:
        assert len(body["description"]) <= 140
        same = [one for one in self.statuses.get(commit, []) if one["context"] == body["context"]]
        if len(same) >= 1000:
            return 422, {"message": "Validation Failed"}
        return 201, self.mark(commit, **body)

    def _comments_of(self, query: Mapping[str, str], _body: Any, number: str) -> tuple[int, Any]:
        return 200, _page([one for one in self.comments.values() if one["issue"] == int(number)], query)

    def _add_comment(self, _query: Mapping[str, str], body: Any, number: str) -> tuple[int, Any]:
        assert len(body["body"]) <= 65_536
        return 201, self.comment(int(number), body["body"])

    def _edit_comment(self, _query: Mapping[str, str], body: Any, comment: str) -> tuple[int, Any]:
        if int(comment) not in self.comments:
            return 404, {"message": "Not Found"}
        assert len(body["body"]) <= 65_536
        self.comments[int(comment)]["body"] = body["body"]
        return 200, self.comments[int(comment)]

    def _issues(self, query: Mapping[str, str], _body: Any) -> tuple[int, Any]:
        found = [issue for issue in self.issues.values() if issue["state"] == query["state"]]
        return 200, _page(found, query)

    def _open_issue(self, _query: Mapping[str, str], body: Any) -> tuple[int, Any]:
        assert len(body["body"]) <= 65_536
        self._numbers += 1
        issue = {"number": self._numbers, "state": "open", "user": BOT, **body}
        self.issues[self._numbers] = issue
        return 201, issue

    def _edit_issue(self, _query: Mapping[str, str], body: Any, number: str) -> tuple[int, Any]:
        if int(number) not in self.issues:
            return 410, {"message": "This issue was deleted"}
        self.issues[int(number)] |= body
        return 200, self.issues[int(number)]


def _page(rows: list[Any], query: Mapping[str, str]) -> list[Any]:
    size, number = int(query.get("per_page", 30)), int(query.get("page", 1))
    return rows[size * (number - 1) : size * number]


@contextmanager
def serve_hub() -> Iterator[Hub]:
    """A hub that answers at `hub.url`."""
    hub = Hub()
    with serve_forge(hub.answer, hub.troubles, re.compile(rf"/repos/{REPOSITORY}/")) as hub.url:
        yield hub
