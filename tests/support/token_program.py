"""A command that gives tokens, and notes for which application it ran."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path


def program(folder: Path, text: str) -> str:
    """The command line that runs a Python program, after it noted for which application in the file `runs`."""
    path = folder / "it's a token.py"
    note = f"import os, sys\nopen({str(folder / 'runs')!r}, 'a').write(os.environ['RECONCILER_APPLICATION'] + '\\n')\n"
    path.write_text(f"{note}runs = len(open({str(folder / 'runs')!r}).readlines())\n{text}\n", encoding="utf-8")
    return f"{shlex.quote(sys.executable)} -S {shlex.quote(str(path))}"


def runs(folder: Path) -> list[str]:
    return (folder / "runs").read_text().split()
