"""How text of the API is written in a manifest or a lock: as a scalar, or as a comment, that nobody reads as more."""

from __future__ import annotations

import re

from reconciler.model.characters import is_hidden
from reconciler.model.text import is_id

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./+-]*")
_NUMBER_LIKE = re.compile("[0-9]+e[0-9]+")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})  # text here, but not to other tools
_CI_COMMAND = re.compile(r"##(?=[a-z]*\[)", re.IGNORECASE)  # acted on anywhere in a line of a CI log
_BREAKS = re.compile("[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


def quoted(text: str) -> str:
    """Text as a YAML scalar that every YAML parser reads as that text."""
    is_plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    if is_plain or (is_id(text) and text.islower() and not _NUMBER_LIKE.fullmatch(text)):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    if not text.isascii():
        escaped = "".join(_escape(char) if is_hidden(char) else char for char in escaped)
    escaped = _CI_COMMAND.sub(r"#\\x23", escaped)
    return '"' + _BREAKS.sub(lambda found: _escape(found[0]), escaped) + '"'


def _escape(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


def comment(name: str | None) -> str:
    """A name as a comment at the end of a line; nothing without one."""
    return f"  # {on_one_line(name)}" if name else ""


def on_one_line(text: str) -> str:
    """Text of a comment: hidden characters and line breaks as `?`, and no command of a CI system."""
    return _CI_COMMAND.sub("#?", "".join("?" if is_hidden(char) else char for char in text))
