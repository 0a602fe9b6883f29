"""The command line, run on a simulator: installed, in a process of its own, or in this process."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from reconciler.cli.app import run
from reconciler.simulator import Server
from tests.support import processes

RECONCILER = (sys.executable, "-m", "reconciler")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run of the command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        data: dict[str, Any] = json.loads(self.out)
        return data

    @property
    def result(self) -> dict[str, Any]:
        """The only result of an apply."""
        (result,) = self.document["results"]
        assert isinstance(result, dict)
        return result


Here: TypeAlias = Callable[..., Ended]


def run_here(*argv: str) -> Ended:
    """Run the command in this process: quicker, and as good where no process is in question."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with redirect_stdout(out), redirect_stderr(err):
        code = run(argv)
    ended = Ended(code, *(stream.buffer.getvalue().decode() for stream in (out, err)))
    assert "Traceback" not in ended.err, ended.err
    return ended


def run_installed(*argv: str, cwd: Path, env: Mapping[str, str], program: tuple[str, ...] = RECONCILER) -> Ended:
    """Run the installed command in a process of its own, without a terminal."""
    done = processes.run([*program, *argv], cwd=cwd, env=env, stdin=subprocess.DEVNULL)
    assert "Traceback" not in done.stderr, done.stderr
    return Ended(done.returncode, done.stdout, done.stderr)


class Bench:
    """A running simulator, a folder with manifests, and the command on both."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.control = server.control
        self.folder = folder

    def write(self, name: str, text: str) -> Path:
        """A file in the folder."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def read_json(self, name: str) -> Any:
        """The data in a file of the folder."""
        return json.loads((self.folder / name).read_text(encoding="utf-8"))

    def access(self) -> dict[str, str]:
        """What leads a command to the simulator."""
        return {"LOSANT_API_URL": self.server.url, "LOSANT_API_TOKEN": self.server.token}

    def env(self, **more: str) -> dict[str, str]:
        """The environment of a process."""
        return {**os.environ, **self.access(), **more}

    def run(self, *argv: str, env: Mapping[str, str] | None = None, program: tuple[str, ...] = RECONCILER) -> Ended:
        """Run the installed command."""
        return run_installed(*argv, cwd=self.folder, env=self.env(**(env or {})), program=program)

    def start(self, *argv: str, by: str = 'exec "$@"') -> subprocess.Popen[str]:
        """The same, running on while the test does something to it. `by`: the shell's words that start it."""
        return processes.start(
            ["sh", "-c", by, "sh", *RECONCILER, *argv],
            cwd=self.folder,
            env=self.env(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    @contextmanager
    def started(self, *argv: str) -> Iterator[subprocess.Popen[str]]:
        """The installed command inside the block, ended at its end."""
        with self.start(*argv) as process:
            try:
                yield process
            finally:
                process.kill()

    def here(self, monkeypatch: pytest.MonkeyPatch) -> Here:
        """What runs the command in this process, in the folder."""
        monkeypatch.chdir(self.folder)
        for name, value in self.access().items():
            monkeypatch.setenv(name, value)
        return run_here

    def writes(self) -> list[tuple[str, Any]]:
        """Every request so far that could have changed anything: action and body."""
        return [(one["action"], one["body"]) for one in self.control.requests() if one["method"] != "GET"]

    def released(self) -> dict[str, str]:
        """Released versions by `device/flow`."""
        return {f"{row['device']}/{row['flow']}": row["released"] for row in self.control.rows() if row["released"]}
