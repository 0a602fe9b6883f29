"""Whether devices run what they should: verdicts by one read, the status table, and the wait for convergence."""

from reconciler.health.status import summarise
from reconciler.health.wait import wait

__all__ = ["summarise", "wait"]
