"""The commands that a step runs: this very program, in a process of its own, and git."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciler.errors import Problem, ReconcilerError

# -P: what lies in the working folder, which a pull request may bring along, is not imported.
_PROGRAM = (sys.executable, "-P", "-m", "reconciler")


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a command; `text` is its stdout where that was captured."""

    command: str
    code: int
    text: str

    def document(self) -> dict[str, Any]:
        """Its JSON document."""
        try:
            document: dict[str, Any] = json.loads(self.text)
        except ValueError:
            raise ReconcilerError(f"reconciler {self.command} wrote no JSON document") from None
        return document


@dataclass(frozen=True, slots=True)
class Application:
    """The application that a job is for.

    Attributes:
        path: of the manifests.
        options: global options for every command.
    """

    path: str
    id: str
    kind: str
    name: str = ""
    options: tuple[str, ...] = ()

    def run(self, command: str, *options: str, capture: bool = True) -> Answer:
        """Run a command for this application; what it does not capture goes to the log."""
        picked = ["--application", self.id, "--kind", self.kind]
        argv = [*_PROGRAM, *self.options, command, *picked, *options, "--", self.path]
        return _run(command, argv, capture=capture)


def reconciler(command: str, *options: str) -> Answer:
    """Run a command that needs no token."""
    return _run(command, [*_PROGRAM, command, *options])


def git(*arguments: str) -> str:
    """What git says."""
    answer = _run("git", ["git", *arguments])
    if answer.code:
        raise ReconcilerError(f"git {arguments[0]} ended with {answer.code}")
    return answer.text.strip()


def show(file: Path, *, commit: str = "", max_bytes: int = 65_000) -> str:
    """A saved plan or result as Markdown."""
    shape = ["--format", "markdown", "--max-bytes", str(max_bytes), *(["--commit", commit] if commit else [])]
    answer = reconciler("show", *shape, "--", str(file))
    if answer.code:
        raise ReconcilerError(f"reconciler show ended with {answer.code}")
    return answer.text.strip()


def problems(listed: Iterable[Mapping[str, Any]]) -> list[Problem]:
    """Problems or warnings of a JSON document."""
    return [
        Problem(one["message"], one.get("path"), one.get("line"), one.get("column"), one.get("hint")) for one in listed
    ]


def _run(command: str, argv: list[str], *, capture: bool = True) -> Answer:
    # In a group of its own it is interrupted once, by us, and ends in good order: with the result of what was done.
    with subprocess.Popen(  # noqa: S603 - a fixed command, arguments as a list
        argv, stdout=subprocess.PIPE if capture else None, text=True, encoding="utf-8", process_group=0
    ) as process:
        try:
            text, _ = process.communicate()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            process.communicate()
            raise
    return Answer(command, process.returncode, text or "")
