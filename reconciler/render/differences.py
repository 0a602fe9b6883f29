"""Renders differences as text and Markdown: a table by flow and from → to, and rows no longer declared individually.

The pages of `plan` and `diff` look alike, but here a row may stand for all devices of a selector.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter

from reconciler.model.plan import Gone, Warning
from reconciler.model.rules import Difference
from reconciler.model.text import counted
from reconciler.render.inert import inert, left_out, painter
from reconciler.render.page import DEFAULT_MAX_BYTES, Page, Rank, code, gone_line, version_code
from reconciler.render.summary import gone_text

_LOOSER = "_looser"
SHOWN = 10  # maximum subjects shown of each group, unless verbose
_HEAD = "\n| flow | | from | to | rows |\n| --- | --- | --- | --- | ---: |\n"
_Kind = tuple[str, str, str, str]


def differences_text(
    found: Sequence[Difference], *, gone: Sequence[Gone] = (), verbose: bool = False, color: bool = False
) -> str:
    """Differences grouped by application, then by flow and from → to; first of all what is gone."""
    if not found:
        return "No differences."
    lines = [painter(color=color)(gone_text(one), "bold") for one in gone]
    for (application, kind), of_application in groupby(found, key=attrgetter("application", "kind")):
        lines.append(f"{application} ({kind}):")
        items = list(of_application)
        lines += _rows([one for one in items if one.flow is not None], verbose=verbose)
        lines += [f"  {inert(_setting(one))}: {_move(one)}{_place(one)}" for one in items if one.flow is None]
    lines.append(f"{counted(len(found), 'difference')}.")
    return "\n".join(lines)


def _rows(rows: Sequence[Difference], *, verbose: bool) -> Iterator[str]:
    for _, group in groupby(sorted(rows, key=_kind), key=_kind):
        same = list(group)
        yield f"  {inert(same[0].flow or '')} {_word(same[0])}{_move(same[0])}"
        shown = same if verbose or len(same) <= SHOWN else same[: SHOWN - 1]
        for one in shown:
            yield f"    {inert(one.subject or '')}{_place(one)}"
        yield from left_out(len(same) - len(shown), indent=4)


def _kind(one: Difference) -> _Kind:
    return (one.flow or "", one.what, one.before or "", one.after or "")


def _setting(one: Difference) -> str:
    """The subject of a difference in a setting."""
    words = {"name": "application name", "rollout": "rollout of"}.get(_what(one.what), _what(one.what))
    return f"{words} {one.subject}" if one.subject else words


def _what(what: str) -> str:
    return what.removesuffix(_LOOSER)


def _looser(what: str) -> str:
    """What a reviewer must not miss in a long list."""
    return ", **looser**" if what.endswith(_LOOSER) else ""


def _word(one: Difference) -> str:
    return "" if one.what == "version" else f"{_what(one.what)} "


def _place(one: Difference) -> str:
    return f"  {inert(str(one.source))}" if one.source else ""


def _move(one: Difference) -> str:
    looser = "  (looser)" if one.what.endswith(_LOOSER) else ""
    return f"{inert(one.before or 'nothing')} → {inert(one.after or 'nothing')}{looser}"


def differences_markdown(
    found: Sequence[Difference],
    base: str,
    head: str | None,
    *,
    warnings: Sequence[Warning] = (),
    gone: Sequence[Gone] = (),
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> str:
    """The differences between two revisions or folders, on one page of at most `max_bytes` bytes."""
    page = Page(max_bytes, elsewhere="Run `reconciler diff -v` for the whole of it.")
    for one in gone:
        page.line(gone_line(one))
    page.line(f"**{counted(len(found), 'difference') if found else 'No differences'}.**")
    page.line()
    page.line(f"From {code(base, limit=40)} to {code(head, limit=40) if head else 'the files'}.")
    page.section("warnings", warnings, _warning_line, opening="\nWarnings:\n\n", rank=Rank.LEADS)
    for (application, kind), group in groupby(found, key=attrgetter("application", "kind")):
        title = f"\n### Application {code(application)}, {kind}\n"
        listed = list(group)
        settings = [one for one in listed if one.flow is None]
        page.section("settings", settings, _setting_line, opening=f"{title}\nSettings:\n\n", rank=Rank.LEADS)
        rows = [one for one in listed if one.flow is not None]
        kinds = sorted(Counter(map(_kind, rows)).items())
        page.section("kinds of difference", kinds, _kind_line, opening=title + _HEAD, rank=Rank.LEADS)
        opening = f"{title}\nNo longer declared, or declared absent:\n\n"
        page.section("removals", list(filter(_is_gone, rows)), _row_line, opening=opening, rank=Rank.VITAL)
        others = [one for one in rows if not _is_gone(one)]
        page.section("rows", others, _row_line, summary=counted(len(others), "other row"))
    return page.text()


def _is_gone(one: Difference) -> bool:
    return one.what == "version" and one.after in (None, "absent")


def _kind_line(kind: tuple[_Kind, int]) -> str:
    (flow, what, before, after), number = kind
    move = f"{version_code(before or None)} | {version_code(after or None)}"
    return f"| {code(flow)} | {_what(what)}{_looser(what)} | {move} | {number:,} |"


def _setting_line(one: Difference) -> str:
    place = f" ({code(str(one.source))})" if one.source else ""
    move = f"{version_code(one.before)} to {version_code(one.after)}"
    return f"- {code(_setting(one))}{_looser(one.what)}: {move}{place}"


def _warning_line(warning: Warning) -> str:
    place = f" ({code(str(warning.place))})" if warning.place else ""
    hint = f": {code(warning.hint)}" if warning.hint else ""
    return f"- {code(warning.message)}{hint}{place}"


def _row_line(one: Difference) -> str:
    place = f" ({code(str(one.source))})" if one.source else ""
    move = f"{_word(one)}{version_code(one.before)} to {version_code(one.after)}{_looser(one.what)}"
    return f"- {code(one.subject or '')} {code(one.flow or '')}: {move}{place}"
