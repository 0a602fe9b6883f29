"""Starting and stopping: nothing is left open."""

from __future__ import annotations

import gc
import socket
import sys
from contextlib import ExitStack

import pytest

from reconciler.simulator import serve

FLEET = {"applications": [{"id": "5f0c8a1b2d3e4f5061728394", "name": "plant"}]}


@pytest.mark.parametrize("clients", [1, 20])
def test_a_client_that_comes_at_the_end_leaves_nothing_open(clients: int, monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told: left.append(str(told.exc_value)))
    gc.freeze()  # what other tests left is not looked through twenty times
    try:
        for _ in range(20):
            with ExitStack() as stack:
                server = stack.enter_context(serve(FLEET))
                port = int(server.url.rpartition(":")[2])
                for _ in range(clients):
                    stack.enter_context(socket.socket()).connect(("127.0.0.1", port))
                server.stop()
            gc.collect()
    finally:
        gc.unfreeze()
    assert left == []
