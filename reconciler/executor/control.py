"""What steers a run besides its journal: how many requests go at once, when to pause, when to stop."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.errors import ReconcilerError
from reconciler.executor.patience import Patience


@dataclass(slots=True)
class RunControl:
    """The run's pace and end.

    Attributes:
        limit: requests in flight at most; only ever falls.
        patience: how often, and after how long, a call is sent again.
        pause_until: monotonic time before which nothing is sent.
        stopped_by: why nothing is sent any more, or None.
        read_error: how the newest read failed, or None if it did not.
        unseen: a call may have had an effect since the last read of everything began.
    """

    limit: int
    patience: Patience
    pause_until: float = 0.0
    stopped_by: str | None = None
    read_error: str | None = None
    unseen: bool = False

    def hold(self, until: float) -> None:
        """Send nothing before that time; the longest pause wins."""
        self.pause_until = max(self.pause_until, until)

    def stop(self, reason: str) -> None:
        """Send nothing more; the first reason stays."""
        self.stopped_by = self.stopped_by or reason


def message(error: ReconcilerError) -> str:
    """An error in one line, with its remedy."""
    problem = error.problems[0]
    return f"{problem.message} ({problem.hint})" if problem.hint else problem.message
