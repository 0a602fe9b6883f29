"""The workflow that tries the newest and the oldest, and what it proposes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gitops.actions import Event, Run, Runner
from tests.gitops.conftest import Git
from tests.gitops.hub import Hub
from tests.gitops.steps import PROJECT, load

WORKFLOW = PROJECT / ".github/workflows/newest.yml"
# The real one installs two sets of packages and runs this suite on each.
NEWEST = """\
#!/usr/bin/env bash
[[ "$1" == newest ]] || exit "$(cat oldest-ends)"
mkdir -p "$2" && cp newest.txt "$2/dev.txt" && echo "click 8.2.0 -> 8.5.1" > "$2/moved"
exit "$(cat newest-ends)"
"""


@pytest.fixture
def git(tmp_path: Path) -> Git:
    git = Git(tmp_path / "origin")
    git.commit(
        {
            ".ci/newest": NEWEST,
            ".ci/propose": (PROJECT / ".ci/propose").read_text(),
            "requirements/dev.txt": "click==8.2.0\n",
            "newest.txt": "click==8.5.1\n",
            "newest-ends": "0",
            "oldest-ends": "0",
        }
    )
    return git


def week(git: Git, number: int = 1) -> Run:
    runner = Runner(git.folder.parent / f"week-{number}", git.folder, Hub(), {})
    event = Event("schedule", "refs/heads/main", git("rev-parse", "main"), {"schedule": "41 4 * * 1"})
    return runner.run(load(WORKFLOW.read_text()), event)


def test_what_moved_is_proposed_and_kept_up_to_date(git: Git) -> None:
    run = week(git)
    assert run.conclusion == "success", run.everything
    assert git("show", "lock:requirements/dev.txt") == "click==8.5.1"
    assert git("diff", "--name-only", "main", "lock") == "requirements/dev.txt"
    assert "gh pr create --head lock --title The lock: the newest of everything" in run.job("propose").log
    assert "click 8.2.0 -> 8.5.1" in run.everything

    git.commit({"newest.txt": "click==8.5.2\n"})
    run = week(git, 2)
    assert git("show", "lock:requirements/dev.txt") == "click==8.5.2"
    assert git("rev-parse", "lock^") == git("rev-parse", "main")
    assert "gh pr edit lock " in run.job("propose").log


def test_nothing_is_proposed_where_nothing_moved(git: Git) -> None:
    git.commit({"newest.txt": "click==8.2.0\n"})
    run = week(git)
    assert run.conclusion == "success"
    assert run.job("propose").log == "The lock is already up to date.\n"
    assert git("branch", "--list", "lock") == ""


def test_nothing_is_proposed_that_fails(git: Git) -> None:
    git.commit({"newest-ends": "1"})
    run = week(git)
    assert run.conclusion == "failure"
    assert git("branch", "--list", "lock") == ""


def test_the_newest_are_proposed_whatever_becomes_of_the_oldest(git: Git) -> None:
    git.commit({"oldest-ends": "1"})
    run = week(git)
    assert run.job("oldest").conclusion == run.conclusion == "failure"
    assert git("branch", "--list", "lock") != ""
