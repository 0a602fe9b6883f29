"""The installed command for tests that run it hundreds of times: each run is forked from a Python that is warm.

Nearly all that a short command costs is the start of Python and its imports. `folder()` has a `reconciler` and a
`python` that do what the installed ones do, each time in a process of its own, with the same arguments, environment,
working directory, umask, streams, exit code and signals; `warm_client.py` says what it leaves to the real ones. The
steps of pipelines (tests/gitops) and the readers of pages (tests/test_pages.py) run it.

The promises that name the installed command are kept by tests that run nothing else: whatever starts a process in
tests/e2e and tests/cli; by the fixture `installed`, pipelines of each forge that apply, on GitHub from a pull request
to the fleet, and the README's commands.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from tests.support import processes

INSTALLED: Final = Path(sys.executable).parent
_HERE: Final = Path(__file__).parent


def folder() -> Path:
    """Where `reconciler` and `python` are; the installed ones where the system has no way to wait for forks."""
    return _lasting() if hasattr(os, "pidfd_open") and Path("/proc/self/fd").exists() else INSTALLED


@cache
def _lasting() -> Path:
    """One for this process, to its end."""
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(serving(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="warm-")))))


@contextlib.contextmanager
def serving(made: Path, **environment: str) -> Iterator[Path]:
    """The two programs in a folder, with the server that runs what they ask for."""
    text = f"#!{sys.executable} -IS\n" + (_HERE / "warm_client.py").read_text(encoding="utf-8")
    for name in ("python", "reconciler"):
        (made / name).write_text(text, encoding="utf-8")
        (made / name).chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(made / "socket"))
        listener.listen()  # clients wait until the server has its imports
        server = processes.start(
            [sys.executable, "-P", _HERE / "warm_server.py", str(listener.fileno()), str(made / "python")],
            cwd=made,
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **environment},
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
            process_group=0,  # Ctrl-C is for the tests, whose end is the server's
        )
    try:
        yield made
    finally:
        processes.end(server)
