"""The way to the API that the global options and the environment give, with its talk on stderr."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable

from reconciler.api.address import api_url
from reconciler.api.connection import Exchange
from reconciler.cli.console import Console
from reconciler.operations.gateway import Gateway, find_tokens
from reconciler.ports import Clock
from reconciler.render.inert import inert


def connect(
    console: Console,
    application_ids: Iterable[str],
    *,
    parallelism: int,
    clock: Clock | None = None,
    note: Callable[[str], None] | None = None,
) -> Gateway:
    """The gateway for these applications. `note` is told of pauses and requests; stderr if None.

    Raises:
        UsageError: a URL that a token must not be sent to, or an application without a token.
    """
    tell = note or console.note

    def tell_request(exchange: Exchange) -> None:
        status = exchange.status or "no answer"
        tell(inert(f"{exchange.name}: {status} in {exchange.duration_s:.3f} s"))

    def tell_counts(counts: Counter[str]) -> None:
        if counts:
            listed = ", ".join(f"{number} {action}" for action, number in sorted(counts.items()))
            tell(f"Requests: {counts.total()} ({listed})")

    url = api_url(console.api_url or os.environ.get("LOSANT_API_URL"))
    return Gateway(
        find_tokens(os.environ, application_ids, token_file=console.token_file),
        url=url,
        parallelism=parallelism,
        clock=clock,
        note=lambda text: tell(inert(text)),
        observe=tell_request if console.verbose > 1 else None,
        count=tell_counts if console.verbose else None,
    )
