"""The log of requests that tests read."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from typing import Any

_KEPT = 100_000


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One request, without its token.

    Attributes:
        action: e.g. `devices.get`; empty where no action has this path and method.
        query: parameters as they were read, `access_token` and `jwt` left out.
        body: parsed JSON, or the text of a body that is none.
        status: of the answer; None if the connection was reset instead.
        faults: the kinds of the faults that struck.
    """

    method: str
    path: str
    action: str
    query: dict[str, Any]
    body: Any
    status: int | None
    faults: tuple[str, ...] = ()


@dataclass(slots=True)
class RequestLog:
    """The newest requests, oldest first."""

    entries: deque[LoggedRequest] = field(default_factory=lambda: deque(maxlen=_KEPT))

    def counts(self) -> dict[str, int]:
        """How many requests each action had."""
        return dict(Counter(entry.action for entry in self.entries))

    def plain(self) -> list[dict[str, Any]]:
        """The entries as JSON data."""
        return [asdict(entry) for entry in self.entries]
