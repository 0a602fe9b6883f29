"""Terraform's spellings of options, and ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Final

_OURS: Final[Mapping[str, str]] = {
    "json": "--format json",
    "out": "--out {value}",
    "auto-approve": "--yes",
    "target": "--target {value}",
    "parallelism": "--parallelism {value}",
    "detailed-exitcode": "--detailed-exitcode",
    "no-color": "--color never",
    "help": "--help",
    "version": "--version",
}
_VALUES: Final[Mapping[str, str]] = {"out": "FILE", "target": "KEY=NAME", "parallelism": "N"}


def ours(argv: Sequence[str]) -> tuple[str, str] | None:
    """The first of Terraform's spellings in a command line that click refused, and a hint to ours."""
    for word in takewhile(lambda word: word != "--", argv):
        name, _, value = word.lstrip("-").partition("=")
        # With two dashes only those that we do not have.
        is_theirs = name in _OURS and (word.startswith("-") and (word[1] != "-" or name in ("json", "auto-approve")))
        if is_theirs:
            return f"-{name}" if word[1] != "-" else f"--{name}", f"write {_spelled(name, value)}"
    return None


def _spelled(name: str, value: str) -> str:
    """Our spelling, with the value as it was given."""
    text = _OURS[name].format(value=value or _VALUES.get(name, ""))
    if name == "target" and value.partition("=")[0] not in ("device", "flow", "group"):
        return f"--target device={value or 'NAME'}, --target flow=NAME or --target group=NAME"
    return text
