"""Runs git: as the user's git reads the repository, but offline, without replaced objects, and without our tokens."""

from __future__ import annotations

import os
import re
import subprocess

from reconciler.errors import UsageError
from reconciler.programs import find_program

_TIMEOUT_S = 60
# An ambiguous name is an error here, so git has to say it, whatever the user configured. A file system monitor is a
# program that the repository's configuration names.
_OPTIONS = ("--no-replace-objects", "-c", "core.warnAmbiguousRefs=true", "-c", "core.fsmonitor=false")
# Nothing is fetched: older versions of git do not know the first of these, and are kept from it by the second.
_ENVIRONMENT = {"GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "none", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
_OWNER = re.compile(r"(?:dubious ownership in|unsafe) repository", re.IGNORECASE)
_TRUST = re.compile(r"^\s*(git config .*safe\.directory .*)$", re.MULTILINE)
_NOT_HERE = re.compile(r"could not fetch|lazy fetching disabled|promisor|missing blob|unable to read [0-9a-f]{40}")


class GitFailed(UsageError):
    """A git command failed.

    Attributes:
        said: what git wrote to stderr.
    """

    def __init__(self, message: str, *, hint: str | None = None, said: str = "") -> None:
        super().__init__(message, hint=hint)
        self.said = said


class NoRepository(GitFailed):
    """The working directory is not in a git repository, or there is no git."""


class Incomplete(GitFailed):
    """The clone lacks an object that is needed."""


def git(*arguments: str, stdin: bytes = b"") -> bytes:
    """What a git command writes to stdout.

    Raises:
        GitFailed: it failed.
    """
    return run(*arguments, stdin=stdin).stdout


def run(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a git command: its stdout and stderr.

    Raises:
        GitFailed: it failed.
    """
    program = find_program("git.exe" if os.name == "nt" else "git")
    if program is None:
        raise NoRepository("git is not installed", hint="compare two folders, or install git")
    own = {name: value for name, value in os.environ.items() if not name.upper().startswith("LOSANT_")}
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program, a list of arguments, no shell
            [program, *_OPTIONS, *arguments],
            env={**own, **_ENVIRONMENT},
            input=stdin,
            capture_output=True,
            check=False,
            timeout=_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        raise GitFailed(f"git {arguments[0]} timed out after {_TIMEOUT_S} s") from None
    except OSError as error:
        raise GitFailed(f"git cannot be run: {program}: {error.strerror or error}") from None
    if done.returncode:
        raise _failure(arguments[0], os.fsdecode(done.stderr).strip(), done.returncode)
    return done


def incomplete(what: str) -> Incomplete:
    """The error for an object that this clone does not have. Nothing is fetched behind the user's back."""
    return Incomplete(
        f"this clone is incomplete: git does not have {what}",
        hint="fetch all: `git fetch --refetch --no-filter`, or clone without --filter",
    )


def _failure(command: str, said: str, code: int) -> GitFailed:
    if _OWNER.search(said):
        trust = _TRUST.search(said)
        hint = f"if you trust it: {trust[1]}" if trust else None
        return GitFailed("git refuses this repository: its folder belongs to another user", hint=hint, said=said)
    if _NOT_HERE.search(said):
        return incomplete("all the files that are needed")
    fatal = [line.removeprefix("fatal: ") for line in said.splitlines() if line.startswith("fatal: ")]
    reason = fatal[-1] if fatal else " ".join(said.split()) or f"exit code {code}"
    if "not a git repository" in reason:
        return NoRepository(f"git {command}: {reason}", hint="run this inside a git repository", said=said)
    return GitFailed(f"git {command}: {reason}", said=said)
