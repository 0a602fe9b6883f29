"""Plan one application: its report for the job that tells all, annotations on the manifest, and the job's summary.

With `STATUS=true` (nightly) the health of its devices too. Ends like `plan`: a refused plan fails the job, changes do
not.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import job
from report import Report, from_answer

_STATUS_BYTES = "20000"  # it has to share an issue with the plans


def plan(folder: Path) -> Report:
    """Run `reconciler plan`; the report is saved in the folder, beside the plan."""
    options = ["--detailed-exitcode", "--out", str(folder / "plan.json"), "--format", "json"]
    done = job.reconciler("plan", *options, capture=True)
    row = {"application": job.env("APPLICATION"), "name": job.env("NAME"), "kind": job.env("KIND")}
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        job.stop("reconciler plan wrote no JSON document")
    report = from_answer(row, done.returncode, answer, folder, commit=job.commit())
    report.save()
    for one in answer.get("plans", ()):
        job.annotate("warning", one["warnings"])
    job.annotate("error", report.problems)
    return report


def status(folder: Path) -> None:
    """Run `reconciler status`; failed devices are a warning, because they are no drift."""
    done = job.reconciler("status", "--format", "markdown", "--max-bytes", _STATUS_BYTES, capture=True)
    if done.returncode == 5:
        job.say("warning", f"devices of {job.env('NAME')} failed to take what is released to them; see the summary")
    elif done.returncode:
        job.stop(f"reconciler status ended with {done.returncode}")
    (folder / "status.md").write_text(done.stdout, encoding="utf-8")
    job.summary(done.stdout)


def main() -> None:
    """Takes the folder for the report on the command line."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True)
    report = plan(folder)
    if report.planned:
        job.summary(job.show(folder / "plan.json", commit=report.commit))
        if job.env("STATUS") == "true":
            status(folder)
    sys.exit(0 if report.code == 2 else report.code)


if __name__ == "__main__":
    main()
