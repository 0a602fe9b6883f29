"""Runs workflow files the way GitHub does, on this machine: triggers, jobs in order, conditions, matrices, reusable
workflows with their inputs, secrets and permissions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from tests.gitops.runner.expressions import Secrets, as_text, condition, render
from tests.gitops.runner.hub import REPOSITORY, Hub
from tests.gitops.runner.steps import Job, Machine, Steps, load, project_file, texts
from tests.support import processes

MOST_JOBS = 256  # of one matrix
GRANTABLE = dict.fromkeys(("contents", "id-token", "issues", "pull-requests", "statuses"), "write")

Data = Mapping[str, Any]


@dataclass
class Event:
    """What starts a run; a run for a fork gets no secrets, and a token that reads."""

    name: str
    ref: str
    sha: str
    payload: dict[str, Any]
    inputs: dict[str, Any] = field(default_factory=dict)
    actor: str = "ada"
    fork: bool = False


@dataclass
class Run:
    """What became of a run. Jobs of called workflows come along, those of a matrix one by one."""

    event: Event
    jobs: list[Job] = field(default_factory=list)
    artifacts: dict[str, Path] = field(default_factory=dict)

    @property
    def conclusion(self) -> str:
        return "failure" if any(job.conclusion == "failure" for job in self.jobs) else "success"

    def job(self, start: str) -> Job:
        """The one job that ran and whose name starts like this."""
        found = [job for job in self.jobs if job.name.startswith(start) and job.conclusion != "skipped"]
        assert len(found) == 1, f"{len(found)} jobs {start!r} among {[job.name for job in self.jobs]}"
        return found[0]

    def ran(self) -> list[str]:
        return [job.name for job in self.jobs if job.conclusion != "skipped"]

    @property
    def everything(self) -> str:
        """All text that the run left for people."""
        files = [file.read_text() for folder in self.artifacts.values() for file in folder.rglob("*") if file.is_file()]
        return "\n".join([*(job.log + job.summary for job in self.jobs), *files])


class Runner:
    """Runs workflows for one repository."""

    def __init__(self, scratch: Path, origin: Path, hub: Hub, secrets: Mapping[str, str]) -> None:
        self._scratch, self._origin, self._hub = scratch, origin, hub
        self.secrets = dict(secrets)
        self._jobs = 0

    def run(self, workflow: Data, event: Event) -> Run:
        """Run a workflow for an event that it is triggered by."""
        assert event.name in workflow["on"], f"the workflow is not triggered by {event.name}"
        asked = (workflow["on"].get("workflow_dispatch") or {}).get("inputs", {})
        contexts = {
            "github": {
                "event_name": event.name,
                "event": event.payload,
                "ref": event.ref,
                "ref_name": event.ref.split("/", 2)[-1],
                "sha": event.sha,
                "repository": REPOSITORY,
                "run_id": "7",
            },
            "inputs": {name: event.inputs.get(name, "") for name in asked if event.name == "workflow_dispatch"},
            "secrets": Secrets()
            if event.fork
            else Secrets({name.upper(): text for name, text in self.secrets.items()}),
            "vars": {},
        }
        run = Run(event)
        self._workflow(workflow, contexts, GRANTABLE, run)
        return run

    def _workflow(self, workflow: Data, contexts: Data, granted: Mapping[str, str], run: Run) -> dict[str, Job]:
        done: dict[str, Job] = {}
        left = dict(workflow["jobs"])
        while left:
            key = next(key for key in left if all(need in done for need in _needs(left[key])))
            job = {"permissions": workflow.get("permissions", granted), **left.pop(key)}
            done[key] = self._whole_job(key, job, contexts, {need: done[need] for need in _needs(job)}, granted, run)
        return done

    def _whole_job(
        self, key: str, job: Data, contexts: Data, needed: Mapping[str, Job], granted: Mapping[str, str], run: Run
    ) -> Job:
        """All jobs of the matrix, folded into one for those that need it."""
        conclusions = {one.conclusion for one in needed.values()}
        status = next((worst for worst in ("failure", "skipped") if worst in conclusions), "success")
        needs = {name: {"outputs": one.outputs, "result": one.conclusion} for name, one in needed.items()}
        contexts = {**contexts, "needs": needs, "status": status}
        whole = Job(key)
        if not condition(job.get("if", "success()"), contexts):
            whole.conclusion = "skipped"
            run.jobs.append(whole)
            return whole
        for scope, access in job["permissions"].items():
            assert granted.get(scope) in (access, "write"), f"{key} asks for {scope}: {access}, granted {granted}"
        for matrix in _rows(job, contexts):
            inside = {**contexts, "matrix": matrix, "status": "success"}
            if "uses" in job:
                conclusion = self._called(job, inside, run)
            else:
                one = self._machine(job, key, inside, run)
                whole.outputs |= one.outputs
                conclusion = one.conclusion
            whole.conclusion = "failure" if "failure" in (whole.conclusion, conclusion) else "success"
        return whole

    def _called(self, job: Data, contexts: Data, run: Run) -> str:
        """A job that calls a workflow; its conclusion."""
        workflow = load(self._file(job["uses"], run.event.sha))
        given = render(job.get("with", {}), contexts)
        inputs = _inputs(workflow["on"]["workflow_call"].get("inputs", {}), given)
        secrets = contexts["secrets"] if job.get("secrets") == "inherit" else Secrets()
        base = {"github": contexts["github"], "vars": contexts["vars"], "inputs": inputs, "secrets": secrets}
        done = self._workflow(workflow, base, job["permissions"], run)
        return "failure" if any(one.conclusion == "failure" for one in done.values()) else "success"

    def _file(self, uses: str, sha: str) -> str:
        """A called workflow: `./path` is in the repository itself, at the commit of the run."""
        if not uses.startswith("./"):
            return project_file(uses).read_text()
        command = ["git", "-C", str(self._origin), "show", f"{sha}:{uses.removeprefix('./')}"]
        return processes.run(command, check=True).stdout

    def _machine(self, job: Data, key: str, contexts: Data, run: Run) -> Job:
        """A job with steps."""
        self._jobs += 1
        one = self._note(job, key, contexts, run)
        event = run.event
        variables = {
            "GITHUB_ACTOR": event.actor,
            "GITHUB_API_URL": self._hub.url,
            "GITHUB_EVENT_NAME": event.name,
            "GITHUB_REF": event.ref,
            "GITHUB_SHA": event.sha,
        }
        machine = Machine(self._scratch / f"job-{self._jobs}", self._origin, event.sha, variables, run.artifacts)
        permissions = dict.fromkeys(job["permissions"], "read") if event.fork else job["permissions"]
        github = {**contexts["github"], "token": self._hub.token(permissions)}
        runner = {"os": "Linux", "arch": "X64", "temp": str(machine.temp)}
        steps = Steps(machine, one, {**contexts, "github": github, "runner": runner})
        env = {**machine.environment(event.payload), **texts(render(job.get("env", {}), contexts))}
        one.conclusion = steps.run(job["steps"], env)
        one.summary = machine.summary.read_text()
        one.outputs = {name: as_text(render(text, steps.contexts)) for name, text in job.get("outputs", {}).items()}
        return one

    @staticmethod
    def _note(job: Data, key: str, contexts: Data, run: Run) -> Job:
        """A job that is about to run, as GitHub lists it."""
        one = Job(as_text(render(job.get("name", key), contexts)))
        run.jobs.append(one)
        one.concurrency = render(job["concurrency"], contexts) if "concurrency" in job else None
        one.environment = as_text(render(job.get("environment", ""), contexts))
        return one


def _needs(job: Data) -> list[str]:
    needs = job.get("needs", [])
    return [needs] if isinstance(needs, str) else list(needs)


def _rows(job: Data, contexts: Data) -> Iterator[dict[str, Any]]:
    matrix = render((job.get("strategy") or {}).get("matrix", {}), contexts)
    rows = [dict(zip(matrix, values, strict=True)) for values in product(*matrix.values())]
    assert 0 < len(rows) <= MOST_JOBS, f"{len(rows)} jobs of one matrix"
    yield from rows


def _inputs(declared: Data, given: Data) -> dict[str, Any]:
    """The inputs of a called workflow, as strictly as GitHub takes them."""
    assert given.keys() <= declared.keys(), f"unknown inputs {given.keys() - declared.keys()}"
    inputs: dict[str, Any] = {}
    for name, rule in declared.items():
        assert name in given or not rule.get("required"), f"input {name} is missing"
        value = given.get(name, rule.get("default", ""))
        if rule["type"] == "boolean":
            assert isinstance(value, bool), f"{name} is {value!r}"
        inputs[name] = value if rule["type"] == "boolean" else as_text(value)
    return inputs
