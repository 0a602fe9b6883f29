"""Runs a simulator on loopback: in its own thread during a test, or until a signal.

uvicorn's server polls ten times a second whether to stop, and waits for open connections: too slow for a simulator per
test. This server uses uvicorn's protocol, but is woken up to stop, and closes open connections.
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
_ROUNDS_TO_ACCEPT = 4  # event loop iterations until an accepted socket is registered as a connection
_BACKLOG = 2048
FleetSource: TypeAlias = Fleet | Path | str | Mapping[str, Any]
"""A fleet, the path of a fleet file, YAML text, or the same as plain data."""


class Server:
    """A simulator that runs during a `with` block.

    Attributes:
        url: where it listens, e.g. `http://127.0.0.1:40123`.
        application_id: the id of the first application of the fleet.
        applications: the name of each application, by its id.
        token: an application token for it, with all scopes that such a token can have.
        control: changes and inspects the world while it runs.
        outbox: the folder for what would be sent by e-mail.
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
        """Load the fleet and bind the port; requests are served after `start`.

        Args:
            fleet: the initial fleet; ignored if the database already contains one.
            db: a file that preserves the world across restarts; by default it is in memory.
            port: 0 means any free port.
            clock: the wall clock by default; a database that already contains a fleet has its own.
            outbox: a temporary folder by default.

        Raises:
            FleetError: the fleet is invalid.
            ValueError: neither a fleet nor a database that contains one.
            OSError: the port is taken.
        """
        with ExitStack() as stack:
            world = World(path=db, clock=clock)
            stack.callback(world.close)
            if world.is_empty:  # otherwise it is a restart: the database wins over the fleet file
                if fleet is None:
                    raise ValueError("a new simulator needs a fleet")
                seed(world, _read_fleet(fleet))
            self.control = Control(world)
            self.outbox = Path(outbox or stack.enter_context(TemporaryDirectory(prefix="simulator-outbox-")))
            self._app = Simulator(self.control, self.outbox)
            stack.callback(self._app.close)
            # The protocol is given because asyncio sets TCP_NODELAY only on sockets that have it; otherwise each
            # request takes 40 ms.
            tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            self._socket = stack.enter_context(tcp)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((HOST, port))
            self._stack = stack.pop_all()
        self.url = f"http://{HOST}:{self._socket.getsockname()[1]}"
        self.application_id = world.recall("first_application") or ""
        names = world.rows("select id, name from applications order by rowid")
        self.applications = {row["id"]: row["name"] for row in names}
        self.token = default_token(self.application_id)
        self._is_ready = threading.Event()

    def start(self) -> Self:
        """Start serving; returns when requests are accepted.

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
        """Stop serving, abort open connections and close the database. Idempotent."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def _serve(self) -> None:
        # uvicorn would log every injected fault as an error.
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
        # Stop accepting first: asyncio does not close a socket that it accepted just before its server was closed.
        self._loop.remove_reader(self._socket)
        for _ in range(_ROUNDS_TO_ACCEPT):
            await asyncio.sleep(0)
        server.close()
        for connection in list(state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # The transports close their sockets and notify uvicorn in the next iteration.
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
"""Alias of `Server` for use in a `with` block."""


def run(server: Server, on_start: Callable[[Server], None]) -> None:
    """Serve until SIGINT or SIGTERM; main thread only. `on_start` is called once requests are accepted."""
    stopped = threading.Event()
    before = {number: signal.signal(number, lambda *_: stopped.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with server:
            on_start(server)
            stopped.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
