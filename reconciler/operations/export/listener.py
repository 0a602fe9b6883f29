"""A port of this machine that takes one file, for the callback of an export.

The path is a secret of 192 bits, so nobody but who was told it can put a file here. Whatever else comes (garbage,
other paths, bodies without end, clients that stall) is turned away and leaves the port as it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, TypeAlias

import h11

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
    """A request that is answered with a status and leads to nothing."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(status)


class _Unwritable(Exception):
    """The file cannot be written down; `error` says why."""

    def __init__(self, error: OSError) -> None:
        self.error = error
        super().__init__(error)


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
            observe: told of the bytes that have arrived, and of how many there will be if that is known.
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
        """Open the port. OSError where that cannot be, or where the folder cannot be written."""
        self._received: asyncio.Future[Received] = asyncio.get_running_loop().create_future()
        self._draft.touch(exist_ok=False)
        try:
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        except BaseException:
            self._draft.unlink()
            raise
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the port, cut everybody off, remove what nobody moved away."""
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
        task = asyncio.current_task()
        if task is None:  # never in a task's own code
            return
        self._open.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await _Exchange(self, reader, writer).run()
        finally:
            self._open.discard(task)
            writer.transport.abort() if task.cancelling() else writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    def expect(self, request: h11.Request) -> int | None:
        """The length that a request announces, if it is one that brings the file; else `_Refused`."""
        if len(self._open) > self._limits.connections:
            raise _Refused(503)
        if not hmac.compare_digest(request.target, b"/" + self.path.encode()):
            raise _Refused(404)
        if request.method not in (b"POST", b"PUT"):
            raise _Refused(405)
        lengths = [int(value) for name, value in request.headers if name == b"content-length"]
        if lengths and lengths[0] > self._limits.body:
            raise _Refused(413)
        if self._busy or self._received.done():
            raise _Refused(409)
        return lengths[0] if lengths else None

    async def take(self, exchange: _Exchange, length: int | None) -> Received:
        """Write the body down as it comes. What breaks off is written over by the next."""
        self._busy = True
        try:
            return await self._take(exchange, length)
        finally:
            self._busy = False

    async def _take(self, exchange: _Exchange, length: int | None) -> Received:
        size, digest = 0, hashlib.sha256()
        with contextlib.ExitStack() as stack:
            with _told_apart():
                file = stack.enter_context(self._draft.open("wb", buffering=0))
            while isinstance(event := await exchange.event(), h11.Data):
                size += len(event.data)
                if size > self._limits.body:
                    raise _Refused(413)
                digest.update(event.data)
                with _told_apart():
                    _write_all(file, event.data)
                if self._observe:
                    self._observe(size, length)
        if not isinstance(event, h11.EndOfMessage) or not size:
            raise _Refused(400)
        return Received(self._draft, size, digest.hexdigest())

    @property
    def idle_s(self) -> float:
        """Seconds that a client may keep silent."""
        return self._limits.idle_s

    def done(self, received: Received | OSError) -> None:
        """The file is there, and its sender knows; or it could not be written."""
        if self._received.done():
            return
        if isinstance(received, OSError):
            self._received.set_exception(received)
        else:
            self._received.set_result(received)


def _write_all(file: IO[bytes], data: bytes) -> None:
    """Write all of it: a disk that fills up may take a part."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


@contextlib.contextmanager
def _told_apart() -> Iterator[None]:
    """An OSError of the disk is none of the connection."""
    try:
        yield
    except OSError as error:
        raise _Unwritable(error) from None


class _Exchange:
    """One request and its answer; then the connection ends."""

    def __init__(self, listener: Listener, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._listener = listener
        self._reader = reader
        self._writer = writer
        self._wire = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)

    async def run(self) -> None:
        received: Received | OSError | None = None
        try:
            async with asyncio.timeout(self._listener.idle_s):  # however slowly its bytes trickle
                request = await self.event()
            if not isinstance(request, h11.Request):
                return
            received = await self._listener.take(self, self._listener.expect(request))
            status = 200
        except _Refused as refusal:
            status = refusal.status
        except TimeoutError:
            status = 408
        except h11.RemoteProtocolError:
            status = 400
        except _Unwritable as failure:
            status, received = 507, failure.error
        try:
            await self._answer(status)
        finally:  # whether or not the sender waits to hear it
            if received is not None:
                self._listener.done(received)

    async def event(self) -> Event:
        """What the client says next."""
        while (event := self._wire.next_event()) is h11.NEED_DATA:
            if self._wire.they_are_waiting_for_100_continue:
                self._send(h11.InformationalResponse(status_code=100, headers=[]))
            async with asyncio.timeout(self._listener.idle_s):
                self._wire.receive_data(await self._reader.read(_PIECE))
        return event

    async def _answer(self, status: int) -> None:
        text = f"{_TEXTS[status]}\n".encode()
        headers = [("Content-Length", str(len(text))), ("Content-Type", "text/plain"), ("Connection", "close")]
        self._send(h11.Response(status_code=status, headers=headers))
        self._send(h11.Data(data=text))
        self._send(h11.EndOfMessage())
        async with asyncio.timeout(self._listener.idle_s):
            await self._writer.drain()

    def _send(self, event: h11.Event) -> None:
        with contextlib.suppress(h11.LocalProtocolError):  # a HEAD takes no body, a broken connection nothing
            self._writer.write(self._wire.send(event) or b"")
