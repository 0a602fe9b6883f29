"""The types of the values of options and arguments. Click puts the option's name before their messages."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from reconciler.model.text import is_id

if TYPE_CHECKING:
    from reconciler.model.world import Filter


def filled(text: str) -> str:
    """A non-empty argument: an empty one is usually an unset shell variable."""
    if not text.strip():
        raise click.BadParameter("it is empty; is a variable unset?")
    return text


def matching(pattern: str, problem: str, *, longest: int | None = None) -> Callable[[str], str]:
    """Text that matches a pattern, optionally of a maximum length."""

    def check(text: str) -> str:
        if longest is not None and len(text) > longest:
            raise click.BadParameter(f"it is {len(text):,} characters long; the API accepts {longest:,}")
        if not re.fullmatch(pattern, text):
            raise click.BadParameter(f"{text!r} {problem}")
        return text

    return check


def digest(text: str) -> str:
    """A plan's digest; the prefix `sha256:` is optional."""
    match = re.fullmatch(r"(?:sha256:)?([0-9a-f]{64})", text.lower())
    if match is None:
        raise click.BadParameter("a digest is sha256: and 64 hex digits")
    return f"sha256:{match[1]}"


def object_id(text: str) -> str:
    """A 24-hex id, converted to lower case."""
    if not is_id(text):
        raise click.BadParameter(f"{text!r} is not a valid id: write its 24 hex digits")
    return text.lower()


def duration_s(text: str) -> float:
    """Seconds of `90s`, `15m`, `2h`, `7d` or a bare number."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text.strip(), re.ASCII)
    if not match:
        raise click.BadParameter(f"{text!r} is not a duration: write 90s, 15m or 2h")
    return float(match[1]) * {"d": 86400, "h": 3600, "m": 60}.get(match[2], 1)


def http_url(longest: int) -> Callable[[str], str]:
    """An http or https URL."""
    problem = "is not an http or https URL, such as https://example.com/hook"
    shape = matching(r"(?i:https?)://[^\s\x00-\x1f\x7f]+", problem, longest=longest)

    def check(text: str) -> str:
        try:
            parts = urlsplit(shape(text))
            if parts.hostname and parts.port != 0:
                return text
        except ValueError:
            pass
        raise click.BadParameter(f"{text!r} {problem}")

    return check


def new_file(path: str) -> str:
    """The path of a file that does not exist yet."""
    if os.path.lexists(path):
        raise click.BadParameter(f"{path} already exists: remove it first, or choose another file")
    return path


def row_filter(text: str) -> Filter:
    """A filter of `--target` or `--exclude`."""
    from reconciler.model.world import Filter

    by, _, name = text.partition("=")
    if by not in ("device", "flow", "group") or not name:
        raise click.BadParameter(f"{text!r} is not of the form device=NAME, flow=NAME or group=NAME")
    return Filter(by, name)
