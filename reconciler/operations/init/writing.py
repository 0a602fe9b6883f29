"""Writes what is not there, and says how what is there differs. Nothing is overwritten."""

from __future__ import annotations

import re
from difflib import unified_diff
from enum import Enum, auto
from pathlib import Path
from typing import NamedTuple

from reconciler.errors import UsageError
from reconciler.files import TooLarge, read_bounded

MARK = "# Written by `reconciler init`. Run it again after an upgrade: it shows what it would write then.\n"
_MAX_BYTES = 3 * 1024 * 1024


class State(Enum):
    """What became of a file."""

    WROTE = auto()
    KEPT = auto()  # somebody else's, or as it would be written
    DIFFERS = auto()  # ours, and not as it would be written now


class Written(NamedTuple):
    """A file and what became of it; `diff` leads from what is there to what would be written.

    `same`: the file is, byte for byte but for line ends, what would be written.
    """

    name: str
    state: State
    diff: str = ""
    same: bool = False


def marked(text: str) -> str:
    """A text with the line that says whose it is, after the line that says how to run it."""
    first, rest = text.split("\n", 1) if text.startswith("#!") else ("", text)
    return f"{first}\n{MARK}{rest}" if first else MARK + rest


def put(root: Path, name: str, text: str, *, mark: str = "") -> Written:
    """Create a file, unless it exists. With a `mark`, one that has it is ours, and is compared."""
    target = root / name
    if not target.parent.resolve().is_relative_to(root):
        raise UsageError(f"{name} would be written outside the repository, through a symlink")
    if target.exists() or target.is_symlink():
        return _compared(root, name, text, mark) if mark else Written(name, State.KEPT)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            try:
                file.write(text.encode())
                file.flush()
            except OSError:
                target.unlink()  # whole or not at all
                raise
    except OSError as error:
        raise UsageError(f"{name} cannot be written: {error.strerror or error}") from None
    return Written(name, State.WROTE)


def is_foreign(written: Written) -> bool:
    """Whether a file was there that somebody else wrote."""
    return written.state is State.KEPT and not written.same


def look(root: Path, name: str, text: str, *, mark: str) -> Written | None:
    """How a file that is there compares; None if there is none."""
    target = root / name
    return _compared(root, name, text, mark) if target.exists() or target.is_symlink() else None


def there(root: Path, name: str) -> str:
    """The text of a file; UsageError if it cannot be read."""
    try:
        return read_bounded(root / name, _MAX_BYTES).decode("utf-8", errors="replace")
    except (OSError, TooLarge) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"{name} cannot be read: {reason or error}", hint="check where it leads to") from None


def _compared(root: Path, name: str, text: str, mark: str) -> Written:
    found = there(root, name).replace("\r\n", "\n")
    if found == text or mark not in found:
        return Written(name, State.KEPT, same=found == text)
    lines = unified_diff(_lines(found), _lines(text), f"a/{name}", f"b/{name}")
    return Written(name, State.DIFFERS, "".join(map(_ended, lines)))


def _lines(text: str) -> list[str]:
    """The lines of a text as git has them: what ends one is a line feed alone."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _ended(line: str) -> str:
    """A line of a diff; of a file's last line git wants to be told that it has no end."""
    return line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
