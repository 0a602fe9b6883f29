"""The one comment on a pull request: written the first time, changed from then on."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import job
from page import MAX_BYTES, body
from report import Report, expected_reports, load_reports
from rest import Gone, Repository, settled
from review import Review, find_comment

from reconciler.render.page import code, folded

_NO_DIFF = "\nThe diff of the desired state is on the summary of the check job: there is no room for it here.\n"
DIFF = "reconciler-diff/diff.md"  # where the artifact of the check job comes to lie


def review_of(reports: Sequence[Report], *, path: str, commit: str, expected: int) -> Review:
    """What the comment promises. Where a report is missing, silence about an application promises nothing."""
    digests = {
        f"{one.application} {one.kind}": one.digest if one.planned and not one.partial else None
        for one in reports
        if one.changes or not one.planned or one.partial
    }
    return Review(path, commit, digests, complete=0 < expected == len(reports))


def text(reports: Sequence[Report], *, path: str, commit: str, expected: int, diff: str = "") -> str:
    """The comment, its first line for the merge job; the diff last, if there is room for it."""
    review = review_of(reports, path=path, commit=commit, expected=expected)
    missing = expected - len(reports)
    head = f"{review.line()}\n### What merging does to {code(path)}\n\nPlanned for commit `{commit}`.\n\n"
    lost = f"\n**{missing} applications have no report**; their jobs say why.\n" if missing else ""
    if not reports:
        return f"{head}**No plan.** The checks of this commit say why.\n"
    page = head + body(reports, max_bytes=MAX_BYTES - len((head + lost + _NO_DIFF).encode())) + lost
    if not diff:
        return page
    opening, closing = folded("Diff of the desired state")
    whole = f"{page}{opening}{diff}{closing}"
    return whole if len(whole.encode()) <= MAX_BYTES else page + _NO_DIFF


def main() -> None:
    """Takes the folder of the reports on the command line."""
    pull = job.event()["pull_request"]
    number, commit, path = pull["number"], pull["head"]["sha"], job.env("MANIFESTS")
    repository = Repository()
    if repository.read(f"pulls/{number}")["head"]["sha"] != commit:
        job.say("notice", "the pull request has moved on; the run of its newest commit writes the comment")
        return
    folder = Path(sys.argv[1])
    diff = folder / DIFF
    written = {
        "body": text(
            load_reports(folder),
            path=path,
            commit=commit,
            expected=expected_reports(),
            diff=diff.read_text(encoding="utf-8") if diff.exists() else "",
        )
    }
    settled(lambda: _write(repository, number, path, written))


def _write(repository: Repository, number: int, path: str, written: dict[str, Any]) -> None:
    found = find_comment(repository, number, path)
    if found:
        try:
            repository.send("PATCH", f"issues/comments/{found[0]}", written)
        except Gone:
            found = None  # somebody deleted it just now
    if not found:
        repository.send("POST", f"issues/{number}/comments", written)
    print(f"The comment on #{number} is {'updated' if found else 'written'}.")


if __name__ == "__main__":
    main()
