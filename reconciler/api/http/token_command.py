"""Tokens that a command gives: run without a shell, once for each application, and again when a token is used up.

Nothing of what the command writes is ever shown, neither to stdout nor to stderr.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import subprocess
import threading
import time
from datetime import datetime
from typing import NamedTuple

from reconciler.api.http.credentials import Token, read_token
from reconciler.errors import UsageError
from reconciler.programs import find_program

OPTION = "--token-command"
APPLICATION_VARIABLE = "RECONCILER_APPLICATION"
LIMIT_S = 30.0

_MAX_BYTES = 64 * 1024  # a token has a few hundred characters; this bounds a command that writes for ever
_FORM = 'it must write the token and nothing else, or JSON: {"token": "…", "expires": "2026-06-01T12:00:00Z"}'


class Given(NamedTuple):
    """What a command gave: a token, and when it expires, if it said so."""

    token: Token
    expires: datetime | None


class TokenCommand:
    """A command that writes a token to its stdout."""

    def __init__(self, text: str, application_id: str) -> None:
        """Split the text into words, as a POSIX shell does; nothing in them is expanded."""
        self.application_id = application_id
        self._words = _words(text)
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, now: str) -> Given:
        """Run it. `now`: RFC 3339 text.

        Raises:
            UsageError: it failed, took longer than 30 s, or wrote no token that is still valid.
        """
        given = self._parsed(self._output())
        if given.expires is not None and given.expires <= datetime.fromisoformat(now):
            hint = "let it fetch a new token instead of a stored one, and check this machine's clock"
            raise self._failure("the token that it gave has expired", hint)
        return given

    def kill(self) -> None:
        """End the process, if one runs."""
        if self._process is not None:
            self._process.kill()

    def _output(self) -> bytes:
        program = self._words[0] if _is_path(self._words[0]) else find_program(self._words[0])
        if program is None:
            raise self._failure(f"there is no program {self._words[0]} on the PATH", "give its whole path")
        deadline = time.monotonic() + LIMIT_S
        try:
            self._process = process = subprocess.Popen(  # noqa: S603 - the user's own command, without a shell
                [program, *self._words[1:]],
                env={**os.environ, APPLICATION_VARIABLE: self.application_id},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is not a usable path"
            raise self._failure(f"{self._words[0]} cannot be run: {reason}") from None
        try:
            output = _first_bytes(process, deadline)
            if len(output) > _MAX_BYTES:
                raise self._failure("it wrote too much to be a token", _FORM)
            code = process.wait(max(0.0, deadline - time.monotonic()))
        except (TimeoutError, subprocess.TimeoutExpired):
            raise self._failure(f"it did not end within {LIMIT_S:g} s", "it cannot ask anything on stdin") from None
        finally:
            self._process = None
            process.kill()
            process.wait()
        if code:
            raise self._failure(f"it exited with {code}" if code > 0 else f"it was ended by signal {-code}")
        return output

    def _parsed(self, output: bytes) -> Given:
        try:
            text = output.decode("utf-8-sig").strip()
        except UnicodeDecodeError:
            raise self._failure("it wrote no UTF-8 text", _FORM) from None
        expires = None
        if text.startswith("{"):
            try:
                data = json.loads(text)
            except (ValueError, RecursionError):
                raise self._failure("it wrote no valid JSON", _FORM) from None
            text, expires = data.get("token"), data.get("expires")
            if not isinstance(text, str):
                raise self._failure("its JSON has no text `token`", _FORM)
        try:
            return Given(read_token(text, source=OPTION), _instant(expires))
        except ValueError:
            raise self._failure("its `expires` is not a date and time with a time zone", _FORM) from None

    def _failure(self, problem: str, hint: str | None = None) -> UsageError:
        by_hand = f"run it by hand, with {APPLICATION_VARIABLE}={self.application_id}, to see what it says"
        return UsageError(f"{OPTION} for application {self.application_id}: {problem}", hint=hint or by_hand)


class CommandToken(Token):
    """The token that a command gave last. Those that it gave before are redacted, too."""

    __slots__ = ("_command", "_expires", "_former", "_lock", "_may_replace")

    def __init__(self, command: TokenCommand, given: Given) -> None:
        self._command = command
        self._former: list[Token] = []
        self._lock = asyncio.Lock()
        self._may_replace = True
        self._take(given)

    def _take(self, given: Given) -> None:
        self._former.append(given.token)
        self._expires = given.expires
        self.source = given.token.source

    @property
    def header(self) -> str:
        """Value of the `Authorization` header."""
        return self._former[-1].header

    def redact(self, text: str) -> str:
        """The text without any of the tokens."""
        for token in self._former:
            text = token.redact(text)
        return text

    def is_in(self, body: bytes) -> bool:
        """Whether a response repeats any of the tokens."""
        return any(token.is_in(body) for token in self._former)

    async def renew_expired(self, now: str) -> bool:
        """Get another token if this one has expired, as the command said that it would."""
        if not self._has_expired(now):
            return False
        async with self._lock:
            if self._has_expired(now):  # unless another request did so meanwhile
                await self._run(now)
        return True

    async def replace_refused(self, header: str, now: str) -> bool:
        """Get another token in place of one that the API refused; that is done once in a run."""
        async with self._lock:
            if self.header == header and self._may_replace:
                self._may_replace = False
                await self._run(now)
                return True
            return self.header != header

    def _has_expired(self, now: str) -> bool:
        return self._expires is not None and self._expires <= datetime.fromisoformat(now)

    async def _run(self, now: str) -> None:
        try:
            self._take(await asyncio.to_thread(self._command.run, now))
        except asyncio.CancelledError:
            self._command.kill()
            raise


def command_token(text: str, application_id: str, *, now: str) -> Token:
    """The token that a command gives for an application.

    Raises:
        UsageError: the command failed. Nothing of its output is in the message.
    """
    command = TokenCommand(text, application_id)
    return CommandToken(command, command.run(now))


def _words(text: str) -> list[str]:
    """The words of a command line, at least one. On Windows a backslash separates folders and escapes nothing."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters = True, ""
    if os.name == "nt":
        lexer.escape = ""
    try:
        words = list(lexer)
    except ValueError:
        words = []
    if not words or not words[0]:
        raise UsageError(f"{OPTION}: a quotation mark is not closed, or no program is named", hint="quote each word")
    return words


def _is_path(word: str) -> bool:
    return bool(os.path.dirname(word))  # noqa: PTH120 - which pathlib would normalise


def _first_bytes(process: subprocess.Popen[bytes], deadline: float) -> bytes:
    """What a process writes until it closes its stdout, or a little more than a token may have.

    Read in a thread, which is left behind at the deadline: something that the process started may hold the pipe open.
    """
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    stdout, pieces = process.stdout, bytearray()

    def read() -> None:
        with stdout:
            while len(pieces) <= _MAX_BYTES and (piece := stdout.read(_MAX_BYTES)):
                pieces.extend(piece)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(max(0.0, deadline - time.monotonic()))
    if thread.is_alive():
        raise TimeoutError
    return bytes(pieces)


def _instant(text: object) -> datetime | None:
    """A date and time with its zone; ValueError if it is something else."""
    if text is None:
        return None
    instant = datetime.fromisoformat(text) if isinstance(text, str) else None
    if instant is None or instant.tzinfo is None:
        raise ValueError
    return instant
