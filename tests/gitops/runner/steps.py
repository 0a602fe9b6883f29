"""One job of a run: its steps in order, every `run:` by bash, with GitHub's environment files.

GitHub's own actions that our files use are stood in for; that the files use no others is a test.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from tests.gitops.runner.expressions import as_text, condition, render
from tests.gitops.runner.hub import REPOSITORY
from tests.support import processes, warm

PROJECT = Path(__file__).parents[3]
HOME = "example/reconciler"  # where the tests pretend that this project lives
BIN = Path(sys.executable).parent

PYTHON = """\
#!/usr/bin/env bash
# `python` of a runner. Only venv and pip are not what they seem: they would need the network.
isolated=()
if [[ "$1" == "-I" ]]; then isolated=(-I) && shift; fi
if [[ "$1" == "-m" && -f "$2.py" ]]; then "{bin}/python" "${{isolated[@]}}" -c "import $2" || exit; fi
if [[ "$1 $2" == "-m venv" ]]; then
  [[ "$3" != "--clear" ]] || {{ rm -rf "$4" && set -- "$1" "$2" "$4"; }}
  mkdir -p "$3/bin" && ln -sf "{commands}/reconciler" "$3/bin/reconciler" && ln -sf "$0" "$3/bin/python"
elif [[ "$1 $2" == "-m pip" ]]; then
  echo "${{isolated[@]}}" "$@" >> "${{RUNNER_TEMP:-$HOME}}/pip.log"
else
  exec "{bin}/python" "${{isolated[@]}}" "$@"
fi
"""
GH = """\
#!/usr/bin/env bash
# GitHub's command line: says what it was asked, which has to name files that exist. A pull request is open once there
# is a branch for it.
if [[ "$1 $2" == "pr list" ]]; then
  git ls-remote "$GITHUB_SERVER_URL/$GITHUB_REPOSITORY" "refs/heads/$4"
  exit
fi
for word in "$@"; do
  if [[ "$word" == */*.* && ! -f "$word" ]]; then echo "there is no $word" && exit 1; fi
done
echo gh "$@"
"""


def fake_python() -> str:
    """`python` of a runner, whose environments have the command in them."""
    return PYTHON.format(bin=BIN, commands=warm.folder())


class Loader(yaml.SafeLoader):
    """YAML where `on` is text, as GitHub reads it."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, rule) for tag, rule in rules if tag != "tag:yaml.org,2002:bool" or first not in "oOyYnN"]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load(text: str) -> Any:
    """A workflow file or action as plain data."""
    return yaml.load(text, Loader)


@dataclass
class Job:
    """What became of one job.

    Attributes:
        seen: the environment of each script.
        artifacts: those of the whole run.
    """

    name: str
    conclusion: str = "success"  # success | failure | skipped
    outputs: dict[str, Any] = field(default_factory=dict)
    concurrency: Mapping[str, Any] | None = None
    environment: str = ""
    log: str = ""
    summary: str = ""
    exit_codes: dict[str, int] = field(default_factory=dict)
    seen: list[dict[str, str]] = field(default_factory=list)

    @property
    def annotations(self) -> list[str]:
        return re.findall(r"^::(?:error|warning|notice)\b.*", self.log, re.MULTILINE)


@dataclass
class Machine:
    """A fresh machine for one job: folders, variables and what the run shares."""

    folder: Path
    origin: Path
    sha: str
    variables: Mapping[str, str]
    artifacts: dict[str, Path]
    path: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for place in (self.workspace, self.temp, self.folder / "home", self.folder / "tools"):
            place.mkdir(parents=True)
        self.summary.touch()
        for tool, text in {"python": fake_python(), "python3": fake_python(), "gh": GH}.items():
            executable(self.folder / "tools" / tool, text)
        self.path = [str(self.folder / "tools"), os.environ["PATH"]]
        home = f"https://github.example/{REPOSITORY}"
        (self.folder / "home/.gitconfig").write_text(
            f'[url "{self.origin.as_uri()}"]\n  insteadOf = {home}\n[maintenance]\n  auto = false\n'
        )

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"

    @property
    def temp(self) -> Path:
        return self.folder / "temp"

    @property
    def summary(self) -> Path:
        return self.folder / "summary.md"

    def environment(self, payload: Mapping[str, Any]) -> dict[str, str]:
        """What every script sees."""
        event = self.folder / "event.json"
        event.write_text(json.dumps(payload))
        return {
            **self.variables,
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_RUN_ID": "7",
            "GITHUB_SERVER_URL": "https://github.example",
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "GITHUB_WORKSPACE": str(self.workspace),
            "HOME": str(self.folder / "home"),
            "LANG": "C.UTF-8",
            "RECONCILER_WAIT": "0",  # jobs run here one after the other: no mark is on its way
            "RUNNER_TEMP": str(self.temp),
        }

    def bash(self, script: str, env: Mapping[str, str], *, strict: bool) -> tuple[str, dict[str, str], int]:
        """Run a script; what it printed, its outputs and its exit code."""
        files = {name: self.temp / name for name in ("GITHUB_OUTPUT", "GITHUB_PATH")}
        for file in files.values():
            file.write_text("")
        (self.temp / "script.sh").write_text(script)
        shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail"] if strict else ["bash", "-e"]
        done = processes.run(
            [*shell, str(self.temp / "script.sh")],
            cwd=self.workspace,
            env={**env, "PATH": ":".join(self.path), **{name: str(file) for name, file in files.items()}},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.path[:0] = files["GITHUB_PATH"].read_text().split()
        return done.stdout, read_outputs(files["GITHUB_OUTPUT"].read_text()), done.returncode

    # Stand-ins for GitHub's own actions: options in, outputs out.

    def stand_in(self, action: str, options: Mapping[str, str]) -> dict[str, str]:
        known: dict[str, Callable[[Mapping[str, str]], dict[str, str] | None]] = {
            "actions/checkout": self._checkout,
            "actions/download-artifact": self._download,
            "actions/setup-python": lambda _: {"python-version": "3.13.1"},
            "actions/upload-artifact": self._upload,
            "pypa/gh-action-pypi-publish": self._publish,
        }
        return known[action](options) or {}

    def _checkout(self, options: Mapping[str, str]) -> None:
        git = ["git", "-C", str(self.workspace), "-c", "init.defaultBranch=x", "-c", "advice.detachedHead=false"]
        depth, ref = options.get("fetch-depth", "1"), options.get("ref") or self.sha
        shallow = [] if depth == "0" else [f"--depth={depth}"]
        for command in (
            ["init", "-q"],
            ["fetch", "-q", *shallow, self.origin.as_uri(), f"+{ref}:refs/remotes/origin/it"],
            ["checkout", "-q", "--detach", "refs/remotes/origin/it"],
        ):
            processes.run([*git, *command], check=True)

    def _upload(self, options: Mapping[str, str]) -> None:
        source, name = self.workspace / options["path"], options["name"]
        if not source.exists():
            assert options["if-no-files-found"] == "ignore", f"nothing to upload as {name}"
            return
        assert name not in self.artifacts or options.get("overwrite") == "true"
        self.artifacts[name] = self.folder / "artifacts" / name
        shutil.copytree(source, self.artifacts[name])

    def _download(self, options: Mapping[str, str]) -> None:
        if "name" in options:
            shutil.copytree(self.artifacts[options["name"]], self.workspace / options["path"], dirs_exist_ok=True)
            return
        for name, folder in self.artifacts.items():
            if fnmatch(name, options["pattern"]):
                shutil.copytree(folder, self.workspace / options["path"] / name)

    def _publish(self, options: Mapping[str, str]) -> None:
        """What reaches the package index is kept beside the artifacts."""
        self.artifacts["(published)"] = self.workspace / options["packages-dir"]


class Steps:
    """The steps of a job, or of a composite action within it."""

    def __init__(self, machine: Machine, job: Job, contexts: Mapping[str, Any], action: Path | None = None) -> None:
        self._machine, self._job, self._action = machine, job, action
        self.contexts: dict[str, Any] = {**contexts, "steps": {}}

    def run(self, steps: Sequence[Mapping[str, Any]], env: Mapping[str, str]) -> str:
        """All of them; success or failure."""
        status = "success"
        for step in steps:
            contexts = {**self.contexts, "status": status}
            if not condition(step.get("if", "success()"), contexts):
                continue
            outputs, code = self._one(step, contexts, {**env, **texts(render(step.get("env", {}), contexts))})
            self.contexts["steps"][step.get("id")] = {"outputs": outputs}
            self._job.exit_codes[step.get("name", step.get("id", "?"))] = code
            if code:
                status = "failure"
        return status

    def _one(
        self, step: Mapping[str, Any], contexts: Mapping[str, Any], env: dict[str, str]
    ) -> tuple[dict[str, str], int]:
        if "run" in step:
            if self._action:
                env["GITHUB_ACTION_PATH"] = str(self._action)
            said, outputs, code = self._machine.bash(render(step["run"], contexts), env, strict="shell" in step)
            self._job.log += said
            self._job.seen.append(env)
            return outputs, code
        options = texts(render(step.get("with", {}), contexts))
        if step["uses"].startswith("$/"):
            return self._composite(project_file(step["uses"]), options, env)
        try:
            return self._machine.stand_in(step["uses"].partition("@")[0], options), 0
        except subprocess.CalledProcessError:  # of git, such as for a branch that is gone
            return {}, 1

    def _composite(self, folder: Path, options: Mapping[str, str], env: dict[str, str]) -> tuple[dict[str, str], int]:
        action = load((folder / "action.yml").read_text())
        inputs = {name: options.get(name, rule.get("default", "")) for name, rule in action.get("inputs", {}).items()}
        contexts = {"inputs": inputs, "runner": self.contexts["runner"], "github": self.contexts["github"]}
        inner = Steps(self._machine, self._job, contexts, folder)
        code = int(inner.run(action["runs"]["steps"], env) == "failure")
        return {
            name: as_text(render(rule["value"], inner.contexts)) for name, rule in action.get("outputs", {}).items()
        }, code


def project_file(uses: str) -> Path:
    """`$/path`, or `example/reconciler/path@ref` as a caller elsewhere writes it."""
    path = uses.partition("@")[0].removeprefix("$/").removeprefix(f"{HOME}/")
    assert path.startswith(".github/"), f"{uses} is not in this project"
    return PROJECT / path


def executable(file: Path, text: str) -> None:
    file.write_text(text)
    file.chmod(0o755)


def texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: as_text(value) for name, value in values.items()}


def read_outputs(text: str) -> dict[str, str]:
    """The file that steps write outputs into: `name=value` lines and `name<<MARK` blocks."""
    found, lines = {}, iter(text.splitlines())
    for line in lines:
        if match := re.fullmatch(r"([\w-]+)<<(\w+)", line):
            block = []
            for inner in lines:
                if inner == match[2]:
                    break
                block.append(inner)
            found[match[1]] = "\n".join(block)
        else:
            name, _, value = line.partition("=")
            found[name] = value
    return found
