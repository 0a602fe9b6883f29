"""GitOps for fleets of embedded devices on Losant.

    import reconciler

    rules = reconciler.load("manifests")
    plans = reconciler.plan(rules)

Importing the package loads only this file, neither httpx nor yaml: the rest is imported when a name is first used.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.client import *  # noqa: F403 - what its `__all__` lists
else:

    def __getattr__(name):
        """Import a public name from `reconciler.client` when it is first used."""
        from importlib import import_module  # noqa: PLC0415 - so late on purpose

        if name == "__all__" or not name.startswith("_"):
            client = import_module("reconciler.client")
            if name == "__all__" or name in client.__all__:
                return getattr(client, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__():
        """The public names."""
        return [*__getattr__("__all__"), "__version__"]


__version__ = "0.1.0"
