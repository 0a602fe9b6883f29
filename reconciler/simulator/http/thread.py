"""uvicorn in a thread of its own, quick to start and to stop.

uvicorn checks ten times a second whether to stop, and waits for open connections. A simulator is started for each test,
so this one is woken up, and closes what is open.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from typing import Final

import uvicorn

from reconciler.simulator.http.app import Simulator

HOST: Final = "127.0.0.1"
_START_LIMIT_S = 10.0
_ROUNDS_TO_ACCEPT = 4  # of the loop, until a socket that it has just accepted is a connection


class Listener(uvicorn.Server):
    """Serves an application on a loopback port. The port is bound at once; `start` begins to answer.

    Attributes:
        url: `http://127.0.0.1:<port>`.
    """

    def __init__(self, app: Simulator, port: int) -> None:
        """Bind the port; 0 means any free one.

        Raises:
            OSError: the port is taken.
        """
        self._socket = _listen(port)
        self.url = f"http://{HOST}:{self._socket.getsockname()[1]}"
        # uvicorn would report each fault that it was not built for.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL + 1)
        super().__init__(
            uvicorn.Config(
                app,
                http="h11",
                loop="asyncio",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                date_header=False,
                server_header=False,
            )
        )
        self._thread = threading.Thread(target=self.run, args=([self._socket],), name="simulator", daemon=True)
        self._is_ready = threading.Event()
        self.server_state.connections = app.connections
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end = asyncio.Event()

    def start(self) -> None:
        """Start answering; returns once it does.

        Raises:
            RuntimeError: it did not start in time.
        """
        self._thread.start()
        if not self._is_ready.wait(_START_LIMIT_S):
            raise RuntimeError("the simulator did not start")

    def stop(self) -> None:
        """Stop answering, and close open connections. Stopping twice is harmless."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end.set)
        if self._thread.is_alive():
            self._thread.join()
        self._socket.close()

    async def main_loop(self) -> None:
        """Instead of uvicorn's own, which polls."""
        self._loop = asyncio.get_running_loop()
        self._is_ready.set()
        await self._end.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Instead of uvicorn's own, which waits for open connections."""
        # Stop accepting first: asyncio forgets to close a socket that it accepted just before its server was closed.
        for listening in sockets or []:
            asyncio.get_running_loop().remove_reader(listening)
        for _ in range(_ROUNDS_TO_ACCEPT):
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        for listening in sockets or []:
            listening.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # The transports close their sockets, and tell uvicorn, in the loop's next round.
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


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
