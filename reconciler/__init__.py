"""GitOps for fleets of embedded devices on Losant.

    import reconciler

    rules = reconciler.load("manifests")
    plans = reconciler.plan(rules)

Importing the package loads nothing but this file, neither httpx nor yaml: the rest comes when a name is first used.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.client import (
        ApplyFailed,
        ApplyInterrupted,
        ApplyObserver,
        ApplyRequest,
        AsyncClient,
        CallMode,
        Client,
        Filter,
        Offline,
        Options,
        Plans,
        ReconcilerError,
        Refused,
        Result,
        Stale,
        Status,
        apply,
        load,
        plan,
        status,
    )
else:

    def __getattr__(name):
        """One of `__all__`, from the module that brings the rest along."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from reconciler import client  # noqa: PLC0415 - so late on purpose

        return getattr(client, name)


__version__ = "0.1.0"

__all__ = [
    "ApplyFailed",
    "ApplyInterrupted",
    "ApplyObserver",
    "ApplyRequest",
    "AsyncClient",
    "CallMode",
    "Client",
    "Filter",
    "Offline",
    "Options",
    "Plans",
    "ReconcilerError",
    "Refused",
    "Result",
    "Stale",
    "Status",
    "__version__",
    "apply",
    "load",
    "plan",
    "status",
]
