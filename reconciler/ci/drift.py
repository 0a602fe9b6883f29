"""The drift issue: opened when there is drift or a rollout is stopped, updated by each schedule, closed by itself.

Drift is a plan with changes that no rollout withholds, or one that a guard refuses. A rollout that is stopped or
stalled waits for somebody, so it has the same issue. A failed plan shows neither drift nor its absence: it fails the
run and leaves the issue unchanged. So does a partial plan, which does not cover everything.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from reconciler.ci.comment import hidden
from reconciler.ci.provider import Forge, Gone, Post, Provider, put, say, settled
from reconciler.ci.reports import Report, body, load_reports, read_page
from reconciler.errors import ReconcilerError
from reconciler.model.text import counted
from reconciler.render.inert import inert
from reconciler.render.page import code


def step(provider: Provider, *, path: str, reports: Path, applications: int, scheduled_apply: bool) -> int:
    """Update the issue from the reports in the folder; fails on drift, on stopped rollouts and on failed plans.

    `scheduled_apply`: schedules apply, so what a rollout may send now is no drift: the next one sends it.
    """
    found, url, forge = load_reports(reports), provider.run().url, provider.forge()
    whole = [one for one in found if one.planned and not one.partial]
    drifted = [one for one in whole if one.drift(moved_on=scheduled_apply)]
    waiting = sum(len(one.stopped) for one in whole)
    unread = applications - len(whole)
    if applications and unread < 0:
        found_more = f"there are {len(whole)} reports of {counted(applications, 'application')}"
        raise ReconcilerError(found_more, hint="collect the reports of this run alone, each job's once")
    try:
        if drifted or waiting:
            title = _title(path, drifted=bool(drifted), stopped=bool(waiting))
            page = text(found, path=path, run_url=url, max_bytes=provider.max_bytes, drifted=bool(drifted))
            number = settled(
                lambda: put(lambda over: forge.write_issue(title, page, over), _find(forge, path)), provider.log
            )
            provider.log(f"Issue #{number} reports it.")
        elif applications and not unread and (closed := settled(lambda: _close(forge, path, url), provider.log)):
            provider.log(f"Issue #{closed.id} is closed.")
    except Gone:
        why = "issues are disabled in this repository, or closed to this job"
        say(provider, "warning", f"{why}, so only this run reports drift")
    if drifted or unread or waiting:
        stopped = f", {counted(waiting, 'rollout')} stopped" if waiting else ""
        raise ReconcilerError(f"{len(drifted)} applications have drifted, {unread} could not be planned{stopped}")
    if not applications:
        raise ReconcilerError("whether Losant is as the manifests say is unknown: the check listed no applications")
    provider.log("No drift.")
    return 0


def _title(path: str, *, drifted: bool, stopped: bool) -> str:
    drift = f"Drift: Losant is not as {inert(path)} says"
    if not stopped:
        return drift
    return (
        f"{drift}, and a rollout is stopped" if drifted else f"Stopped: a rollout of {inert(path)} waits for somebody"
    )


def first_line(path: str) -> str:
    """The first line of the issue, which identifies it."""
    return hidden(f"drift {json.dumps(path)}")


def text(reports: Sequence[Report], *, path: str, run_url: str, max_bytes: int, drifted: bool = True) -> str:
    """The body of the issue: the plans, and as much of the devices' health as fits."""
    what = f"Losant is not as {code(path)} says." if drifted else f"A rollout of {code(path)} does not go on by itself."
    head = f"{first_line(path)}\n{what} What an apply would do now, by [the latest run]({run_url}):\n\n"
    page = head + body(reports, max_bytes=max_bytes - len(head.encode()))
    for one in reports:
        if (one.changes or one.stopped) and (status := read_page(one.folder / "status.md")):
            more = f"\n{status}"
            if len((page + more).encode()) <= max_bytes:
                page += more
    return page


def _find(forge: Forge, path: str) -> Post | None:
    return next((post for post in forge.issues() if post.first_line == first_line(path)), None)


def _close(forge: Forge, path: str, url: str) -> Post | None:
    issue = _find(forge, path)
    if issue:
        forge.close_issue(issue, f"The drift is gone, and no rollout is stopped, by [this run]({url}).")
    return issue
