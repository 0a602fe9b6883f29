"""The way to the API for one run of the command line."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

from reconciler.api.address import api_url
from reconciler.api.client import LosantApi
from reconciler.api.clock import SystemClock
from reconciler.api.connection import Connection, Exchange, connect
from reconciler.api.credentials import Token, find_token
from reconciler.cli.console import Session
from reconciler.cli.signals import current
from reconciler.model.state import Kind
from reconciler.ports import Clock
from reconciler.render.inert import inert

T = TypeVar("T")


class Access:
    """Where the API is, which token each application has, how to talk of requests.

    Tokens are found at once, so that a missing one is told before anything is read.

    Attributes:
        clock: all time of the run.
        note: where pauses and requests are told of.
    """

    def __init__(self, session: Session, application_ids: Sequence[str], *, parallelism: int) -> None:
        self._verbose = session.verbose
        self._url = api_url(session.api_url or os.environ.get("LOSANT_API_URL"))
        self._tokens: dict[str, Token] = {
            application_id: find_token(os.environ, application_id, token_file=session.token_file)
            for application_id in application_ids
        }
        self._parallelism = parallelism
        self.clock: Clock = SystemClock()
        self.note: Callable[[str], None] = session.note

    @property
    def host(self) -> str:
        """The host of the API's URL."""
        return urlsplit(self._url).hostname or ""

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Callable[[str, Kind], LosantApi]]:
        """A function that gives the API of an application and kind, all over one connection."""
        async with connect(
            url=self._url,
            parallelism=self._parallelism,
            clock=self.clock,
            observe=self._tell if self._verbose > 1 else None,
            note=lambda text: self.note(inert(text)),
        ) as connection:

            def api_of(application_id: str, kind: Kind) -> LosantApi:
                return LosantApi(
                    connection, token=self._tokens[application_id], application_id=application_id, kind=kind
                )

            try:
                yield api_of
            finally:
                self._tell_counts(connection)

    def _tell(self, exchange: Exchange) -> None:
        status = exchange.status or "no answer"
        self.note(inert(f"{exchange.name}: {status} in {exchange.duration_s:.3f} s"))

    def _tell_counts(self, connection: Connection) -> None:
        if self._verbose and connection.counts:
            listed = ", ".join(f"{number} {action}" for action, number in sorted(connection.counts.items()))
            self.note(f"Requests: {connection.counts.total()} ({listed})")


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; an interrupt cancels the work and becomes KeyboardInterrupt."""
    interrupts = current()

    async def cancellable() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.create_task(work)
        with interrupts.cancelling(lambda: loop.call_soon_threadsafe(task.cancel)):
            return await task

    try:
        interrupts.check()
        result = asyncio.run(cancellable())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        work.close()  # where it never began
    interrupts.check()
    return result
