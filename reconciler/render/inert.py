"""Escapes untrusted text from the API or a file for display, and fits it into lines.

In a terminal control characters must have no effect, and nobody may take two texts for one because of a character that
shows nothing. In a CI log no line may act as a command of the CI system: GitHub reads `::name::` at the start of a line
and `##[name]` anywhere in it, Azure Pipelines `##vso[name]`, TeamCity `##teamcity[name]`.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TypeAlias

from reconciler.model.characters import is_hidden
from reconciler.model.log import unix_time
from reconciler.model.state import Application, Kind
from reconciler.model.text import and_more

WIDTH = 60
EXAMPLES = 3  # names shown for a group of many devices
LISTED = 20  # rows listed for a refusal
Paint: TypeAlias = Callable[[str, str], str]
"""Makes text coloured or bold, or returns it unchanged."""

_ANSI = {"bold": 1, "red": 31, "green": 32, "yellow": 33}
_SUSPECT = re.compile(r"[^\x20-\x7e]|##|^\s*::", re.ASCII)
_CI_ANYWHERE = r"(?i)##(?=[a-z]*\[)"
_CI_AT_START = r"^(\s*):(?=:)"


def inert(text: str, *, limit: int | None = None) -> str:
    """The text as one harmless line, truncated to `limit` characters with an ellipsis."""
    if limit is not None and len(text) > limit:
        text = text[: limit - 1] + "…"
    if not _SUSPECT.search(text):
        return text
    text = "".join(_escape(char) for char in text)
    text = re.sub(_CI_ANYWHERE, r"#\\x23", text)
    return re.sub(_CI_AT_START, r"\1\\x3a", text)


def version_text(version: str | None) -> str:
    """A version, or "nothing"."""
    return "nothing" if version is None else inert(version)


def date_text(date: str | None, *, seconds: bool = False) -> str:
    """A date that is past: `2026-03-02 14:10Z`, in a log with its seconds. What is no date is shown as it is."""
    try:
        at = datetime.fromtimestamp(unix_time(date), UTC)
    except (ValueError, OverflowError):  # of no date, or of one outside of the years 1 to 9999
        return inert(date or "")
    return f"{at:%Y-%m-%d %H:%M:%S}Z" if seconds else f"{at:%Y-%m-%d %H:%M}Z"


def words(name: str) -> str:
    """The name of a verdict or a column as words."""
    return name.replace("_", " ")


def with_id(name: str | None, identifier: str) -> str:
    """Name and id, or only the id if there is no name."""
    return f"{inert(name)} ({identifier})" if name else identifier


def title(application: Application, kind: Kind) -> str:
    """The heading of an application's section."""
    return f"Application {with_id(application.name, application.id)}, {kind}"


def wrapped(text: str, *, indent: int) -> list[str]:
    """Wrap inert text to `WIDTH` columns, with later lines indented by two more; long words are not broken.

    Text that is harmless within a line may not be at its start, so each line is made inert again.
    """
    wrapper = textwrap.TextWrapper(WIDTH, " " * indent, " " * (indent + 2))
    wrapper.break_long_words = wrapper.break_on_hyphens = False
    return [inert(line) for line in wrapper.wrap(text)]


def fitting(names: Sequence[str], *, total: int, indent: int) -> str:
    """As many names as fit in a line, at least one, and how many of the `total` are left out."""
    shown = len(names)
    while True:
        text = " " * indent + ", ".join(names[:shown]) + and_more(total - shown, "")
        if shown <= 1 or len(text) <= WIDTH:
            return text
        shown -= 1


def left_out(number: int, noun: str = "", *, indent: int) -> Iterator[str]:
    """The line `and 3 more rows` that ends a list, unless nothing was left out."""
    if number > 0:
        yield " " * indent + and_more(number, noun).lstrip()


def _escape(char: str) -> str:
    if not is_hidden(char):
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def painter(*, color: bool) -> Paint:
    """A function that makes text coloured or bold; without `color` it returns the text unchanged."""
    if not color:
        return lambda text, _: text
    return lambda text, style: f"\x1b[{_ANSI[style]}m{text}\x1b[0m"
