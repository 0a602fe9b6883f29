"""A stand-in for the few endpoints of Azure DevOps' REST API 7.1 that the steps use, over loopback.

Shapes as in Microsoft's REST reference. A token has permissions by area: code, build, work, each read or write.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

from tests.gitops.runner.standin import Asked, Trouble, serve_forge

PROJECT = "Fleet of Acme"
REPOSITORY = "3411ebc1-d5aa-464f-9615-0b527bc66719"
PIPELINE = 12
US = {"id": "0f1c6a3e-build-service", "displayName": "Fleet of Acme Build Service (acme)"}
EVERYTHING = {"code": "write", "build": "write", "work": "write"}
SIGN_IN = "<!DOCTYPE html><html><title>Azure DevOps Services | Sign In</title></html>"
DONE = ("Done", "Removed's")  # one with a quote in its name
GIT = rf"git/repositories/{REPOSITORY}"

Answer = tuple[int, Any]


@dataclass
class DevOps:
    """The project as Azure DevOps knows it. `log` lists `METHOD path` of each request that was answered."""

    url: str = ""
    pulls: dict[int, dict[str, Any]] = field(default_factory=dict)
    threads: dict[int, dict[str, Any]] = field(default_factory=dict)
    items: dict[int, dict[str, Any]] = field(default_factory=dict)
    runs: dict[int, dict[str, Any]] = field(default_factory=dict)
    policies: list[dict[str, Any]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    tokens: dict[str, Mapping[str, str]] = field(default_factory=dict)
    _numbers: int = 100

    def token(self, permissions: Mapping[str, str] = EVERYTHING) -> str:
        text = f"system-access-{len(self.tokens):036d}"
        self.tokens[text] = permissions
        return text

    def open_pull(self, number: int, *, head: str, target: str = "refs/heads/main") -> None:
        self.pulls[number] = {
            "pullRequestId": number,
            "status": "active",
            "targetRefName": target,
            "lastMergeSourceCommit": {"commitId": head},
            "lastMergeCommit": {"commitId": "0" * 40},
        }

    def merge(self, number: int, commit: str) -> None:
        self.pulls[number] |= {"status": "completed", "lastMergeCommit": {"commitId": commit}}

    def thread(self, number: int, content: str, *, author: Mapping[str, str] = US, **more: Any) -> dict[str, Any]:
        """Somebody's thread on a pull request."""
        self._numbers += 1
        comment = {"id": 1, "parentCommentId": 0, "content": content, "author": author, "isDeleted": False}
        made = {"id": self._numbers, "pull": number, "status": "active", "comments": [comment], "isDeleted": False}
        self.threads[self._numbers] = made | more
        return self.threads[self._numbers]

    def contents(self, number: int) -> list[str]:
        return [one["comments"][0]["content"] for one in self.threads.values() if one["pull"] == number]

    def run(self, number: int, *, ref: str = "refs/heads/main", tags: tuple[str, ...] = ()) -> None:
        self.runs[number] = {"id": number, "sourceBranch": ref, "definition": {"id": PIPELINE}, "tags": list(tags)}

    def writes(self) -> list[str]:
        queries = ("POST wit/wiql", "POST wit/workitemsbatch", f"POST {GIT}/pullrequestquery")
        return [line for line in self.log if not line.startswith("GET ") and line not in queries]

    def answer(self, asked: Asked) -> Answer:
        method, path, query, body, headers = asked
        path, token = unquote(path), asked.token
        if path.startswith("wit/workitems/"):
            assert headers["Content-Type"] == "application/json-patch+json"
        if token not in self.tokens:
            return 203, SIGN_IN
        for wanted, pattern, area, access, act in self._endpoints():
            match = re.fullmatch(pattern, path)
            if method == wanted and match:
                if area and self.tokens[token].get(area) not in (access, "write"):
                    self.refused.append(f"{method} {path}")
                    return 403, {"message": "TF401027: You need the permission to perform this action."}
                assert query["api-version"] == ("7.1-preview" if path == "connectionData" else "7.1")
                self.log.append(f"{method} {path}")
                return act(query, body, *match.groups())
        return 404, {"message": "TF400813: The resource does not exist."}

    def _endpoints(self) -> Iterator[tuple[str, str, str, str, Callable[..., Answer]]]:
        yield "GET", "connectionData", "", "", lambda _q, _b: (200, {"authenticatedUser": US})
        yield "GET", rf"{GIT}/pullRequests/(\d+)", "code", "read", lambda _q, _b, n: (200, self.pulls[int(n)])
        yield "POST", rf"{GIT}/pullrequestquery", "code", "read", self._pulls_of
        yield "GET", rf"{GIT}/pullRequests/(\d+)/threads", "code", "read", self._threads_of
        yield "POST", rf"{GIT}/pullRequests/(\d+)/threads", "code", "write", self._add_thread
        yield "PATCH", rf"{GIT}/pullRequests/\d+/threads/(\d+)", "code", "write", self._edit_thread
        yield "PATCH", rf"{GIT}/pullRequests/\d+/threads/(\d+)/comments/1", "code", "write", self._edit_comment
        yield "GET", "git/policy/configurations", "code", "read", self._policies
        yield "GET", "build/builds", "build", "read", self._builds
        yield "PUT", r"build/builds/(\d+)/tags/(.+)", "build", "write", self._tag
        yield "GET", "wit/workitemtypes/Task/states", "work", "read", self._states
        yield "POST", "wit/wiql", "work", "read", self._wiql
        yield "POST", "wit/workitemsbatch", "work", "read", self._batch
        yield "POST", r"wit/workitems/\$Task", "work", "write", self._open_item
        yield "PATCH", r"wit/workitems/(\d+)", "work", "write", self._edit_item

    def _pulls_of(self, _query: Any, body: Any) -> Answer:
        results = []
        for one in body["queries"]:
            (commit,) = one["items"]
            made = [pull for pull in self.pulls.values() if pull["lastMergeCommit"]["commitId"] == commit]
            also = [pull for pull in self.pulls.values() if commit in pull.get("commits", ())]
            found = made if one["type"] == "lastMergeCommit" else also
            results.append({commit: found} if found else {})
        return 200, {"queries": body["queries"], "results": results}

    def _threads_of(self, _query: Any, _body: Any, number: str) -> Answer:
        found = [one for one in self.threads.values() if one["pull"] == int(number)]
        return 200, {"count": len(found), "value": found}

    def _add_thread(self, _query: Any, body: Any, number: str) -> Answer:
        (comment,) = body["comments"]
        assert comment["commentType"] == "text"
        assert len(comment["content"]) <= 150_000
        return 200, self.thread(int(number), comment["content"], status=body["status"])

    def _edit_thread(self, _query: Any, body: Any, thread: str) -> Answer:
        if int(thread) not in self.threads:
            return 404, {"message": "thread not found"}
        self.threads[int(thread)]["status"] = body["status"]
        return 200, self.threads[int(thread)]

    def _edit_comment(self, _query: Any, body: Any, thread: str) -> Answer:
        if int(thread) not in self.threads:
            return 404, {"message": "thread not found"}
        self.threads[int(thread)]["comments"][0] |= body
        return 200, self.threads[int(thread)]["comments"][0]

    def _policies(self, query: Mapping[str, str], _body: Any) -> Answer:
        assert query["repositoryId"] == REPOSITORY
        return 200, {"value": [one for one in self.policies if one["ref"] == query["refName"]]}

    def _builds(self, query: Mapping[str, str], _body: Any) -> Answer:
        assert query["definitions"] == str(PIPELINE)
        newest = sorted(self.runs.values(), key=lambda one: -one["id"])
        found = [
            one
            for one in newest
            if query["branchName"] == one["sourceBranch"] and set(query["tagFilters"].split(",")) <= set(one["tags"])
        ]
        return 200, {"value": found[: int(query["$top"])]}

    def _tag(self, _query: Any, _body: Any, run: str, tag: str) -> Answer:
        if re.search(r"[:/<>*%&?\\]", tag):
            return 400, {"message": "A potentially dangerous Request.Path value was detected from the client."}
        tags = self.runs[int(run)]["tags"]
        tags += [tag] if tag not in tags else []
        return 200, {"value": tags}

    def _states(self, _query: Any, _body: Any) -> Answer:
        names = {"To Do": "Proposed", "Doing": "InProgress", DONE[1]: "Removed", DONE[0]: "Completed"}
        return 200, {"value": [{"name": name, "category": category} for name, category in names.items()]}

    def _wiql(self, _query: Any, body: Any) -> Answer:
        assert "[System.Tags] CONTAINS 'reconciler-drift'" in body["query"]
        assert "[System.State] NOT IN ('Done', 'Removed''s')" in body["query"]
        tagged = {n: one["fields"] for n, one in self.items.items() if one["fields"]["System.Tags"]}
        return 200, {"workItems": [{"id": n} for n, one in tagged.items() if one["System.State"] not in DONE]}

    def _batch(self, _query: Any, body: Any) -> Answer:
        assert len(body["ids"]) <= 200
        return 200, {"value": [self.items[number] for number in body["ids"]]}

    def item(self, description: str, *, author: Mapping[str, str] = US) -> dict[str, Any]:
        """Somebody's work item with our tag."""
        self._numbers += 1
        fields = {"System.Description": description, "System.State": "To Do", "System.Tags": "reconciler-drift"}
        self.items[self._numbers] = {"id": self._numbers, "fields": {**fields, "System.CreatedBy": author}}
        return self.items[self._numbers]

    def _open_item(self, _query: Any, body: Any) -> Answer:
        made = self.item("")
        made["fields"]["System.Tags"] = ""
        return self._edit_item({}, body, str(made["id"]))

    def _edit_item(self, _query: Any, body: Any, number: str) -> Answer:
        if int(number) not in self.items:
            return 404, {"message": "TF401232: Work item does not exist"}
        assert {one["op"] for one in body} == {"add"}
        self.items[int(number)]["fields"] |= {one["path"].removeprefix("/fields/"): one["value"] for one in body}
        return 200, self.items[int(number)]


@contextmanager
def serve_devops() -> Iterator[DevOps]:
    """A stand-in that answers at `url`, which is that of a collection."""
    devops = DevOps()
    with serve_forge(devops.answer, devops.troubles, re.compile(rf"(/{quote(PROJECT)})?/_apis/")) as url:
        devops.url = f"{url}/"
        yield devops
