"""How far a reading is, on a terminal."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from reconciler.api.pages import PageRead
from reconciler.cli.console import Console
from reconciler.ports import Clock

if TYPE_CHECKING:
    from reconciler.cli.progress import Phase

PATIENCE_S = 1.0  # a reading that is shorter is not shown


class Reading:
    """How far the listings of a run are read: a bar on a terminal, unless stdout is for programs.

    What draws it is imported only once the reading takes longer than that itself.
    """

    def __init__(self, console: Console, clock: Clock) -> None:
        self._console = console
        self._clock = clock
        self._began = clock.monotonic()
        self._shown = ExitStack()
        self._bar: Phase | None = None
        self._listings: dict[object, tuple[int, int]] = {}
        self._is_over = console.fmt in ("json", "events") or not sys.stderr.isatty()

    def __enter__(self) -> Reading:
        return self

    def __exit__(self, *error: Any) -> None:
        self.end()

    def end(self) -> None:
        """Show nothing any more."""
        self._is_over = True
        self._shown.close()

    def page_read(self, page: PageRead) -> None:
        """A page was read; a listing that begins anew counts anew."""
        if self._is_over:
            return
        before = self._listings.get(page.listing, (0, 0))[0] if page.number else 0
        self._listings[page.listing] = min(before + page.records, page.total), page.total  # pages overlap
        read, total = (sum(column) for column in zip(*self._listings.values(), strict=True))
        if self._bar is None:
            if self._clock.monotonic() - self._began < PATIENCE_S:
                return
            from reconciler.cli.progress import Display

            display = self._shown.enter_context(Display(self._console, self._clock).shown())
            self._bar = display.phase("reading records", total)
        self._bar.total = total
        self._bar.display.draw(self._bar, read, "")
