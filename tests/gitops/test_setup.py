"""The setup action: what it installs, and where."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.gitops.conftest import Git
from tests.gitops.runner.actions import Event, Runner
from tests.gitops.runner.hub import Hub
from tests.gitops.runner.steps import PROJECT, load

CALLER = """
on: {push: {}}
permissions: {}
jobs:
  try:
    runs-on: ubuntu-24.04
    steps:
      - uses: $/.github/actions/setup
      - run: command -v reconciler; reconciler --version; cat "$RUNNER_TEMP/pip.log"
"""


def test_it_installs_this_very_commit_into_a_folder_of_its_own(tmp_path: Path) -> None:
    runner = Runner(tmp_path / "scratch", tmp_path, Hub(), {})
    run = runner.run(load(CALLER), Event("push", "refs/heads/main", "0" * 40, {}))
    assert run.conclusion == "success", run.job("try").log
    found, version, *pip = run.job("try").log.splitlines()
    assert found.endswith("/temp/reconciler/bin/reconciler")
    assert version.startswith("reconciler ")
    dependencies, itself = pip
    locks = [f"-r {PROJECT}/requirements/{name}.txt" for name in ("runtime", "build")]
    assert dependencies.startswith("-I -m pip install ")
    assert "--no-cache-dir" in dependencies
    assert "--no-cache-dir" in itself
    assert dependencies.endswith(f" --require-hashes --only-binary :all: {' '.join(locks)}")
    assert itself.startswith("-I -m pip install ")
    assert itself.endswith(f" --no-index --no-deps --no-build-isolation {PROJECT}")


@pytest.mark.parametrize("file", sorted((PROJECT / ".github").glob("**/*.yml")), ids=lambda file: file.name)
def test_no_job_reads_a_cache_that_another_may_have_filled(file: Path) -> None:
    """A cache of the default branch is shared by all workflows, those of forks and bots included."""
    data = load(file.read_text())
    steps = [
        *data.get("runs", {}).get("steps", []),
        *(s for j in data.get("jobs", {}).values() for s in j.get("steps", [])),
    ]
    for step in steps:
        assert not step.get("uses", "").startswith("actions/cache")
        assert "cache" not in step.get("with", {})
        assert "PIP_CACHE_DIR" not in str(step)


def test_what_is_in_the_folder_already_is_cleared(tmp_path: Path) -> None:
    """A virtual environment made over another keeps the packages of that."""
    caller = load(CALLER)
    leave = 'mkdir -p "$RUNNER_TEMP/reconciler/lib" && touch "$RUNNER_TEMP/reconciler/lib/left.pth"'
    caller["jobs"]["try"]["steps"].insert(0, {"run": leave})
    caller["jobs"]["try"]["steps"].append({"run": '[[ ! -e "$RUNNER_TEMP/reconciler/lib/left.pth" ]]'})
    run = Runner(tmp_path / "scratch", tmp_path, Hub(), {}).run(caller, Event("push", "refs/heads/main", "0" * 40, {}))
    assert run.conclusion == "success", run.job("try").log


@pytest.mark.usefixtures("installed")
def test_python_looks_for_no_module_in_the_repository_that_it_is_run_in(tmp_path: Path) -> None:
    git = Git(tmp_path / "origin")
    trap = "raise SystemExit('the repository was asked')"
    sha = git.commit({f"{name}.py": trap for name in ("hashlib", "venv", "pip", "sys", "reconciler", "click")})
    caller = load(CALLER)
    caller["jobs"]["try"]["steps"].insert(0, {"uses": "actions/checkout@x"})
    run = Runner(tmp_path / "scratch", git.folder, Hub(), {}).run(caller, Event("push", "refs/heads/main", sha, {}))
    assert run.conclusion == "success", run.job("try").log
    for script in (PROJECT / ".github/actions/setup").iterdir():
        assert not re.search(r"\bpython3?\"? -[^I]", script.read_text()), script
