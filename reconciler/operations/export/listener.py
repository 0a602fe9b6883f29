"""A local HTTP server that receives one file, for the callback of an export.

Its path is a 192-bit secret, so only a client that was given the URL can send the file. All other requests (garbage,
other paths, endless bodies, stalled clients, connections without end) are rejected and do not affect the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, cast

import h11

from reconciler.errors import UsageError, cannot_write

MAX_HEAD = 16 << 10
_PIECE = 1 << 16
_TEXTS = {200: "taken", 400: "no file", 404: "nothing here", 405: "post it", 408: "too slow", 409: "one file only"}
_TEXTS |= {413: "too large", 507: "no room"}
Event: TypeAlias = h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits for clients: bytes of a body, idle seconds (and seconds for a whole head), concurrent connections.

    Only connections that have not yet shown the secret path are counted; one too many drops the oldest.
    """

    body: int = 1 << 30
    idle_s: float = 30.0
    connections: int = 64


@dataclass(frozen=True, slots=True)
class Received:
    """A completely received file. It is at `path` until the listener closes; move it to keep it."""

    path: Path
    size: int
    sha256: str


class _Refused(Exception):
    """A request that is rejected with a status and has no other effect."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(status)


class Listener:
    """The server, open inside `async with`.

    Attributes:
        port: the port; `url` is the full local address with the secret path.
        path: the secret path, without a slash.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        limits: Limits | None = None,
        observe: Callable[[int, int | None], None] | None = None,
    ) -> None:
        """Prepare; the port is not opened yet.

        Args:
            folder: where the file is written while it arrives, with a unique name.
            port: 0 means any free port.
            limits: see `Limits`.
            observe: called with the number of bytes received, and the total if it is known.
        """
        self.port = port
        self.path = secrets.token_urlsafe(24)
        self._draft = folder / f".export-{os.getpid()}-{secrets.token_hex(4)}.part"
        self._limits = limits or Limits()
        self._observe = observe
        self._busy = False
        self._open: set[asyncio.Task[None]] = set()
        self._strangers: dict[asyncio.Task[None], None] = {}  # oldest first

    @property
    def url(self) -> str:
        """The local URL to send the file to."""
        return f"http://127.0.0.1:{self.port}/{self.path}"

    async def __aenter__(self) -> Listener:
        """Open the port. UsageError if that fails, or if the folder is not writable."""
        self._received: asyncio.Future[Received] = asyncio.get_running_loop().create_future()
        try:
            self._draft.touch(exist_ok=False)
        except OSError as error:
            raise cannot_write("a file in", str(self._draft.parent), error) from None
        try:
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        except BaseException as error:
            self._draft.unlink()
            if not isinstance(error, OSError):
                raise
            reason = os.strerror(error.errno) if error.errno else str(error)
            hint = "choose another port, or omit --port for any free one"
            raise UsageError(f"port {self.port} cannot be opened: {reason}", hint=hint) from None
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the port, disconnect every client, remove a file that was not moved."""
        self._server.close()
        for task in self._open:
            task.cancel()
        try:
            await asyncio.gather(*self._open, return_exceptions=True)
        finally:
            self._received.cancel()
            self._draft.unlink(missing_ok=True)

    async def file(self) -> Received:
        """Wait for the file. OSError if it could not be written."""
        return await asyncio.shield(self._received)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._open.add(task)
        self._strangers[task] = None
        if len(self._strangers) > self._limits.connections:
            oldest = next(iter(self._strangers))
            del self._strangers[oldest]
            oldest.cancel()
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._answer(_Wire(reader, writer, self._limits.idle_s))
        finally:
            self._open.discard(task)
            self._strangers.pop(task, None)
            writer.transport.abort() if task.cancelling() else writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _answer(self, wire: _Wire) -> None:
        """Handle one request; then the connection is closed."""
        outcome: Received | OSError | None = None
        try:
            async with asyncio.timeout(self._limits.idle_s):  # however slowly its bytes arrive
                request = await wire.event()
            if not isinstance(request, h11.Request):
                return
            outcome, status = await self._take(wire, self._expected(request)), 200
        except _Refused as refusal:
            status = refusal.status
        except h11.RemoteProtocolError:
            status = 400
        except TimeoutError:
            status = 408
        except ConnectionError:
            return
        except OSError as error:  # from writing to disk
            outcome, status = error, 507
        try:
            await wire.answer(status)
        finally:  # whether or not the sender waits for the response
            if outcome and not self._received.done():
                if isinstance(outcome, OSError):
                    self._received.set_exception(outcome)
                else:
                    self._received.set_result(outcome)

    def _expected(self, request: h11.Request) -> int | None:
        """The Content-Length of a request that sends the file; raises `_Refused` for any other request."""
        if not hmac.compare_digest(request.target, b"/" + self.path.encode()):
            raise _Refused(404)
        self._strangers.pop(cast("asyncio.Task[None]", asyncio.current_task()), None)
        if request.method not in (b"POST", b"PUT"):
            raise _Refused(405)
        length = next((int(value) for name, value in request.headers if name == b"content-length"), None)
        if length and length > self._limits.body:
            raise _Refused(413)
        if self._busy or self._received.done():
            raise _Refused(409)
        return length

    async def _take(self, wire: _Wire, length: int | None) -> Received:
        """Write the body to disk as it arrives. An incomplete file is overwritten by the next."""
        size, digest = 0, hashlib.sha256()
        self._busy = True
        try:
            with self._draft.open("wb") as file:
                while isinstance(event := await wire.event(), h11.Data):
                    size += len(event.data)
                    if size > self._limits.body:
                        raise _Refused(413)
                    digest.update(event.data)
                    file.write(event.data)
                    if self._observe:
                        self._observe(size, length)
        finally:
            self._busy = False
        if not isinstance(event, h11.EndOfMessage) or not size:
            raise _Refused(400)
        return Received(self._draft, size, digest.hexdigest())


class _Wire:
    """HTTP on one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, idle_s: float) -> None:
        self._reader = reader
        self._writer = writer
        self._idle_s = idle_s
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)

    async def event(self) -> Event:
        """The client's next event."""
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                self._send(h11.InformationalResponse(status_code=100, headers=[]))
            async with asyncio.timeout(self._idle_s):
                self._http.receive_data(await self._reader.read(_PIECE))
        return event

    async def answer(self, status: int) -> None:
        """Respond with a line of text."""
        text = f"{_TEXTS[status]}\n".encode()
        headers = [("Content-Length", str(len(text))), ("Content-Type", "text/plain"), ("Connection", "close")]
        self._send(h11.Response(status_code=status, headers=headers))
        self._send(h11.Data(data=text))
        self._send(h11.EndOfMessage())
        async with asyncio.timeout(self._idle_s):
            await self._writer.drain()

    def _send(self, event: h11.Event) -> None:
        with contextlib.suppress(h11.LocalProtocolError):  # a HEAD response has no body, a broken connection nothing
            self._writer.write(self._http.send(event) or b"")
