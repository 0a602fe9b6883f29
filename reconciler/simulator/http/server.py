"""Run a simulator on loopback: in a thread of its own during a test, or until a signal.

uvicorn's server checks ten times a second whether to stop, and waits for open connections. A simulator is started for
each test, so this one, which uses uvicorn's protocol, is woken up, and closes what is open.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Self, TypeAlias

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from reconciler.simulator.control import Control
from reconciler.simulator.http.app import Simulator
from reconciler.simulator.world.clock import Clock
from reconciler.simulator.world.fleet import Fleet
from reconciler.simulator.world.fleet_file import build_fleet, load_fleet, parse_fleet
from reconciler.simulator.world.seed import default_token, seed
from reconciler.simulator.world.store import World

HOST: Final = "127.0.0.1"
_START_LIMIT_S = 10.0
_ROUNDS_TO_ACCEPT = 4  # of the loop, until a socket that it has just accepted is a connection
_BACKLOG = 2048
FleetSource: TypeAlias = Fleet | Path | str | Mapping[str, Any]
"""A fleet, a file, YAML text, or the same as plain data."""


class Server:
    """A running simulator, for a `with` block.

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
        """Load the fleet and bind the port; it answers after `start`.

        Args:
            fleet: what to begin with; ignored if the database already holds one.
            db: a file that keeps the world over a restart; without one it is kept in memory.
            port: 0 means any free one.
            clock: the wall clock by default.
            outbox: a temporary folder by default.

        Raises:
            FleetError: the fleet holds mistakes.
            ValueError: neither a fleet nor a database that holds one.
            OSError: the port is taken.
        """
        with ExitStack() as stack:
            world = World(path=db, clock=clock)
            stack.callback(world.close)
            if world.is_empty:  # else it is a restart: the database knows better than the fleet file
                if fleet is None:
                    raise ValueError("a new simulator needs a fleet")
                seed(world, _read_fleet(fleet))
            self.control = Control(world)
            self.outbox = Path(outbox or stack.enter_context(TemporaryDirectory(prefix="simulator-outbox-")))
            self._app = Simulator(self.control, self.outbox)
            stack.callback(self._app.close)
            # The protocol is named because asyncio sends small answers at once (TCP_NODELAY) only on sockets that name
            # it; otherwise each request takes 40 ms.
            tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            self._socket = stack.enter_context(tcp)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((HOST, port))
            self._stack = stack.pop_all()
        self.url = f"http://{HOST}:{self._socket.getsockname()[1]}"
        self.application_id = world.recall("first_application") or ""
        self.token = default_token(self.application_id)
        self._is_ready = threading.Event()

    def start(self) -> Self:
        """Begin to answer; returns when it does.

        Raises:
            RuntimeError: it did not start in time.
        """
        thread = threading.Thread(target=asyncio.run, args=(self._serve(),), name="simulator", daemon=True)
        thread.start()
        if not self._is_ready.wait(_START_LIMIT_S):
            raise RuntimeError("the simulator did not start")
        self._stack.callback(thread.join)
        self._stack.callback(self._loop.call_soon_threadsafe, self._end.set)
        return self

    def stop(self) -> None:
        """Stop answering and close the database; open connections are cut. Stopping twice is harmless."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def _serve(self) -> None:
        # uvicorn would report each fault that it was not built for.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL + 1)
        plain: dict[str, Any] = dict.fromkeys(("access_log", "proxy_headers", "date_header", "server_header"), False)
        config = uvicorn.Config(self._app, http="h11", ws="none", lifespan="off", log_config=None, **plain)
        config.load()
        state, self._loop, self._end = ServerState(), asyncio.get_running_loop(), asyncio.Event()
        state.connections = self._app.connections
        server = await self._loop.create_server(
            lambda: H11Protocol(config, state, {}), sock=self._socket, backlog=_BACKLOG
        )
        self._is_ready.set()
        await self._end.wait()
        # Stop accepting first: asyncio forgets to close a socket that it accepted just before its server was closed.
        self._loop.remove_reader(self._socket)
        for _ in range(_ROUNDS_TO_ACCEPT):
            await asyncio.sleep(0)
        server.close()
        for connection in list(state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # The transports close their sockets, and tell uvicorn, in the loop's next round.
        for task in state.tasks:
            task.cancel()
        await asyncio.gather(*state.tasks, return_exceptions=True)


def _read_fleet(source: FleetSource) -> Fleet:
    match source:
        case Fleet():
            return build_fleet(source.model_dump(by_alias=True, exclude_unset=True))
        case Path():
            return load_fleet(source)
        case str():
            return parse_fleet(source)
        case _:
            return build_fleet(source)


serve = Server
"""As a function, for a `with` block."""


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
    before = {number: signal.signal(number, lambda *_: stopped.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with serve(fleet, db=db, port=port, outbox=outbox) as server:
            if on_start is not None:
                on_start(server)
            stopped.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
