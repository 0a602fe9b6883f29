"""Helpers for text: recognising ids, the encoding of files, and counts with plurals."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

ID_PATTERN: Final = "[0-9A-Fa-f]{24}"
is_id: Final = re.compile(ID_PATTERN).fullmatch  # whether text is an id of the API; called for each record of a fleet


def encoding_of(data: bytes) -> str:
    """The encoding of a file, by its mark: UTF-16 with one, else UTF-8 with or without one."""
    utf_16 = data.startswith((b"\xff\xfe", b"\xfe\xff")) and not data.startswith(b"\xff\xfe\0\0")
    return "utf-16" if utf_16 else "utf-8-sig"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """What somebody may have meant by a word that is not known."""
    from difflib import get_close_matches  # noqa: PLC0415 - slow to import, and only mistakes need it

    return next(iter(get_close_matches(word, [*known], n=1)), None)


def counted(number: int, noun: str) -> str:
    """`1 device`, `1,200 devices`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def and_more(number: int, noun: str = "device") -> str:
    """` and 3 more devices`, without a noun ` and 3 more`, or nothing."""
    more = counted(number, f"more {noun}") if noun else f"{number:,} more"
    return f" and {more}" if number else ""
