"""A port of this machine that takes one file, for the callback of an export.

The path is a secret of 192 bits, so only who was given it can put a file here. Whatever else comes (garbage, other
paths, bodies without end, clients that stall) is turned away and leaves the port as it was.
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
_TEXTS |= {413: "too large", 503: "too many at once", 507: "no room"}
Event: TypeAlias = h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may take: bytes of a body, seconds of silence (and for a whole head), connections at once."""

    body: int = 1 << 30
    idle_s: float = 30.0
    connections: int = 64


@dataclass(frozen=True, slots=True)
class Received:
    """A file that arrived whole. It lies at `path` until the listener ends; move it away to keep it."""

    path: Path
    size: int
    sha256: str


class _Refused(Exception):
    """A request that is answered with a status and has no other effect."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(status)


class Listener:
    """Open while inside `async with`.

    Attributes:
        port: the port; `url` its full address with the secret path, of this machine.
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
        """Prepare; nothing is opened.

        Args:
            folder: where the file lies while it arrives, under a name of its own.
            port: 0 takes any that is free.
            limits: see `Limits`.
            observe: called with the bytes that have arrived, and with how many there will be if that is known.
        """
        self.port = port
        self.path = secrets.token_urlsafe(24)
        self._draft = folder / f".export-{os.getpid()}-{secrets.token_hex(4)}.part"
        self._limits = limits or Limits()
        self._observe = observe
        self._busy = False
        self._open: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where to put the file, from this machine."""
        return f"http://127.0.0.1:{self.port}/{self.path}"

    async def __aenter__(self) -> Listener:
        """Open the port. UsageError where that cannot be, or where the folder cannot be written."""
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
            hint = "name another port, or none for any that is free"
            raise UsageError(f"port {self.port} cannot be opened: {reason}", hint=hint) from None
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the port, cut off every client, remove what was not moved away."""
        self._server.close()
        for task in self._open:
            task.cancel()
        try:
            await asyncio.gather(*self._open, return_exceptions=True)
        finally:
            self._received.cancel()
            self._draft.unlink(missing_ok=True)

    async def file(self) -> Received:
        """Wait for the file. OSError where it came and could not be written."""
        return await asyncio.shield(self._received)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._open.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._answer(_Wire(reader, writer, self._limits.idle_s))
        finally:
            self._open.discard(task)
            writer.transport.abort() if task.cancelling() else writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _answer(self, wire: _Wire) -> None:
        """One request and its answer; then the connection ends."""
        outcome: Received | OSError | None = None
        try:
            async with asyncio.timeout(self._limits.idle_s):  # however slowly its bytes trickle
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
        except OSError as error:  # of the disk
            outcome, status = error, 507
        try:
            await wire.answer(status)
        finally:  # whether or not the sender waits for the answer
            if outcome and not self._received.done():
                if isinstance(outcome, OSError):
                    self._received.set_exception(outcome)
                else:
                    self._received.set_result(outcome)

    def _expected(self, request: h11.Request) -> int | None:
        """The length that a request announces, if it is one that brings the file; else `_Refused`."""
        if len(self._open) > self._limits.connections:
            raise _Refused(503)
        if not hmac.compare_digest(request.target, b"/" + self.path.encode()):
            raise _Refused(404)
        if request.method not in (b"POST", b"PUT"):
            raise _Refused(405)
        length = next((int(value) for name, value in request.headers if name == b"content-length"), None)
        if length and length > self._limits.body:
            raise _Refused(413)
        if self._busy or self._received.done():
            raise _Refused(409)
        return length

    async def _take(self, wire: _Wire, length: int | None) -> Received:
        """Write the body down as it comes. What breaks off is overwritten by the next."""
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
        """What the client sends next."""
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                self._send(h11.InformationalResponse(status_code=100, headers=[]))
            async with asyncio.timeout(self._idle_s):
                self._http.receive_data(await self._reader.read(_PIECE))
        return event

    async def answer(self, status: int) -> None:
        """Answer with a line of text."""
        text = f"{_TEXTS[status]}\n".encode()
        headers = [("Content-Length", str(len(text))), ("Content-Type", "text/plain"), ("Connection", "close")]
        self._send(h11.Response(status_code=status, headers=headers))
        self._send(h11.Data(data=text))
        self._send(h11.EndOfMessage())
        async with asyncio.timeout(self._idle_s):
            await self._writer.drain()

    def _send(self, event: h11.Event) -> None:
        with contextlib.suppress(h11.LocalProtocolError):  # a HEAD takes no body, a broken connection nothing
            self._writer.write(self._http.send(event) or b"")
