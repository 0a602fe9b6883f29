"""The one issue about drift: opened when there is some, brought up to date each night, closed when it is gone.

Drift is a plan with changes, or one that a guard refuses. A plan that could not be made is neither drift nor its end:
it fails the run and leaves the issue as it is. So does a partial plan, which has not looked at everything.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import job
from page import MAX_BYTES, body
from report import Report, expected_reports, load_reports
from rest import BOT, Gone, Repository, settled

from reconciler.render.inert import inert
from reconciler.render.page import code


def find_issue(repository: Repository, mark: str) -> Mapping[str, Any] | None:
    """Our open issue for these manifests."""
    for issue in repository.pages("issues", state="open"):
        ours = (issue["user"] or {}).get("login") == BOT and "pull_request" not in issue
        if ours and (issue["body"] or "").split("\n", 1)[0].rstrip("\r") == mark:
            return issue
    return None


def first_line(path: str) -> str:
    """What tells the issue from others; a dash is escaped, because two of them would end an HTML comment."""
    return f"<!-- reconciler drift {json.dumps(path).replace('-', chr(92) + 'u002d')} -->"


def text(reports: Sequence[Report], *, path: str, run_url: str) -> str:
    """The body of the issue: the plans, and the health of devices as far as there is room."""
    head = (
        f"{first_line(path)}\nLosant is not as {code(path)} says. What an apply would do now, by "
        f"[the latest run]({run_url}):\n\n"
    )
    page = head + body(reports, max_bytes=MAX_BYTES - len(head.encode()))
    for one in reports:
        status = one.folder / "status.md"
        if one.changes and status.exists():
            told = "\n" + status.read_text(encoding="utf-8")
            if len((page + told).encode()) <= MAX_BYTES:
                page += told
    return page


def main() -> None:
    """Takes the folder of the reports on the command line; fails on drift and on what could not be planned."""
    path, expected = job.env("MANIFESTS"), expected_reports()
    reports = load_reports(Path(sys.argv[1]))
    drifted = [one for one in reports if one.planned and not one.partial and (one.changes or one.code)]
    unread = expected - sum(one.planned and not one.partial for one in reports)
    repository = Repository()
    try:
        if drifted:
            written = {"body": text(reports, path=path, run_url=_run_url())}
            settled(lambda: _tell(repository, written, path))
        elif not unread:
            settled(lambda: _close(repository, path))
    except Gone:
        job.say("warning", "issues are switched off in this repository, so that only this run tells of drift")
    if drifted or unread:
        job.stop(f"{len(drifted)} applications have drifted, {unread} could not be planned")
    print("No drift.")


def _tell(repository: Repository, written: Mapping[str, str], path: str) -> None:
    issue = find_issue(repository, first_line(path))
    if issue:
        try:
            repository.send("PATCH", f"issues/{issue['number']}", dict(written))
        except Gone:
            issue = None  # somebody deleted it just now
    if not issue:
        issue = repository.send("POST", "issues", {"title": f"Drift: Losant is not as {inert(path)} says", **written})
    print(f"Issue #{issue['number']} tells of the drift.")


def _close(repository: Repository, path: str) -> None:
    issue = find_issue(repository, first_line(path))
    if not issue:
        return
    number = issue["number"]
    try:
        repository.send("PATCH", f"issues/{number}", {"state": "closed", "state_reason": "completed"})
    except Gone:
        return
    # Last, so that doing this again says nothing twice: the issue is found no more.
    repository.send("POST", f"issues/{number}/comments", {"body": f"The drift is gone, by [this run]({_run_url()})."})
    print(f"Issue #{number} is closed.")


def _run_url() -> str:
    server, repository = os.environ["GITHUB_SERVER_URL"], os.environ["GITHUB_REPOSITORY"]
    return f"{server}/{repository}/actions/runs/{os.environ['GITHUB_RUN_ID']}"


if __name__ == "__main__":
    main()
