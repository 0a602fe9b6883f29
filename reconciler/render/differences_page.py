"""What `diff` found as Markdown: the verdict, a table by flow and from → to, what is no longer declared one by one.

The pages of `plan` and `diff` look alike, but this one knows no fleet: a row may stand for all that a selector selects.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from reconciler.model.rules import Difference
from reconciler.model.text import counted
from reconciler.render.differences import setting
from reconciler.render.page import DEFAULT_MAX_BYTES, Page, Rank, code, folded, version_code

_HEAD = "\n| flow | | from | to | rows |\n| --- | --- | --- | --- | ---: |\n"


def differences_markdown(
    found: Sequence[Difference], base: str, head: str | None, *, max_bytes: int = DEFAULT_MAX_BYTES
) -> str:
    """The differences between two revisions or folders on one page of at most `max_bytes` bytes."""
    page = Page(max_bytes, elsewhere="Run `reconciler diff -v` for the whole of it.")
    page.line(f"**{counted(len(found), 'difference') if found else 'No differences'}.**")
    page.line()
    page.line(f"From {code(base, limit=40)} to {code(head, limit=40) if head else 'the files'}.")
    for (application, kind), group in groupby(found, key=lambda one: (one.application, one.kind)):
        title = f"\n### Application {code(application)}, {kind}\n"
        listed = list(group)
        settings = [one for one in listed if one.flow is None]
        opening = f"{title}\nSettings:\n\n"
        page.section(map(_setting, settings), len(settings), noun="settings", opening=opening, rank=Rank.LEADS)
        rows = [one for one in listed if one.flow is not None]
        kinds = sorted(_kinds(rows).items())
        opening = title + _HEAD
        page.section(map(_kind, kinds), len(kinds), noun="kinds of difference", opening=opening, rank=Rank.LEADS)
        gone = [one for one in rows if _is_gone(one)]
        opening = f"{title}\nNo longer declared, or declared absent:\n\n"
        page.section(map(_row, gone), len(gone), noun="removals", opening=opening, rank=Rank.VITAL)
        others = [one for one in rows if not _is_gone(one)]
        opening, closing = folded(counted(len(others), "other row"))
        page.section(map(_row, others), len(others), noun="rows", opening=opening, closing=closing)
    return page.text()


def _is_gone(one: Difference) -> bool:
    return one.what == "version" and one.after in (None, "absent")


def _kinds(rows: Sequence[Difference]) -> Counter[tuple[str, ...]]:
    """How many rows there are by flow, what, from and to."""
    return Counter((one.flow or "", one.what, one.before or "", one.after or "") for one in rows)


def _kind(kind: tuple[tuple[str, ...], int]) -> str:
    (flow, what, before, after), number = kind
    return f"| {code(flow)} | {what} | {version_code(before or None)} | {version_code(after or None)} | {number:,} |"


def _setting(one: Difference) -> str:
    return f"- {code(setting(one))}: {_move(one)}"


def _row(one: Difference) -> str:
    priority = "priority " if one.what == "priority" else ""
    place = f" ({code(str(one.source))})" if one.source else ""
    return f"- {code(one.subject or '')} {code(one.flow or '')}: {priority}{_move(one)}{place}"


def _move(one: Difference) -> str:
    return f"{version_code(one.before)} to {version_code(one.after)}"
