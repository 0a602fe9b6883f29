"""`reconciler demo`: demonstrates planning and applying on a simulator, without an account."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import click

from reconciler.cli.console import Console

_CLOSING = """\
That was a simulator. For a real application:
  1. Put a token of the application into the environment: export LOSANT_API_TOKEN=...
  2. Write what runs there today into a manifest: reconciler import --application ID --out manifests/production.yaml
  3. Change a version in it, and look: reconciler plan
  4. reconciler apply --wait
"""


@click.command
@click.pass_obj
def command(console: Console) -> int | None:
    """Start a simulator with 2,500 devices, plan a manifest, apply it, wait, and plan again.

    Needs no account, and leaves nothing behind.
    """
    from reconciler.cli.app import run
    from reconciler.cli.commands.simulator import needs_simulator

    with needs_simulator():
        from reconciler.simulator import serve

    with contextlib.ExitStack() as stack:
        server = stack.enter_context(serve(demo_fleet()))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="reconciler-demo-")))
        before = _exchange({"LOSANT_API_URL": server.url, "LOSANT_API_TOKEN": server.token})
        stack.callback(_exchange, before)
        stack.enter_context(contextlib.chdir(folder))
        Path("demo.yaml").write_text(demo_manifest(), encoding="utf-8")

        console.write("A simulator now serves an application with 2,500 pumps at three sites. The manifest for them:\n")
        console.write("".join(f"    {line}".rstrip() + "\n" for line in demo_manifest().splitlines()))
        options = ["--color", "always" if console.color else "never"]
        steps = [
            ("What would change?", ["plan", "demo.yaml"]),
            ("Carry it out, and wait for the devices.", ["apply", "--yes", "--wait", "demo.yaml"]),
            ("And once more: there is nothing left to do.", ["plan", "--detailed-exitcode", "demo.yaml"]),
        ]
        for title, argv in steps:
            console.write(f"\n{title}\n\n$ reconciler {' '.join(argv)}\n")
            if code := run([*options, *argv]):
                return code
    console.write(_CLOSING)
    return None


def demo_fleet() -> str:
    """The demo's fleet file, as YAML text."""
    return _file("fleet.yaml")


def demo_manifest() -> str:
    """The demo's manifest, as YAML text; `manifests/demo.yaml` is a copy."""
    return _file("manifest.yaml")


def _file(name: str) -> str:
    return files("reconciler.cli").joinpath("demo_files", name).read_text(encoding="utf-8")


def _exchange(variables: Mapping[str, str]) -> Mapping[str, str]:
    """Replace all of reconciler's environment variables by these. Returns the old ones, to be restored."""
    before = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("LOSANT_")}
    os.environ.update(variables)
    return before
