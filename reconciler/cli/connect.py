"""Makes the API gateway from the global options and the environment. Its messages go to stderr."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from reconciler.api.client import WasRead
from reconciler.api.http.address import api_url
from reconciler.api.http.connection import Exchange
from reconciler.api.http.credentials import Token, find_token
from reconciler.api.pages import PageRead
from reconciler.cli.console import Console
from reconciler.operations.gateway import Gateway
from reconciler.ports import Clock
from reconciler.render.inert import inert
from reconciler.runtime import SystemClock

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


def connect(
    console: Console,
    application_ids: Iterable[str],
    *,
    parallelism: int,
    clock: Clock | None = None,
    note: Callable[[str], None] | None = None,
    was_read: Callable[[WasRead], None] | None = None,
    page_read: Callable[[PageRead], None] | None = None,
) -> Gateway:
    """The gateway for these applications. `note` gets a line for each pause and request; by default stderr.

    Raises:
        UsageError: an API URL that is not acceptable, an application without a token, or a token command that fails.
    """
    write = note or console.note

    def write_request(exchange: Exchange) -> None:
        write(inert(f"{exchange.name}: {exchange.status or 'no response'} in {exchange.duration_s:.3f} s"))

    def write_counts(counts: Counter[str]) -> None:
        if counts:
            listed = ", ".join(f"{number} {action}" for action, number in sorted(counts.items()))
            write(f"Requests: {counts.total()} ({listed})")

    clock = clock or SystemClock()
    url = api_url(console.api_url or os.environ.get("LOSANT_API_URL"))
    return Gateway(
        {one: _token(console, one, clock) for one in dict.fromkeys(application_ids)},
        url,
        parallelism,
        clock,
        note=lambda text: write(inert(text)),
        observe=write_request if console.verbose > 1 else None,
        count=write_counts if console.verbose else None,
        was_read=was_read,
        page_read=page_read,
    )


def _token(console: Console, application_id: str, clock: Clock) -> Token:
    if console.token_command is None:
        return find_token(os.environ, application_id, token_file=console.token_file)
    from reconciler.api.http.token_command import command_token

    return command_token(console.token_command, application_id, now=clock.utc_now())
