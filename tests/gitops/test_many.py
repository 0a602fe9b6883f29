"""Hundreds of applications: GitHub makes at most 256 jobs of a matrix, so they go in batches."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.gitops.conftest import Build, World
from tests.gitops.runner.actions import MOST_JOBS, Run, Runner
from tests.gitops.runner.steps import Job

MANY = 600
NAME = "🚰 plant ::error:: | `x` " * 10  # 250 characters, as long as Losant takes them


class Planned(Runner):
    """Runs the jobs of the plan and of what comes after; those of the applications are only noted."""

    def _machine(self, job: Mapping[str, Any], key: str, contexts: Mapping[str, Any], run: Run) -> Job:
        if "row" not in contexts.get("matrix", {}):
            return super()._machine(job, key, contexts, run)
        return self._note(job, key, contexts, run)


def fleet_of(number: int) -> str:
    documents = [
        json.dumps(
            {"apiVersion": "reconciler/v1", "application": {"id": f"{n:024x}", "name": f"{n} {NAME}"}},
            ensure_ascii=False,
        )
        for n in range(number)
    ]
    return "\n---\n".join(documents) + "\n"


@pytest.fixture
def world(build: Build) -> World:
    world = build(files={"manifests/all.yaml": fleet_of(MANY)})
    world.runner.__class__ = Planned
    return world


def applications(run: Run, kind: str) -> list[str]:
    return [job.concurrency["group"] for job in run.jobs if job.concurrency and job.name.startswith(kind)]


def test_a_merge_applies_each_application_in_a_job_of_its_own(world: World) -> None:
    run = world.push()
    assert run.conclusion == "success", run.job("check").log
    assert applications(run, "apply ") == [f"reconciler-{n:024x}-embedded" for n in range(MANY)]
    batches = json.loads(run.job("check").outputs["batches"])
    assert [len(batch) for batch in batches] == [MOST_JOBS, MOST_JOBS, 88]
    assert f"{MANY} rows, but GitHub makes at most {MOST_JOBS} jobs" in run.job("check").log


def test_what_the_jobs_hand_on_stays_within_what_github_and_linux_take(world: World) -> None:
    run = world.night()
    assert len(applications(run, "plan ")) == MANY
    assert len(run.job("check").outputs["batches"].encode()) < 1_000_000  # of an output
    drift = run.job("drift")
    assert drift.conclusion == "failure"
    assert f"0 applications have drifted, {MANY} could not be planned" in drift.log  # none left a report
    for job in run.jobs:
        for env in job.seen:
            assert all(len(value.encode()) < 131_072 for value in env.values()), "execve takes no longer one"
        assert len(job.name) < 120
