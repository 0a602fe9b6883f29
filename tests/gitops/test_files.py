"""What every workflow file and action of this project keeps to."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gitops.runner.steps import BIN, PROJECT, load
from tests.support import processes

GITHUB = PROJECT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
ACTIONS = sorted((GITHUB / "actions").glob("*/action.yml"))
TEMPLATES = sorted((PROJECT / "reconciler/cli/init_files").glob("github*.yml"))
FILES = [*WORKFLOWS, *ACTIONS, PROJECT / "docs/github-caller.yml", *TEMPLATES]
KNOWN = {
    "actions/checkout",
    "actions/setup-python",
    "actions/upload-artifact",
    "actions/download-artifact",
    "pypa/gh-action-pypi-publish",
}
WRITES = {
    ("reconcile.yml", "comment"): {"pull-requests"},
    ("reconcile.yml", "drift"): {"issues"},
    ("reconcile.yml", "report"): {"statuses"},
    ("github-jobs.yml", "comment"): {"pull-requests"},
    ("github-jobs.yml", "drift"): {"issues"},
    ("github-jobs.yml", "report"): {"statuses"},
    ("newest.yml", "propose"): {"contents", "pull-requests"},
    ("release.yml", "publish"): {"id-token"},
    ("release.yml", "announce"): {"contents"},
}


def name(file: Path) -> str:
    return str(file.relative_to(PROJECT))


def jobs(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from load(file.read_text())["jobs"].items()


def steps(file: Path) -> Iterator[dict[str, Any]]:
    data = load(file.read_text())
    for job in data.get("jobs", {}).values():
        yield from job.get("steps", [])
    yield from data.get("runs", {}).get("steps", [])


every_file = pytest.mark.parametrize("file", FILES, ids=name)
every_workflow = pytest.mark.parametrize("file", [file for file in FILES if "jobs" in load(file.read_text())], ids=name)


@every_workflow
def test_the_key_on_is_text_and_says_when(file: Path) -> None:
    assert load(file.read_text())["on"]


@every_file
def test_actions_are_pinned_by_commit_with_their_version(file: Path) -> None:
    for line in re.findall(r"^\s*(?:- )?uses: (.*)$", file.read_text(), re.MULTILINE):
        if line.startswith(("$/", "./.github/workflows/reconcile-", "OWNER/REPO")):
            continue
        match = re.fullmatch(r"([\w-]+/[\w-]+)@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)
        assert match, line
        assert match[1] in KNOWN


@every_file
def test_what_is_used_of_this_project_is_there(file: Path) -> None:
    for path in re.findall(r"uses: \$/(\S+)", file.read_text()):
        assert (PROJECT / path).is_file() or (PROJECT / path / "action.yml").is_file()


@every_file
def test_no_expression_gets_into_a_script(file: Path) -> None:
    for step in steps(file):
        assert "${{" not in step.get("run", "")


@every_workflow
def test_every_name_in_an_expression_is_declared(file: Path) -> None:
    """GitHub takes what is not there for empty, and says nothing."""
    data = load(file.read_text())
    on = data["on"]
    declared = {*on.get("workflow_call", {}).get("inputs", {}), *(on.get("workflow_dispatch") or {}).get("inputs", {})}
    for job in data["jobs"].values():
        text = str(job)
        ids = [step["id"] for step in job.get("steps", []) if "id" in step]
        needs = job.get("needs", [])
        assert set(re.findall(r"\binputs\.([\w-]+)", text)) <= declared
        assert set(re.findall(r"\bsteps\.([\w-]+)", text)) <= set(ids)
        assert set(re.findall(r"\bneeds\.([\w-]+)", text)) <= ({needs} if isinstance(needs, str) else set(needs))
        for other, output in re.findall(r"\bneeds\.([\w-]+)\.outputs\.([\w-]+)", text):
            assert output in data["jobs"][other]["outputs"]
        for output in re.findall(r"\bsteps\.(?:decide|fan-out|mark)\.outputs\.([\w-]+)", text):
            sources = "".join(source.read_text() for source in (PROJECT / "reconciler/ci").rglob("*.py"))
            assert f'.output("{output}"' in sources
        called = PROJECT / str(job.get("uses", "")).removeprefix("$/")
        if called.is_file():
            inputs = load(called.read_text())["on"]["workflow_call"]["inputs"]
            assert job["with"].keys() <= inputs.keys()
            assert {name for name, rule in inputs.items() if rule.get("required")} <= job["with"].keys()


@every_file
def test_a_checkout_leaves_no_credentials(file: Path) -> None:
    for step in steps(file):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@every_workflow
def test_a_job_may_do_what_it_needs_and_no_more(file: Path) -> None:
    default = load(file.read_text())["permissions"]
    assert default in ({}, {"contents": "read"})
    for key, job in jobs(file):
        granted = job.get("permissions", default)
        writes = {scope for scope, access in granted.items() if access == "write"}
        if "uses" not in job:
            assert writes == WRITES.get((file.name, key), set())
        else:
            assert writes <= {"issues", "pull-requests", "statuses"}
        assert granted.keys() <= {"contents", "id-token", "issues", "pull-requests", "statuses"}


@every_workflow
def test_what_may_write_to_the_repository_or_publish_installs_nothing(file: Path) -> None:
    for key, job in jobs(file):
        if WRITES.get((file.name, key), set()) & {"contents", "id-token"}:
            scripts = "".join(step.get("run", "") for step in job["steps"])
            assert not re.search(r"\bpip\b|\bpython|\.ci/(?!propose)", scripts)
            assert not re.search(r"\bpip\b|\bpython", (PROJECT / ".ci/propose").read_text())


@every_workflow
def test_no_job_has_both_the_fleet_token_and_a_right_to_write(file: Path) -> None:
    for _, job in jobs(file):
        if "steps" in job and "write" in job.get("permissions", {}).values():
            assert "secrets." not in str(job)
            assert "secrets[" not in str(job)


@every_workflow
def test_the_fleet_token_goes_to_one_step_of_a_job(file: Path) -> None:
    for _, job in jobs(file):
        with_token = [step for step in job.get("steps", []) if "secrets" in str(step)]
        assert "secrets" not in str(job.get("env", ""))
        assert len(with_token) <= 1
        for step in with_token:
            assert {key for key, text in step["env"].items() if "secrets" in str(text)} == {"LOSANT_API_TOKEN"}


def test_applies_queue_and_are_never_cancelled() -> None:
    apply = dict(jobs(GITHUB / "workflows/reconcile-applications.yml"))["apply"]
    assert apply["concurrency"] == {
        "group": "reconciler-${{ matrix.row.application }}-${{ matrix.row.kind }}",
        "cancel-in-progress": False,
        "queue": "max",
    }
    for file in WORKFLOWS:
        if file.name != "ci.yml":
            assert "cancel-in-progress: true" not in file.read_text()


def test_who_looks_before_writing_is_alone_while_doing_so() -> None:
    """Two runs at once would both find no comment, and both write one."""
    for key, about in {"comment": "${{ github.event.pull_request.number }}-", "drift": ""}.items():
        queue = dict(jobs(GITHUB / "workflows/reconcile.yml"))[key]["concurrency"]
        assert queue["group"] == f"reconciler-{key}-{about}${{{{ inputs.path }}}}"
        assert (queue["cancel-in-progress"], queue["queue"]) == (False, "max")


@every_workflow
def test_every_job_ends_some_day(file: Path) -> None:
    for key, job in jobs(file):
        assert "uses" in job or "timeout-minutes" in job, key


def test_github_takes_the_files() -> None:
    for schema, files in {"workflows": [*WORKFLOWS, *TEMPLATES], "actions": ACTIONS}.items():
        check("check-jsonschema", "--builtin-schema", f"vendor.github-{schema}", *map(str, files))


def test_zizmor_finds_nothing() -> None:
    check("zizmor", "--offline", "--no-progress", str(GITHUB), *map(str, TEMPLATES))


def check(command: str, *arguments: str) -> None:
    done = processes.run([BIN / command, *arguments])
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_gate_runs_the_tests_with_signals_ignored(tmp_path: Path) -> None:
    """As from nohup, in the background of a script: whoever starts them so gets the same."""
    lines = (PROJECT / ".ci/run").read_text().splitlines()
    (line,) = [line for line in lines if '"$test_command"' in line and "|" in line]
    ask = f"{sys.executable} -c 'import signal; print(*[signal.getsignal(n) is signal.SIG_IGN for n in (1, 2, 15)])'"
    done = processes.run(["bash", "-euo", "pipefail", "-c", f"test_command=$1\n{line}", "bash", ask], cwd=tmp_path)
    assert done.stdout == (tmp_path / "pytest.log").read_text() == "True True False\n", done.stderr


def test_contributors_are_told_of_files_that_are_there() -> None:
    named = re.findall(r"`([\w./-]+\.(?:py|yml|toml|txt))`", (GITHUB / "CONTRIBUTING.md").read_text())
    assert len(named) > 10
    folders = ("reconciler", "tests", ".ci", ".github")
    files = [*PROJECT.glob("*"), *(file for folder in folders for file in (PROJECT / folder).rglob("*"))]
    there = [f"/{file.relative_to(PROJECT)}" for file in files]
    for one in named:
        assert any(path.endswith(f"/{one}") for path in there), one
