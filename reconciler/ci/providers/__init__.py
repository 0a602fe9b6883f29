"""One adapter for each CI system; which one a step runs on, its environment says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import cast

from reconciler.ci.provider import Provider
from reconciler.errors import UsageError

SIGNS = {"github": "GITHUB_ACTIONS", "gitlab": "GITLAB_CI", "azure": "TF_BUILD"}
"""For each provider the variable that the jobs of its pipelines have, as its documentation says."""
_ADAPTERS = {"github": "GitHub", "gitlab": "GitLab", "azure": "Azure"}


def choose(environment: Mapping[str, str]) -> str:
    """The provider whose pipeline this process is part of; UsageError if it is part of none."""
    found = [name for name, sign in SIGNS.items() if environment.get(sign, "").lower() == "true"]
    if len(found) != 1:
        signs = ", ".join(f"{sign} ({name})" for name, sign in SIGNS.items())
        what = f"this looks like jobs of {' and '.join(found)}" if found else f"none of {signs} is true"
        raise UsageError(f"which CI system runs this step is unknown: {what}", hint="pass --provider")
    return found[0]


def adapter(name: str, environment: Mapping[str, str], log: Callable[[str], None]) -> Provider:
    """The adapter of a provider; `log` writes a line to the step's stdout."""
    made = getattr(import_module(f"reconciler.ci.providers.{name}"), _ADAPTERS[name])(environment, log)
    return cast("Provider", made)
