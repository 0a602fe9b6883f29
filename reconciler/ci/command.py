"""Runs commands in processes of their own: those of reconciler that need a token, and git."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reconciler.api.http.credentials import Token
from reconciler.errors import ReconcilerError, UsageError
from reconciler.manifest.git import command as git_command

# -P: do not import modules from the working directory, which a pull request may add.
_PROGRAM = (sys.executable, "-P", "-m", "reconciler")


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of a command; `stdout` is empty if it went to the log."""

    command: str
    code: int
    stdout: str

    def text(self) -> str:
        """Its stdout; ReconcilerError if it failed."""
        if self.code:
            raise ReconcilerError(f"{self.command} exited with {self.code}")
        return self.stdout

    def document(self) -> dict[str, Any]:
        """Its JSON document, even if it failed."""
        try:
            document: dict[str, Any] = json.loads(self.stdout)
        except ValueError:
            raise ReconcilerError(f"{self.command} wrote no JSON document") from None
        return document


def _no_token() -> Token:
    raise UsageError("this step has no token of the fleet")


@dataclass(frozen=True, slots=True)
class Application:
    """The application of a job.

    Attributes:
        path: the path of the manifests.
        name: the display name; may be empty.
        options: global options for every command.
        token: reads the application's token.
    """

    path: str
    id: str
    kind: str
    name: str = ""
    options: tuple[str, ...] = ()
    token: Callable[[], Token] = _no_token

    def run(self, command: str, *options: str, capture: bool = True) -> Answer:
        """Run a command for this application; output that is not captured goes to the log."""
        words = [*self.options, command, "--application", self.id, "--kind", self.kind, *options, "--", self.path]
        return _run(f"reconciler {command}", *_PROGRAM, *words, capture=capture)


def git(*arguments: str) -> str:
    """The output of a git command."""
    return os.fsdecode(git_command.git(*arguments)).strip()


def _run(command: str, *argv: str, capture: bool = True) -> Answer:
    # In its own process group it is interrupted only once, by us, and exits gracefully with its result.
    with subprocess.Popen(  # noqa: S603 - a fixed command, arguments as a list
        argv, stdout=subprocess.PIPE if capture else None, text=True, encoding="utf-8", process_group=0
    ) as process:
        try:
            text, _ = process.communicate()
        except BaseException:  # usually KeyboardInterrupt; in any case, stop the command
            process.send_signal(signal.SIGINT)
            process.communicate()
            raise
    return Answer(command, process.returncode, text or "")
