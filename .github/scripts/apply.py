"""Apply one application, and say whether that was what the pull request showed.

`REQUIRE_REVIEWED_PLAN=true` hands the digest of the review to `apply --expect-digest`, which refuses (exit 4) when the
plan is another by now. Where nothing is left to do there is nothing to review: a job that is run again ends well.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import job

STALE = 4
_WAY_OUT = "look at a plan by hand (Run workflow, command plan), then apply by hand (command apply)"


def main() -> None:
    """Takes the path of the result file on the command line; ends like `reconciler apply`."""
    result = Path(sys.argv[1])
    result.parent.mkdir(parents=True, exist_ok=True)
    reviewed, expected = job.env("REVIEWED"), job.env("EXPECT_DIGEST")
    if not expected and job.env("REQUIRE_REVIEWED_PLAN") == "true":
        expected = _required(reviewed)
    code = job.reconciler("apply", *_options(expected, result), capture=False).returncode
    document = json.loads(result.read_text(encoding="utf-8")) if result.exists() else {}
    job.annotate("error", (document.get("error") or {}).get("problems", ()))
    if code == STALE:
        job.say("error", f"The plan is not the one that was reviewed ({expected}), so nothing was applied: {_WAY_OUT}")
    elif job.env("PULL_REQUEST"):
        _compare(document.get("results", ()), reviewed)
    if document.get("results"):
        job.summary(job.show(result, commit=job.commit()))
    sys.exit(code)


def _options(expected: str, result: Path) -> list[str]:
    options = ["--yes", "--wait", "--timeout", job.env("TIMEOUT"), "--offline", job.env("OFFLINE")]
    return [*options, "--result", str(result), *(["--expect-digest", expected] if expected else [])]


def _required(reviewed: str) -> str:
    """The digest that the fresh plan must have. Ends the step where nothing was reviewed and something would change."""
    done = job.reconciler("plan", "--format", "json", capture=True)
    plans = json.loads(done.stdout)["plans"]
    if len(plans) == 1 and not plans[0]["changes"]:
        return str(plans[0]["digest"])
    if not reviewed:
        job.stop(f"{_unreviewed()}, and a reviewed plan is required: {_WAY_OUT}", STALE)
    return reviewed


def _unreviewed() -> str:
    number = job.env("PULL_REQUEST")
    if not number:
        return "this commit came by no pull request, so nobody was shown a plan of it"
    return f"pull request #{number} shows no plan of its last commit"


def _compare(results: Sequence[Mapping[str, Any]], reviewed: str) -> None:
    """Tell when what was carried out is not what was reviewed."""
    applied = next((one["digest"] for one in results if one["rows"]["total"]), "")
    if not applied:
        return
    number = job.env("PULL_REQUEST")
    if applied == reviewed:
        job.summary(f"Applied as reviewed on pull request #{number}, digest `{reviewed}`.")
        return
    shown = f"pull request #{number} shows digest {reviewed}" if reviewed else _unreviewed()
    message = f"{shown}, and {applied} was applied"
    job.say("warning", f"{message}: the fleet, or the branch, moved after the review")
    job.summary(f"**Not as reviewed**: {message}.")


if __name__ == "__main__":
    main()
