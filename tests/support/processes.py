"""Processes that tests start: the same however the tests themselves were started, and none outlasts a minute.

A process inherits which signals are ignored: Ctrl-C in a background job of a script, the hang-up under `nohup`. What a
test starts has them as at a terminal, and so has this process where a test signals it.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from tests.support.waiting import LIMIT_S

USUAL: Final[dict[signal.Signals, Any]] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
}


@contextlib.contextmanager
def usual_signals() -> Iterator[None]:
    """Inside, signals do what they do in a Python that was started at a terminal, and in whatever is started there."""
    before = {number: signal.signal(number, handler) for number, handler in USUAL.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def start(command: Sequence[str | Path], **options: Any) -> subprocess.Popen[str]:
    """`subprocess.Popen` of text; `end` waits for it."""
    with usual_signals():
        return subprocess.Popen(command, **{"text": True, "encoding": "utf-8", **options})


def end(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Wait for the end of a process, but not for ever: what it printed to stdout and stderr."""
    try:
        return process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()


def run(command: Sequence[str | Path], *, check: bool = False, **options: Any) -> subprocess.CompletedProcess[str]:
    """`subprocess.run` of text, with what it prints kept unless it goes elsewhere; an error only where `check` asks."""
    if not options.keys() & {"stdout", "stderr"}:
        options["capture_output"] = True
    with usual_signals():
        return subprocess.run(
            command, check=check, **{"text": True, "encoding": "utf-8", "timeout": LIMIT_S, **options}
        )
