"""Makes the API gateway from the global options and the environment. Its messages go to stderr."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable

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
        {one: token_of(console, one, clock) for one in dict.fromkeys(application_ids)},
        url,
        parallelism,
        clock,
        note=lambda text: write(inert(text)),
        observe=write_request if console.verbose > 1 else None,
        count=write_counts if console.verbose else None,
        was_read=was_read,
        page_read=page_read,
    )


def token_of(console: Console, application_id: str, clock: Clock) -> Token:
    """The token of an application."""
    if console.token_command is None:
        return find_token(os.environ, application_id, token_file=console.token_file)
    from reconciler.api.http.token_command import command_token

    return command_token(console.token_command, application_id, now=clock.utc_now())
