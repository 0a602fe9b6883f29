"""The steps of an export: find the device, open the port, ask, wait for the file, look into it, report."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from reconciler.api.address import is_loopback
from reconciler.api.client import LosantApi
from reconciler.cli.access import Access, run_async
from reconciler.cli.archive import Contents, contents
from reconciler.cli.console import Session
from reconciler.cli.exportorder import ExportOrder, Listening
from reconciler.cli.files import cannot_write
from reconciler.cli.find import find_device
from reconciler.cli.listener import Listener, Received
from reconciler.cli.progress import Display
from reconciler.cli.signals import undisturbed
from reconciler.documents.export import export_part
from reconciler.documents.json import error_data
from reconciler.errors import ApiError, ExitCode, Interrupted, NotFound, RateLimited, ReconcilerError, UsageError
from reconciler.model.export import ExportedFile
from reconciler.model.state import Kind
from reconciler.render.export import file_text
from reconciler.render.inert import inert

PAUSE_S = 300.0  # an application has one export in this time (losant/api.md 6.2)
_SUFFIXES = {"zip": ".zip", "gzip": ".gz", "wasm": ".wasm", "other": ".bin"}


class _NotDelivered(ReconcilerError):
    """The job is queued, and no file of it was saved."""

    exit_code = ExitCode.NOT_CONVERGED


class _NotConfirmed(ReconcilerError):
    """Whether the job is queued is not known."""

    exit_code = ExitCode.NOT_CONFIRMED


def export(session: Session, order: ExportOrder) -> int:
    """Carry an export out; return the exit code."""
    run = _Export(session, order)
    try:
        access = Access(session, [order.application_id], parallelism=1)
        run_async(run.steps(access))
    except KeyboardInterrupt:
        with undisturbed():
            return run.fail(Interrupted("interrupted"))
    except ReconcilerError as error:
        return run.fail(error)
    run.report()
    return session.exit(ExitCode.DONE)


@dataclass(slots=True)
class _Asked:
    """A job that was taken: its id, if the API told it, and what was asked for."""

    job_id: str | None
    options: dict[str, object]
    file: ExportedFile | None = None


class _Export:
    def __init__(self, session: Session, order: ExportOrder) -> None:
        self._session = session
        self._order = order
        self._asked: _Asked | None = None

    async def steps(self, access: Access) -> None:
        """All of it; what has come of it so far is kept for the report."""
        order, options = self._order, dict(self._order.options)
        self._check_reach(access.host)
        async with access.open() as api_of:
            api = api_of(order.application_id, Kind.EMBEDDED)
            if order.device is not None:
                options["deviceId"] = await find_device(order.device, api, Kind.EMBEDDED)
            if order.listening is None:
                if not options.keys() & {"email", "callbackUrl"}:
                    self._session.note("Warning: the file goes nowhere without --email, --callback-url or --listen.")
                await self._ask(api, options, access)
            else:
                await self._ask_and_listen(api, options, access, order.listening)

    def _check_reach(self, host: str) -> None:
        """A port of this machine is nothing to a server elsewhere; asking it would waste the one export."""
        listening = self._order.listening
        if listening and listening.public_url is None and not is_loopback(host):
            raise UsageError(
                f"--listen opens a port of this machine, which cannot be reached by {host}",
                hint="start a tunnel to a port, and pass --port and, with the tunnel's address, --public-url",
            )

    async def _ask(self, api: LosantApi, options: dict[str, object], access: Access) -> None:
        try:
            job_id = await api.export(options)
        except RateLimited as error:
            raise _too_soon(error, access.clock.utc_now()) from None
        except NotFound as error:
            hint = "check --application; or nothing is deployed to what was named, so there is nothing to compile"
            raise NotFound(error.problems[0].message, hint=hint, status=404) from None
        except ApiError as error:
            if not error.outcome_unknown:
                raise
            message = f"{error.problems[0].message}; whether the job was queued is not known"
            raise _NotConfirmed(message, hint="look for its file; ask again in five minutes") from None
        self._asked = _Asked(job_id, options)
        if not self._session.wants_json and job_id:
            self._session.write(inert(job_id))

    async def _ask_and_listen(
        self, api: LosantApi, options: dict[str, object], access: Access, listening: Listening
    ) -> None:
        display = Display(self._session, access.clock)
        with display.shown():
            phase = display.phase("receiving", 0)
            folder = listening.out.parent if listening.out else Path()
            async with _opened(folder, listening, lambda size, total: phase.rows(size, total or size)) as listener:
                options["callbackUrl"] = _callback_url(listener, listening)
                await self._ask(api, options, access)
                display.note(f"Waiting {listening.timeout} for the file, on port {listener.port}.")
                self._keep(await self._received(listener, listening), listening)

    async def _received(self, listener: Listener, listening: Listening) -> Received:
        try:
            async with asyncio.timeout(listening.timeout_s):
                return await listener.file()
        except TimeoutError:
            job = f" for job {self._asked.job_id}" if self._asked and self._asked.job_id else ""
            hint = "the job goes on; does the tunnel lead to the port? Losant may also have failed to compile"
            raise _NotDelivered(f"no file came{job} within {listening.timeout}", hint=hint) from None
        except OSError as error:
            raise _unsaved(listening.out or Path.cwd(), error) from None

    def _keep(self, received: Received, listening: Listening) -> None:
        """Look into the file where it lies, and only then give it its name."""
        found = contents(received.path)
        path = listening.out or Path(self._name(received, found))
        try:
            if path.exists():
                raise FileExistsError(errno.EEXIST, "it exists already")
            received.path.replace(path)
        except OSError as error:
            raise _unsaved(path, error) from None
        if self._asked:
            self._asked.file = ExportedFile(str(path), received.size, received.sha256, found.type, found.modules)

    def _name(self, received: Received, found: Contents) -> str:
        job = self._asked.job_id if self._asked else None
        part = re.sub("[^0-9A-Za-z_-]", "_", job) if job else received.sha256[:12]
        return f"export-{part}{_SUFFIXES[found.type]}"

    def report(self) -> None:
        """What came of it, to stdout."""
        if self._session.wants_json:
            self._write_document(None)
            return
        if self._asked and self._asked.file:
            self._session.write(file_text(self._asked.file))
            if self._asked.file.type == "other":
                self._session.note("Warning: the file is no zip, gzip or WASM module; look into it.")

    def fail(self, error: ReconcilerError) -> int:
        """The error, with the job if there is one."""
        if self._session.wants_json:
            self._write_document(error)
        return self._session.fail(error)

    def _write_document(self, error: ReconcilerError | None) -> None:
        told = error_data(error.exit_code, error.problems) if error else None
        asked = self._asked
        exports = [export_part(self._order.application_id, asked.job_id, asked.options, asked.file)] if asked else []
        self._session.write_json("export", error=told, exports=exports)


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
        retry_after_s=error.retry_after_s,
    )
