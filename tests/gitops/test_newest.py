"""The workflow that tries the newest and the oldest, and what it proposes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.gitops.conftest import Git
from tests.gitops.runner.actions import Event, Run, Runner
from tests.gitops.runner.hub import Hub
from tests.gitops.runner.steps import PROJECT, load
from tests.support import processes

WORKFLOW = PROJECT / ".github/workflows/newest.yml"
# The real one installs two sets of packages and runs this suite on each.
NEWEST = """\
#!/usr/bin/env bash
[[ "$1" == newest ]] || exit "$(cat oldest-ends)"
echo "not younger than $UV_EXCLUDE_NEWER"
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


def test_what_is_proposed_has_been_public_for_as_long_as_actions_have(git: Git) -> None:
    run = week(git)
    days = load((PROJECT / ".github/dependabot.yml").read_text())["updates"][0]["cooldown"]["default-days"]
    proposed = run.artifacts["newest-3.11"]
    assert proposed.is_dir()
    assert run.job("newest 3.11").log == f"not younger than {days} days\n"
    assert run.job("newest 3.15").log == "not younger than 0 days\n"


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


# An environment whose commands do nothing: they fail where they are told $FAILS, which spares the network.
VENV = """\
#!/usr/bin/env bash
mkdir -p "${{@: -1}}/bin" && cd "${{@: -1}}/bin" && ln -sf {python} python
for name in pip pytest; do
  printf '#!/usr/bin/env bash\\n[[ "%s $*" != *"$FAILS"* ]]\\n' "$name" > "$name" && chmod +x "$name"
done
"""
LOCK = """\
#!/usr/bin/env bash
[[ ".ci/lock $*" != *"$FAILS"* ]] || { echo "rich and click want different things" >&2; exit 1; }
echo "click==8.5.1" > requirements/dev.txt
"""
OLDEST, UPGRADED = "click 8.2.0 -> 8.0.0\n", "click 8.2.0 -> 8.5.1\n"


@pytest.mark.parametrize(
    ("which", "fails", "said"),
    [
        ("oldest", "-r requirements/oldest.txt", f"Installing fails with these packages {{}}:\n{OLDEST}"),
        ("oldest", "pytest ", f"The test run fails with these packages {{}}:\n{OLDEST}"),
        ("newest", "-r requirements/dev.txt", f"Installing fails with these packages {{}}:\n{UPGRADED}"),
        ("newest", "--editable", f"Installing fails with these packages {{}}:\n{UPGRADED}"),
        ("newest", "pytest ", f"The test run fails with these packages {{}}:\n{UPGRADED}"),
        ("newest", ".ci/lock --upgrade", "No package moved: the newest do not fit together, for the reason above.\n"),
        ("newest", "nowhere", ""),
    ],
)
def test_what_moved_is_told_whatever_fails(which: str, fails: str, said: str, tmp_path: Path) -> None:
    git = Git(tmp_path / "origin")
    files = {name: (PROJECT / name).read_text() for name in (".ci/newest", ".ci/pins.py")}
    locks = {"requirements/dev.txt": "click==8.2.0\n", "requirements/oldest.txt": "click==8.0.0\n"}
    git.commit({**files, **locks, ".ci/lock": LOCK, "bin/python3": VENV.format(python=sys.executable)})
    for script in (".ci/lock", "bin/python3"):
        (git.folder / script).chmod(0o755)
    env = {**os.environ, "PATH": f"{git.folder / 'bin'}:{os.environ['PATH']}", "FAILS": fails}
    folder = [tmp_path / "kept"] if which == "newest" else []
    done = processes.run(["bash", git.folder / ".ci/newest", which, *folder], env=env)
    assert done.stdout.lstrip("\n") == said.format("instead of those of the lock")
    assert done.returncode == (0 if not said else 1), done.stderr
    for kept in folder:
        assert (kept / "moved").read_text() == (said.splitlines(keepends=True) or [UPGRADED])[-1]
