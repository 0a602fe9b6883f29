"""The setup action: what it installs, and where."""

from __future__ import annotations

from pathlib import Path

from tests.gitops.actions import Event, Runner
from tests.gitops.hub import Hub
from tests.gitops.steps import PROJECT, load

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
    (installed,) = pip
    assert installed.startswith("-m pip install ")
    assert installed.endswith(f" {PROJECT}")
    assert "/temp/reconciler-pip " in installed


def test_what_is_cached_is_what_pip_caches() -> None:
    steps = load((PROJECT / ".github/actions/setup/action.yml").read_text())["runs"]["steps"]
    (cache,) = [step for step in steps if step.get("uses", "").startswith("actions/cache@")]
    assert cache["with"]["path"] == "${{ runner.temp }}/reconciler-pip"
    assert '--cache-dir "$RUNNER_TEMP/reconciler-pip"' in steps[-1]["run"]
    for part in ("runner.os", "runner.arch", "python-version", "steps.key.outputs.hash"):
        assert part in cache["with"]["key"]
