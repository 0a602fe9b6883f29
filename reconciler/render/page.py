"""A Markdown page of limited size: it is cut at rows, and says what was left out.

Names go into code spans, where mentions, links, HTML and emphasis have no effect in any relevant renderer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from enum import Enum, auto
from typing import TypeVar

from reconciler.model.plan import Gone
from reconciler.model.result import Move
from reconciler.model.state import Application, Kind
from reconciler.render.inert import inert

DEFAULT_MAX_BYTES = 65_000
SMALLEST = 1_000
SIGN = {"add": "add", "update": "change", "remove": "**destroy**"}
MOVES = "\n| flow | | from | to | devices |\n| --- | --- | --- | --- | ---: |\n"
T = TypeVar("T")
_RESERVE = 400  # bytes reserved for the last line: a plan has eight nouns, with numbers below ten million


def code(text: str, *, limit: int = 300) -> str:
    """A code span. Backticks and pipes, which would end it or the table cell, are escaped."""
    shown = inert(text, limit=limit).replace("`", "\\x60").replace("|", "\\x7c")
    return f"`{shown or ' '}`"


def heading(application: Application, kind: Kind) -> str:
    """The heading of an application's section."""
    name = f"{code(application.name)} " if application.name else ""
    return f"\n### Application {name}`{application.id}`, {kind}\n"


def gone_line(one: Gone) -> str:
    """A warning that is told first, in bold."""
    return f"**Warning: {code(one.message)}** ({code(one.hint or '')})\n"


def version_code(version: str | None) -> str:
    """A version as a code span, or "nothing"."""
    return "nothing" if version is None else code(version)


def move_row(move: Move) -> str:
    """A row of the table of equal changes."""
    versions = f"{version_code(move.from_version)} | {version_code(move.to_version)}"
    return f"| {code(move.flow_name or move.flow_id)} | {SIGN[move.op]} | {versions} | {move.count:,} |"


class Rank(Enum):
    """The priority of a section when there is not enough room.

    Removals are `VITAL`. `LEADS` (summary tables and refusals) may take half of the room before the removals are
    placed, and the remaining room after them. `DETAIL` gets what is left.
    """

    LEADS = auto()
    VITAL = auto()
    DETAIL = auto()


class _Section:
    """A section whose rows are rendered lazily, only as many as fit: there may be a hundred thousand."""

    def __init__(self, rows: Iterator[str], opening: str, closing: str, *, noun: str, total: int, rank: Rank) -> None:
        self._rows = rows
        self._next = next(rows, None)
        self._opening, self._closing = opening, closing
        self.shown: list[str] = []
        self.total, self.noun, self.rank = total, noun, rank

    def grow(self, room: int) -> int:
        """Add as many rows as fit into `room` bytes. Returns the bytes used, including the frame."""
        taken = 0
        frame = 0 if self.shown else size(self._opening) + size(self._closing)
        while self._next is not None and taken + frame + size(self._next) + 1 <= room:
            taken += frame + size(self._next) + 1
            frame = 0
            self.shown.append(f"{self._next}\n")
            self._next = next(self._rows, None)
        return taken

    def text(self) -> str:
        return "".join([self._opening, *self.shown, self._closing]) if self.shown else ""


class Page:
    """Collects text up to `max_bytes` (UTF-8). What does not fit is counted, not written.

    Sections keep the order in which they were added, and are given room by rank.
    """

    def __init__(self, max_bytes: int = DEFAULT_MAX_BYTES, *, elsewhere: str) -> None:
        self._lines: list[str] = []
        self._sections: list[_Section] = []
        self._left = max_bytes - _RESERVE
        self._elsewhere = elsewhere

    def line(self, text: str = "") -> None:
        """Add a line at the top of the page, unless it does not fit."""
        taken = size(text) + 1
        if taken <= self._left:
            self._left -= taken
            self._lines.append(f"{text}\n")

    def commit(self, commit: str | None) -> None:
        """Add the commit of the manifests, if known."""
        if commit:
            self.line()
            self.line(f"Commit {code(commit, limit=40)}.")

    def section(
        self,
        noun: str,
        items: Collection[T],
        row: Callable[[T], str],
        *,
        opening: str = "",
        summary: str = "",
        rank: Rank = Rank.DETAIL,
    ) -> None:
        """Add an opening and a row for each item, folded if there is a summary; without items, nothing."""
        before, after = folded(summary) if summary else ("", "")
        self._sections.append(
            _Section(map(row, items), opening + before, after, noun=noun, total=len(items), rank=rank)
        )

    def text(self) -> str:
        """The text of the page; its last line says what was left out, if anything."""
        left = self._left
        left -= self._grow(left // 2, Rank.LEADS)
        left -= self._grow(left, Rank.VITAL)
        left -= self._grow(left, Rank.LEADS)
        self._grow(left, Rank.DETAIL)
        return "".join([*self._lines, *(section.text() for section in self._sections), *self._left_out()])

    def _grow(self, room: int, rank: Rank) -> int:
        """Fill `room` bytes with the sections of a rank. Returns the bytes used."""
        taken = 0
        for section in self._sections:
            if section.rank is rank:
                taken += section.grow(room - taken)
        return taken

    def _left_out(self) -> Iterator[str]:
        shown, total = Counter[str](), Counter[str]()
        for section in self._sections:
            shown[section.noun] += len(section.shown)
            total[section.noun] += section.total
        left_out = [
            f"{number - shown[noun]:,} of {number:,} {noun}" if shown[noun] else f"{number:,} {noun}"
            for noun, number in total.items()
            if shown[noun] < number
        ]
        if left_out:
            yield f"\nLeft out to stay under the size limit: {'; '.join(left_out)}. {self._elsewhere}\n"


def size(text: str) -> int:
    """The size of text on a page, in bytes."""
    return len(text.encode("utf-8", "surrogatepass"))


def folded(summary: str) -> tuple[str, str]:
    """The opening and closing of a folded part with a summary (trusted text)."""
    return f"\n<details><summary>{summary}</summary>\n\n", "\n</details>\n"
