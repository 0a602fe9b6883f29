"""A world for the workflow: a repository with manifests, a hub, a fleet on a simulator, and who runs what."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reconciler.ci.providers import SIGNS
from reconciler.simulator import Server, serve
from tests.gitops.runner.actions import Event, Run, Runner
from tests.gitops.runner.hub import REPOSITORY, Hub, serve_hub
from tests.gitops.runner.places import Place, place
from tests.gitops.runner.steps import HOME, PROJECT, load
from tests.support import processes

WORKFLOW = ".github/workflows/reconcile.yml"
PLANT = "5f0c8a1b2d3e4f5061728394"
FLEET = f"""
take_up_s: 0
applications:
  - id: {PLANT}
    name: plant
    flows: {{telemetry: [v1, v2, v3]}}
    devices:
      - {{count: 20, name: "leeds-{{n:02}}", tags: {{site: leeds}}, deployed: {{telemetry: v1}}}}
"""


def manifest(version: str) -> str:
    return (
        f"apiVersion: reconciler/v1\napplication: {{id: {PLANT}, name: plant}}\n"
        f"groups:\n  all: {{select: {{all: true}}, flows: {{telemetry: {version}}}}}\n"
    )


def waved(version: str) -> str:
    """A manifest whose first wave is one device."""
    policy = "rollouts:\n  careful: {waves: [{devices: [leeds-01]}], gate: {soak: 1h}, patience: 15m}\n"
    text = manifest(version).replace("groups:", f"{policy}groups:").replace("flows:", "rollout: careful, flows:")
    assert text.count("careful") == 2
    return text


def snippet() -> str:
    """The caller of the reusable workflow that the guide shows, as somebody would copy it."""
    shown = re.findall(r"^```yaml\n(.*?)^```$", (PROJECT / "docs/ci.md").read_text(), re.MULTILINE | re.DOTALL)
    (text,) = [text for text in shown if "OWNER/REPO" in text]
    assert text.count("OWNER/REPO") == text.count("@REF") == 1
    return str(text).replace("OWNER/REPO", HOME).replace("@REF", f"@{'0' * 40}")


class Git:
    """The repository: branches, commits and merges, as people make them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self("init", "-q", "-b", "main")
        self("config", "uploadpack.allowAnySHA1InWant", "true")  # as GitHub does
        self("config", "maintenance.auto", "false")

    def __call__(self, *arguments: str) -> str:
        who = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
        done = processes.run(["git", "-C", str(self.folder), *who, *arguments], check=True)
        return done.stdout.strip()

    def commit(self, files: Mapping[str, str], message: str = "change") -> str:
        """Write files on the branch that is checked out, and commit them; the commit's hash."""
        for name, text in files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text)
        self("add", "--all")
        self("commit", "-qm", message)
        return self("rev-parse", "HEAD")

    def advance(self, commits: int) -> None:
        """So many commits that change no file."""
        before = int(self("rev-list", "--count", "main"))
        one = "commit refs/heads/main\ncommitter t <t@example.com> now\ndata 5\nwords\n"
        text = f"{one}from refs/heads/main^0\n\n" + f"{one}\n" * (commits - 1)
        load = ["git", "-C", str(self.folder), "fast-import", "--quiet", "--date-format=now"]
        processes.run(load, input=text, check=True)
        assert int(self("rev-list", "--count", "main")) == before + commits


@dataclass
class World:
    """Everything that a scenario plays with."""

    git: Git
    hub: Hub
    server: Server
    runner: Runner
    workflow: str = WORKFLOW

    def pull(self, number: int, files: Mapping[str, str], *, branch: str = "feature", fork: bool = False) -> Run:
        """Open a pull request, or push to it; the run that follows."""
        if branch in self.git("branch", "--format=%(refname:short)").split():
            self.git("switch", "-q", branch)
        else:
            self.git("switch", "-qc", branch, "main")
        self.git.commit(files)
        return self.opened(number, branch, fork=fork)

    def opened(self, number: int, branch: str, *, fork: bool = False) -> Run:
        """The run that follows when a pull request of a branch is opened, or its branch was pushed to."""
        head = self.git("rev-parse", branch)
        self.git("switch", "-q", "--force", "--detach", "main")
        self.git("merge", "-q", "--no-ff", "-m", "as it will be", head)
        self.git("update-ref", f"refs/pull/{number}/merge", "HEAD")
        self.git("switch", "-q", "main")
        repository = "stranger/fleet" if fork else REPOSITORY
        if number in self.hub.pulls:
            self.hub.pulls[number]["head"]["sha"] = head
        else:
            self.hub.open_pull(number, head=head, repository=repository)
        payload = {"pull_request": dict(self.hub.pulls[number]), "repository": self.about}
        return self._run("pull_request", f"refs/pull/{number}/merge", payload, fork=fork)

    def merge(self, number: int, *, branch: str = "feature") -> Run:
        """Merge a pull request; the run that follows the push to main."""
        self.git("merge", "-q", "--no-ff", "-m", f"merge #{number}", branch)
        self.hub.merge(number, self.git("rev-parse", "HEAD"))
        return self.push()

    def push(self, ref: str = "refs/heads/main", *, sha: str | None = None) -> Run:
        """The run that follows a push of a commit, which may no longer be the newest of its branch."""
        return self._run("push", ref, {"repository": self.about}, sha=sha)

    def night(self) -> Run:
        return self._run("schedule", "refs/heads/main", {"schedule": "17 3 * * *"})

    def by_hand(self, command: str, *, ref: str = "refs/heads/main", **inputs: str) -> Run:
        inputs = {"command": command, **inputs}
        return self._run("workflow_dispatch", ref, {"repository": self.about, "inputs": inputs}, inputs=inputs)

    def _run(
        self,
        name: str,
        ref: str,
        payload: dict[str, Any],
        *,
        inputs: dict[str, Any] | None = None,
        fork: bool = False,
        sha: str | None = None,
    ) -> Run:
        workflow = load(self.git("show", f"{ref}:{self.workflow}"))
        sha = sha or self.git("rev-parse", ref)
        run = self.runner.run(workflow, Event(name, ref, sha, payload, inputs or {}, fork=fork))
        self._keeps_secrets(run)
        return run

    def _keeps_secrets(self, run: Run) -> None:
        """No token is in anything that a run leaves: logs, summaries, artifacts, comments, issues."""
        posted = [*self.hub.comments.values(), *self.hub.issues.values()]
        left = "\n".join([run.everything, *(str(one["body"]) for one in posted)])
        for text in [*self.runner.secrets.values(), "ghs_"]:
            assert text not in left

    @property
    def about(self) -> dict[str, str]:
        return {"full_name": REPOSITORY, "default_branch": "main"}

    def released(self) -> set[str | None]:
        return {row["released"] for row in self.server.control.rows()}

    def reported(self) -> set[str | None]:
        return {row["reported"] for row in self.server.control.rows()}


Build = Callable[..., World]


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    """Make a world whose repository holds manifests and the guide's snippet: `build(**inputs of the workflow)`."""
    stack: list[Any] = []

    def begin(*, fleet: Any = FLEET, files: Mapping[str, str] | None = None, **inputs: str | bool) -> World:
        server = _enter(stack, serve(fleet))
        hub = _enter(stack, serve_hub())
        git = Git(tmp_path / "origin")
        git.commit({"manifests/plant.yaml": manifest("v1")} if files is None else files)
        options = {"api-url": server.url, **inputs}
        caller = snippet() + "".join(
            f"      {name}: {json.dumps(text, ensure_ascii=False)}\n" for name, text in options.items()
        )
        git.commit({WORKFLOW: caller}, "set up")
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        secrets = {f"LOSANT_API_TOKEN_{PLANT}": server.token, "OTHER": "another-secret-of-the-organisation"}
        return World(git, hub, server, Runner(scratch, git.folder, hub, secrets))

    yield begin
    for context in reversed(stack):
        context.__exit__(None, None, None)


def _enter(stack: list[Any], context: Any) -> Any:
    entered = context.__enter__()
    stack.append(context)
    return entered


@pytest.fixture
def world(build: Build) -> World:
    return build()


@pytest.fixture
def job_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"):
        monkeypatch.setenv(name, str(tmp_path / name))
    (tmp_path / "event.json").write_text("{}")
    variables = {
        "GITHUB_ACTOR": "ada",
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": "schedule",
        "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
        "GITHUB_REF": "refs/heads/main",
        "GITHUB_REPOSITORY": REPOSITORY,
        "GITHUB_RUN_ID": "7",
        "GITHUB_SERVER_URL": "https://github.example",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def hub(job_files: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serve_hub() as hub:
        monkeypatch.setenv("GITHUB_API_URL", hub.url)
        monkeypatch.setenv(
            "GITHUB_TOKEN", hub.token({"issues": "write", "pull-requests": "write", "statuses": "write"})
        )
        yield hub


@pytest.fixture(params=SIGNS)
def there(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A job on each of the forges."""
    folder = tmp_path / "job"
    folder.mkdir()
    with place(request.param, folder, monkeypatch) as made:
        yield made


@pytest.fixture
def git(tmp_path: Path, there: Place, monkeypatch: pytest.MonkeyPatch) -> Git:
    """The checkout of that job: two commits, of two versions."""
    git = Git(tmp_path / "origin")
    git.commit({"manifests/plant.yaml": manifest("v1")})
    git.commit({"manifests/plant.yaml": manifest("v2")})
    monkeypatch.chdir(git.folder)
    return git
