"""Apply one application, and tell whether that was what the pull request showed.

Two steps: the first has the fleet's token; the second, which tells of the result, needs none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciler.ci.command import Application, problems, show
from reconciler.ci.plan import commit
from reconciler.ci.provider import Provider, say
from reconciler.errors import ExitCode, Stale

_WAY_OUT = "look at a plan by hand (Run workflow, command plan), then apply by hand (command apply)"


@dataclass(frozen=True, slots=True)
class Shown:
    """What was shown before the merge: the pull request's number and the plan's digest; empty where nothing was."""

    number: str
    digest: str

    def missing(self, provider: Provider) -> str:
        """Why there is no digest."""
        if not self.number:
            return f"this commit came by no {provider.noun}, so nobody was shown a plan of it"
        return f"{provider.named(self.number)} shows no plan of its last commit"


def step(
    provider: Provider,
    application: Application,
    *,
    shown: Shown,
    require_reviewed_plan: bool,
    result: Path,
    expect_digest: str,
    timeout: str,
    offline: str,
) -> int:
    """Ends like `reconciler apply`.

    A required review hands its digest to `apply --expect-digest`, which refuses (exit 4) when the plan is another by
    now. Where nothing is left to do there is nothing to review: a job that is run again ends well.
    """
    result.parent.mkdir(parents=True, exist_ok=True)
    expected = expect_digest or (_required(provider, application, shown) if require_reviewed_plan else "")
    options = ["--yes", "--wait", "--timeout", timeout, "--offline", offline, "--result", str(result)]
    options += ["--expect-digest", expected] if expected else []
    code = application.run("apply", *options, capture=False).code
    if code == ExitCode.STALE:
        told = f"The plan is not the one that was reviewed ({expected}), so nothing was applied: {_WAY_OUT}"
        say(provider, "error", told)
    return code


def _required(provider: Provider, application: Application, shown: Shown) -> str:
    """The digest that the fresh plan must have; Stale where nothing was reviewed and something would change."""
    plans = application.run("plan", "--format", "json").document()["plans"]
    if len(plans) == 1 and not plans[0]["changes"]:
        return str(plans[0]["digest"])
    if not shown.digest:
        raise Stale(f"{shown.missing(provider)}, and a reviewed plan is required: {_WAY_OUT}")
    return shown.digest


def report(provider: Provider, *, shown: Shown, result: Path) -> int:
    """Tell of the result on the summary and, where something failed, in annotations."""
    if not result.exists():
        provider.log("There is no result: nothing was applied.")
        return 0
    document = json.loads(result.read_text(encoding="utf-8"))
    error, results = document["error"] or {}, document["results"]
    provider.annotate("error", problems(error.get("problems", ())))
    if shown.number and error.get("exit_code") != ExitCode.STALE:
        _compare(provider, results, shown)
    if results:
        provider.summary(show(result, commit=commit(provider)))
    return 0


def _compare(provider: Provider, results: Sequence[Mapping[str, Any]], shown: Shown) -> None:
    """Tell when what was carried out is not what was reviewed."""
    applied = next((one["digest"] for one in results if one["rows"]["total"]), "")
    if not applied:
        return
    number = provider.named(shown.number)
    if applied == shown.digest:
        provider.summary(f"Applied as reviewed on {number}, digest `{applied}`.")
        return
    told = f"{number} shows digest {shown.digest}" if shown.digest else shown.missing(provider)
    message = f"{told}, and {applied} was applied"
    say(provider, "warning", f"{message}: the fleet, or the branch, moved after the review")
    provider.summary(f"**Not as reviewed**: {message}.")
