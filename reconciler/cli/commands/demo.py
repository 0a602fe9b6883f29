"""`reconciler demo`: demonstrates planning and applying, or a rollout, on a simulator, without an account."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.console import Console
from reconciler.errors import ExitCode

if TYPE_CHECKING:
    from reconciler.simulator import Server

_CLOSING = """\
That was a simulator. For a real application:
  1. Put a token of the application into the environment: export LOSANT_API_TOKEN=...
  2. Make a folder `manifests`, and write what runs there today into a manifest in it:
     reconciler import --application ID --out manifests/production.yaml
  3. Change a version in it, and look: reconciler plan
  4. reconciler apply --wait
"""
_ROLLOUT_CLOSING = """
That was a simulator. docs/rollouts.md sets the same up step by step; in CI a schedule takes the steps.
"""


@dataclass(frozen=True, slots=True)
class Act:
    """A command of the story.

    Attributes:
        title: what is told before.
        argv: the command, without the manifest.
        code: how it must end.
        hours: so many pass on the simulator before.
        speed: so many times as fast as the wall clock the simulator's clock runs meanwhile.
    """

    title: str
    argv: tuple[str, ...]
    code: ExitCode = ExitCode.DONE
    hours: float = 0
    speed: float = 1


_MAIN = (
    Act("What would change?", ("plan",)),
    Act("Carry it out, and wait for the devices.", ("apply", "--yes", "--wait")),
    Act("And once more: there is nothing left to do.", ("plan", "--detailed-exitcode")),
)
_ROLLOUT = (
    Act("A new version. The change is one line, whatever the size of the fleet.", ("set", "telemetry=v1.3.0")),
    Act("What does it send now, and what does each later wave wait for?", ("plan",)),
    Act("The first wave goes. A schedule would run the same command again and again.", ("apply", "--yes")),
    Act(
        "An hour later: one of the two pumps could not load it. So nothing more is sent, to any pump.",
        ("apply", "--yes"),
        code=ExitCode.ROLLOUT_STOPPED,
        hours=1.1,
    ),
    Act(
        "Nothing is put back unless Git says so. A revert does, and that no wave holds up.", ("set", "telemetry=v1.2.3")
    ),
    Act("What ran the new version goes back in one run.", ("apply", "--yes")),
    Act("A fixed version.", ("set", "telemetry=v1.3.1")),
    Act(
        "It begins at the first wave again. With --wait one command goes on to the end: an hour is a second here.",
        ("apply", "--yes", "--wait", "--timeout", "24h"),
        speed=3600,
    ),
    Act("And that is where it stands.", ("status",)),
)


@click.command
@click.option(
    "--rollout", is_flag=True, help="Show a rollout: a wave, a failing canary, the way back, a fixed version."
)
@click.pass_obj
def command(console: Console, *, rollout: bool) -> int | None:
    """Start a simulator with 2,500 devices, plan a manifest, apply it, wait, and plan again.

    With --rollout a version reaches a hundred devices in waves instead. Needs no account, and leaves nothing behind.
    """
    acts: tuple[Act, ...]
    if rollout:
        told = (
            "A simulator now serves an application with 100 pumps, two of them in a laboratory. The manifest for them:"
        )
        fleet, manifest, acts, closing = (
            demo_file("rollout-fleet.yaml"),
            demo_file("rollout.yaml"),
            _ROLLOUT,
            _ROLLOUT_CLOSING,
        )
    else:
        told = "A simulator now serves an application with 2,500 pumps at three sites. The manifest for them:"
        fleet, manifest, acts, closing = demo_fleet(), demo_manifest(), _MAIN, _CLOSING
    with _stage(fleet, manifest) as server:
        console.write(f"{told}\n\n")
        console.write("".join(f"    {line}".rstrip() + "\n" for line in manifest.splitlines()))
        for act in acts:
            if (code := _play(console, server, act)) != act.code:
                return code or ExitCode.ERROR
    console.write(closing)
    return None


@contextlib.contextmanager
def _stage(fleet: str, manifest: str) -> Iterator[Server]:
    """A simulator with that fleet, and that manifest in a folder to work in."""
    from reconciler.cli.commands.simulator import needs_simulator

    with needs_simulator():
        from reconciler.simulator import serve

    with contextlib.ExitStack() as stack:
        server = stack.enter_context(serve(fleet))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="reconciler-demo-")))
        before = _exchange({"LOSANT_API_URL": server.url, "LOSANT_API_TOKEN": server.token})
        stack.callback(_exchange, before)
        stack.enter_context(contextlib.chdir(folder))
        Path("demo.yaml").write_text(manifest, encoding="utf-8")
        yield server


def _play(console: Console, server: Server, act: Act) -> int:
    """Tell and run one command."""
    from reconciler.cli.app import run

    server.control.advance(hours=act.hours)
    server.control.clock(speed=act.speed)
    argv = [*act.argv, "demo.yaml"]
    console.write(f"\n{act.title}\n\n$ reconciler {' '.join(argv)}\n")
    code = run(["--color", "always" if console.color else "never", *argv])
    if code and code == act.code:
        console.write(f"\n$ echo $?\n{code:d}\n")
    return code


def demo_fleet() -> str:
    """The demo's fleet file, as YAML text."""
    return demo_file("fleet.yaml")


def demo_manifest() -> str:
    """The demo's manifest, as YAML text; `manifests/demo.yaml` is a copy."""
    return demo_file("manifest.yaml")


def demo_file(name: str) -> str:
    """A file that a demo starts from."""
    return files("reconciler.cli").joinpath("demo_files", name).read_text(encoding="utf-8")


def _exchange(variables: Mapping[str, str]) -> Mapping[str, str]:
    """Replace all of reconciler's environment variables by these. Returns the old ones, to be restored."""
    before = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("LOSANT_")}
    os.environ.update(variables)
    return before
