"""The commands that a step runs in a process of their own: those of this program that need a token, and git."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from reconciler.errors import ReconcilerError

# -P: what lies in the working folder, which a pull request may bring along, is not imported.
_PROGRAM = (sys.executable, "-P", "-m", "reconciler")


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a command; `stdout` is empty where that went to the log."""

    command: str
    code: int
    stdout: str

    def text(self) -> str:
        """Its stdout; ReconcilerError where it failed."""
        if self.code:
            raise ReconcilerError(f"{self.command} ended with {self.code}")
        return self.stdout

    def document(self) -> dict[str, Any]:
        """Its JSON document, also where it failed."""
        try:
            document: dict[str, Any] = json.loads(self.stdout)
        except ValueError:
            raise ReconcilerError(f"{self.command} wrote no JSON document") from None
        return document


@dataclass(frozen=True, slots=True)
class Application:
    """The application that a job is for.

    Attributes:
        path: of the manifests.
        name: for people; may be empty.
        options: global options for every command.
    """

    path: str
    id: str
    kind: str
    name: str = ""
    options: tuple[str, ...] = ()

    def run(self, command: str, *options: str, capture: bool = True) -> Answer:
        """Run a command for this application; what it does not capture goes to the log."""
        words = [*self.options, command, "--application", self.id, "--kind", self.kind, *options, "--", self.path]
        return _run(f"reconciler {command}", *_PROGRAM, *words, capture=capture)


def git(*arguments: str) -> str:
    """What git says."""
    return _run(f"git {arguments[0]}", "git", *arguments).text().strip()


def _run(command: str, *argv: str, capture: bool = True) -> Answer:
    # In a group of its own it is interrupted once, by us, and ends in good order: with the result of what was done.
    with subprocess.Popen(  # noqa: S603 - a fixed command, arguments as a list
        argv, stdout=subprocess.PIPE if capture else None, text=True, encoding="utf-8", process_group=0
    ) as process:
        try:
            text, _ = process.communicate()
        except BaseException:  # KeyboardInterrupt, most likely; whatever it is, the command is not left to itself
            process.send_signal(signal.SIGINT)
            process.communicate()
            raise
    return Answer(command, process.returncode, text or "")
