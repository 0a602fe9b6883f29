"""Lines for a narrow terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from reconciler.render.inert import inert

WIDTH = 60


def wrapped(text: str, *, indent: int) -> list[str]:
    """Inert text in lines of at most `WIDTH` columns, the later ones two columns further in; long words stay whole.

    A break may bring to the start of a line what does no harm within it, so each line is made inert again.
    """
    lines = textwrap.wrap(
        text,
        WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 2),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [inert(line) for line in lines]


def fitting(names: Sequence[str], *, most: int, indent: int) -> str:
    """The first few names, as many as fit in a line, and how many more there are; one at least."""
    for shown in range(min(most, len(names)), 0, -1):
        more = len(names) - shown
        text = ", ".join(names[:shown]) + (f" and {more:,} more" if more else "")
        if shown == 1 or indent + len(text) <= WIDTH:
            return " " * indent + text
    return ""
