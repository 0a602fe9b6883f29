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

from reconciler.ci.forge import Forge, Post

NO_CHANGES = "sha256:" + hashlib.sha256(b"[]").hexdigest()  # digest of a plan without changes
_LINE = re.compile(r"<!-- reconciler (\{.*\}) -->")
_DIGEST = re.compile("sha256:[0-9a-f]{64}")
_MOST = 250  # digests that one comment holds; each is some hundred bytes


def hidden(text: str) -> str:
    """JSON, after a word of ours, as an HTML comment. A dash is escaped, because two of them would end it."""
    return f"<!-- reconciler {text.replace('-', chr(92) + 'u002d')} -->"


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
        """The first line of the comment."""
        kept = dict(sorted(self.digests.items())[:_MOST])
        complete = self.complete and len(kept) == len(self.digests)
        data = {"path": self.path, "commit": self.commit, "complete": complete, "digests": kept}
        return hidden(json.dumps(data))


def read_review(post: Post) -> Review | None:
    """The review that a comment's first line holds, or None if it holds none."""
    match = _LINE.fullmatch(post.first_line)
    try:
        data = json.loads(match[1]) if match else {}
        digests = {name: digest for name, digest in data["digests"].items() if _DIGEST.fullmatch(digest or "")}
        failed = {name: None for name, digest in data["digests"].items() if digest is None}
        return Review(str(data["path"]), str(data["commit"]), {**digests, **failed}, complete=data["complete"] is True)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def find_comment(forge: Forge, number: int, path: str) -> tuple[Post, Review] | None:
    """Our comment on a pull request, and the review in it. The newest, should there be several."""
    read = [(post, read_review(post)) for post in forge.comments(number)]
    return next(((post, review) for post, review in reversed(read) if review and review.path == path), None)
