"""Device health: the verdict on each row, the status table, and waiting for convergence."""

from reconciler.health.status import summarise
from reconciler.health.wait import wait

__all__ = ["summarise", "wait"]
