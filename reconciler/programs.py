"""Finds the programs that are run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def find_program(name: str) -> str | None:
    """A program on PATH. The working directory is not searched: a program there comes with the files under review."""
    here = os.path.realpath(os.curdir)
    for folder in os.get_exec_path():
        if Path(folder).is_absolute() and os.path.realpath(folder) != here:
            found = shutil.which(str(Path(folder, name)))
            if found:
                return found
    return None
