"""One read of an application's deployments: what it showed, and when it was made."""

from __future__ import annotations

from typing import NamedTuple

from reconciler.model.state import Live


class Read(NamedTuple):
    """A complete read, made behind the port and carried unchanged through planning, applying and waiting.

    `began` and `ended` are monotonic seconds of the run's clock. A read confirms only calls that were accepted before
    it began; its age counts from its end.
    """

    live: Live
    began: float
    ended: float
