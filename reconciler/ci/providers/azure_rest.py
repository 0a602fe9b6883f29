"""The requests to Azure DevOps' REST API 7.1 that the steps need."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx

from reconciler.api.http.credentials import read_token
from reconciler.ci.comment import read_review
from reconciler.ci.provider import Gone, Merged, Post, Unsettled, settled
from reconciler.ci.providers.rest import Data, Rest
from reconciler.errors import ReconcilerError
from reconciler.model.text import ID_PATTERN
from reconciler.operations.init.check import KEPT_APART, Finding

_VERSION = {"api-version": "7.1"}
_FORBIDDEN = "check that the pipeline's build service has the permissions that the guide lists"
_FIRST = 1  # the number of the comment that opens a thread
_TAG = "reconciler-drift"
_TAGGED = (
    "SELECT [System.Id] FROM WorkItems"
    " WHERE [System.TeamProject] = @project AND [System.Tags] CONTAINS 'reconciler-drift'"
)
_APPLIED = "reconciler-applied"
_NEWEST = 200  # runs with marks that are read
_MARK = re.compile(rf"reconciler/applied: ({ID_PATTERN}) (embedded|edge)")
_BORNE = re.compile(
    rf"{_APPLIED}\.({ID_PATTERN})\.(embedded|edge)\.([0-9]{{1,3}})\.([0-9a-f]{{40,64}})\.([0-9a-f]{{32}})"
)
_SAYS = re.compile("apply ended with exit code ([0-9]{1,3}), sealed ([0-9a-f]{32})")
_PATCH = {"Content-Type": "application/json-patch+json"}


class Place(NamedTuple):
    """Where the run is: the collection's URL with a slash at its end, and what Azure calls the rest."""

    collection: str
    project: str
    repository: str
    run: int
    pipeline: int
    ref: str
    work_item_type: str


class _Azure(Rest):
    """Azure's answers: a page to sign in has status 203."""

    def accepts(self, answer: httpx.Response) -> bool:
        return answer.is_success and answer.status_code != httpx.codes.NON_AUTHORITATIVE_INFORMATION

    def _error(self, answer: httpx.Response, method: str, path: str) -> Exception:
        code = answer.status_code
        if code in (203, 401):
            hint = "it does not accept SYSTEM_ACCESSTOKEN; map $(System.AccessToken) into the step"
            return ReconcilerError(f"{self.forge} returned {code} for {method} {path}: {hint}")
        if "/_apis/wit/" in path and code in (403, 404):
            return Gone(path)  # there are no boards, or none for this pipeline
        return super()._error(answer, method, path)


class Project:
    """The repository, the boards and the runs of the pipeline's project, as a `Forge`."""

    def __init__(self, place: Place, token: str, log: Callable[[str], None]) -> None:
        read = read_token(token, source="SYSTEM_ACCESSTOKEN", issuer="Azure DevOps")
        headers = {"Authorization": read.header, "Accept": "application/json", "X-TFS-FedAuthRedirect": "Suppress"}
        self._rest = _Azure("Azure DevOps", place.collection, read, headers=headers, forbidden=_FORBIDDEN, log=log)
        self._place, self._log = place, log
        self._api = f"{quote(place.project, safe='')}/_apis"
        self._git = f"{self._api}/git/repositories/{quote(place.repository, safe='')}"

    @cached_property
    def _me(self) -> str:
        """The id of whom the token is for."""
        about = self._rest.read("_apis/connectionData", dict, {"api-version": "7.1-preview"})
        return str(about["authenticatedUser"]["id"])

    def head(self, number: int) -> str:
        pull = self._rest.read(f"{self._git}/pullRequests/{number}", dict, _VERSION)
        return str(pull["lastMergeSourceCommit"]["commitId"])

    def merged(self, commit: str, branch: str) -> Merged | None:
        kinds = ("lastMergeCommit", "commit")  # the one that made the commit before any that contained it
        query = {"queries": [{"type": kind, "items": [commit]} for kind in kinds]}
        answer = self._ask(f"{self._git}/pullrequestquery", query)
        for pull in (pull for result in answer["results"] for pull in result.get(commit, ())):
            if pull["status"] == "completed" and pull["targetRefName"] == f"refs/heads/{branch}":
                return Merged(int(pull["pullRequestId"]), str(pull["lastMergeSourceCommit"]["commitId"]))
        return None

    def applied(self, commits: Sequence[str], marks: Collection[str]) -> Mapping[str, str]:
        wanted, found = set(commits), dict[str, list[str]]()
        for name, commit, _ in self._borne():
            if commit in wanted:
                found.setdefault(name, []).append(commit)
        return {mark: min(found[mark], key=commits.index) for mark in marks if mark in found}

    def marks(self, commit: str) -> Mapping[str, str]:
        newest: dict[str, str] = {}
        for name, of, description in self._borne():
            if of == commit:
                newest.setdefault(name, description)
        return newest

    def _borne(self) -> Iterator[tuple[str, str, str]]:
        """The marks on the runs of this pipeline for this branch, newest first: name, commit, and what each says.

        What runs for pull requests or other branches is whatever they make of the pipeline, so that counts for nothing.
        """
        query = {
            **_VERSION,
            "definitions": self._place.pipeline,
            "branchName": self._place.ref,
            "tagFilters": _APPLIED,
            "queryOrder": "queueTimeDescending",
            "$top": _NEWEST,
        }
        for run in self._rest.read(f"{self._api}/build/builds", dict, query)["value"]:
            if run["sourceBranch"] == self._place.ref:
                for match in filter(None, map(_BORNE.fullmatch, run.get("tags") or ())):
                    says = f"apply ended with exit code {match[3]}, sealed {match[5]}"
                    yield f"reconciler/applied: {match[1]} {match[2]}", match[4], says

    def mark(self, commit: str, name: str, description: str, url: str) -> None:  # noqa: ARG002 - a tag is on the run
        # A tag may have no colon and no slash, and says all by itself: a run applies the tip, not its own commit.
        match, says = _MARK.fullmatch(name), _SAYS.fullmatch(description)
        if not match or not says:
            raise ReconcilerError(f"no tag can say {name}: {description}")
        for tag in (f"{_APPLIED}.{match[1]}.{match[2]}.{says[1]}.{commit}.{says[2]}", _APPLIED):
            self._rest.send("PUT", f"{self._api}/build/builds/{self._place.run}/tags/{tag}", query=_VERSION)

    def protected(self, branch: str) -> bool:
        query = {**_VERSION, "repositoryId": self._place.repository, "refName": f"refs/heads/{branch}"}
        policies = self._rest.read(f"{self._api}/git/policy/configurations", dict, query)["value"]
        return any(_closes_a_branch(one) for one in policies)

    def settings(self, applications: Collection[str]) -> Sequence[Finding]:  # noqa: ARG002
        # A pipeline is a user of no group but those that it names, and reads the checks of none.
        where = "its page Approvals and checks tells, which no pipeline may read"
        return [
            Finding(KEPT_APART, right=None, why="Azure DevOps shows variable groups to their users only"),
            Finding("reconciler-fleet has the check Exclusive Lock", right=None, why=where),
            Finding("reconciler-fleet has the check Branch control", right=None, why=where),
        ]

    def comments(self, number: int) -> Iterator[Post]:
        for thread in self._rest.read(f"{self._git}/pullRequests/{number}/threads", dict, _VERSION)["value"]:
            first = next((one for one in thread["comments"] if one["id"] == _FIRST), None)
            if first and not thread.get("isDeleted") and not first.get("isDeleted") and self._is_by_us(first["author"]):
                yield Post(int(thread["id"]), first.get("content") or "")

    def write_comment(self, number: int, text: str, over: Post | None) -> None:
        threads, status = f"{self._git}/pullRequests/{number}/threads", _status(text)
        if not over:
            comment = {"parentCommentId": 0, "content": text, "commentType": "text"}
            self._rest.send("POST", threads, {"comments": [comment], "status": status}, _VERSION)
            return
        self._rest.send("PATCH", f"{threads}/{over.id}/comments/{_FIRST}", {"content": text}, _VERSION)
        self._rest.send("PATCH", f"{threads}/{over.id}", {"status": status}, _VERSION)

    def issues(self) -> Iterator[Post]:
        done = ", ".join(f"'{state.replace(chr(39), chr(39) * 2)}'" for state in self._closed)
        query = f"{_TAGGED} AND [System.State] NOT IN ({done}) ORDER BY [System.Id]"
        found = self._ask(f"{self._api}/wit/wiql", {"query": query})["workItems"]
        fields = ["System.CreatedBy", "System.Description"]
        for start in range(0, len(found), 200):  # Azure's limit
            ids = [one["id"] for one in found[start : start + 200]]
            for item in self._ask(f"{self._api}/wit/workitemsbatch", {"ids": ids, "fields": fields})["value"]:
                if self._is_by_us(item["fields"]["System.CreatedBy"]):
                    yield Post(int(item["id"]), _unfolded(item["fields"].get("System.Description") or ""))

    @cached_property
    def _closed(self) -> Sequence[str]:
        """The states of a work item that is done; the first is the one that closes it."""
        kind = quote(self._place.work_item_type, safe="")
        states = self._rest.read(f"{self._api}/wit/workitemtypes/{kind}/states", dict, _VERSION)["value"]
        done = [one for one in states if one["category"] in ("Completed", "Removed")]
        return [str(one["name"]) for one in sorted(done, key=lambda one: one["category"] != "Completed")]

    def write_issue(self, title: str, text: str, over: Post | None) -> int:
        # The field is HTML, of which Azure keeps no comments: as text our first line stays.
        fields = {"System.Title": title[:255], "System.Description": f"<pre>{html.escape(text)}</pre>"}
        if over:
            self._change(over, fields)
            return over.id
        kind, body = quote(self._place.work_item_type, safe=""), _changes({**fields, "System.Tags": _TAG})
        made = self._rest.send("POST", f"{self._api}/wit/workitems/${kind}", body, _VERSION, headers=_PATCH)
        return int(made["id"])

    def close_issue(self, post: Post, comment: str) -> None:
        with suppress(Gone):
            self._change(post, {"System.State": self._closed[0], "System.History": html.escape(comment)})

    def _change(self, post: Post, fields: Mapping[str, str]) -> None:
        path = f"{self._api}/wit/workitems/{post.id}"
        self._rest.send("PATCH", path, _changes(fields), _VERSION, headers=_PATCH)

    def _is_by_us(self, author: Data | None) -> bool:
        return bool(author) and (author or {}).get("id") == self._me

    def _ask(self, path: str, body: object) -> Data:
        """A query by POST, which changes nothing, so it is retried like a read."""

        def ask() -> Data:
            answer = self._rest.send("POST", path, body, _VERSION)
            if not isinstance(answer, dict):
                raise Unsettled(f"no usable response from Azure DevOps to POST {path}: it is not a dict")
            return answer

        return settled(ask, self._log)


def _closes_a_branch(policy: Data) -> bool:
    """Whether nobody can push to the branch; policies of the whole repository, such as a file's size, let them."""
    scopes = (policy.get("settings") or {}).get("scope") or ()
    is_of_branch = any(one.get("refName") or one.get("matchKind") == "DefaultBranch" for one in scopes)
    return is_of_branch and policy["isEnabled"] and policy["isBlocking"] and not policy.get("isDeleted")


def _status(text: str) -> str:
    """Closed where every application was planned and none changes: then nobody has to look at the thread."""
    review = read_review(Post(0, text))
    return "closed" if review and review.complete and not review.digests else "active"


def _changes(fields: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"op": "add", "path": f"/fields/{name}", "value": value} for name, value in fields.items()]


def _unfolded(description: str) -> str:
    """The text that was written into a description, also where the editor kept its lines in its own way."""
    lines = re.sub(r"<br\s*/?>|</(?:div|p)>", "\n", description)
    return html.unescape(re.sub("<[^>]*>", "", lines))
