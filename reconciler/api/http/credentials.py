"""The API token: where it comes from, and how it is kept out of messages and logs."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from pathlib import Path

from reconciler.errors import UsageError

VARIABLE = "LOSANT_API_TOKEN"
REMOVED = "[token removed]"

_MAX_BYTES = 64 * 1024  # a token has a few hundred characters; this bounds `--token-file /dev/zero`
_FILE_HINT = "the file must contain the token and nothing else"
_PIECE = 12  # substrings of the token of this length are redacted too


class Token:
    """An API token and where it came from. Only `header` exposes its text.

    Attributes:
        source: where to fix it when the API rejects it, such as `LOSANT_API_TOKEN` or `--token-file ci.token`.
    """

    __slots__ = ("_pieces", "_text", "source")

    def __init__(self, text: str, *, source: str) -> None:
        self._text = text
        self.source = source
        size = min(_PIECE, len(text))
        self._pieces = frozenset(text[start : start + size] for start in range(len(text) - size + 1))

    @property
    def header(self) -> str:
        """Value of the `Authorization` header."""
        return f"Bearer {self._text}"

    def seal(self, message: str) -> str:
        """What only whoever has this token can make of a message, and what tells nothing about the token."""
        return hmac.new(self.header.encode(), message.encode(), hashlib.sha256).hexdigest()[:32]

    def redact(self, text: str) -> str:
        """The text without the token and without any substring of it of 12 or more characters."""
        size = min(_PIECE, len(self._text))
        kept, start, position = [], 0, 0
        while position <= len(text) - size:
            if text[position : position + size] not in self._pieces:
                position += 1
                continue
            kept.append(text[start:position])
            position += size
            while text[position - size + 1 : position + 1] in self._pieces:
                position += 1
            kept.append(REMOVED)
            start = position
        return "".join([*kept, text[start:]])

    def is_in(self, body: bytes) -> bool:
        """Whether a JSON response repeats the token, however it spells it. A token too short to be real is ignored."""
        if len(self._text) <= _PIECE:
            return False
        token = self._text.encode()
        return token in body or (b"\\" in body and token in _ESCAPE.sub(_unescaped, body))

    async def renew_expired(self, now: str) -> bool:  # noqa: ARG002 - for tokens that can be had anew
        """Get another token if this one has expired; whether that was done. `now`: RFC 3339 text."""
        return False

    async def replace_refused(self, header: str, now: str) -> bool:  # noqa: ARG002
        """Get another token in place of one that the API refused with 401; whether there is another one now."""
        return False

    def __repr__(self) -> str:
        return f"<Token from {self.source}>"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a token cannot be pickled")


_ESCAPE = re.compile(rb"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)


def _unescaped(escape: re.Match[bytes]) -> bytes:
    """The character of a JSON escape; `?` for those that no token has."""
    if escape[1] is None:
        return b"?" if escape[2] in b"bfnrtu" else escape[2]
    code = int(escape[1], 16)
    return bytes([code]) if code < 128 else b"?"


def find_token(environ: Mapping[str, str], application_id: str, *, token_file: str | None = None) -> Token:
    """The token for an application: `--token-file`, else the application's own variable, else the shared one.

    An empty variable counts as unset: CI systems set one for a secret that does not exist.

    Raises:
        UsageError: no token, an unreadable file, or a malformed token. The message never contains the text.
    """
    if token_file is not None:
        return read_token(_read(token_file), source=f"--token-file {token_file}")
    spellings = (application_id, application_id.upper(), application_id.lower())
    names = [*dict.fromkeys(f"{VARIABLE}_{spelling}" for spelling in spellings), VARIABLE]
    for name in names:
        if environ.get(name, "").strip():
            return read_token(environ[name], source=name)
    empty = [name for name in names if name in environ]
    raise UsageError(
        f"no API token for application {application_id}" + (f": {', '.join(empty)} is empty" if empty else ""),
        hint=f"set {VARIABLE}_{application_id} or {VARIABLE}, or pass --token-file or --token-command",
    )


def _read(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a usable path"
        raise UsageError(f"--token-file {path}: {reason}", hint=_FILE_HINT) from None
    if len(content) > _MAX_BYTES:
        raise UsageError(f"--token-file {path}: too large to be a token", hint=_FILE_HINT)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"--token-file {path}: not UTF-8 text", hint="save it as plain ASCII text") from None


def read_token(text: str, *, source: str, issuer: str = "Losant") -> Token:
    """Parse a token, ignoring surrounding white space (files end in a newline).

    Raises:
        UsageError: the text is not a valid token.
    """
    text = text.strip(" \t\r\n")
    if problem := _problem(text):
        raise UsageError(
            f"{source}: the token {problem}", hint=f"give the token alone, exactly as {issuer} displayed it"
        )
    return Token(text, source=source)


def _problem(text: str) -> str | None:
    if not text:
        return "is empty"
    if text[:7].lower() == "bearer ":
        return "must not start with the word Bearer"
    if not text.isascii():
        return "contains non-ASCII characters"
    if re.search(r"\s", text):
        return "contains white space or line breaks"
    if not text.isprintable():
        return "contains control characters"
    return None
