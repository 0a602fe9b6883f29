"""One place on each forge, with what a test does there in the same words: a stand-in, and the variables of a job."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reconciler.ci.provider import Forge, Provider
from reconciler.ci.providers import SIGNS, adapter
from tests.gitops.runner import devops, hub, lab
from tests.gitops.runner.standin import Trouble
from tests.support.cli import Ended, run_here

TOKENS = {"github": "GITHUB_TOKEN", "gitlab": "RECONCILER_FORGE_TOKEN", "azure": "SYSTEM_ACCESSTOKEN"}
STARTED_BY = {"github": "GITHUB_EVENT_NAME", "gitlab": "CI_PIPELINE_SOURCE", "azure": "BUILD_REASON"}
MALLORY: Mapping[str, Any] = {
    "github": {"login": "mallory", "type": "User"},
    "gitlab": lab.MALLORY,
    "azure": {"id": "mallory", "displayName": "Mallory"},
}


@dataclass
class Place:
    """A forge that answers, and the folder of a job whose variables are set; `set` sets one more."""

    name: str
    api: Any
    folder: Path
    set: Callable[[str, str], None]
    weak: str
    """A token that may read, and no more."""

    @property
    def provider(self) -> Provider:
        return adapter(self.name, os.environ, print)

    @property
    def forge(self) -> Forge:
        return self.provider.forge()

    @property
    def troubles(self) -> list[Trouble]:
        troubles: list[Trouble] = self.api.troubles
        return troubles

    def read_with(self, token: str) -> None:
        self.set(TOKENS[self.name], token)

    def open(self, number: int, *, head: str) -> None:
        """A pull request."""
        getattr(self.api, "open_request" if self.name == "gitlab" else "open_pull")(number, head=head)

    def run_for(self, number: int, *, head: str, fork: bool = False) -> None:
        """From now on the job is of a pull request's run."""
        if self.name == "github":
            about = {"head": {"sha": head, "repo": {"full_name": "stranger/fleet" if fork else hub.REPOSITORY}}}
            event = {"pull_request": {"number": number, **about}}
            (self.folder / "event.json").write_text(json.dumps(event))
        for name, value in _review(self.name, number, head, fork=fork).items():
            self.set(name, value)

    def run_for_push(self) -> None:
        """From now on the job is of the run that a push to main started."""
        if self.name == "github":
            (self.folder / "event.json").write_text(json.dumps({"repository": {"default_branch": "main"}}))
        pushed = {"github": "push", "gitlab": "push", "azure": "IndividualCI"}
        self.set(STARTED_BY[self.name], pushed[self.name])

    def merge(self, number: int, commit: str) -> None:
        self.api.merge(number, commit)

    def started(self, ended: Ended) -> str:
        """What a step has left for the jobs of applications; empty if it starts none."""
        if self.name == "azure":
            lines = [line for line in ended.out.splitlines() if "variable=matrix_" in line]
            return "\n".join(line for line in lines if not line.endswith("{}"))
        if self.name == "github":
            return self.outputs(ended).partition("batches<<")[2]
        child = self.folder / "reconciler-ci/child.yml"
        return child.read_text() if child.exists() else ""

    def outputs(self, ended: Ended) -> str:
        """All that a step has output for other jobs."""
        files = {"github": "output", "gitlab": "reconciler-ci/outputs.env"}
        if self.name == "azure":
            return "\n".join(line for line in ended.out.splitlines() if line.startswith("##vso[task.setvariable"))
        file = self.folder / files[self.name]
        return file.read_text() if file.exists() else ""

    def comment(self, number: int, text: str, *, stranger: bool = False) -> dict[str, Any]:
        """A comment of ours, or of somebody else."""
        write = {"github": "comment", "gitlab": "note", "azure": "thread"}[self.name]
        who = {"author" if self.name == "azure" else "user": MALLORY[self.name]} if stranger else {}
        made: dict[str, Any] = getattr(self.api, write)(number, text, **who)
        return made["comments"][0] if self.name == "azure" else made

    def text_key(self) -> str:
        return "content" if self.name == "azure" else "body"

    def comments(self, number: int) -> list[str]:
        texts: list[str] = getattr(self.api, "contents" if self.name == "azure" else "bodies")(number)
        return texts

    def step(self, *words: str) -> Ended:
        return run_here("ci", *words)

    def fan_out(self) -> Ended:
        """The step that starts the jobs, after the one that decides."""
        assert self.step("decide").code == 0
        return self.step("fan-out")


@contextmanager
def place(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A job of a schedule on this forge, in a folder of its own."""
    for sign in SIGNS.values():
        monkeypatch.delenv(sign, raising=False)
    monkeypatch.chdir(folder)
    start: Mapping[str, Callable[[], Any]] = {
        "github": hub.serve_hub,
        "gitlab": lab.serve_lab,
        "azure": devops.serve_devops,
    }
    with start[name]() as api:
        strong, weak = _tokens(name, api)
        for key, value in {**_job(name, api, folder), TOKENS[name]: strong}.items():
            monkeypatch.setenv(key, value)
        yield Place(name, api, folder, monkeypatch.setenv, weak)


def _tokens(name: str, api: Any) -> tuple[str, str]:
    if name == "github":
        areas = ("issues", "pull-requests", "statuses")
        return api.token(dict.fromkeys(areas, "write")), api.token(dict.fromkeys(areas, "read"))
    if name == "gitlab":
        api.may_merge.add(lab.US)
        return api.token(), api.token(scope="read_api")
    api.run(40)
    return api.token(), api.token(dict.fromkeys(devops.EVERYTHING, "read"))


def _job(name: str, api: Any, folder: Path) -> dict[str, str]:
    if name == "github":
        (folder / "event.json").write_text("{}")
        return {
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTOR": "ada",
            "GITHUB_API_URL": api.url,
            "GITHUB_EVENT_NAME": "schedule",
            "GITHUB_EVENT_PATH": str(folder / "event.json"),
            "GITHUB_OUTPUT": str(folder / "output"),
            "GITHUB_REF": "refs/heads/main",
            "GITHUB_REPOSITORY": hub.REPOSITORY,
            "GITHUB_RUN_ID": "7",
            "GITHUB_SERVER_URL": "https://github.example",
            "GITHUB_STEP_SUMMARY": str(folder / "summary"),
        }
    if name == "gitlab":
        return {
            "GITLAB_CI": "true",
            "CI_API_V4_URL": api.url,
            "CI_COMMIT_BRANCH": "main",
            "CI_DEFAULT_BRANCH": "main",
            "CI_PIPELINE_SOURCE": "schedule",
            "CI_PIPELINE_URL": "https://gitlab.example/acme/fleet/-/pipelines/7",
            "CI_PROJECT_DIR": str(folder),
            "CI_PROJECT_ID": str(lab.PROJECT_ID),
        }
    return {
        "TF_BUILD": "True",
        "AGENT_TEMPDIRECTORY": str(folder),
        "BUILD_BUILDID": "40",
        "BUILD_REASON": "Schedule",
        "BUILD_REPOSITORY_ID": devops.REPOSITORY,
        "BUILD_REPOSITORY_PROVIDER": "TfsGit",
        "BUILD_SOURCEBRANCH": "refs/heads/main",
        "RECONCILER_BATCHES": "0 1 2 3",
        "RECONCILER_BRANCH": "main",
        "SYSTEM_COLLECTIONURI": api.url,
        "SYSTEM_DEFINITIONID": str(devops.PIPELINE),
        "SYSTEM_TEAMPROJECT": devops.PROJECT,
    }


def _review(name: str, number: int, head: str, *, fork: bool) -> dict[str, str]:
    if name == "github":
        return {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_REF": f"refs/pull/{number}/merge"}
    if name == "gitlab":
        return {
            "CI_PIPELINE_SOURCE": "merge_request_event",
            "CI_COMMIT_BRANCH": "",
            "CI_COMMIT_SHA": head,
            "CI_MERGE_REQUEST_DIFF_BASE_SHA": "HEAD^1",
            "CI_MERGE_REQUEST_IID": str(number),
            "CI_MERGE_REQUEST_PROJECT_ID": str(lab.PROJECT_ID),
            "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "666" if fork else str(lab.PROJECT_ID),
        }
    return {
        "BUILD_REASON": "PullRequest",
        "BUILD_SOURCEBRANCH": f"refs/pull/{number}/merge",
        "SYSTEM_PULLREQUEST_ISFORK": str(fork),
        "SYSTEM_PULLREQUEST_PULLREQUESTID": str(number),
        "SYSTEM_PULLREQUEST_SOURCECOMMITID": head,
    }
