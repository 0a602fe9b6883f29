"""The requests to GitHub's REST API that the steps need."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from urllib.parse import quote

import httpx

from reconciler.api.http.credentials import read_token
from reconciler.api.http.failures import LONGEST_S
from reconciler.ci.provider import Gone, Merged, Post
from reconciler.ci.providers.rest import Data, Rest, first_bearers
from reconciler.operations.init.check import KEPT_APART, Finding

_BOT = "github-actions[bot]"  # the author of what a job's own token writes
_FORBIDDEN = "check that the calling job grants the permissions that the guide lists"


class _GitHub(Rest):
    """GitHub's answers: one that used up a limit says until when, in seconds of the epoch, if not by `Retry-After`."""

    def asked_s(self, answer: httpx.Response) -> float | None:
        reset = answer.headers.get("x-ratelimit-reset", "")
        spent = answer.headers.get("x-ratelimit-remaining") == "0" and reset.isascii() and reset.isdigit()
        asked_s = super().asked_s(answer)
        return min(max(0.0, float(reset) - time.time()), LONGEST_S) if spent and asked_s is None else asked_s


class Repository:
    """The repository of the workflow, as a `Forge`."""

    def __init__(self, url: str, token: str, log: Callable[[str], None]) -> None:
        """`url`: the API's URL of the repository."""
        read = read_token(token, source="GITHUB_TOKEN", issuer="GitHub")
        headers = {
            "Authorization": read.header,
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        self._rest = _GitHub("GitHub", url, read, headers=headers, forbidden=_FORBIDDEN, log=log)

    def head(self, number: int) -> str:
        return str(self._rest.read(f"pulls/{number}", dict)["head"]["sha"])

    def merged(self, commit: str, branch: str) -> Merged | None:
        pulls = [
            pull
            for pull in self._rest.pages(f"commits/{commit}/pulls")
            if pull["merged_at"] and pull["base"]["ref"] == branch
        ]
        own = [pull for pull in pulls if pull["merge_commit_sha"] == commit]
        return next((Merged(pull["number"], pull["head"]["sha"]) for pull in own or pulls), None)

    def applied(self, commits: Sequence[str], marks: Collection[str]) -> Mapping[str, str]:
        return first_bearers(commits, marks, self.marks)

    def marks(self, commit: str) -> Mapping[str, str]:
        newest: dict[str, Data] = {}  # of several statuses of one name, the newest comes first and counts
        for status in self._rest.pages(f"commits/{commit}/statuses"):
            if _is_by_us(status["creator"]):
                newest.setdefault(status["context"], status)
        return {name: one["description"] or "" for name, one in newest.items() if one["state"] == "success"}

    def mark(self, commit: str, name: str, description: str, url: str) -> None:
        body = {"state": "success", "context": name, "description": description, "target_url": url}
        self._rest.send("POST", f"statuses/{commit}", body)

    def protected(self, branch: str) -> bool:
        return bool(self._rest.read(f"branches/{quote(branch, safe='')}", dict)["protected"])

    def settings(self, applications: Collection[str]) -> Sequence[Finding]:  # noqa: ARG002
        return [Finding(KEPT_APART, right=None, why="GitHub shows the names of secrets to administrators only")]

    def comments(self, number: int) -> Iterator[Post]:
        for comment in self._rest.pages(f"issues/{number}/comments"):
            if _is_ours(comment):
                yield Post(int(comment["id"]), comment["body"] or "")

    def write_comment(self, number: int, text: str, over: Post | None) -> None:
        place = ("PATCH", f"issues/comments/{over.id}") if over else ("POST", f"issues/{number}/comments")
        self._rest.send(*place, {"body": text})

    def issues(self) -> Iterator[Post]:
        for issue in self._rest.pages("issues", state="open"):
            if _is_ours(issue) and "pull_request" not in issue:
                yield Post(int(issue["number"]), issue["body"] or "")

    def write_issue(self, title: str, text: str, over: Post | None) -> int:
        if over:
            self._rest.send("PATCH", f"issues/{over.id}", {"title": title, "body": text})
            return over.id
        return int(self._rest.send("POST", "issues", {"title": title, "body": text})["number"])

    def close_issue(self, post: Post, comment: str) -> None:
        with suppress(Gone):
            self._rest.send("PATCH", f"issues/{post.id}", {"state": "closed", "state_reason": "completed"})
            # Last, so that a repetition cannot comment twice: a closed issue is not found again.
            self._rest.send("POST", f"issues/{post.id}/comments", {"body": comment})


def _is_ours(post: Data) -> bool:
    return _is_by_us(post["user"])


def _is_by_us(author: Data | None) -> bool:
    return (author or {}).get("login") == _BOT
