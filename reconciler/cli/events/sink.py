"""Where the lines of `--events` go: each is written at once and whole, and whatever becomes of them, the run goes on.

A regular file gets a line before the run goes on, so that a call that was sent is in it, come what may. Everything else
has a reader, who may be slow, or stop reading, or go away; so a thread of its own writes there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import stat
import sys
import threading
from typing import Final, Protocol

PATIENCE_S = 5.0  # how long to wait at the end for a reader who does not read
_BEGINNING: Final = b'{"seq":'
_BLOCK: Final = 1 << 16


class Sink(Protocol):
    """Takes lines and raises nothing. `problem`: what went wrong. `is_unread`: only the reader is to blame."""

    problem: str | None
    is_unread: bool

    def write(self, line: bytes) -> None:
        """Write a line. After the first failure nothing more is written."""

    def close(self) -> None:
        """Wait until everything is written, as far as it can be."""


def open_sink(target: str) -> Sink:
    """The sink for a file, which is appended to, or for stdout (`-`).

    Raises:
        OSError, ValueError: the file cannot be opened.
    """
    if target == "-":
        try:
            return _for(os.dup(sys.stdout.fileno()))
        except (OSError, ValueError):  # it is no file of the system: somebody took its place in this process
            return _Stream()
    descriptor = os.open(target, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        with contextlib.suppress(OSError):
            _mend(target, descriptor)
    return _for(descriptor)


def _for(descriptor: int) -> Sink:
    return _File(descriptor) if stat.S_ISREG(os.fstat(descriptor).st_mode) else _Pipe(descriptor)


def _mend(path: str, descriptor: int) -> None:
    """End the last line of a file, or remove it if it is one of ours that a killed run left torn."""
    with open(path, "rb") as file:  # noqa: PTH123 - read beside the descriptor that writes
        size = end = file.seek(0, os.SEEK_END)
        tail = b""
        while end and b"\n" not in tail:
            begin = max(0, end - _BLOCK)
            file.seek(begin)
            tail, end = file.read(end - begin) + tail, begin
    torn = tail.rpartition(b"\n")[2]
    if torn and (torn.startswith(_BEGINNING) or _BEGINNING.startswith(torn)):
        os.truncate(path, size - len(torn))
    elif torn:
        _write_all(descriptor, b"\n")


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


class _File:
    """A regular file: its disk may be full, but it never blocks for long."""

    def __init__(self, descriptor: int) -> None:
        self.problem: str | None = None
        self.is_unread = False
        self._descriptor = descriptor

    def write(self, line: bytes) -> None:
        if self.problem is None:
            try:
                _write_all(self._descriptor, line)
            except OSError as error:
                self.problem = error.strerror or str(error)

    def close(self) -> None:
        try:
            os.close(self._descriptor)
        except OSError as error:  # what some network file systems tell only now
            self.problem = self.problem or error.strerror or str(error)


class _Pipe:
    """Something with a reader."""

    def __init__(self, descriptor: int) -> None:
        self.problem: str | None = None
        self.is_unread = False
        self._descriptor = descriptor
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._written = 0
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        if self.problem is None:
            self._lines.put(line)

    def close(self) -> None:
        self._lines.put(None)
        before = -1
        with contextlib.suppress(KeyboardInterrupt):  # which says not to wait any longer; what it ends has ended
            while self._thread.is_alive() and before != self._written:
                before = self._written
                self._thread.join(PATIENCE_S)
        if self._thread.is_alive():
            self.problem, self.is_unread = "its reader does not read", True

    def _run(self) -> None:
        try:
            while line := self._lines.get():
                view = memoryview(line)
                while view:
                    size = os.write(self._descriptor, view)
                    view = view[size:]
                    self._written += size
        except OSError as error:
            self.is_unread = error.errno in (errno.EPIPE, errno.ECONNRESET, errno.EIO)
            self.problem = "its reader went away" if self.is_unread else error.strerror or str(error)


class _Stream:
    """What took the place of stdout in this process."""

    def __init__(self) -> None:
        self.problem: str | None = None
        self.is_unread = False

    def write(self, line: bytes) -> None:
        if self.problem is None:
            try:
                sys.stdout.write(line.decode("ascii"))
                sys.stdout.flush()
            except (OSError, ValueError) as error:
                self.problem = str(error)

    def close(self) -> None:
        """Everything is written."""
