"""Applies one application, and reports whether the applied plan is the one that the pull request showed.

Two steps: the first has the application's token; the second, which reports the result, needs none.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reconciler.ci.against import mark_of
from reconciler.ci.command import Application
from reconciler.ci.marks import ENDED, Applied, is_let_through, seal_of
from reconciler.ci.plan import commit
from reconciler.ci.provider import Provider, Trigger, say
from reconciler.ci.reports import show
from reconciler.ci.stopped import stopped
from reconciler.documents.saved_plan import load_results, read_document
from reconciler.errors import ExitCode, Stale
from reconciler.model.result import Result


def step(
    provider: Provider,
    *,
    application: Application,
    pull_request: str,
    reviewed: str,
    require_reviewed_plan: bool,
    marked: str,
    result: Path,
    expect_digest: str,
    against: str,
    timeout: str,
    offline: str,
) -> int:
    """Apply; exits like `reconciler apply`. How it ended is noted beside the result.

    A required review passes its digest to `apply --expect-digest`, which refuses (exit 4) if the plan has changed.
    If nothing is left to do, nothing needs a review, so a job can be run again; but then its commit is let through only
    if it was shown. A schedule has no review: it applies
    what was let through before, as the seal of a mark proves, which is passed as `marked`.
    """
    result.parent.mkdir(parents=True, exist_ok=True)
    expected, tip, was_shown = expect_digest, commit(provider), True
    if require_reviewed_plan and provider.run().trigger is Trigger.SCHEDULE:
        if not is_let_through(application, marked):
            raise _not_let_through(provider, application, tip, marked)
    elif require_reviewed_plan and not expected:
        planned = read_document(application.run("plan", "--format", "json").document())
        plans = planned["plans"]
        nothing_to_do = len(plans) == 1 and not plans[0].changes
        was_shown = not nothing_to_do or reviewed in (planned["digest"], planned.get("review_digest"))
        expected = plans[0].digest if nothing_to_do else reviewed
        if not expected:
            raise Stale(f"{_not_shown(provider, pull_request)}, and a reviewed plan is required: {_remedy(provider)}")
    options = ["--yes", "--wait", "--timeout", timeout, "--offline", offline, "--result", str(result)]
    options += ["--expect-digest", expected] if expected else []
    options += ["--against", against] if against else []
    seal = seal_of(application, tip)
    code = application.run("apply", *options, capture=False).code
    # Whoever reads the results could use the seal: a commit that was refused must not get one.
    is_sealed = was_shown and code in ENDED
    Applied(application.id, application.kind, tip, code, seal if is_sealed else "").save(result.parent)
    if code == ExitCode.STALE:
        message = f"The plan is not the one that was reviewed ({expected}), so nothing was applied: {_remedy(provider)}"
        say(provider, "error", message)
    return code


def _not_let_through(provider: Provider, application: Application, tip: str, marked: str) -> Stale:
    name, hint = mark_of(application.id, application.kind), f"run apply by hand: {provider.by_hand('apply')}"
    if marked:
        why = "was not made with this token for these manifests: it is forged, or the token is a new one"
        return Stale(f"the mark {name} of the tip of the branch, {tip}, {why}, so nothing is applied", hint=hint)
    why = "its apply did not end, so nothing is applied"
    return Stale(f"the tip of the branch, {tip}, has no mark {name}: {why}", hint=hint)


def report(provider: Provider, *, pull_request: str, reviewed: str, result: Path) -> int:
    """Show the result in the job summary and, if something failed, in annotations."""
    if not result.exists():
        provider.log("There is no result: nothing was applied.")
        return 0
    ended = load_results(str(result))
    provider.annotate("error", ended.problems)
    if ended.code != ExitCode.ROLLOUT_STOPPED:  # then these are its problems
        provider.annotate("error", [rollout.problem for one in ended.results for rollout in stopped(one.rollouts)])
    if pull_request:
        _compare(provider, ended.results, pull_request, reviewed)
    if ended.results:
        provider.summary(show(result, commit=commit(provider)))
    return 0


def _compare(provider: Provider, results: Sequence[Result], pull_request: str, reviewed: str) -> None:
    """Report whether the applied plan is the reviewed one, if anything was sent."""
    wrote = next((one for one in results if one.wrote), None)
    number = provider.named(pull_request)
    applied = wrote.review_digest if wrote else ""
    if wrote and reviewed in (wrote.digest, wrote.review_digest):
        provider.summary(f"Applied as reviewed on {number}, digest `{reviewed}`.")
    elif wrote:
        shown = f"{number} shows review digest {reviewed}" if reviewed else _not_shown(provider, pull_request)
        message = f"{shown}, and {applied} was applied"
        say(provider, "warning", f"{message}: the fleet, or the branch, moved after the review")
        provider.summary(f"**Not as reviewed**: {message}.")


def _not_shown(provider: Provider, pull_request: str) -> str:
    """Why there is no reviewed digest."""
    if not pull_request:
        return f"this commit does not belong to a {provider.noun}, so no plan was shown"
    return f"{provider.named(pull_request)} shows no plan for its last commit"


def _remedy(provider: Provider) -> str:
    return f"look at a plan by hand ({provider.by_hand('plan')}), then apply by hand ({provider.by_hand('apply')})"
