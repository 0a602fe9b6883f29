"""A Markdown page that never grows past a number of bytes: it is cut at rows, and says what it left out.

Names go into code spans, where no mention, link, HTML or emphasis acts, in any of the renderers that matter.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.render.inert import inert

DEFAULT_MAX_BYTES = 65_000
SMALLEST = 1_000
_RESERVE = 400  # bytes kept for the closing words about what was left out


def code(text: str, *, limit: int = 300) -> str:
    """A code span. A backtick or a pipe would end it, or the table cell, so both are shown as escapes."""
    shown = inert(text, limit=limit).replace("`", "\\x60").replace("|", "\\x7c")
    return f"`{shown or ' '}`"


class Page:
    """Collects text up to `max_bytes` (UTF-8). What does not fit is counted, not written.

    Sections are added most important first, so that what is cut is what matters least.
    """

    def __init__(self, max_bytes: int = DEFAULT_MAX_BYTES, *, elsewhere: str) -> None:
        self._parts: list[str] = []
        self._left = max_bytes - _RESERVE
        self._elsewhere = elsewhere
        self._omitted: list[str] = []

    def line(self, text: str = "") -> None:
        """One line, or nothing if it does not fit."""
        self._add(text + "\n")

    def section(self, rows: Iterable[str], *, noun: str, opening: str = "", closing: str = "") -> None:
        """Rows between an opening and a closing that are written together or not at all."""
        rows = list(rows)
        if not rows:
            return
        frame = _size(opening) + _size(closing)
        if frame + _size(rows[0]) + 1 > self._left:
            self._omitted.append(f"{len(rows):,} {noun}")
            return
        self._parts.append(opening)
        self._left -= frame
        fitting = 0
        for row in rows:
            if not self._add(row + "\n"):
                break
            fitting += 1
        self._parts.append(closing)
        if fitting < len(rows):
            self._omitted.append(f"{len(rows) - fitting:,} of {len(rows):,} {noun}")

    def text(self) -> str:
        """The page; its last line says what was left out, if anything was."""
        if not self._omitted:
            return "".join(self._parts)
        told = "; ".join(self._omitted[:6])
        return "".join(self._parts) + f"\nLeft out to stay under the size limit: {told}. {self._elsewhere}\n"

    def _add(self, text: str) -> bool:
        size = _size(text)
        if size > self._left:
            return False
        self._left -= size
        self._parts.append(text)
        return True


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def folded(summary: str) -> tuple[str, str]:
    """Opening and closing of a folded part with that summary (trusted text)."""
    return f"\n<details><summary>{summary}</summary>\n\n", "\n</details>\n"
