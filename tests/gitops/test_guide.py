"""The guide's snippets are the files they name, pass the schemas of their systems, and their scripts run."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from reconciler.simulator import Server, serve
from tests.gitops.conftest import FLEET, WORKFLOW, Build, Git, World, manifest
from tests.gitops.runner.steps import BIN, PROJECT, executable, fake_python, load
from tests.support import processes

GUIDE = (PROJECT / "docs/ci.md").read_text(encoding="utf-8")
DONE, CHANGES = 0, 2


def snippet(system: str) -> str:
    (found,) = re.findall(rf"^```yaml {system}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_pipelines_are_what_init_writes() -> None:
    found = re.findall(r"<!-- file: (\S+) -->\n```yaml\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    assert "reconciler/cli/init_files/gitlab.yml" in dict(found)
    for path, shown in found:
        assert shown == (PROJECT / path).read_text(encoding="utf-8")


def test_the_pipeline_for_azure_is_what_init_writes() -> None:
    path = "reconciler/cli/init_files/azure.yml"
    assert f"<!-- file: {path} -->\n```yaml azure\n" in GUIDE
    assert snippet("azure") == (PROJECT / path).read_text(encoding="utf-8")


def test_every_input_is_listed_as_it_is() -> None:
    (table,) = re.findall(r"<!-- inputs -->\n[^\n]*\n[^\n]*\n(.*?)<!-- /inputs -->", GUIDE, re.DOTALL)
    workflow = load((PROJECT / ".github/workflows/reconcile.yml").read_text(encoding="utf-8"))
    declared = workflow["on"]["workflow_call"]["inputs"]
    defaults = {name: str(rule["default"]).lower() for name, rule in declared.items()}
    assert table.splitlines() == [
        f"| `{name}` | {defaults[name] and f'`{defaults[name]}`'} | {rule['description']} |"
        for name, rule in declared.items()
    ]


def test_what_moves_rollouts_on_is_an_input_and_a_schedule() -> None:
    advised = load(snippet("rollouts"))
    workflow = load((PROJECT / ".github/workflows/reconcile.yml").read_text(encoding="utf-8"))
    assert advised["on"] == {"schedule": [{"cron": "*/30 * * * *"}]}
    assert advised["jobs"] == {"reconcile": {"with": {"scheduled-apply": True}}}
    assert workflow["on"]["workflow_call"]["inputs"]["scheduled-apply"]["type"] == "boolean"


@pytest.mark.parametrize(
    ("system", "options"),
    [
        ("azure", ["vendor.azure-pipelines", "--data-transform", "azure-pipelines", "--regex-variant", "nonunicode"]),
    ],
)
def test_other_systems_take_their_snippets(system: str, options: list[str], tmp_path: Path) -> None:
    file = tmp_path / f"{system}.yml"
    file.write_text(snippet(system))
    command = [str(BIN / "check-jsonschema"), "--builtin-schema", *options, str(file)]
    done = processes.run(command)
    assert done.returncode == 0, done.stdout


@pytest.fixture
def fleet() -> Iterator[Server]:
    with serve(FLEET) as server:
        yield server


@pytest.fixture
def shell(tmp_path: Path, fleet: Server) -> Any:
    """A repository whose last commit is the merge of a change from v1 to v2, and a function that runs scripts in it."""
    git = Git(tmp_path / "repository")
    base = git.commit({"manifests/plant.yaml": manifest("v1")})
    git("switch", "-qc", "feature")
    git.commit({"manifests/plant.yaml": manifest("v2")})
    git("switch", "-q", "main")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("report", "plan.json", "plan.md", "counts.json", "result.json"):
        (git.folder / name).symlink_to(elsewhere if name == "report" else elsewhere / name)
    git("add", "--all")
    git("commit", "-qm", "links that lead out")
    git("remote", "add", "origin", git.folder.as_uri())
    git("merge", "-q", "--no-ff", "-m", "merge", "feature")
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("python", "python3"):
        executable(tools / tool, fake_python())
    project = Git(tmp_path / "project")
    install = ".github/actions/setup/install.sh"
    pin = project.commit({install: (PROJECT / install).read_text()})
    project("commit", "--allow-empty", "-qm", "later")

    def run(script: str, **variables: str) -> subprocess.CompletedProcess[str]:
        env = {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "TMPDIR": str(tmp_path),
            "AGENT_TEMPDIRECTORY": str(tmp_path),
            "RECONCILER": f"{project.folder.as_uri()}@{pin}",
            "LANG": "C.UTF-8",
            "LOSANT_API_URL": fleet.url,
            "LOSANT_API_TOKEN": fleet.token,
            "CI_MERGE_REQUEST_DIFF_BASE_SHA": base,
            "CI_COMMIT_SHA": "c0ffee",
            "CI_DEFAULT_BRANCH": "main",
            "BUILD_SOURCEBRANCH": "refs/heads/main",
            "BUILD_SOURCEVERSION": "c0ffee",
            **variables,
        }
        done = processes.run(
            ["bash", "-eo", "pipefail", "-c", script],
            cwd=git.folder,
            env=env,
        )
        assert list(elsewhere.iterdir()) == []  # no committed link was followed
        return done

    run.folder = git.folder  # type: ignore[attr-defined]
    run.git = git  # type: ignore[attr-defined]
    run.branch = f"{project.folder.as_uri()}@main"  # type: ignore[attr-defined]
    return run


def installed(home: Path) -> list[str]:
    """What pip was asked for, without the paths."""
    return re.sub(rf"{home}/(tmp\.\w+/)?", "", (home / "pip.log").read_text()).splitlines()


PIP = "-I -m pip install --quiet --disable-pip-version-check --no-cache-dir"
LOCKS = "-r reconciler/requirements/runtime.txt -r reconciler/requirements/build.txt"
INSTALLED = [
    f"{PIP} --require-hashes --only-binary :all: {LOCKS}",
    f"{PIP} --no-index --no-deps --no-build-isolation reconciler",
]


BY_NAME = re.compile(
    r"\b(pipx? (install|run|download)|uv (add|tool|pip install)|uvx)\b[^\n]*"
    r"[ '\"]losant[-_.]reconciler(?!\S*\.(whl|tar))"
)


@pytest.mark.parametrize(
    "file", ["README.md", "CHANGELOG.md", ".ci", ".github", ".pre-commit-hooks.yaml", "docs", "manifests", "reconciler"]
)
def test_nobody_is_told_to_install_a_bare_name(file: str) -> None:
    """Whose that is on a package index is not known."""
    place = PROJECT / file
    found = [place] if place.is_file() else place.rglob("*")
    skipped = ("__pycache__", "pages")  # of docs/pages: pictures and their hashes
    files = [one for one in found if one.is_file() and one.parent.name not in skipped]
    assert files
    for one in files:
        assert BY_NAME.search(one.read_text(encoding="utf-8").replace("\\\n", " ")) is None, one


@pytest.mark.parametrize(
    ("text", "is_by_name"),
    [
        ("pip install losant-reconciler", True),
        ("python -m pip install --quiet 'losant_reconciler[simulator]==1.0'", True),
        ("uvx losant-reconciler plan", True),
        ("pip install ./losant_reconciler-1.0-py3-none-any.whl", False),
        ("pip install dist/losant_reconciler-1.0.tar.gz", False),
        ("pip freeze --exclude losant-reconciler", False),
    ],
)
def test_what_a_bare_name_is(text: str, is_by_name: bool) -> None:
    assert bool(BY_NAME.search(text)) is is_by_name


PIP_TOOL = """\
#!/usr/bin/env bash
echo "$*" | sed 's,/dev/fd/.*,FILE,' >> pip.log
cat "${@: -1}" >> pip.log
"""


@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_release_is_installed_with_the_lock_that_the_pipeline_knows(is_replaced: bool, tmp_path: Path) -> None:
    (script,) = re.findall(r"^```sh\n(sha256sum .*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    executable(tmp_path / "pip", PIP_TOOL)
    lock = "rich==15.0.0\n"
    known = f"{hashlib.sha256(lock.encode()).hexdigest()}  runtime.txt"
    (tmp_path / "runtime.txt").write_text("rich==6.6.6\n" if is_replaced else lock)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "RECONCILER_LOCK": known, "RECONCILER": "wheel --hash=sha256:00"}
    done = processes.run(["bash", "-c", script], cwd=tmp_path, env=env)
    assert (done.returncode == 0) is not is_replaced, done.stderr
    assert (tmp_path / "pip.log").exists() is not is_replaced
    if not is_replaced:
        assert (tmp_path / "pip.log").read_text().splitlines() == [
            "install --require-hashes --only-binary :all: -r runtime.txt",
            "rich==15.0.0",
            "install --require-hashes --no-deps -r FILE",
            "wheel --hash=sha256:00",
        ]


class TestRequired:
    """The check that a branch protection can require."""

    def caller(self, text: str) -> str:
        """The workflow of a caller who follows the guide."""
        workflow, advised = load(text), load(snippet("required"))
        workflow["jobs"] |= advised["jobs"]
        return json.dumps(workflow)

    @pytest.fixture
    def world(self, build: Build) -> World:
        world = build()
        world.git.commit({WORKFLOW: self.caller((world.git.folder / WORKFLOW).read_text())})
        return world

    def test_it_ends_green_where_no_manifest_changed(self, world: World) -> None:
        run = world.pull(1, {"README.md": "words"})
        assert run.conclusion == "success"
        assert run.ran() == ["check", "reconciled"]

    def test_a_base_beside_the_manifests_counts(self, world: World) -> None:
        """It is in no path filter, and what a merge of it applies has been shown."""
        head, groups = manifest("v1").split("groups:")
        base = f"apiVersion: reconciler/v1\ngroups:{groups}"
        world.git.commit({"manifests/plant.yaml": f"{head}extends: ../base.yaml\n", "base.yaml": base})
        opened = world.pull(1, {"base.yaml": base.replace("telemetry: v1", "telemetry: v2")})
        assert "plan plant embedded" in opened.ran()
        assert world.merge(1).job("reconciled").conclusion == "success"
        assert world.reported() == {"v2"}

    def test_it_ends_as_the_plan_does(self, world: World) -> None:
        good = world.pull(1, {"manifests/plant.yaml": manifest("v2"), "README.md": "words"})
        assert good.job("reconciled").conclusion == "success"
        assert "plan plant embedded" in good.ran()
        bad = world.pull(2, {"manifests/plant.yaml": manifest("v2").replace("select", "selekt")}, branch="other")
        assert bad.job("reconciled").conclusion == "failure"

    def test_what_is_merged_is_applied(self, world: World) -> None:
        world.pull(1, {"manifests/plant.yaml": manifest("v2")})
        assert world.merge(1).job("reconciled").conclusion == "success"
        assert world.reported() == {"v2"}

    def test_github_takes_it(self, world: World, tmp_path: Path) -> None:
        file = tmp_path / "reconcile.yml"
        file.write_text((world.git.folder / WORKFLOW).read_text())
        done = processes.run([BIN / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", str(file)])
        assert done.returncode == 0, done.stdout


class TestPreCommit:
    """What pre-commit does with the hook, without pre-commit: its file of hooks, the user's file, the staged files."""

    (offered,) = load((PROJECT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))

    def hook(self, config: str) -> dict[str, Any]:
        """The hook as a configuration asks for it: what it says there goes before what we offer."""
        (repository,) = load(config)["repos"]
        (wanted,) = repository["hooks"]
        assert wanted["id"] == self.offered["id"]
        return {"args": [], "pass_filenames": True, **self.offered, **wanted}

    def commit(self, shell: Any, hook: Mapping[str, Any], *staged: str) -> subprocess.CompletedProcess[str] | None:
        """Run the hook for staged files; None where it is skipped, because none of them concerns it."""
        matching = [name for name in staged if re.search(hook["files"], name)]
        if not matching:
            return None
        command = [*shlex.split(hook["entry"]), *hook["args"], *(matching if hook["pass_filenames"] else [])]
        done = shell(shlex.join(command), PATH=f"{BIN}:{os.environ['PATH']}")
        assert isinstance(done, subprocess.CompletedProcess)
        return done

    def test_what_it_runs_is_installed_with_this_project(self) -> None:
        assert self.offered["language"] == "python"  # so that pre-commit installs this repository
        project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        assert shlex.split(self.offered["entry"])[0] in project["scripts"]

    def test_a_commit_of_manifests_is_checked_and_another_is_not(self, shell: Any) -> None:
        hook = self.hook(snippet("pre-commit"))
        assert self.commit(shell, hook, "docs/manifests/plant.yaml", "manifests/README.md") is None
        done = self.commit(shell, hook, "README.md", "manifests/deep/plant.yml", "manifests/plant.yaml")
        assert done is not None
        assert done.returncode == DONE, done.stderr
        (shell.folder / "manifests/plant.yaml").write_text("nonsense: true\n")
        done = self.commit(shell, hook, "manifests/plant.yaml")
        assert done is not None
        assert done.returncode == 1
        assert "manifests/plant.yaml:1:1: " in done.stderr

    def test_manifests_elsewhere_are_named_as_the_guide_says(self, shell: Any) -> None:
        hook = self.hook(re.sub(r"# (args|files):", r"\1:", snippet("pre-commit")))
        folder = shell.folder / "path/to/manifests"
        folder.mkdir(parents=True)
        (folder / "plant.yaml").write_text("nonsense: true\n")
        assert self.commit(shell, hook, "manifests/plant.yaml") is None
        done = self.commit(shell, hook, "path/to/manifests/plant.yaml")
        assert done is not None
        assert done.returncode == 1
        assert "path/to/manifests/plant.yaml:1:1: " in done.stderr
        (folder / "plant.yaml").write_text(manifest("v1"))
        done = self.commit(shell, hook, "path/to/manifests/plant.yaml")
        assert done is not None
        assert done.returncode == DONE, done.stderr
