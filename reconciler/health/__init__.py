"""Whether devices run what they should: verdicts by one read, the status table, and the wait for convergence."""

from reconciler.health.status import FlowStatus, Logged, Standing, StatusReport, VersionStatus, summarise
from reconciler.health.verdict import Laggard, Verdict, Verdicts, verdicts
from reconciler.health.wait import Offline, Wait, wait

__all__ = [
    "FlowStatus",
    "Laggard",
    "Logged",
    "Offline",
    "Standing",
    "StatusReport",
    "Verdict",
    "Verdicts",
    "VersionStatus",
    "Wait",
    "summarise",
    "verdicts",
    "wait",
]
