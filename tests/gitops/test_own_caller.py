"""This repository's own manifests go through the workflow that it offers to others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gitops.conftest import WORKFLOW, Build, Git, snippet
from tests.gitops.runner.steps import HOME, PROJECT, load
from tests.support.cli import run_here

FILES = [".github/workflows/manifests.yml", "manifests/demo.yaml", "manifests/production.yaml"]


def test_it_is_the_workflow_that_init_writes_but_for_what_it_says() -> None:
    own = load((PROJECT / ".github/workflows/manifests.yml").read_text())
    written = load((PROJECT / "reconciler/cli/init_files/workflow.yml").read_text())
    own_job, written_job = own["jobs"]["reconcile"], written["jobs"]["reconcile"]
    assert own["on"]["workflow_dispatch"] == written["on"]["workflow_dispatch"]
    assert own_job["permissions"] == written_job["permissions"]
    assert own_job["with"].keys() == written_job["with"].keys()
    assert own_job["with"]["command"] == "${{ vars.LOSANT_FLEET == '' && 'validate' || inputs.command }}"


def test_without_a_fleet_it_stays_offline(build: Build) -> None:
    world = build(files={name: (PROJECT / name).read_text() for name in FILES})
    world.workflow = FILES[0]
    demo = (PROJECT / "manifests/demo.yaml").read_text()
    opened = world.pull(1, {"manifests/demo.yaml": demo.replace("pump-control: v3.2.0", "pump-control: v3.2.1")})
    assert opened.conclusion == "success"
    assert opened.ran() == ["check"]
    assert "| `pump-control` | version | `v3.2.0` | `v3.2.1` | 1 |" in opened.job("check").summary
    for later in (world.merge(1), world.night()):
        assert later.conclusion == "success"
        assert later.ran() == ["check"]
    assert world.hub.log == []


def test_init_writes_the_workflow_that_the_readme_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the scenarios, which copy it from the README, are those of `init`, too."""
    git = Git(tmp_path / "repository")
    git.commit({"src/main.c": "int main(void) { return 0; }\n", ".github/workflows/build.yml": "on: push\n"})
    monkeypatch.chdir(git.folder)
    assert run_here("init", "--uses", f"{HOME}@{'0' * 40}").code == 0
    assert (git.folder / WORKFLOW).read_text() == snippet()
    assert git("status", "--porcelain", "-uall").splitlines() == [
        "?? .github/CODEOWNERS",
        f"?? {WORKFLOW}",
        "?? manifests/fleet.yaml",
    ]
