"""The folder `.reconciler`: what a pipeline installs, and how."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from reconciler.operations.init.forges import template
from reconciler.operations.init.origin import Origin

FOLDER = ".reconciler"
_ENTRY = re.compile(r"^[\w.-]+==.*(?:\n    --hash=.*)*\n", re.MULTILINE)
_BUILT = "--no-build-isolation"  # what builds it is in the lock, too
_READY = "--only-binary :all:"


def installing(origin: Origin) -> dict[str, str]:
    """The files of the folder."""
    locks = [_lock("runtime"), *([_lock("build")] if origin.is_source else [])]
    entries = sorted({entry for lock in locks for entry in _ENTRY.findall(lock)})
    return {
        f"{FOLDER}/requirements.txt": "".join(entries),
        f"{FOLDER}/reconciler.txt": origin.line + "\n",
        f"{FOLDER}/install.sh": template("install.sh").replace("HOW", _BUILT if origin.is_source else _READY, 1),
    }


def _lock(name: str) -> str:
    """A lock of this project: part of a wheel, beside the package in a work tree."""
    inside = files("reconciler") / "cli" / "init_files" / "requirements" / f"{name}.txt"
    place = inside if inside.is_file() else Path(__file__).parents[3] / "requirements" / f"{name}.txt"
    return place.read_text(encoding="utf-8")
