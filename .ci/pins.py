"""Compares two lists of pins (`name==version` per line) for the Python that runs this; `-` is standard input.

    pip freeze --exclude-editable | python .ci/pins.py requirements/dev.txt -

Prints each package whose version differs, and fails if there is one.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_PIN = re.compile(r"^[A-Za-z0-9][^=\n]*==[^\\\n]+", re.MULTILINE)


def pins(text: str) -> dict[str, str]:
    """The version of each package of a lock or of `pip freeze` whose marker applies here."""
    found = [Requirement(line.strip()) for line in _PIN.findall(text)]
    here = [one for one in found if one.marker is None or one.marker.evaluate()]
    return {canonicalize_name(one.name): str(one.specifier).removeprefix("==") for one in here}


def moved(old: dict[str, str], new: dict[str, str]) -> list[str]:
    """A line for each package whose version differs."""
    names = sorted(name for name in old | new if old.get(name) != new.get(name))
    return [f"{name} {old.get(name, '(none)')} -> {new.get(name, '(none)')}" for name in names]


def _read(path: str) -> str:
    return sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")


if __name__ == "__main__":
    lines = moved(*(pins(_read(path)) for path in sys.argv[1:]))
    print("\n".join(lines) or "the same packages in the same versions")
    sys.exit(bool(lines))
