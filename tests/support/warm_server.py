"""A Python that has the command imported, and forks for every client that asks: see `warm.py`.

It has one thread and runs nothing of the command itself: each fork begins as a fresh process would, right after its
imports. It ends with whoever started it, who holds the other end of its stdin.
"""

from __future__ import annotations

import gc
import io
import marshal
import os
import pkgutil
import selectors
import signal
import socket
import sys
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

READ: Final = selectors.EVENT_READ
UNUSED: Final = ("reconciler.simulator", "reconciler.testing", "reconciler.__main__")


class Request(NamedTuple):
    """What a client wants to be run."""

    words: list[str]
    environment: dict[bytes, bytes]
    umask: int
    stdin_errors: str
    stdout_errors: str


@dataclass(frozen=True, slots=True)
class Running:
    """A fork, its end as a file that can be waited for, and the client who waits."""

    process: int
    ended: int
    client: socket.socket


def load() -> None:
    """Import what commands do; each fork shares it."""
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"  # as the command does before its imports
    import reconciler

    for module in pkgutil.walk_packages(reconciler.__path__, "reconciler."):
        if not module.name.startswith(UNUSED):
            import_module(module.name)
    import_module("reconciler.__main__")
    gc.collect()
    gc.freeze()


def serve(listener: socket.socket) -> None:
    """Fork for every client, and tell it the end, until stdin ends."""
    with selectors.DefaultSelector() as ready:
        ready.register(listener, READ)
        ready.register(0, READ)
        while True:
            for key, _ in ready.select():
                if key.fileobj == 0:
                    return
                if key.fileobj is listener:
                    _accept(listener, ready)
                elif isinstance(key.data, Running):
                    _look(key.data, ready, gone=key.fileobj is key.data.client)


def _accept(listener: socket.socket, ready: selectors.BaseSelector) -> None:
    client, _ = listener.accept()
    head, files, _, _ = socket.recv_fds(client, 4, 4)
    data = client.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)
    process = os.fork()
    if not process:
        _be(Request(*marshal.loads(data)), files)
    for file in files:
        os.close(file)
    running = Running(process, os.pidfd_open(process), client)
    ready.register(running.ended, READ, running)
    ready.register(client, READ, running)
    _tell(client, process)


def _look(running: Running, ready: selectors.BaseSelector, *, gone: bool) -> None:
    """The command ended, or its client did, which then takes the command with it."""
    if running.client.fileno() == -1:  # both at once: done already
        return
    if gone:
        os.kill(running.process, signal.SIGKILL)
    _, status = os.waitpid(running.process, 0)
    ready.unregister(running.ended)
    ready.unregister(running.client)
    _tell(running.client, status)
    os.close(running.ended)
    running.client.close()


def _tell(client: socket.socket, number: int) -> None:
    try:
        client.sendall(number.to_bytes(4, "big"))
    except OSError:  # gone: what it started is ended when that is seen
        return


def _be(request: Request, files: list[int]) -> NoReturn:
    """Become the process that the client would have started."""
    try:
        *standard, folder = files
        for number, file in enumerate(standard):
            os.dup2(file, number)
        os.fchdir(folder)
        os.closerange(3, 1024)
        os.umask(request.umask)
        os.environb.clear()
        os.environb.update(request.environment)
        time.tzset()
        sys.argv = [str(Path(sys.executable).with_name("reconciler")), *request.words]
        _stream("stdin", 0, "r", request.stdin_errors)
        _stream("stdout", 1, "w", request.stdout_errors)
        _stream("stderr", 2, "w", "backslashreplace")
        from reconciler.__main__ import main

        main()
    except BaseException:  # noqa: BLE001 - nothing may get back to the server's own loop
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(1)


def _stream(name: str, number: int, mode: str, errors: str) -> None:
    """Put a standard stream in place, as Python makes it at its start."""
    buffer: Any = open(number, f"{mode}b", closefd=False)  # noqa: SIM115 - for good
    buffer.raw.name = f"<{name}>"
    stream: Any = io.TextIOWrapper(buffer, "utf-8", errors, "\n", line_buffering=number == 2 or buffer.isatty())
    stream.mode = mode
    setattr(sys, name, stream)
    setattr(sys, f"__{name}__", stream)


if __name__ == "__main__":
    sys.executable = sys.argv[2]
    load()
    serve(socket.socket(fileno=int(sys.argv[1])))
