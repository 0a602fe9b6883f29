"""`reconciler demo`: the whole story in one command, on a simulator, with no account."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
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
def command(console: Console) -> int:
    """Start a simulator with 2,500 devices, plan a manifest, apply it, wait, and plan again.

    Needs no account, and leaves nothing behind.
    """
    from reconciler.cli.commands.demo_fleet import demo_fleet, demo_manifest
    from reconciler.cli.commands.simulator import needs_simulator
    from reconciler.errors import ExitCode

    with needs_simulator():
        from reconciler.simulator import serve

    with contextlib.ExitStack() as stack:
        server = stack.enter_context(serve(demo_fleet()))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="reconciler-demo-")))
        stack.enter_context(_environment(LOSANT_API_URL=server.url, LOSANT_API_TOKEN=server.token))
        stack.enter_context(_working_in(folder))
        Path("demo.yaml").write_text(demo_manifest(), encoding="utf-8")

        console.write("A simulator now serves an application with 2,500 pumps at three sites. The manifest for them:\n")
        console.write(_indented(demo_manifest()))
        steps = [
            ("What would change?", ["plan", "demo.yaml"]),
            ("Carry it out, and wait for the devices.", ["apply", "--yes", "--wait", "demo.yaml"]),
            ("And once more: there is nothing left to do.", ["plan", "--detailed-exitcode", "demo.yaml"]),
        ]
        for title, argv in steps:
            code = _step(console, title, argv)
            if code:
                return code
    console.write(_CLOSING)
    return console.exit(ExitCode.DONE)


def _step(console: Console, title: str, argv: list[str]) -> int:
    from reconciler.cli.app import run

    console.write(f"\n{title}\n\n$ reconciler {' '.join(argv)}\n")
    options = [] if console.color else ["--no-color"]
    return run([*options, *argv])


def _indented(text: str) -> str:
    return "".join(f"    {line}".rstrip() + "\n" for line in text.splitlines())


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    """These variables instead of any of the product's own that are set; afterwards as before."""
    before = {name: value for name, value in os.environ.items() if name.startswith("LOSANT_")}
    for name in before:
        del os.environ[name]
    os.environ.update(values)
    try:
        yield
    finally:
        for name in values:
            os.environ.pop(name, None)
        os.environ.update(before)


@contextlib.contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
