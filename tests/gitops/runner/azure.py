"""Runs the pipeline of Azure on this machine: stages and jobs in order, conditions, matrices, variables, artifacts.

Scripts run as the `bash` step runs them: without `-e`, with variables as the environment, secrets only where mapped.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.gitops.runner.compiled import compiled
from tests.gitops.runner.devops import PIPELINE, PROJECT, REPOSITORY, DevOps
from tests.support import processes

Data = Mapping[str, Any]
Leg = tuple[str, Mapping[str, str]]  # of a matrix: its name and variables; a job without one has no name
MOST_JOBS = 256  # of a stage
_COMMAND = re.compile(r"##vso\[([a-z.]+)\s*([^\]]*)\](.*)", re.IGNORECASE)
_MACRO = re.compile(r"\$\(([\w.]+)\)")


@dataclass
class Job:
    """What became of one job; `seen` is the environment of each script."""

    stage: str
    name: str
    result: str = "Succeeded"
    log: str = ""
    summary: str = ""
    outputs: dict[str, str] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    seen: list[dict[str, str]] = field(default_factory=list)

    @property
    def issues(self) -> list[str]:
        return re.findall(r"^##vso\[task\.logissue .*", self.log, re.MULTILINE)


@dataclass
class Run:
    """What became of a run: all jobs that were not skipped, those of a matrix one by one."""

    jobs: list[Job] = field(default_factory=list)
    artifacts: dict[str, Path] = field(default_factory=dict)

    @property
    def result(self) -> str:
        return "Failed" if any(job.result == "Failed" for job in self.jobs) else "Succeeded"

    def ran(self) -> list[str]:
        return [job.name for job in self.jobs]

    def job(self, start: str) -> Job:
        (found,) = [job for job in self.jobs if job.name.startswith(start)]
        return found


class _Missing(dict[str, Any]):
    """What is missing is empty text, as in Azure's expressions."""

    def __missing__(self, name: str) -> str:
        return ""


def evaluate(expression: str, **contexts: Any) -> Any:
    """An expression of Azure: nothing but calls of functions, texts and look-ups, so Python can read it."""
    text = re.sub(r"\b(and|or|not|in)\(", r"\1_(", " ".join(expression.split()))
    functions = {
        "and_": lambda *values: all(values),
        "or_": lambda *values: any(values),
        "not_": lambda value: not value,
        "in_": lambda value, *others: value in others,
        "eq": lambda one, other: one == other,
        "ne": lambda one, other: one != other,
        "always": lambda: True,
        "canceled": lambda: False,
    }
    return eval(text, {"__builtins__": {}}, {**functions, **contexts})


@dataclass
class Agent:
    """Runs pipelines for one repository; `groups` are the variable groups, all secret."""

    scratch: Path
    origin: Path
    devops: DevOps
    groups: Mapping[str, Mapping[str, str]]
    runs: int = 0
    jobs: int = 0

    def run(self, pipeline: Data, variables: Mapping[str, str], parameters: Mapping[str, str]) -> Run:
        """One run; `variables` are those that Azure sets."""
        self.runs += 1
        self.devops.run(self.runs, ref=variables["BUILD_SOURCEBRANCH"])
        self.token = self.devops.token()
        defaults = {one["name"]: one["default"] for one in pipeline["parameters"]}
        pipeline = compiled(pipeline, parameters={**defaults, **parameters}, variables=pipeline["variables"])
        run, stages = Run(), dict[str, Any]()
        predefined = {
            "TF_BUILD": "True",
            "BUILD_BUILDID": str(self.runs),
            "BUILD_REPOSITORY_ID": REPOSITORY,
            "BUILD_REPOSITORY_PROVIDER": "TfsGit",
            "SYSTEM_COLLECTIONURI": self.devops.url,
            "SYSTEM_DEFINITIONID": str(PIPELINE),
            "SYSTEM_JOBATTEMPT": "1",
            "SYSTEM_TEAMPROJECT": PROJECT,
        }
        for stage in pipeline["stages"]:
            self._stage(stage, {**predefined, **pipeline["variables"], **variables}, stages, run)
        return run

    def _stage(self, stage: Data, variables: Mapping[str, str], stages: dict[str, Any], run: Run) -> None:
        needed = stage.get("dependsOn", [])
        needs = {name: stages[name] for name in ([needed] if isinstance(needed, str) else needed)}
        result, done = "Skipped", dict[str, Any]()
        fine = all(one.result == "Succeeded" for one in needs.values())
        if evaluate(
            stage.get("condition", "succeeded()"), dependencies=SimpleNamespace(**needs), succeeded=lambda: fine
        ):
            result = "Succeeded"
            dependencies = SimpleNamespace(**{name: SimpleNamespace(**one.jobs) for name, one in stages.items()})
            ran = len(run.jobs)
            for job in stage["jobs"]:
                if not evaluate(job.get("condition", "True"), stageDependencies=dependencies):
                    continue
                listed = [*stage.get("variables", []), *job.get("variables", [])]
                for leg in _legs(job, dependencies):
                    one = self._job(stage["stage"], job, leg, listed, variables, dependencies, run)
                    done[job["job"]] = SimpleNamespace(outputs=_Missing(one.outputs), result=one.result)
                    result = "Failed" if "Failed" in (result, one.result) else result
            assert len(run.jobs) - ran <= MOST_JOBS, "Azure makes no more jobs in a stage"
        for job in stage["jobs"]:
            done.setdefault(job["job"], SimpleNamespace(outputs=_Missing(), result="Skipped"))
        outputs = {f"{name}.{key}": value for name, one in done.items() for key, value in one.outputs.items()}
        stages[stage["stage"]] = SimpleNamespace(result=result, outputs=_Missing(outputs), jobs=done)

    def _job(
        self,
        stage: str,
        job: Data,
        leg: Leg,
        listed: list[Data],
        variables: Mapping[str, str],
        dependencies: Any,
        run: Run,
    ) -> Job:
        self.jobs += 1
        one = Job(stage, f"{job['job']} {leg[0]}".strip())
        run.jobs.append(one)
        folder = self.scratch / f"job-{self.jobs}"
        secrets = {"SYSTEM_ACCESSTOKEN": self.token}
        known = {**variables, **leg[1]}
        for name in ("temp", "home", "w/s"):
            (folder / name).mkdir(parents=True)
        known |= {"AGENT_TEMPDIRECTORY": str(folder / "temp"), "PIPELINE_WORKSPACE": str(folder / "w")}
        for entry in listed:
            if "group" in entry:
                secrets |= self.groups[entry["group"]]
            else:
                expression = entry["value"].removeprefix("$[").removesuffix("]")
                known[entry["name"]] = evaluate(expression, stageDependencies=dependencies)
        _Steps(self, folder, one, known, secrets, run).all(job["steps"])
        return one


@dataclass
class _Steps:
    agent: Agent
    folder: Path
    job: Job
    known: dict[str, str]
    secrets: Mapping[str, str]
    run: Run
    path: str = os.environ["PATH"]

    def all(self, steps: list[Data]) -> None:
        for step in steps:
            fine = self.job.result == "Succeeded"
            variables = _Missing({"Build.Reason": self.known["BUILD_REASON"], **self.job.outputs})
            if not evaluate(step.get("condition", "succeeded()"), variables=variables, succeeded=lambda f=fine: f):
                continue
            code = self._one(step)
            self.job.codes[step.get("displayName", "")] = code
            if code:
                self.job.result = "Failed"

    def _one(self, step: Data) -> int:
        workspace = self.folder / "w"
        if "checkout" in step:
            return self._checkout(step)
        if "publish" in step:
            source, name = Path(self._expand(step["publish"])), self._expand(step["artifact"])
            assert name not in self.run.artifacts
            if not source.exists():
                return 1
            self.run.artifacts[name] = self.folder / "artifacts" / name
            shutil.copytree(source, self.run.artifacts[name])
            return 0
        if "download" in step:
            for name, kept in self.run.artifacts.items():
                shutil.copytree(kept, workspace / name)
            return 0
        return self._bash(step)

    def _checkout(self, step: Data) -> int:
        """By default the last commit alone; with the whole history, all branches as they are now."""
        git = ["git", "-C", str(self.folder / "w/s"), "-c", "init.defaultBranch=x", "-c", "advice.detachedHead=false"]
        whole = step.get("fetchDepth") == "0"
        sha = self.known["BUILD_SOURCEVERSION"]
        what = ["+refs/heads/*:refs/remotes/origin/*", sha] if whole else ["--depth=1", sha]
        for command in (
            ["init", "-q"],
            ["fetch", "-q", self.agent.origin.as_uri(), *what],
            ["checkout", "-q", "--detach", sha],
        ):
            processes.run([*git, *command], check=True)
        return 0

    def _expand(self, text: str, *, secret: bool = True) -> str:
        """Macros, as often as values bring more of them; where nobody has defined one, it stays."""
        known = {name.upper(): value for name, value in {**self.known, **(self.secrets if secret else {})}.items()}
        for _ in range(3):
            text = _MACRO.sub(lambda match: known.get(match[1].upper().replace(".", "_"), match[0]), text)
        return text

    def _bash(self, step: Data) -> int:
        """Variables are in the environment, unless a secret is in them."""
        plain = {
            name: value
            for name, value in self.known.items()
            if self._expand(value) == self._expand(value, secret=False)
        }
        mapped = {name: self._expand(value) for name, value in step.get("env", {}).items()}
        env = {
            **{name: self._expand(value) for name, value in plain.items()},
            **mapped,
            "HOME": str(self.folder / "home"),
            "LANG": "C.UTF-8",
            "PATH": self.path,
        }
        self.job.seen.append(env)
        script = self.folder / "temp/script.sh"
        script.write_text(self._expand(step["bash"]))
        done = processes.run(
            ["bash", "--noprofile", "--norc", str(script)],
            cwd=self.folder / "w/s",
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.job.log += done.stdout
        for match in _COMMAND.finditer(done.stdout):
            properties = dict(one.split("=", 1) for one in match[2].split(";") if one)
            self._command(match[1], properties, match[3], step.get("name", ""))
        return done.returncode

    def _command(self, name: str, properties: Mapping[str, str], text: str, step: str) -> None:
        text = text.replace("%0A", "\n").replace("%0D", "\r").replace("%AZP25", "%")
        if name == "task.setvariable":
            assert properties["isOutput"] == "true"
            self.job.outputs[f"{step}.{properties['variable']}"] = text
        elif name == "task.prependpath":
            self.path = f"{text}:{self.path}"
        elif name == "task.uploadsummary":
            self.job.summary += Path(text).read_text()
        else:
            assert name == "task.logissue", f"{name} is no command of ours"


def _legs(job: Data, dependencies: Any) -> Iterator[Leg]:
    if "strategy" not in job:
        yield "", {}
        return
    expression = job["strategy"]["matrix"].removeprefix("$[").removesuffix("]")
    legs = json.loads(evaluate(expression, stageDependencies=dependencies))
    assert legs, "Azure runs a job of an empty matrix, without its variables"
    assert all(re.fullmatch(r"[A-Za-z]\w*", name) for name in legs)
    yield from legs.items()
