"""Wraps text for a narrow terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from reconciler.render.inert import inert

WIDTH = 60


def wrapped(text: str, *, indent: int) -> list[str]:
    """Wrap inert text to `WIDTH` columns, with later lines indented by two more; long words are not broken.

    Text that is harmless within a line may not be at its start, so each line is made inert again.
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
    """As many names as fit in a line, at least one, and how many of the `total` are left out."""
    shown = len(names)
    while True:
        more = f" and {total - shown:,} more" if total > shown else ""
        text = " " * indent + ", ".join(names[:shown]) + more
        if shown <= 1 or len(text) <= WIDTH:
            return text
        shown -= 1
