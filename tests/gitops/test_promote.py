"""The scheduled job of docs/promote.md: it opens a pull request, and nothing of it could write to the fleet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.simulator import Server, serve
from tests.gitops.conftest import Git
from tests.gitops.runner.actions import Event, Run, Runner
from tests.gitops.runner.hub import Hub
from tests.gitops.runner.steps import BIN, HOME, PROJECT, load
from tests.support import processes

STAGING, PRODUCTION = "575ec8687ae143cd83dc4a97", "575ec8687ae143cd83dc4a98"
READS = ["embeddedDeployments.get", "devices.get", "flows.get", "flowVersions.get", "flowVersion.get"]


def application(id_: str, name: str, version: str) -> dict[str, Any]:
    token = {"text": f"{name}-reads", "scopes": READS}
    device = {"name": f"{name}-1", "deployed": {"telemetry": version}}
    return {"id": id_, "name": name, "flows": {"telemetry": ["v1", "v2"]}, "devices": [device], "tokens": [token]}


FLEET = {
    "take_up_s": "never",
    "applications": [application(STAGING, "staging", "v2"), application(PRODUCTION, "production", "v1")],
}


def manifest(application_id: str, version: str) -> str:
    group = f"groups: {{all: {{select: {{all: true}}, flows: {{telemetry: {version}}}}}}} # careful\n"
    return f"apiVersion: reconciler/v1\napplication: {application_id}\n{group}"


def workflow() -> str:
    """The workflow as somebody would copy it."""
    page = (PROJECT / "docs/promote.md").read_text()
    (text,) = re.findall(r"^```yaml promote\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return str(text).replace("OWNER/REPO/.github", "$/.github").replace("@REF", "")


@pytest.fixture
def server() -> Iterator[Server]:
    with serve(FLEET) as server:
        yield server


@pytest.fixture
def git(tmp_path: Path) -> Git:
    git = Git(tmp_path / "origin")
    git.commit({f"manifests/{name}.yaml": manifest(id_, version) for name, id_, version in (
        ("staging", STAGING, "v2"), ("production", PRODUCTION, "v1"))})  # fmt: skip
    return git


def morning(git: Git, server: Server, number: int = 1) -> Run:
    secrets = {"STAGING_READ_TOKEN": "staging-reads", "PRODUCTION_READ_TOKEN": "production-reads"}
    runner = Runner(git.folder.parent / f"morning-{number}", git.folder, Hub(), secrets)
    data = load(workflow())
    data["jobs"]["ask"]["env"] = {"LOSANT_API_URL": server.url}
    event = Event("schedule", "refs/heads/main", git("rev-parse", "main"), {"schedule": "23 6 * * 1-5"})
    return runner.run(data, event)


def test_what_has_converged_is_proposed_once(git: Git, server: Server) -> None:
    run = morning(git, server)
    assert run.conclusion == "success", run.everything
    assert git("show", "promote-production:manifests/production.yaml") + "\n" == manifest(PRODUCTION, "v2")
    assert git("diff", "--name-only", "main", "promote-production") == "manifests/production.yaml"
    assert "gh pr create --head promote-production --title Production runs" in run.job("propose").log
    assert "+groups: {all:" in run.everything

    proposed = git("rev-parse", "promote-production")
    assert "It is proposed already." in morning(git, server, 2).job("propose").log
    assert git("rev-parse", "promote-production") == proposed

    git("merge", "-q", "--ff-only", "promote-production")
    assert morning(git, server, 3).ran() == ["ask"]
    assert {one["method"] for one in server.control.requests()} == {"GET"}


def test_what_has_not_converged_waits_and_the_run_is_green(git: Git, server: Server) -> None:
    server.control.set_reported("staging-1", _flow(server, "staging-1"), "v1")
    run = morning(git, server)
    assert (run.conclusion, run.ran()) == ("success", ["ask"])
    assert "refused (not converged)" in run.job("ask").summary
    assert all(line.startswith("    ") for line in run.job("ask").summary.splitlines())
    assert git("branch", "--list", "promote-production") == ""


def test_what_cannot_be_read_is_red(git: Git, server: Server) -> None:
    git.commit({"manifests/staging.yaml": "apiVersion: reconciler/v2\n"})
    run = morning(git, server)
    assert (run.conclusion, run.ran()) == ("failure", ["ask"])


def _flow(server: Server, device: str) -> str:
    (found,) = {row["flow_id"] for row in server.control.rows() if row["device"] == device}
    return str(found)


def test_no_job_has_both_a_token_of_the_fleet_and_a_right_to_write() -> None:
    jobs = load(workflow())["jobs"]
    assert jobs["ask"]["permissions"] == {"contents": "read"}
    assert "secrets." in str(jobs["ask"])
    assert "secrets." not in str(jobs["propose"])
    assert "LOSANT" not in str(jobs["propose"])
    page = (PROJECT / "docs/promote.md").read_text()
    assert all(f"`{scope}`" in page for scope in READS)


def test_github_and_zizmor_take_it(tmp_path: Path) -> None:
    file = tmp_path / ".github/workflows/promote.yml"
    file.parent.mkdir(parents=True)
    file.write_text(workflow().replace("$/.github/actions/setup", f"{HOME}/.github/actions/setup@{'0' * 40}"))
    for command in (
        ["check-jsonschema", "--builtin-schema", "vendor.github-workflows", str(file)],
        ["zizmor", "--offline", "--no-progress", str(tmp_path)],
    ):
        done = processes.run([BIN / command[0], *command[1:]])
        assert done.returncode == 0, done.stdout + done.stderr
    shown = re.findall(r"uses: (actions/\S+) # (\S+)", file.read_text())
    used = re.findall(r"uses: (actions/\S+) # (\S+)", (PROJECT / ".github/workflows/newest.yml").read_text())
    assert set(shown) <= set(used)
