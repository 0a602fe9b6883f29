"""What a pull request was told its merge would do: kept in the first line of our comment, read back after the merge.

The line is an HTML comment that holds JSON. Only comments that a job's own token wrote are believed, and only their
first line, which no name from a manifest or from Losant can reach.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rest import BOT, Repository

NO_CHANGES = "sha256:" + hashlib.sha256(b"[]").hexdigest()  # digest of a plan without changes
_LINE = re.compile(r"<!-- reconciler (\{.*\}) -->")
_DIGEST = re.compile("sha256:[0-9a-f]{64}")
_MOST = 250  # digests that one comment holds; each is some hundred bytes


@dataclass(frozen=True, slots=True)
class Review:
    """The plans that a pull request showed.

    Attributes:
        path: of the manifests, so that workflows for several paths keep apart.
        commit: head of the pull request that was planned.
        digests: by `application kind`, of plans with changes; None where no plan could be made.
        complete: whether what is not in `digests` was planned to stay as it is.
    """

    path: str
    commit: str
    digests: Mapping[str, str | None] = field(default_factory=dict)
    complete: bool = True

    def digest(self, application: str, kind: str) -> str:
        """The digest that was reviewed; empty if none was."""
        return self.digests.get(f"{application} {kind}", NO_CHANGES if self.complete else None) or ""

    def line(self) -> str:
        """The first line of the comment. A dash is escaped, because two of them would end an HTML comment."""
        kept = dict(sorted(self.digests.items())[:_MOST])
        complete = self.complete and len(kept) == len(self.digests)
        data = {"path": self.path, "commit": self.commit, "complete": complete, "digests": kept}
        return f"<!-- reconciler {json.dumps(data).replace('-', chr(92) + 'u002d')} -->"


def read_review(body: str) -> Review | None:
    """The review that a comment's first line holds, or None if it is no comment of ours."""
    match = _LINE.fullmatch(body.split("\n", 1)[0].rstrip("\r"))
    try:
        data = json.loads(match[1]) if match else {}
        digests = {name: digest for name, digest in data["digests"].items() if _DIGEST.fullmatch(digest or "")}
        failed = {name: None for name, digest in data["digests"].items() if digest is None}
        return Review(str(data["path"]), str(data["commit"]), {**digests, **failed}, complete=data["complete"] is True)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def find_comment(repository: Repository, number: int, path: str) -> tuple[int, Review] | None:
    """Our comment on a pull request: its id, and the review in it. The newest, should there be several."""
    found = None
    for comment in repository.pages(f"issues/{number}/comments"):
        review = read_review(comment["body"] or "") if _is_ours(comment) else None
        if review and review.path == path:
            found = (int(comment["id"]), review)
    return found


def _is_ours(post: Mapping[str, Any]) -> bool:
    return (post["user"] or {}).get("login") == BOT


def merged_pull(repository: Repository, commit: str, branch: str) -> Mapping[str, Any] | None:
    """The pull request that a commit of the branch came by, or None for a commit that was pushed to it."""
    pulls = [
        pull
        for pull in repository.pages(f"commits/{commit}/pulls")
        if pull["merged_at"] and pull["base"]["ref"] == branch
    ]
    own = [pull for pull in pulls if pull["merge_commit_sha"] == commit]
    return next(iter(own or pulls), None)
