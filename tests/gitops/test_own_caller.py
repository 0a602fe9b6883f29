"""This repository's own manifests go through the workflow that it offers to others."""

from __future__ import annotations

from tests.gitops.conftest import Build
from tests.gitops.runner.steps import PROJECT, load

FILES = [".github/workflows/manifests.yml", "manifests/demo.yaml", "manifests/production.yaml"]


def test_it_is_the_callers_workflow_but_for_what_it_says() -> None:
    own = load((PROJECT / ".github/workflows/manifests.yml").read_text())
    written = load((PROJECT / "docs/github-caller.yml").read_text())
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
