"""The requests to GitLab's REST API, version 4, that the steps need."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from urllib.parse import quote

from reconciler.api.http.credentials import read_token
from reconciler.ci.provider import Gone, Merged, Post
from reconciler.ci.providers.gitlab import FORGE_TOKEN, MARK_TOKEN
from reconciler.ci.providers.rest import Data, Rest, first_bearers
from reconciler.operations.init.check import Finding

_FORBIDDEN = f"{FORGE_TOKEN} has to be a project access token with the scope api and the role Reporter"
_MAY_NOT_MARK = (
    f"GitLab lets only those mark a commit of a protected branch who may merge to it: {MARK_TOKEN} has to be a project"
    " access token with the scope api that the branch allows to merge, or with the role Maintainer"
)
_MAY_NOT_READ = "only the role Maintainer may read where variables are kept"
_COMMAND = re.compile(r"^([ \t]*)/(?=[A-Za-z])", re.MULTILINE)


class Project:
    """The project of the pipeline, as a `Forge`. What is ours was written by the token's own user.

    Marks may have a token of their own. It is protected, so that no merge request can write one.
    """

    def __init__(self, url: str, token: str, log: Callable[[str], None], *, mark_token: str = "") -> None:
        """`url`: the API's URL of the project."""

        def rest(text: str, source: str, forbidden: str) -> Rest:
            read = read_token(text, source=source, issuer="GitLab")
            headers = {"Authorization": read.header, "Accept": "application/json"}
            return Rest("GitLab", url, read, headers=headers, forbidden=forbidden, log=log)

        self._rest = rest(token, FORGE_TOKEN, _FORBIDDEN)
        self._reading = rest(token, FORGE_TOKEN, _MAY_NOT_READ)
        self._marking = rest(mark_token or token, MARK_TOKEN if mark_token else FORGE_TOKEN, _MAY_NOT_MARK)
        self._url, self._user = url, f"{url.rpartition('/projects/')[0]}/user"

    @cached_property
    def _me(self) -> int:
        return int(self._rest.read(self._user, dict)["id"])

    @cached_property
    def _marker(self) -> int:
        return int(self._marking.read(self._user, dict)["id"])

    def head(self, number: int) -> str:
        return str(self._rest.read(f"merge_requests/{number}", dict)["sha"])

    def merged(self, commit: str, branch: str) -> Merged | None:
        found = [
            one
            for one in self._rest.pages(f"repository/commits/{commit}/merge_requests")
            if one["state"] == "merged" and one["target_branch"] == branch
        ]
        # The commit of a merge, of a squash, or the branch's own where it was merged by fast-forward.
        own = [one for one in found if commit in (one["merge_commit_sha"], one["squash_commit_sha"], one["sha"])]
        return next((Merged(int(one["iid"]), str(one["sha"])) for one in own or found), None)

    def applied(self, commits: Sequence[str], marks: Collection[str]) -> Mapping[str, str]:
        return first_bearers(commits, marks, self.marks)

    def marks(self, commit: str) -> Mapping[str, str]:
        newest: dict[str, Data] = {}
        # All: a status of somebody else with the same name would otherwise hide ours.
        for status in self._rest.pages(f"repository/commits/{commit}/statuses", all="true"):
            by = (status["author"] or {}).get("id")
            if by == self._marker and status["id"] >= newest.get(status["name"], status)["id"]:
                newest[status["name"]] = status
        return {name: one["description"] or "" for name, one in newest.items() if one["status"] == "success"}

    def mark(self, commit: str, name: str, description: str, url: str) -> None:
        body = {"state": "success", "name": name, "description": description, "target_url": url}
        self._marking.send("POST", f"statuses/{commit}", body)

    def protected(self, branch: str) -> bool:
        # Not by `protected_branches/NAME`, which does not know a branch that a wildcard protects.
        return bool(self._rest.read(f"repository/branches/{quote(branch, safe='')}", dict)["protected"])

    def settings(self, applications: Collection[str]) -> Sequence[Finding]:
        from reconciler.ci.providers.gitlab_kept import settings  # noqa: PLC0415 - only `init --check` asks

        return settings(self._reading, self._url, applications)

    def comments(self, number: int) -> Iterator[Post]:
        for note in self._rest.pages(f"merge_requests/{number}/notes", sort="asc", order_by="created_at"):
            if self._is_by_us(note) and not note["system"]:
                yield Post(int(note["id"]), note["body"] or "")

    def write_comment(self, number: int, text: str, over: Post | None) -> None:
        notes = f"merge_requests/{number}/notes"
        place = ("PUT", f"{notes}/{over.id}") if over else ("POST", notes)
        self._rest.send(*place, {"body": _inactive(text)})

    def issues(self) -> Iterator[Post]:
        if self._rest.read(self._url, dict).get("issues_access_level") == "disabled":
            raise Gone("issues")
        for issue in self._rest.pages("issues", state="opened", author_id=str(self._me), scope="all"):
            if self._is_by_us(issue):
                yield Post(int(issue["iid"]), issue["description"] or "")

    def write_issue(self, title: str, text: str, over: Post | None) -> int:
        place = ("PUT", f"issues/{over.id}") if over else ("POST", "issues")
        return int(self._rest.send(*place, {"title": title, "description": _inactive(text)})["iid"])

    def close_issue(self, post: Post, comment: str) -> None:
        with suppress(Gone):
            self._rest.send("PUT", f"issues/{post.id}", {"state_event": "close"})
            # Last, so that a repetition cannot comment twice: a closed issue is not found again.
            self._rest.send("POST", f"issues/{post.id}/notes", {"body": _inactive(comment)})

    def _is_by_us(self, post: Data) -> bool:
        return (post["author"] or {}).get("id") == self._me


def _inactive(text: str) -> str:
    """The text without quick actions: GitLab carries out a line such as `/merge` of whoever writes it."""
    return _COMMAND.sub(r"\1&#47;", text)
