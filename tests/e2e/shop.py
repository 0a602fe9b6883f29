"""A shop with pumps on the simulator, and the command line used on it: installed, in a process of its own, or here."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from reconciler.cli.app import run
from reconciler.model.state import Kind
from reconciler.runtime import SystemClock
from reconciler.simulator import Server
from tests.support import processes

APPLICATION = "5f0c8a1b2d3e4f5061728394"


def fleet(kind: Kind = Kind.EMBEDDED) -> str:
    """The fleet file of a shop with flows and devices of one kind."""
    device = f"class: {kind.device_class}"
    return f"""
take_up_s: 0
applications:
  - id: {APPLICATION}
    name: shop
    flows:
      telemetry: {{class: {kind}, versions: [v1, v2, v3]}}
      alarms: {{class: {kind}, versions: [v1, v2]}}
      control: {{class: {kind}, versions: [v1, v2]}}
    devices:
      - count: 4
        name: "leeds-{{n}}"
        {device}
        tags: {{site: leeds}}
        deployed: {{telemetry: v1, alarms: v1, control: v1}}
      - {{count: 2, name: "york-{{n}}", {device}, tags: {{site: york}}, deployed: {{telemetry: v1}}}}
"""


FLEET = fleet()
HEAD = f"apiVersion: reconciler/v1\napplication: {{id: {APPLICATION}, name: shop}}\n"
# One change of each sort, and York is left alone: 4 updates, 4 adds or updates, 1 removal.
MANIFEST = f"""{HEAD}
groups:
  leeds: {{select: {{tags: {{site: leeds}}}}, flows: {{telemetry: v2, alarms: v2}}}}
devices:
  york-1: {{alarms: v1}}
  leeds-1: {{control: absent}}
limits: {{removals: {{percent: 50}}}}
"""


def of_kind(kind: Kind, manifest: str) -> str:
    """A manifest that says nothing of its kind, for that one."""
    return f"{manifest}kind: {kind}\n"


@dataclass(frozen=True, slots=True)
class Done:
    """How a run of the command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        data: dict[str, Any] = json.loads(self.out)
        return data


class Shop:
    """A running simulator and a folder with `shop.yaml`."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.control = server.control
        self.folder = folder
        self.write("shop.yaml", MANIFEST)

    def write(self, name: str, text: str) -> Path:
        """A file in the folder."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def read_json(self, name: str) -> Any:
        """The data in a file of the folder."""
        return json.loads((self.folder / name).read_text(encoding="utf-8"))

    def env(self, **more: str) -> dict[str, str]:
        """The environment of a run."""
        return {**os.environ, "LOSANT_API_URL": self.server.url, "LOSANT_API_TOKEN": self.server.token, **more}

    def run(self, *argv: str, env: Mapping[str, str] | None = None, program: tuple[str, ...] = ()) -> Done:
        """The installed command in a process of its own, without a terminal."""
        done = processes.run(
            [*(program or (sys.executable, "-m", "reconciler")), *argv],
            cwd=self.folder,
            env=self.env(**(env or {})),
            stdin=subprocess.DEVNULL,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    def start(self, *argv: str, by: str = 'exec "$@"') -> subprocess.Popen[str]:
        """The same, running on while the test does something to it. `by`: the shell's words that start it."""
        return processes.start(
            ["sh", "-c", by, "sh", sys.executable, "-m", "reconciler", *argv],
            cwd=self.folder,
            env=self.env(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def writes(self) -> list[tuple[str, Any]]:
        """Every request so far that could have changed anything: action and body."""
        return [(one["action"], one["body"]) for one in self.control.requests() if one["method"] != "GET"]

    def released(self) -> dict[str, str]:
        """Released versions by `device/flow`."""
        return {f"{row['device']}/{row['flow']}": row["released"] for row in self.control.rows() if row["released"]}


Here: TypeAlias = Callable[..., Done]


def invoker(shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    """The command line in this process, in the shop's folder: quicker, and as good where no process is in question."""
    monkeypatch.chdir(shop.folder)
    monkeypatch.setenv("LOSANT_API_URL", shop.server.url)
    monkeypatch.setenv("LOSANT_API_TOKEN", shop.server.token)

    def invoke(*argv: str) -> Done:
        code = run(argv)
        out, err = capsys.readouterr()
        assert "Traceback" not in err, err
        return Done(code, out, err)

    return invoke


def skip_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every pause of commands in this process be over at once, with the clock moved on by its length."""
    skipped_s = 0.0

    async def sleep(_: SystemClock, seconds: float) -> None:
        nonlocal skipped_s
        skipped_s += seconds
        await asyncio.sleep(0)

    monkeypatch.setattr(SystemClock, "sleep", sleep)
    monkeypatch.setattr(SystemClock, "monotonic", lambda _: time.monotonic() + skipped_s)
