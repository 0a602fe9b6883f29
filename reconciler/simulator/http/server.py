"""Run a simulator on loopback: in a thread of its own during a test, or until a signal."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self, TypeAlias

from reconciler.simulator.control import Control
from reconciler.simulator.http.app import Simulator
from reconciler.simulator.http.thread import Listener
from reconciler.simulator.world.clock import Clock
from reconciler.simulator.world.fleet import Fleet
from reconciler.simulator.world.fleet_file import build_fleet, load_fleet, parse_fleet
from reconciler.simulator.world.seed import default_token, seed
from reconciler.simulator.world.store import World

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
            spare = outbox or stack.enter_context(TemporaryDirectory(prefix="simulator-outbox-"))
            self.outbox = Path(spare)
            app = Simulator(self.control, self.outbox)
            stack.callback(app.close)
            self._listener = Listener(app, port)
            stack.callback(self._listener.stop)
            self._stack = stack.pop_all()
        self.url = self._listener.url
        self.application_id = world.recall("first_application") or ""
        self.token = default_token(self.application_id)

    def start(self) -> Self:
        """Begin to answer; returns when it does."""
        self._listener.start()
        return self

    def stop(self) -> None:
        """Stop answering and close the database; open connections are cut. Stopping twice is harmless."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


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
