"""Runs an export: find the device, open the port, queue the job, wait for the file, inspect it."""

from __future__ import annotations

import asyncio
import errno
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from reconciler.api.client import LosantApi
from reconciler.api.http.address import is_loopback
from reconciler.errors import ApiError, ExitCode, NotFound, RateLimited, ReconcilerError, UsageError, cannot_write
from reconciler.model.export import Export, ExportedFile
from reconciler.model.state import Kind
from reconciler.operations.export.archive import NotDelivered, contents
from reconciler.operations.export.listener import Listener, Received
from reconciler.operations.gateway import Gateway
from reconciler.operations.inspect import find_device

PAUSE_S = 300.0  # an application may request one export in this time
_SUFFIXES = {"zip": ".zip", "gzip": ".gz", "wasm": ".wasm", "other": ".bin"}


class _NotConfirmed(ReconcilerError):
    """It is unknown whether the job is queued."""

    exit_code = ExitCode.NOT_CONFIRMED


@dataclass(frozen=True, slots=True)
class Listening:
    """How to receive the file: on a `port` (0: any), reached by `public_url`; `out` None means a name from the job."""

    port: int = 0
    public_url: str | None = None
    out: Path | None = None
    timeout_s: float = 600.0


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """One export. `options` are fields of the API's Export schema; `device` is an id or a name."""

    application_id: str
    options: Mapping[str, object]
    device: str | None = None
    listening: Listening | None = None


@dataclass(slots=True)
class ExportRun:
    """One export.

    Attributes:
        note: called with messages.
        queued: called with the id of the job, if the API gave it, once the job is queued.
        received: called with the number of bytes received, and the total if it is known.
        export: the result at any time, None until the job is queued.
    """

    request: ExportRequest
    gateway: Gateway
    note: Callable[[str], None]
    queued: Callable[[str | None], None]
    received: Callable[[int, int | None], None] | None = None
    export: Export | None = field(default=None, init=False)

    async def carry_out(self) -> None:
        """Run the whole export.

        Raises:
            UsageError: no such device, a port that cannot be opened, or one that the API cannot reach.
            ReconcilerError: the job was refused, may be queued, or is queued but no valid file arrived.
        """
        request, options = self.request, dict(self.request.options)
        host, listening = self.gateway.host, request.listening
        if listening and listening.public_url is None and not is_loopback(host):
            raise UsageError(  # before it wastes the only export in five minutes
                f"the file would be sent to a local port, which {host} cannot reach",
                hint="start a tunnel to a port, and pass --port and the tunnel's --public-url",
            )
        async with self.gateway.open() as api_of:
            api = api_of(request.application_id, Kind.EMBEDDED)
            if request.device is not None:
                options["deviceId"] = await find_device(request.device, api)
            if listening:
                await self._queue_and_listen(api, options, listening)
                return
            if not options.keys() & {"email", "callbackUrl"}:
                self.note("Warning: without --email, --callback-url or --listen, the file is not delivered.")
            await self._queue(api, options)

    async def _queue(self, api: LosantApi, options: dict[str, object]) -> str | None:
        try:
            job_id = await api.export(options)
        except RateLimited as error:
            raise _too_soon(error, self.gateway.clock.utc_now()) from None
        except NotFound as error:
            hint = "check the application's id; or the selected devices have no deployments to compile"
            raise NotFound(error.problems[0].message, hint=hint, status=404) from None
        except ApiError as error:
            if not error.outcome_unknown:
                raise
            message = f"{error.problems[0].message}; it is unknown whether the job was queued"
            raise _NotConfirmed(message, hint="check whether its file arrives; else retry in five minutes") from None
        self.export = Export(self.request.application_id, job_id, options)
        self.queued(job_id)
        return job_id

    async def _queue_and_listen(self, api: LosantApi, options: dict[str, object], listening: Listening) -> None:
        folder = listening.out.parent if listening.out else Path()
        async with Listener(folder, port=listening.port, observe=self.received) as listener:
            url = listening.public_url
            options["callbackUrl"] = f"{url.rstrip('/')}/{listener.path}" if url else listener.url
            job_id = await self._queue(api, options)
            self.note(f"Waiting {listening.timeout_s:g} s for the file, on port {listener.port}.")
            try:
                async with asyncio.timeout(listening.timeout_s):
                    received = await listener.file()
            except TimeoutError:
                message = f"no file arrived{f' for job {job_id}' if job_id else ''} within {listening.timeout_s:g} s"
                hint = "the job continues; check that the tunnel leads to the port; compiling may also have failed"
                raise NotDelivered(message, hint=hint) from None
            except OSError as error:
                raise _unsaved(listening.out or Path.cwd(), error) from None
            self.export = Export(self.request.application_id, job_id, options, _keep(received, listening.out, job_id))


def _keep(received: Received, out: Path | None, job_id: str | None) -> ExportedFile:
    """Inspect the received file, and only then move it to its final name."""
    found = contents(received.path)
    part = re.sub("[^0-9A-Za-z_-]", "_", job_id) if job_id else received.sha256[:12]
    path = out or Path(f"export-{part}{_SUFFIXES[found.type]}")
    try:
        if path.exists():
            raise FileExistsError(errno.EEXIST, "it already exists")
        received.path.replace(path)
    except OSError as error:
        raise _unsaved(path, error) from None
    return ExportedFile(str(path), received.size, f"sha256:{received.sha256}", found.type, found.modules)


def _unsaved(path: Path, error: OSError) -> NotDelivered:
    return NotDelivered(cannot_write("the received file", str(path), error).problems)


def _too_soon(error: RateLimited, now: str) -> RateLimited:
    """The error with an explanation of the limit, and the latest time at which it ends."""
    pause_s = PAUSE_S if error.retry_after_s is None else error.retry_after_s
    then = datetime.fromisoformat(now) + timedelta(seconds=pause_s)
    return RateLimited(
        f"{error.problems[0].message}: Losant allows one export per application in 5 minutes, so nothing was queued",
        hint=f"try again at {then:%Y-%m-%d %H:%M:%S} UTC",
        status=error.status,
        retry_after_s=error.retry_after_s,
    )
