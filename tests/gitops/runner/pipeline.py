"""A pipeline of GitLab: its jobs and those of its child, every `script:` by bash, with the variables GitLab documents.

What the files use of the configuration is carried out: rules, stages, needs, environments and the variables scoped to
them, artifacts and dotenv reports. That they use nothing else is a test.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from tests.gitops.runner.lab import PROJECT_ID, Lab
from tests.gitops.runner.steps import load
from tests.support import processes, warm

SERVER = "https://gitlab.example"
HANDLED = {
    "artifacts",
    "environment",
    "image",
    "interruptible",
    "extends",
    "needs",
    "resource_group",
    "rules",
    "script",
    "stage",
}
HANDLED |= {"tags", "timeout", "trigger", "variables"}


class Variable(NamedTuple):
    """A variable of the project's settings."""

    name: str
    value: str
    scope: str = "*"
    protected: bool = False


@dataclass
class Job:
    name: str
    keywords: Mapping[str, Any]
    code: int | None = None  # None: skipped
    log: str = ""
    seen: Mapping[str, str] = field(default_factory=dict)
    artifacts: Path = Path()
    dotenv: Mapping[str, str] = field(default_factory=dict)

    def text(self, name: str) -> str:
        file = self.artifacts / "reconciler-ci" / name
        return file.read_text(encoding="utf-8") if file.exists() else ""


@dataclass
class Pipeline:
    jobs: dict[str, Job] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return not any(job.code for job in self.jobs.values())

    @property
    def log(self) -> str:
        return "\n".join(f"=== {job.name}: {job.code}\n{job.log}" for job in self.jobs.values())

    def codes(self) -> dict[str, int | None]:
        """The exit code of each job, without names and ids of applications."""
        return {name.split()[0]: job.code for name, job in self.jobs.items()}

    def one(self, word: str) -> Job:
        (found,) = [job for name, job in self.jobs.items() if name.split()[0] == word]
        return found


@dataclass
class Runner:
    """Runs pipelines of a repository; `settings` are the variables of the project."""

    folder: Path
    origin: Path
    lab: Lab
    settings: Sequence[Variable]
    protected: frozenset[str] = frozenset({"main"})
    _count: int = 0

    def run(self, config: Mapping[str, Any], about: Mapping[str, str]) -> Pipeline | None:
        """The pipeline, or None if its `workflow:` has none; `about`: what GitLab says of what started it."""
        self._count += 1
        about = {**self._predefined(), **about}
        values = {**config["variables"], **about}
        if not any(_holds(rule["if"], values) for rule in config["workflow"]["rules"]):
            return None
        done = Pipeline()
        self._jobs(config, about, done)
        return done

    def _predefined(self) -> dict[str, str]:
        return {
            "CI": "true",
            "GITLAB_CI": "true",
            "CI_API_V4_URL": self.lab.url,
            "CI_DEFAULT_BRANCH": "main",
            "CI_JOB_IMAGE": "python:3.13",
            "CI_PIPELINE_URL": f"{SERVER}/acme/fleet/-/pipelines/{self._count}",
            "CI_PROJECT_ID": str(PROJECT_ID),
        }

    def _jobs(self, config: Mapping[str, Any], about: Mapping[str, str], done: Pipeline) -> None:
        """Run the jobs in the order of their stages."""
        config = {name: _extended(one, config) for name, one in config.items() if not name.startswith(".")}
        listed = [name for name, one in config.items() if isinstance(one, dict) and {"script", "trigger"} & one.keys()]
        stages = config.get("stages", ["test"])
        failed = False
        here: dict[str, Job] = {}
        for stage in stages:
            before = failed
            for name in [one for one in listed if config[one].get("stage", "test") == stage]:
                keywords = config[name]
                assert keywords.keys() <= HANDLED, keywords.keys() - HANDLED
                job = done.jobs[name] = here[name] = Job(name, keywords)
                needed = [here[one["job"]] for one in keywords.get("needs", [])]
                blocked = any(one.code != 0 for one in needed) if "needs" in keywords else before
                (rule,) = keywords.get("rules", [{"when": "on_success"}])
                if blocked and rule["when"] != "always":
                    continue
                if "trigger" in keywords:
                    self._child(keywords["trigger"], about, here, done)
                    continue
                earlier = [
                    one
                    for one in here.values()
                    if one is not job and stages.index(one.keywords["stage"]) < stages.index(stage)
                ]
                brings = (
                    [here[one["job"]] for one in keywords["needs"] if one.get("artifacts", True)]
                    if "needs" in keywords
                    else earlier
                )
                self._one(job, config, about, brings)
                failed |= bool(job.code)

    def _child(
        self, trigger: Mapping[str, Any], about: Mapping[str, str], here: Mapping[str, Job], done: Pipeline
    ) -> None:
        (include,) = trigger["include"]
        assert trigger["forward"] == {"yaml_variables": False, "pipeline_variables": False}
        text = (here[include["job"]].artifacts / include["artifact"]).read_text(encoding="utf-8")
        predefined = {name: text for name, text in about.items() if _is_predefined(name)}
        self._jobs(load(text), {**predefined, "CI_PIPELINE_SOURCE": "parent_pipeline"}, done)

    def _one(self, job: Job, config: Mapping[str, Any], about: Mapping[str, str], brings: Sequence[Job]) -> None:
        place = self.folder / f"{self._count}-{len(list(self.folder.iterdir()))}"
        project, home = place / "project", place / "home"
        home.mkdir(parents=True)
        git = ["git", "-c", "advice.detachedHead=false", "-c", "maintenance.auto=false"]
        if job.keywords.get("variables", {}).get("GIT_STRATEGY") == "none":
            project.mkdir()
        else:
            processes.run([*git, "clone", "-q", "--no-checkout", self.origin.as_uri(), str(project)], check=True)
            processes.run([*git, "-C", str(project), "fetch", "-q", "origin", about["CI_COMMIT_SHA"]], check=True)
            processes.run([*git, "-C", str(project), "checkout", "-q", "--detach", about["CI_COMMIT_SHA"]], check=True)
        for one in brings:
            if one.artifacts != Path():
                shutil.copytree(one.artifacts, project, dirs_exist_ok=True)
        job.seen = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "TMPDIR": str(place),
            "CI_PROJECT_DIR": str(project),
            # As GitLab documents it, the last one counts: those of the pipeline's own start most.
            **{name: text for name, text in about.items() if _is_predefined(name)},
            **_texts(config.get("variables", {})),
            **_texts(job.keywords.get("variables", {})),
            **{name: text for one in brings for name, text in one.dotenv.items()},
            **self._scoped(job, about),
            **{name: text for name, text in about.items() if not _is_predefined(name)},
            "RECONCILER_WAIT": "0",  # jobs run here one after the other: no mark is on its way
        }
        lines = [*config.get("default", {}).get("before_script", []), *job.keywords["script"]]
        done = processes.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", "\n".join(lines)],
            cwd=project,
            env=job.seen,
        )
        job.log, job.code = done.stdout + done.stderr, done.returncode
        self._keep(job, project, place / "artifacts")

    def _scoped(self, job: Job, about: Mapping[str, str]) -> dict[str, str]:
        """The project's variables that this job gets; the most specific scope counts."""
        name = job.keywords.get("environment", {}).get("name", "")
        trusted = about.get("CI_COMMIT_BRANCH", "") in self.protected
        found = [one for one in self.settings if fnmatchcase(name, one.scope) and (trusted or not one.protected)]
        return {one.name: one.value for one in sorted(found, key=lambda one: (one.scope == name, len(one.scope)))}

    def _keep(self, job: Job, project: Path, folder: Path) -> None:
        wanted = job.keywords.get("artifacts", {})
        folder.mkdir()
        if job.code and wanted.get("when") != "always":
            return
        job.artifacts = folder
        for path in wanted.get("paths", []):
            source = project / path
            if source.is_dir():
                shutil.copytree(source, folder / path, dirs_exist_ok=True)
            elif source.exists():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, folder / path)
        if "dotenv" in wanted.get("reports", {}):
            lines = (project / wanted["reports"]["dotenv"]).read_text().splitlines()
            assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*=.*", line) for line in lines)
            job.dotenv = dict(line.split("=", 1) for line in lines)


def _is_predefined(name: str) -> bool:
    """Whether GitLab sets it; the others are given by whoever starts the pipeline, or by its schedule."""
    return name.startswith(("CI_", "GITLAB_")) or name == "CI"


def _extended(job: Any, config: Mapping[str, Any]) -> Any:
    return {**config[job["extends"]], **job} if isinstance(job, dict) and "extends" in job else job


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    made = {}
    for name, value in values.items():
        if isinstance(value, dict):
            assert value["expand"] is False
            made[name] = value["value"]
        else:
            assert "$" not in value
            made[name] = value
    return made


def _holds(text: str, values: Mapping[str, str]) -> bool:
    """An expression of `rules: if`: terms with `&&`, each a variable, or one compared with a text or a pattern."""

    def value(word: str) -> str:
        return values.get(word[1:], "") if word.startswith("$") else word.strip('"')

    for term in text.split(" && "):
        name, operator, other = [*term.split(" ", 2), "", ""][:3]
        if operator == "=~":
            holds = bool(re.search(other.strip("/"), value(name)))
        else:
            holds = value(name) == value(other) if operator else bool(value(name))
        if not holds:
            return False
    return True


def executable_installer() -> str:
    """In place of `.reconciler/install.sh`, which would need the network."""
    return f'mkdir -p "$1/bin" && ln -s "{warm.folder()}/reconciler" "$1/bin/reconciler"\n'
