"""Rows of `reconciler applications` to batches of jobs, each row with the digest that was reviewed for it.

GitHub makes at most 256 jobs of one matrix; so a matrix of batches calls a workflow that has a matrix of rows.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import job
from rest import Repository
from review import Review, find_comment, merged_pull

from reconciler.render.inert import inert

BATCH = 256
_NAME = 80  # characters of a name: it is for people, and what a job outputs may be 1 MB

Row = dict[str, Any]


def batches(rows: Sequence[Row], size: int = BATCH) -> list[list[Row]]:
    """The rows in order, at most `size` of them together."""
    return [list(rows[start : start + size]) for start in range(0, len(rows), size)]


def picked(rows: Sequence[Row], application: str) -> list[Row]:
    """The rows of one application, by id or name; all of them if none is asked for."""
    return [row for row in rows if application in ("", row["application"], row["name"])]


def reviewed(commit: str, branch: str, path: str) -> tuple[int | None, Review | None]:
    """Number of the pull request that brought the commit, and the review that it showed for its last state."""
    repository = Repository()
    pull = merged_pull(repository, commit, branch)
    if pull is None:
        return None, None
    found = find_comment(repository, pull["number"], path)
    if found is None or found[1].commit != pull["head"]["sha"]:
        return pull["number"], None
    return pull["number"], found[1]


def main() -> None:
    """Reads the matrix file named on the command line; outputs `batches` and `pull-request`."""
    matrix = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    rows = picked(matrix["include"], job.env("APPLICATION"))
    if not rows:
        asked = job.env("APPLICATION")
        job.stop("the manifests hold no application" + (f" {asked!r}" if asked else ""))
    if job.env("EXPECT_DIGEST") and len(rows) > 1:
        job.stop(f"a digest is of one plan, and there are {len(rows)} to make: name the application, too")
    number, review = None, None
    if os.environ["GITHUB_EVENT_NAME"] == "push":
        branch = os.environ["GITHUB_REF"].removeprefix("refs/heads/")
        number, review = reviewed(job.env("COMMIT"), branch, job.env("MANIFESTS"))
    listed = [
        {
            "application": row["application"],
            "name": inert(row["name"] or row["application"], limit=_NAME),
            "kind": row["kind"],
            "reviewed": review.digest(row["application"], row["kind"]) if review else "",
        }
        for row in rows
    ]
    job.output("batches", json.dumps(batches(listed), ensure_ascii=False, separators=(",", ":")))
    job.output("applications", str(len(listed)))
    job.output("pull-request", str(number or ""))
    print(f"{len(listed)} to do" + (f", as reviewed on #{number}" if review else ""))


if __name__ == "__main__":
    main()
