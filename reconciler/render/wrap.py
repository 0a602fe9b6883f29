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


def fitting(names: Sequence[str], *, total: int, indent: int) -> str:
    """As many of the names as fit in a line, one at least, and how many of the `total` they leave out."""
    shown = len(names)
    while True:
        more = f" and {total - shown:,} more" if total > shown else ""
        text = " " * indent + ", ".join(names[:shown]) + more
        if shown <= 1 or len(text) <= WIDTH:
            return text
        shown -= 1
