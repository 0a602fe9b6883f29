"""The drift issue: opened when there is drift, updated each night, closed when the drift is gone.

Drift is a plan with changes, or one that a guard refuses. A failed plan shows neither drift nor its absence: it fails
the run and leaves the issue unchanged. So does a partial plan, which does not cover everything.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from reconciler.ci.comment import hidden
from reconciler.ci.provider import Forge, Gone, Post, Provider, put, say, settled
from reconciler.ci.reports import Report, body, load_reports, read_page
from reconciler.errors import ReconcilerError
from reconciler.render.inert import inert
from reconciler.render.page import code


def step(provider: Provider, *, path: str, reports: Path, applications: int) -> int:
    """Update the issue from the reports in the folder; fails on drift and on failed plans."""
    found, url, forge = load_reports(reports), provider.run().url, provider.forge()
    drifted = [one for one in found if one.planned and not one.partial and (one.changes or one.code)]
    unread = applications - sum(one.planned and not one.partial for one in found)
    try:
        if drifted:
            title = f"Drift: Losant is not as {inert(path)} says"
            page = text(found, path=path, run_url=url, max_bytes=provider.max_bytes)
            number = settled(
                lambda: put(lambda over: forge.write_issue(title, page, over), _find(forge, path)), provider.log
            )
            provider.log(f"Issue #{number} reports the drift.")
        elif not unread and (closed := settled(lambda: _close(forge, path, url), provider.log)):
            provider.log(f"Issue #{closed.id} is closed.")
    except Gone:
        say(provider, "warning", "issues are disabled in this repository, so only this run reports drift")
    if drifted or unread:
        raise ReconcilerError(f"{len(drifted)} applications have drifted, {unread} could not be planned")
    provider.log("No drift.")
    return 0


def first_line(path: str) -> str:
    """The first line of the issue, which identifies it."""
    return hidden(f"drift {json.dumps(path)}")


def text(reports: Sequence[Report], *, path: str, run_url: str, max_bytes: int) -> str:
    """The body of the issue: the plans, and as much of the devices' health as fits."""
    head = (
        f"{first_line(path)}\nLosant is not as {code(path)} says. What an apply would do now, by "
        f"[the latest run]({run_url}):\n\n"
    )
    page = head + body(reports, max_bytes=max_bytes - len(head.encode()))
    for one in reports:
        if one.changes and (status := read_page(one.folder / "status.md")):
            more = f"\n{status}"
            if len((page + more).encode()) <= max_bytes:
                page += more
    return page


def _find(forge: Forge, path: str) -> Post | None:
    return next((post for post in forge.issues() if post.first_line == first_line(path)), None)


def _close(forge: Forge, path: str, url: str) -> Post | None:
    issue = _find(forge, path)
    if issue:
        forge.close_issue(issue, f"The drift is gone, by [this run]({url}).")
    return issue
