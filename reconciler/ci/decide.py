"""Decides what the event of a run may do. Forks get no token; only the trusted branch is applied."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.ci.provider import Provider, Run, Trigger
from reconciler.ci.related import is_related
from reconciler.errors import UsageError
from reconciler.manifest.git.revision import NoRevision, commit_of

COMMANDS = ("", "validate", "plan", "apply")


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do after the offline checks.

    Attributes:
        apply: apply the manifests of the trusted branch.
        plan: `review` for a comment on the pull request, `drift` for the nightly issue, `plan` for the summary alone,
            or empty for none.
        reason: why, for the log.
    """

    apply: bool
    plan: str
    reason: str


def decide(run: Run, *, command: str = "", branch: str = "", scheduled_apply: bool = False) -> Decision:
    """Decide by the trigger of the run and the pipeline's inputs.

    Raises:
        UsageError: an apply from a branch other than the trusted one, or nobody says which that is; or an unknown
            command.
    """
    if command not in COMMANDS:
        raise UsageError(f"command {command!r} is not validate, plan or apply")
    if command == "validate" or run.trigger is Trigger.QUEUE:
        why = "only validate and diff were requested" if command == "validate" else "its pull request showed the plan"
        return Decision(apply=False, plan="", reason=why)
    if run.trigger is Trigger.REVIEW:
        why = run.withheld or "the plan is shown before it is merged"
        return Decision(apply=False, plan="" if run.withheld else "review", reason=why)
    if run.trigger is Trigger.SCHEDULE:
        if scheduled_apply and run.branch != (trusted := _trusted(run, branch)):
            raise UsageError(f"only {trusted} is applied, and schedules run for {run.branch or 'no branch'}")
        return Decision(apply=scheduled_apply, plan="drift", reason="a scheduled run looks for drift")
    if command != "apply" and (run.trigger is not Trigger.PUSH or command == "plan"):
        return Decision(apply=False, plan="plan", reason="a plan was requested")
    trusted = _trusted(run, branch)
    if run.branch == trusted:
        return Decision(apply=True, plan="", reason=f"{trusted} is applied")
    if command == "apply":
        raise UsageError(f"only {trusted} is applied, and this run is for {run.branch or 'no branch'}")
    return Decision(apply=False, plan="", reason=f"only pushes to {trusted} are applied")


def _trusted(run: Run, branch: str) -> str:
    """The only branch that is ever applied."""
    if not (found := branch or run.default_branch):
        raise UsageError("which branch is applied is not said", hint="set RECONCILER_BRANCH to its name")
    return found


def _since(run: Run, decision: Decision) -> str:
    """The revision that a pull request or a push is a change of; empty if that is not known, or for other runs."""
    if decision.plan == "review":
        return run.base
    if run.trigger is Trigger.PUSH and decision.apply and run.before:
        try:
            return commit_of(run.before)
        except NoRevision:
            return ""  # as after a forced push: it is applied
    return ""


def step(provider: Provider, *, path: str, command: str, branch: str, scheduled_apply: bool, only_related: bool) -> int:
    """Output `apply` and `plan`, and whether somebody started the run `by-hand`.

    `only_related`: a pull request that changes nothing that the manifests are read from gets no plan, and such a push
    no apply.
    """
    run = provider.run()
    decision = decide(run, command=command, branch=branch, scheduled_apply=scheduled_apply)
    since = _since(run, decision) if only_related else ""
    if since and not is_related(path, since):
        decision = Decision(apply=False, plan="", reason="no manifest changed")
    provider.output("apply", str(decision.apply).lower())
    provider.output("plan", decision.plan)
    provider.output("by-hand", str(run.trigger is Trigger.HAND).lower())
    what = f"plan: {decision.plan or 'no'}; apply: {'yes' if decision.apply else 'no'}"
    provider.log(f"Validate; {what}. {decision.reason}")
    return 0
