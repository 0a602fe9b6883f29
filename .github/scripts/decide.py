"""First step of a run: what this event may do. Forks get no token; only the trusted branch is applied."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import job

COMMANDS = ("", "validate", "plan", "apply")


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows the offline checks.

    Attributes:
        apply: carry out the manifests of the trusted branch.
        plan: `review` for a comment on the pull request, `drift` for the nightly issue, `plan` for the summary alone,
            or empty for none.
        because: one sentence for the log.
    """

    apply: bool
    plan: str
    because: str


class NotAllowed(Exception):
    """The event must not do what it asks for."""


def decide(
    name: str,
    event: Mapping[str, Any],
    *,
    repository: str,
    ref: str,
    actor: str,
    command: str = "",
    branch: str = "",
    scheduled_apply: bool = False,
) -> Decision:
    """Decide by the event and the workflow's inputs.

    Raises:
        NotAllowed: an event that would hand secrets to strangers, or an apply from another branch.
    """
    if name == "pull_request_target":
        raise NotAllowed("pull_request_target would give secrets to the manifests of forks; trigger on pull_request")
    if command not in COMMANDS:
        raise NotAllowed(f"command {command!r} is none of validate, plan and apply")
    if command == "validate":
        return Decision(apply=False, plan="", because="only validate and diff were asked for")
    if name == "pull_request":
        return _pull_request(event, repository=repository, actor=actor)
    if name == "schedule":
        return Decision(apply=scheduled_apply, plan="drift", because="a scheduled run looks for drift")
    if command != "plan" and (name == "push" or command == "apply"):
        trusted = branch or event["repository"]["default_branch"]
        if ref == f"refs/heads/{trusted}":
            return Decision(apply=True, plan="", because=f"{trusted} is applied")
        if command == "apply":
            raise NotAllowed(f"only {trusted} is applied, and this run is for {ref}")
        return Decision(apply=False, plan="", because=f"a push to another branch than {trusted} applies nothing")
    return Decision(apply=False, plan="plan", because="a plan was asked for")


def _pull_request(event: Mapping[str, Any], *, repository: str, actor: str) -> Decision:
    head = event["pull_request"]["head"]["repo"] or {}  # null when the fork was deleted
    if head.get("full_name") != repository:
        return Decision(apply=False, plan="", because="a pull request from a fork gets no token")
    if actor == "dependabot[bot]":
        return Decision(apply=False, plan="", because="GitHub treats Dependabot's pull requests like those of forks")
    return Decision(apply=False, plan="review", because="the plan goes to the pull request")


def main() -> None:
    """Outputs `apply` and `plan`."""
    try:
        decision = decide(
            os.environ["GITHUB_EVENT_NAME"],
            job.event(),
            repository=os.environ["GITHUB_REPOSITORY"],
            ref=os.environ["GITHUB_REF"],
            actor=os.environ["GITHUB_ACTOR"],
            command=job.env("COMMAND"),
            branch=job.env("BRANCH"),
            scheduled_apply=job.env("SCHEDULED_APPLY") == "true",
        )
    except NotAllowed as error:
        job.stop(str(error))
    job.output("apply", str(decision.apply).lower())
    job.output("plan", decision.plan)
    print(f"Validate; plan: {decision.plan or 'no'}; apply: {'yes' if decision.apply else 'no'}. {decision.because}")


if __name__ == "__main__":
    main()
