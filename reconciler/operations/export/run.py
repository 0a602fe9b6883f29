"""The steps of an export: find the device, open the port, ask, wait for the file, look into it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from reconciler.api.address import is_loopback
from reconciler.api.client import LosantApi
from reconciler.errors import (
    ApiError,
    ExitCode,
    NotFound,
    RateLimited,
    ReconcilerError,
    UsageError,
    cannot_write,
)
from reconciler.model.export import Export, ExportedFile
from reconciler.model.state import Kind
from reconciler.operations.export.archive import Contents, contents
from reconciler.operations.export.listener import Listener, Received
from reconciler.operations.export.request import ExportRequest, Listening
from reconciler.operations.gateway import Gateway
from reconciler.operations.lookup import find_device

PAUSE_S = 300.0  # an application has one export in this time
_SUFFIXES = {"zip": ".zip", "gzip": ".gz", "wasm": ".wasm", "other": ".bin"}


class _NotDelivered(ReconcilerError):
    """The job is queued, and no file of it was saved."""

    exit_code = ExitCode.NOT_CONVERGED


class _NotConfirmed(ReconcilerError):
    """Whether the job is queued is not known."""

    exit_code = ExitCode.NOT_CONFIRMED


class ExportObserver(Protocol):
    """Told of progress as it happens."""

    def note(self, text: str) -> None:
        """Something worth a line."""
        ...

    def queued(self, job_id: str | None) -> None:
        """The job was taken."""
        ...

    def received(self, size: int, total: int | None) -> None:
        """So many bytes of the file have arrived, of so many if that is known."""
        ...


class ExportRun:
    """One export. `export` tells what has come of it at any moment, None until the job is queued."""

    def __init__(self, request: ExportRequest, gateway: Gateway, observer: ExportObserver) -> None:
        self.export: Export | None = None
        self._request = request
        self._gateway = gateway
        self._observer = observer

    async def carry_out(self) -> None:
        """All of it.

        Raises:
            UsageError: no such device, a port that cannot be opened, an API that could not reach it.
            ReconcilerError: the job was refused, is perhaps queued, or is queued and no sound file came.
        """
        request, options = self._request, dict(self._request.options)
        self._check_reach()
        async with self._gateway.open() as api_of:
            api = api_of(request.application_id, Kind.EMBEDDED)
            if request.device is not None:
                options["deviceId"] = await find_device(request.device, api, Kind.EMBEDDED)
            if request.listening is None:
                if not options.keys() & {"email", "callbackUrl"}:
                    self._observer.note("Warning: the file goes nowhere without --email, --callback-url or --listen.")
                await self._ask(api, options)
            else:
                await self._ask_and_listen(api, options, request.listening)

    def _check_reach(self) -> None:
        """A port of this machine cannot be reached by a server elsewhere; asking it would waste the one export."""
        host, listening = self._gateway.host, self._request.listening
        if listening and listening.public_url is None and not is_loopback(host):
            raise UsageError(
                f"--listen opens a port of this machine, which cannot be reached by {host}",
                hint="start a tunnel to a port, and pass --port and, with the tunnel's address, --public-url",
            )

    async def _ask(self, api: LosantApi, options: dict[str, object]) -> None:
        try:
            job_id = await api.export(options)
        except RateLimited as error:
            raise _too_soon(error, self._gateway.clock.utc_now()) from None
        except NotFound as error:
            hint = "check --application; or nothing is deployed to what was named, so there is nothing to compile"
            raise NotFound(error.problems[0].message, hint=hint, status=404) from None
        except ApiError as error:
            if not error.outcome_unknown:
                raise
            message = f"{error.problems[0].message}; whether the job was queued is not known"
            raise _NotConfirmed(message, hint="look for its file; ask again in five minutes") from None
        self.export = Export(self._request.application_id, job_id, options)
        self._observer.queued(job_id)

    async def _ask_and_listen(self, api: LosantApi, options: dict[str, object], listening: Listening) -> None:
        folder = listening.out.parent if listening.out else Path()
        async with _opened(folder, listening, self._observer.received) as listener:
            options["callbackUrl"] = _callback_url(listener, listening)
            await self._ask(api, options)
            self._observer.note(f"Waiting {listening.timeout} for the file, on port {listener.port}.")
            received = await self._received(listener, listening)
            if self.export:
                self.export = replace(self.export, file=_keep(received, listening, self.export.job_id))

    async def _received(self, listener: Listener, listening: Listening) -> Received:
        try:
            async with asyncio.timeout(listening.timeout_s):
                return await listener.file()
        except TimeoutError:
            job = f" for job {self.export.job_id}" if self.export and self.export.job_id else ""
            hint = "the job goes on; does the tunnel lead to the port? Losant may also have failed to compile"
            raise _NotDelivered(f"no file came{job} within {listening.timeout}", hint=hint) from None
        except OSError as error:
            raise _unsaved(listening.out or Path.cwd(), error) from None


def _keep(received: Received, listening: Listening, job_id: str | None) -> ExportedFile:
    """Look into the file where it lies, and only then give it its name."""
    found = contents(received.path)
    path = listening.out or Path(_name(received, found, job_id))
    try:
        if path.exists():
            raise FileExistsError(errno.EEXIST, "it exists already")
        received.path.replace(path)
    except OSError as error:
        raise _unsaved(path, error) from None
    return ExportedFile(str(path), received.size, f"sha256:{received.sha256}", found.type, found.modules)


def _name(received: Received, found: Contents, job_id: str | None) -> str:
    part = re.sub("[^0-9A-Za-z_-]", "_", job_id) if job_id else received.sha256[:12]
    return f"export-{part}{_SUFFIXES[found.type]}"


@contextlib.asynccontextmanager
async def _opened(
    folder: Path, listening: Listening, observe: Callable[[int, int | None], None]
) -> AsyncIterator[Listener]:
    """The listener, with errors of opening it in the user's words."""
    listener = Listener(folder, port=listening.port, observe=observe)
    async with contextlib.AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(listener)
        except OSError as error:
            raise _cannot_open(error, listening) from None
        yield listener


def _cannot_open(error: OSError, listening: Listening) -> UsageError:
    if error.filename is not None:
        option, path = ("--out", listening.out) if listening.out else ("a file in", Path.cwd())
        return cannot_write(option, str(path), error)
    reason = os.strerror(error.errno) if error.errno else str(error)
    hint = "name another --port, or none for any that is free"
    return UsageError(f"--port {listening.port} cannot be opened: {reason}", hint=hint)


def _unsaved(path: Path, error: OSError) -> _NotDelivered:
    return _NotDelivered(cannot_write("the file that came,", str(path), error).problems)


def _callback_url(listener: Listener, listening: Listening) -> str:
    if listening.public_url is None:
        return listener.url
    return f"{listening.public_url.rstrip('/')}/{listener.path}"


def _too_soon(error: RateLimited, now: str) -> RateLimited:
    """The limit in words, and when it is over at the latest."""
    pause_s = PAUSE_S if error.retry_after_s is None else error.retry_after_s
    then = datetime.fromisoformat(now) + timedelta(seconds=pause_s)
    return RateLimited(
        f"{error.problems[0].message}: Losant gives an application one export in 5 minutes, and nothing was queued",
        hint=f"try again at {then:%Y-%m-%d %H:%M:%S} UTC",
        status=error.status,
        retry_after_s=error.retry_after_s,
    )
