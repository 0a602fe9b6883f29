"""The drift issue: opened when there is drift or a rollout is stopped, updated by each schedule, closed by itself.

Drift is a plan with changes that no rollout withholds, or one that a guard refuses. A rollout that is stopped or
stalled waits for somebody, so it has the same issue. A failed plan shows neither drift nor its absence: it fails the
run and leaves the issue unchanged. So does a partial plan, which does not cover everything.
A run for one application alone has an issue of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from reconciler.ci.comment import hidden
from reconciler.ci.provider import Forge, Gone, Post, Provider, put, say, settled
from reconciler.ci.reports import Report, body, load_reports, read_page
from reconciler.errors import ReconcilerError
from reconciler.model.text import counted
from reconciler.render.inert import inert
from reconciler.render.page import code


def step(
    provider: Provider, *, path: str, application: str, reports: Path, applications: int, scheduled_apply: bool
) -> int:
    """Update the issue from the reports in the folder; fails on drift, on stopped rollouts and on failed plans.

    `application`: the only one that was looked at, as it was selected. It has an issue of its own, since such a run
    knows nothing of the others, whose issue it must not close.
    `scheduled_apply`: schedules apply, so what a rollout may send now is no drift: the next one sends it.
    """
    found, url, forge, about = load_reports(reports), provider.run().url, provider.forge(), About(path, application)
    whole = [one for one in found if one.planned and not one.partial]
    drifted = [one for one in whole if one.drift(moved_on=scheduled_apply)]
    waiting = sum(len(one.stopped) for one in whole)
    unread = applications - len(whole)
    if applications and unread < 0:
        found_more = f"there are {len(whole)} reports of {counted(applications, 'application')}"
        raise ReconcilerError(found_more, hint="collect the reports of this run alone, each job's once")
    try:
        if drifted or waiting:
            title = _title(about, drifted=bool(drifted), stopped=bool(waiting))
            page = text(found, about, run_url=url, max_bytes=provider.max_bytes, drifted=bool(drifted))
            number = settled(
                lambda: put(lambda over: forge.write_issue(title, page, over), _find(forge, about)), provider.log
            )
            provider.log(f"Issue #{number} reports it.")
        elif applications and not unread and (closed := settled(lambda: _close(forge, about, url), provider.log)):
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


class About(NamedTuple):
    """What an issue is about: the path of the manifests, and the only application that was looked at, if any."""

    path: str
    application: str = ""

    def named(self, show: Callable[[str], str]) -> str:
        """The path as shown, and the application."""
        return show(self.path) + (f" ({show(self.application)} alone)" if self.application else "")


def _title(about: About, *, drifted: bool, stopped: bool) -> str:
    named = about.named(inert)
    drift = f"Drift: Losant is not as {named} says"
    if not stopped:
        return drift
    return f"{drift}, and a rollout is stopped" if drifted else f"Stopped: a rollout of {named} waits for somebody"


def first_line(path: str, application: str = "") -> str:
    """The first line of the issue, which identifies it."""
    return hidden(" ".join(["drift", *(json.dumps(one) for one in (path, application) if one)]))


def text(reports: Sequence[Report], about: About, *, run_url: str, max_bytes: int, drifted: bool = True) -> str:
    """The body of the issue: the plans, and as much of the devices' health as fits."""
    named = about.named(code)
    what = f"Losant is not as {named} says." if drifted else f"A rollout of {named} does not go on by itself."
    head = f"{first_line(*about)}\n{what} What an apply would do now, by [the latest run]({run_url}):\n\n"
    page = head + body(reports, max_bytes=max_bytes - len(head.encode()))
    for one in reports:
        if (one.changes or one.stopped) and (status := read_page(one.folder / "status.md")):
            more = f"\n{status}"
            if len((page + more).encode()) <= max_bytes:
                page += more
    return page


def _find(forge: Forge, about: About) -> Post | None:
    return next((post for post in forge.issues() if post.first_line == first_line(*about)), None)


def _close(forge: Forge, about: About, url: str) -> Post | None:
    issue = _find(forge, about)
    if issue:
        forge.close_issue(issue, f"The drift is gone, and no rollout is stopped, by [this run]({url}).")
    return issue
