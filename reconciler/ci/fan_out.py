"""Starts one job for each application of the manifests, with its reviewed digest."""

from __future__ import annotations

from reconciler.ci.against import revisions
from reconciler.ci.command import Application, git
from reconciler.ci.comment import Review, find_comment
from reconciler.ci.marks import marked
from reconciler.ci.provider import Forge, Provider, Trigger
from reconciler.errors import UsageError
from reconciler.operations.applications import load
from reconciler.render.inert import inert

_NAME = 80  # maximum characters of a display name, since the size of job outputs is limited


def step(provider: Provider, *, path: str, application: str, expect_digest: str, require_reviewed_plan: bool) -> int:
    """Start the jobs; output their number, and the pull request that the commit came from, if it may be applied.

    `require_reviewed_plan`: an apply refuses any other plan than the one shown. On a schedule, each job is told the
    seal of the mark that the tip bears, for pipelines whose jobs of the fleet cannot ask for it.
    """
    picked = [one for one in load(path) if application in ("", one.application.id, one.application.name)]
    if not picked:
        raise UsageError("the manifests contain no application" + (f" {application!r}" if application else ""))
    if expect_digest and len(picked) > 1:
        raise UsageError(f"a digest identifies one plan, but {len(picked)} are to be made: give the application, too")
    number, review = None, None
    run = provider.run()
    if run.trigger is Trigger.PUSH:
        number, review = _reviewed(provider.forge(), git("rev-parse", "HEAD"), run.branch, path)
    rows = [
        {
            "application": one.application.id,
            "name": inert(one.application.name or one.application.id, limit=_NAME),
            "kind": one.kind.value,
            "against": against,
            "reviewed": review.digest(one.application.id, one.kind) if review else "",
        }
        for one, against in zip(picked, revisions(provider, picked, path=path), strict=True)
    ]
    provider.output("pull-request", str(number or ""))
    if require_reviewed_plan and run.trigger is Trigger.SCHEDULE:
        for row in rows:
            row["marked"] = marked(provider.forge(), Application(path, row["application"], row["kind"]))
    provider.start_jobs(rows, require_review=require_reviewed_plan)
    provider.output("applications", str(len(rows)))  # last: only what was started has to report
    provider.log(f"{len(rows)} to do" + (f", as reviewed on {provider.named(number)}" if number and review else ""))
    return 0


def _reviewed(forge: Forge, commit: str, branch: str, path: str) -> tuple[int | None, Review | None]:
    """The number of the commit's pull request, and the review that it showed for its last commit."""
    merged = forge.merged(commit, branch)
    if merged is None:
        return None, None
    found = find_comment(forge, merged.number, path)
    return merged.number, found[1] if found and found[1].commit == merged.head else None
