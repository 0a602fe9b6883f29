"""The one comment on a pull request: written the first time, changed from then on, read back after the merge.

Its first line says what the merge was shown to do: an HTML comment that holds JSON. Only comments that a job's own
token wrote are believed, and only their first line, which no name from a manifest or from Losant can reach.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.ci.provider import Forge, Post, Provider, put, say, settled
from reconciler.ci.reports import Report, body, load_reports
from reconciler.render.page import code, folded

NO_CHANGES = "sha256:" + hashlib.sha256(b"[]").hexdigest()  # digest of a plan without changes
_LINE = re.compile(r"<!-- reconciler (\{.*\}) -->")
_DIGEST = re.compile("sha256:[0-9a-f]{64}")
_MOST = 250  # digests that one comment holds; each is some hundred bytes
_NO_DIFF = "\nThe diff of the desired state is on the summary of the check job: there is no room for it here.\n"
DIFF = "reconciler-diff/diff.md"  # where the artifact of the check job comes to lie


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
    """The review that in a comment's first line, or None."""
    match = _LINE.fullmatch(post.first_line)
    try:
        data = json.loads(match[1]) if match else {}
        listed = data["digests"].items()
        digests = {name: digest for name, digest in listed if digest is None or _DIGEST.fullmatch(digest)}
        return Review(str(data["path"]), str(data["commit"]), digests, complete=data["complete"] is True)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def find_comment(forge: Forge, number: int, path: str) -> tuple[Post, Review] | None:
    """Our comment on a pull request, and the review in it. The newest, should there be several."""
    read = [(post, read_review(post)) for post in forge.comments(number)]
    return next(((post, review) for post, review in reversed(read) if review and review.path == path), None)


def step(provider: Provider, *, path: str, reports: Path, applications: int) -> int:
    """Write the comment from the reports in the folder; `applications`: how many there are to be, 0 if not known."""
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
        diff=diff.read_text(encoding="utf-8") if diff.exists() else "",
        max_bytes=provider.max_bytes,
    )

    def write() -> None:
        found = find_comment(forge, run.number, path)
        put(lambda over: forge.write_comment(run.number, written, over), found and found[0])

    settled(write, provider.log)
    provider.log(f"The comment on {provider.named(run.number)} is written.")
    return 0


def review_of(reports: Sequence[Report], *, path: str, commit: str, expected: int) -> Review:
    """What the comment promises. Where a report is missing, silence about an application promises nothing."""
    digests = {
        f"{one.application} {one.kind}": one.digest if one.planned and not one.partial else None
        for one in reports
        if one.changes or not one.planned or one.partial
    }
    return Review(path, commit, digests, complete=0 < expected == len(reports))


def text(reports: Sequence[Report], *, path: str, commit: str, expected: int, max_bytes: int, diff: str = "") -> str:
    """The comment, its first line for the merge job; the diff last, if there is room for it."""
    review = review_of(reports, path=path, commit=commit, expected=expected)
    missing = expected - len(reports)
    head = f"{review.line()}\n### What merging does to {code(path)}\n\nPlanned for commit `{commit}`.\n\n"
    lost = f"\n**{missing} applications have no report**; their jobs say why.\n" if missing else ""
    if not reports:
        return f"{head}**No plan.** The checks of this commit say why.\n"
    page = head + body(reports, max_bytes=max_bytes - len((head + lost + _NO_DIFF).encode())) + lost
    if not diff:
        return page
    opening, closing = folded("Diff of the desired state")
    whole = f"{page}{opening}{diff}{closing}"
    return whole if len(whole.encode()) <= max_bytes else page + _NO_DIFF
