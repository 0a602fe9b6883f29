"""A stand-in for the few endpoints of GitLab's REST API v4 that the steps use, over loopback, with roles and scopes.

Shapes, permissions and statuses as in GitLab's REST reference: 401 for an unknown token, 404 for who may not see the
project, 403 for a scope or a role that does not suffice. Every author is the user of the token.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.gitops.runner.standin import Asked, Trouble, serve_forge

PROJECT_ID = 4711
US, MARKER, MALLORY = 77, 78, 13
GUEST, REPORTER, DEVELOPER, MAINTAINER = 10, 20, 30, 40


class Bearer(NamedTuple):
    user: int
    role: int
    scope: str


@dataclass
class Lab:
    """The project as GitLab knows it. `log` lists `METHOD path` of each request that was answered."""

    url: str = ""
    issues_access_level: str = "enabled"
    protect_merge_request_pipelines: bool | None = True  # as in new projects; None as before 18.10
    ci_pipeline_variables_minimum_override_role: str = "no_one_allowed"  # as in new namespaces
    may_merge: set[int] = field(default_factory=set)  # to a protected branch, Maintainers aside
    requests: dict[int, dict[str, Any]] = field(default_factory=dict)
    commits: dict[str, list[int]] = field(default_factory=dict)
    issues: dict[int, dict[str, Any]] = field(default_factory=dict)
    notes: dict[int, dict[str, Any]] = field(default_factory=dict)
    statuses: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    protected: set[str] = field(default_factory=lambda: {"main"})
    variables: list[dict[str, object]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    _tokens: dict[str, Bearer] = field(default_factory=dict)
    _ids: int = 100

    def token(self, *, user: int = US, role: int = DEVELOPER, scope: str = "api") -> str:
        text = f"glpat-{len(self._tokens):020d}"
        self._tokens[text] = Bearer(user, role, scope)
        return text

    def open_request(self, iid: int, *, head: str, target: str = "main") -> None:
        self.requests[iid] = {
            "iid": iid,
            "state": "opened",
            "sha": head,
            "target_branch": target,
            "merge_commit_sha": None,
            "squash_commit_sha": None,
        }

    def merge(self, iid: int, commit: str, *, how: str = "merge_commit_sha") -> None:
        """Merge a request; a fast-forward is `how="sha"`."""
        self.requests[iid] |= {"state": "merged", how: commit}
        self.commits[commit] = [iid]

    def note(self, iid: int, body: str, *, user: int | None = US, system: bool = False) -> dict[str, Any]:
        self._ids += 1
        author = None if user is None else {"id": user, "username": f"user{user}"}
        self.notes[self._ids] = {"id": self._ids, "on": iid, "body": body, "system": system, "author": author}
        return self.notes[self._ids]

    def bodies(self, iid: int) -> list[str]:
        return [one["body"] for one in self.notes.values() if one["on"] == iid and not one["system"]]

    def mark(self, commit: str, name: str, *, status: str = "success", user: int = US, **more: str) -> dict[str, Any]:
        """Somebody's status of a commit. Those of the same name before it are no longer the latest."""
        self._ids += 1
        for one in self.statuses.setdefault(commit, []):
            one["retried"] = one.get("retried") or one["name"] == name
        made = {"id": self._ids, "name": name, "status": status, "author": {"id": user}, "description": None, **more}
        self.statuses[commit].append(made)
        return made

    def writes(self) -> list[str]:
        return [line for line in self.log if not line.startswith("GET ")]

    def answer(self, asked: Asked) -> tuple[int, Any]:
        method, path, query, body, _ = asked
        self.authorizations.append(asked.headers.get("Authorization") or "")
        bearer = self._tokens.get(asked.token)
        if bearer is None:
            return 401, {"message": "401 Unauthorized"}
        if path == "user":
            return 200, {"id": bearer.user}
        if not bearer.role:
            return 404, {"message": "404 Project Not Found"}
        for wanted, pattern, role, act in self._endpoints():
            match = re.fullmatch(pattern, path)
            if method == wanted and match:
                if bearer.role < role or (method != "GET" and bearer.scope != "api"):
                    return 403, {"message": "403 Forbidden"}
                self.log.append(f"{method} {path}")
                return act(bearer, query, body, *match.groups())
        return 404, {"error": "404 Not Found"}

    def _endpoints(self) -> Iterator[tuple[str, str, int, Callable[..., tuple[int, Any]]]]:
        yield "GET", r"", GUEST, self._project
        yield "GET", r"repository/commits/(\w+)/merge_requests", REPORTER, self._requests_of
        yield "GET", r"repository/commits/(\w+)/statuses", REPORTER, self._statuses_of
        yield "POST", r"statuses/(\w+)", DEVELOPER, self._add_status
        yield "GET", r"repository/branches/([^/]+)", REPORTER, self._branch
        yield "GET", r"merge_requests/(\d+)", REPORTER, self._request
        yield "GET", r"merge_requests/(\d+)/notes", REPORTER, self._notes_of
        yield "POST", r"merge_requests/(\d+)/notes", REPORTER, self._add_note
        yield "PUT", r"merge_requests/(\d+)/notes/(\d+)", REPORTER, self._edit_note
        yield "GET", r"variables", MAINTAINER, lambda _, query, __: (200, _page(self.variables, query))
        yield "GET", r"issues", GUEST, self._issues
        yield "POST", r"issues", REPORTER, self._open_issue
        yield "PUT", r"issues/(\d+)", REPORTER, self._edit_issue
        yield "POST", r"issues/(\d+)/notes", REPORTER, self._add_note

    def _project(self, who: Bearer, _query: Any, _body: Any) -> tuple[int, Any]:
        """Its settings are shown to Maintainers."""
        about: dict[str, Any] = {"issues_access_level": self.issues_access_level}
        if who.role >= MAINTAINER and self.protect_merge_request_pipelines is not None:
            about["protect_merge_request_pipelines"] = self.protect_merge_request_pipelines
        if who.role >= MAINTAINER:
            role = "ci_pipeline_variables_minimum_override_role"
            about[role] = getattr(self, role)
        return 200, about

    def _request(self, _who: Bearer, _query: Any, _body: Any, iid: str) -> tuple[int, Any]:
        found = self.requests.get(int(iid))
        return (200, found) if found else (404, {"message": "404 Not found"})

    def _requests_of(self, _who: Bearer, query: Mapping[str, str], _body: Any, commit: str) -> tuple[int, Any]:
        return 200, _page([self.requests[iid] for iid in self.commits.get(commit, [])], query)

    def _statuses_of(self, _who: Bearer, query: Mapping[str, str], _body: Any, commit: str) -> tuple[int, Any]:
        found = self.statuses.get(commit, [])
        return 200, _page([one for one in found if query.get("all") == "true" or not one.get("retried")], query)

    def _add_status(self, who: Bearer, _query: Any, body: Any, commit: str) -> tuple[int, Any]:
        assert len(body["description"]) <= 255
        # A status updates the pipeline of its commit; all commits here are of main.
        if "main" in self.protected and who.role < MAINTAINER and who.user not in self.may_merge:
            return 403, {"message": "403 Forbidden"}
        return 201, self.mark(commit, status=body.pop("state"), user=who.user, **body)

    def _branch(self, _who: Bearer, _query: Any, _body: Any, name: str) -> tuple[int, Any]:
        return 200, {"name": name, "protected": name in self.protected}

    def _notes_of(self, _who: Bearer, query: Mapping[str, str], _body: Any, iid: str) -> tuple[int, Any]:
        assert (query["sort"], query["order_by"]) == ("asc", "created_at")
        return 200, _page([one for one in self.notes.values() if one["on"] == int(iid)], query)

    def _add_note(self, who: Bearer, _query: Any, body: Any, iid: str) -> tuple[int, Any]:
        assert len(body["body"]) <= 1_000_000
        return 201, self.note(int(iid), body["body"], user=who.user)

    def _edit_note(self, who: Bearer, _query: Any, body: Any, _iid: str, note: str) -> tuple[int, Any]:
        if int(note) not in self.notes:
            return 404, {"message": "404 Not found"}
        if self.notes[int(note)]["author"] != {"id": who.user, "username": f"user{who.user}"}:
            return 403, {"message": "403 Forbidden"}
        self.notes[int(note)]["body"] = body["body"]
        return 200, self.notes[int(note)]

    def _issues(self, _who: Bearer, query: Mapping[str, str], _body: Any) -> tuple[int, Any]:
        assert query["scope"] == "all"
        found = [one for one in self.issues.values() if one["state"] == query["state"]]
        return 200, _page([one for one in found if str(one["author"]["id"]) == query["author_id"]], query)

    def _open_issue(self, who: Bearer, _query: Any, body: Any) -> tuple[int, Any]:
        self._ids += 1
        self.issues[self._ids] = {"iid": self._ids, "state": "opened", "author": {"id": who.user}, **body}
        return 201, self.issues[self._ids]

    def _edit_issue(self, _who: Bearer, _query: Any, body: Any, iid: str) -> tuple[int, Any]:
        if int(iid) not in self.issues:
            return 404, {"message": "404 Issue Not Found"}
        if body.pop("state_event", "") == "close":
            self.issues[int(iid)]["state"] = "closed"
        self.issues[int(iid)] |= body
        return 200, self.issues[int(iid)]


def _page(rows: list[Any], query: Mapping[str, str]) -> list[Any]:
    size, number = min(100, int(query.get("per_page", 20))), int(query.get("page", 1))
    return rows[size * (number - 1) : size * number]


@contextmanager
def serve_lab() -> Iterator[Lab]:
    """A lab whose API is at `lab.url`."""
    lab = Lab()
    prefix = re.compile(rf"/api/v4/(projects/{PROJECT_ID}(/|$))?")
    with serve_forge(lab.answer, lab.troubles, prefix) as url:
        lab.url = f"{url}/api/v4"
        yield lab
