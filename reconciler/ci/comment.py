"""The one comment on a pull request: written the first time, changed from then on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reconciler.ci.forge import Forge, put, settled
from reconciler.ci.page import body
from reconciler.ci.provider import Provider, say
from reconciler.ci.reports import Report, load_reports
from reconciler.ci.review import Review, find_comment
from reconciler.render.page import code, folded

_NO_DIFF = "\nThe diff of the desired state is on the summary of the check job: there is no room for it here.\n"
DIFF = "reconciler-diff/diff.md"  # where the artifact of the check job comes to lie


def step(provider: Provider, *, path: str, reports: Path, applications: int) -> int:
    """Write the comment from the reports in the folder; `applications`: as many are to be there, 0: nobody knows."""
    run, forge, diff = provider.run(), provider.forge(), reports / DIFF
    if forge.head(run.number) != run.head:
        moved = f"{provider.named(run.number)} has moved on; the run of its newest commit writes the comment"
        say(provider, "notice", moved)
        return 0
    written = text(
        load_reports(reports),
        path=path,
        commit=run.head,
        expected=applications,
        diff=diff.read_text(encoding="utf-8") if diff.exists() else "",
        max_bytes=provider.max_bytes,
    )
    settled(lambda: _write(forge, run.number, path, written), provider.log)
    provider.log(f"The comment on {provider.named(run.number)} is written.")
    return 0


def _write(forge: Forge, number: int, path: str, written: str) -> None:
    found = find_comment(forge, number, path)
    put(lambda over: forge.write_comment(number, written, over), found and found[0])


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
