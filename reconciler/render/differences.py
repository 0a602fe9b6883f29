"""What `diff` found, as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from reconciler.model.rules import Difference
from reconciler.model.text import counted
from reconciler.render.inert import inert

SHOWN = 10  # subjects of one group of differences, unless all are asked for


def differences_text(found: Sequence[Difference], *, verbose: bool = False) -> str:
    """Differences grouped by application, then by flow and from → to."""
    if not found:
        return "No differences."
    lines: list[str] = []
    for (application, kind), of_application in groupby(found, key=lambda one: (one.application, one.kind)):
        lines.append(f"{application} ({kind}):")
        items = list(of_application)
        lines += _rows([one for one in items if one.flow is not None], verbose=verbose)
        lines += [f"  {inert(setting(one))}: {_move(one)}" for one in items if one.flow is None]
    lines.append(f"{counted(len(found), 'difference')}.")
    return "\n".join(lines)


def _rows(rows: Sequence[Difference], *, verbose: bool) -> Iterator[str]:
    def move(one: Difference) -> tuple[str, str, str, str]:
        return (one.flow or "", one.what, one.before or "", one.after or "")

    for _, group in groupby(sorted(rows, key=move), key=move):
        same = list(group)
        priority = "priority " if same[0].what == "priority" else ""
        yield f"  {inert(same[0].flow or '')} {priority}{_move(same[0])}"
        shown = same if verbose or len(same) <= SHOWN else same[: SHOWN - 1]
        for one in shown:
            place = f"  {inert(str(one.source))}" if one.source else ""
            yield f"    {inert(one.subject or '')}{place}"
        if len(shown) < len(same):
            yield f"    and {len(same) - len(shown):,} more"


def setting(one: Difference) -> str:
    """What a difference that is of no row is about."""
    words = "application name" if one.what == "name" else one.what
    return f"{words} {one.subject}" if one.subject else words


def _move(one: Difference) -> str:
    before, after = one.before or "nothing", one.after or "nothing"
    return f"{inert(before)} → {inert(after)}"
