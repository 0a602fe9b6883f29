"""Run a simulator on loopback: beside a test in a thread of its own, or until a signal comes."""

from __future__ import annotations

import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType, TracebackType
from typing import Any, Self, TypeAlias

import uvicorn

from reconciler.simulator.app import Simulator
from reconciler.simulator.clock import Clock
from reconciler.simulator.control import Control
from reconciler.simulator.fleet import Fleet
from reconciler.simulator.fleet_file import build_fleet, load_fleet, parse_fleet
from reconciler.simulator.seed import default_token, seed
from reconciler.simulator.store import World

HOST = "127.0.0.1"
_START_LIMIT_S = 10.0
FleetSource: TypeAlias = Fleet | Path | str | Mapping[str, Any]
"""A fleet, a file, YAML text, or the same as plain data."""


class Server:
    """A simulator at work; a context manager.

    Attributes:
        url: where it listens, e.g. `http://127.0.0.1:40123`.
        application_id: of the first application of the fleet.
        token: an application token for it, with every scope an application token can have.
        control: changes and inspects the world while it runs.
        outbox: folder for what would be sent by e-mail.
    """

    def __init__(
        self,
        fleet: FleetSource | None = None,
        *,
        db: Path | str | None = None,
        port: int = 0,
        clock: Clock | None = None,
        outbox: Path | None = None,
    ) -> None:
        """Load the fleet and take the port; it answers from `start` on.

        Raises:
            FleetError: the fleet holds mistakes.
            ValueError: neither a fleet nor a database that holds one.
            OSError: the port is taken.
        """
        self._world = World(path=db, clock=clock)
        self.control = Control(self._world)
        self._spare = None if outbox else TemporaryDirectory(prefix="simulator-outbox-")
        self.outbox = outbox or Path(self._spare.name if self._spare else "")
        try:
            self._fill(fleet)
            self._socket = _listen(port)
        except BaseException:
            self._close()
            raise
        self.application_id = self._world.recall("first_application") or ""
        self.token = default_token(self.application_id)
        self.url = f"http://{HOST}:{self._socket.getsockname()[1]}"
        app = Simulator(self.control, self.outbox)
        self._connections = app.connections
        config = uvicorn.Config(
            app,
            http=app.connections.protocol(),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
        )
        self._uvicorn = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._uvicorn.run, args=([self._socket],), name="simulator", daemon=True)

    def _fill(self, fleet: FleetSource | None) -> None:
        if not self._world.is_empty:
            return  # A restart: the database knows better than the fleet file.
        if fleet is None:
            raise ValueError("a new simulator needs a fleet")
        seed(self._world, read_fleet(fleet))

    def start(self) -> Self:
        """Begin to answer; returns when it does."""
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        self._thread.start()
        limit = time.monotonic() + _START_LIMIT_S
        while not self._uvicorn.started:
            if not self._thread.is_alive() or time.monotonic() > limit:
                raise RuntimeError("the simulator did not start")
            time.sleep(0.002)
        return self

    def stop(self) -> None:
        """Stop answering and close the database; open connections are cut. Stopping twice is no error."""
        self._uvicorn.should_exit = True
        self._uvicorn.force_exit = True
        if self._thread.is_alive():
            self._thread.join()
        self._socket.close()
        self._close()

    def _close(self) -> None:
        self._world.close()
        if self._spare is not None:
            self._spare.cleanup()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def read_fleet(source: FleetSource) -> Fleet:
    """A checked fleet from a fleet, a path, YAML text or plain data.

    Raises:
        FleetError: it holds mistakes.
    """
    match source:
        case Fleet():
            return build_fleet(source.model_dump(by_alias=True, exclude_unset=True))
        case Path():
            return load_fleet(source)
        case str():
            return parse_fleet(source)
        case _:
            return build_fleet(source)


def _listen(port: int) -> socket.socket:
    # The protocol is named because asyncio sends small answers at once (TCP_NODELAY) only on sockets that name it;
    # otherwise each request takes 40 ms.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except OSError:
        listening.close()
        raise
    return listening


def serve(
    fleet: FleetSource | None = None,
    *,
    db: Path | str | None = None,
    port: int = 0,
    clock: Clock | None = None,
    outbox: Path | None = None,
) -> Server:
    """A simulator for a `with` block; see `Server`."""
    return Server(fleet, db=db, port=port, clock=clock, outbox=outbox)


def run(
    fleet: FleetSource | None = None,
    *,
    db: Path | str | None = None,
    port: int = 0,
    outbox: Path | None = None,
    on_start: Callable[[Server], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM. `on_start` is called once it answers. For the main thread only."""
    stopped = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with serve(fleet, db=db, port=port, outbox=outbox) as server:
            if on_start is not None:
                on_start(server)
            stopped.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
