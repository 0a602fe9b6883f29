"""The errors, and their exit codes.

    ReconcilerError                 1   carries problems: place, cause, remedy
    ├── UsageError                  1   flags and arguments
    ├── ManifestError               1   files, and names in files that do not exist in the API
    ├── ApiError                    1   one failed request
    │   ├── ConnectionFailed            no response: DNS, refused, TLS, reset, timeout (outcome unknown)
    │   ├── AuthenticationFailed        401
    │   ├── PermissionDenied            403
    │   ├── NotFound                    404
    │   ├── RequestRefused              400, 405, 413 and other 4xx
    │   ├── RateLimited                 429
    │   ├── ServerFailed                5xx (outcome unknown)
    │   └── UnexpectedAnswer            a redirect, HTML, or JSON of the wrong shape
    ├── IncompleteRead              1   the pages of a listing are inconsistent
    ├── PlanUnsound                 1   a plan failed its own proof: a bug in reconciler
    ├── Refused                     3   a guard
    ├── Stale                       4   live state has changed since the plan
    └── Interrupted               130   SIGINT, SIGTERM

Exceptions of other packages are mapped to these where they arise; only `cli.app.run` catches them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import NamedTuple, Self


class ExitCode(IntEnum):
    """The exit codes, the same for every output format."""

    DONE = 0
    ERROR = 1
    CHANGES = 2
    REFUSED = 3
    STALE = 4
    NOT_CONVERGED = 5
    NOT_CONFIRMED = 6
    ROLLOUT_STOPPED = 7
    INTERRUPTED = 130


class Problem(NamedTuple):
    """One problem: its place (if in a file), its cause, and its remedy.

    `line` and `column` count from 1. `hint` is the remedy, without a final full stop.
    """

    message: str
    path: str | None = None
    line: int | None = None
    column: int | None = None
    hint: str | None = None

    @property
    def place(self) -> str | None:
        """`path:line:column`, as far as known."""
        parts = [str(part) for part in (self.path, self.line, self.column) if part is not None]
        return ":".join(parts) if self.path else None

    @property
    def text(self) -> str:
        """`message (hint)`."""
        return f"{self.message} ({self.hint})" if self.hint else self.message

    def __str__(self) -> str:
        """One line: `path:line:column: message (hint)`; without a place it starts with `Error: `."""
        return f"{self.place or 'Error'}: {self.text}"

    @property
    def sort_key(self) -> tuple[str, int, int, str]:
        """The order in reports: by place, problems without one first."""
        return (self.path or "", self.line or 0, self.column or 0, self.message)


MOST_TOLD = 500


def told(problems: Sequence[Problem]) -> Sequence[Problem]:
    """The problems to show: all, or the first 500 and how many more there are. A small file can have a million."""
    if len(problems) <= MOST_TOLD + 1:  # also if they were cut before
        return problems
    left = len(problems) - MOST_TOLD
    return (*problems[:MOST_TOLD], Problem(f"{left:,} more problems are not shown", hint="see to these first"))


class ReconcilerError(Exception):
    """Any error reported to the user. `problems` is never empty. `final`: retrying later cannot help."""

    exit_code: ExitCode = ExitCode.ERROR
    final = False

    def __init__(self, problems: Iterable[Problem] | str, *, hint: str | None = None) -> None:
        if isinstance(problems, str):
            problems = (Problem(problems, hint=hint),)
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in told(self.problems)))

    def at(self, path: str, line: int, column: int) -> Self:
        """This error, with that place for each problem that has none."""
        own = (one if one.path else one._replace(path=path, line=line, column=column) for one in self.problems)
        self.problems = tuple(own)
        self.args = ("\n".join(str(problem) for problem in told(self.problems)),)
        return self


class UsageError(ReconcilerError):
    """An invalid flag or argument."""


class ManifestError(ReconcilerError):
    """Every problem found in files, sorted by place."""

    def __init__(self, problems: Iterable[Problem] | str, *, hint: str | None = None) -> None:
        if not isinstance(problems, str):
            problems = sorted(problems, key=lambda problem: problem.sort_key)
        super().__init__(problems, hint=hint)


class ApiError(ReconcilerError):
    """One request failed.

    Attributes:
        status: HTTP status, or None without a response.
        retry_after_s: the server's `Retry-After`, if it sent one.
        outcome_unknown: a write may or may not have taken effect.
    """

    outcome_unknown = False

    def __init__(
        self, message: str, *, hint: str | None = None, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        self.status = status
        self.retry_after_s = retry_after_s
        super().__init__(message, hint=hint)


class ConnectionFailed(ApiError):
    """No response: name resolution, refused, TLS, reset, or a timeout."""

    outcome_unknown = True


class AuthenticationFailed(ApiError):
    """401: the token is wrong or has expired."""

    final = True


class PermissionDenied(ApiError):
    """403: the token lacks a scope, or is for another application."""

    final = True


class NotFound(ApiError):
    """404."""

    final = True


class RequestRefused(ApiError):
    """400, 405, 413 and other 4xx: the request itself is wrong; never retried."""

    final = True


class RateLimited(ApiError):
    """429."""


class ServerFailed(ApiError):
    """5xx."""

    outcome_unknown = True


class UnexpectedAnswer(ApiError):
    """A redirect, a body that is not JSON, or JSON that does not have the API's shape."""

    outcome_unknown = True


class IncompleteRead(ReconcilerError):
    """The pages of a listing do not match the server's total."""


class PlanUnsound(ReconcilerError):
    """A plan failed its own proof. Nothing was sent; this is a bug in reconciler."""


class Refused(ReconcilerError):
    """A guard stopped the run."""

    exit_code = ExitCode.REFUSED


class Stale(ReconcilerError):
    """Live state has changed since the plan was made."""

    exit_code = ExitCode.STALE


class Interrupted(ReconcilerError):
    """SIGINT or SIGTERM."""

    exit_code = ExitCode.INTERRUPTED


def cannot_write(what: str, path: str, error: OSError | ValueError) -> UsageError:
    """The error for a file that cannot be written."""
    reason = getattr(error, "strerror", None) or str(error)
    hint = "choose a file in an existing, writable folder"
    return UsageError(f"{what} {path} cannot be written: {reason}", hint=hint)
