"""The comment on a pull request: created by the first run, updated by later ones, read back after the merge.

Its first line is an HTML comment with JSON that records the reviewed plans. Only comments written with a job's own
token are trusted, and only their first line, which names from manifests or from Losant cannot affect.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.ci.provider import Forge, Post, Provider, put, say, settled
from reconciler.ci.reports import Report, body, load_reports, read_page
from reconciler.render.page import code, folded

NO_CHANGES = "sha256:" + hashlib.sha256(b"[]").hexdigest()  # digest of any plan without changes
_LINE = re.compile(r"<!-- reconciler (\{.*\}) -->")
_DIGEST = re.compile("sha256:[0-9a-f]{64}")
_MOST = 250  # maximum digests in one comment; each takes about a hundred bytes
_NO_DIFF = "\nThere is no room for the diff of the desired state here; see the summary of the check job.\n"
DIFF = "reconciler-diff/diff.md"  # where the artifact of the check job is downloaded to


def hidden(text: str) -> str:
    """JSON as an HTML comment with our marker. Dashes are escaped, because two of them would end it."""
    return f"<!-- reconciler {text.replace('-', chr(92) + 'u002d')} -->"


@dataclass(frozen=True, slots=True)
class Review:
    """The plans that a pull request showed.

    Attributes:
        path: the path of the manifests, to distinguish workflows for several paths.
        commit: the head commit that was planned.
        digests: the review digests by `application kind`, for plans with changes; None if there is no plan.
        complete: whether all applications not in `digests` were planned and have no changes.
    """

    path: str
    commit: str
    digests: Mapping[str, str | None] = field(default_factory=dict)
    complete: bool = True

    def digest(self, application: str, kind: str) -> str:
        """The reviewed digest; empty if there is none."""
        return self.digests.get(f"{application} {kind}", NO_CHANGES if self.complete else None) or ""

    def line(self) -> str:
        """The first line of the comment."""
        kept = dict(sorted(self.digests.items())[:_MOST])
        complete = self.complete and len(kept) == len(self.digests)
        data = {"path": self.path, "commit": self.commit, "complete": complete, "digests": kept}
        return hidden(json.dumps(data))


def read_review(post: Post) -> Review | None:
    """The review in a comment's first line, or None."""
    match = _LINE.fullmatch(post.first_line)
    try:
        data = json.loads(match[1]) if match else {}
        listed = data["digests"].items()
        digests = {name: digest for name, digest in listed if digest is None or _DIGEST.fullmatch(digest)}
        return Review(str(data["path"]), str(data["commit"]), digests, complete=data["complete"] is True)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def find_comment(forge: Forge, number: int, path: str) -> tuple[Post, Review] | None:
    """Our comment on a pull request, and the review in it. If there are several, the newest."""
    read = [(post, read_review(post)) for post in forge.comments(number)]
    return next(((post, review) for post, review in reversed(read) if review and review.path == path), None)


def step(provider: Provider, *, path: str, reports: Path, applications: int) -> int:
    """Write the comment from the reports in the folder; `applications`: how many are expected, 0 if unknown."""
    run, forge, diff = provider.run(), provider.forge(), reports / DIFF
    if forge.head(run.number) != run.head:
        newer = f"{provider.named(run.number)} has a newer commit, whose run writes the comment"
        say(provider, "notice", newer)
        return 0
    written = text(
        load_reports(reports),
        path=path,
        commit=run.head,
        expected=applications,
        diff=read_page(diff),
        max_bytes=provider.max_bytes,
    )

    def write() -> None:
        found = find_comment(forge, run.number, path)
        put(lambda over: forge.write_comment(run.number, written, over), found and found[0])

    settled(write, provider.log)
    provider.log(f"The comment on {provider.named(run.number)} is written.")
    return 0


def review_of(reports: Sequence[Report], *, path: str, commit: str, expected: int) -> Review:
    """The review to record. It is incomplete if a report is missing."""
    digests = {
        f"{one.application} {one.kind}": one.digest if one.planned and not one.partial else None
        for one in reports
        if one.changes or not one.planned or one.partial
    }
    return Review(path, commit, digests, complete=0 < expected == len(reports))


def text(reports: Sequence[Report], *, path: str, commit: str, expected: int, max_bytes: int, diff: str = "") -> str:
    """The text of the comment: the line for the merge job, the plans, and the diff if there is room for it."""
    review = review_of(reports, path=path, commit=commit, expected=expected)
    missing = expected - len(reports)
    head = f"{review.line()}\n### What merging does to {code(path)}\n\nPlanned for commit `{commit}`.\n\n"
    missing_note = f"\n**{missing} applications have no report**; see their jobs for the reason.\n" if missing else ""
    if not reports:
        return f"{head}**No plan.** See the checks of this commit for the reason.\n"
    page = head + body(reports, max_bytes=max_bytes - len((head + missing_note + _NO_DIFF).encode())) + missing_note
    if not diff:
        return page
    opening, closing = folded("Diff of the desired state")
    whole = f"{page}{opening}{diff}{closing}"
    return whole if len(whole.encode()) <= max_bytes else page + _NO_DIFF
