"""The pipeline for Azure as people meet it, run here in full: its scripts, with the variables that Azure documents."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from reconciler.ci.comment import NO_CHANGES
from reconciler.simulator import Server, serve
from tests.gitops.conftest import FLEET, PLANT, Git, manifest, waved
from tests.gitops.runner.azure import Agent, Data, Job, Leg, Run
from tests.gitops.runner.compiled import compiled
from tests.gitops.runner.devops import DevOps, serve_devops
from tests.gitops.runner.pipeline import executable_installer
from tests.gitops.runner.steps import PROJECT, load
from tests.support import processes

MANIFEST = "manifests/plant.yaml"
PLAN = "Plan: 0 to add, 20 to change, 0 to destroy."
TEMPLATE = (PROJECT / "reconciler/cli/init_files/azure.yml").read_text(encoding="utf-8")
PARAMETERS = {one["name"]: one["default"] for one in load(TEMPLATE)["parameters"]}
PLAN_JOB, APPLY_JOB = f"plan embedded_{PLANT}", f"apply embedded_{PLANT}"


@dataclass
class World:
    """A repository, its project at Azure DevOps, and a fleet."""

    git: Git
    devops: DevOps
    server: Server
    agent: Agent
    variables: Mapping[str, str]

    def start(
        self, reason: str, ref: str = "refs/heads/main", *, sha: str = "", template: str = TEMPLATE, **more: str
    ) -> Run:
        """A run; what is not upper-case is a parameter."""
        parameters = {name: value for name, value in more.items() if name.islower()}
        variables = {
            **self.variables,
            **{name: value for name, value in more.items() if name.isupper()},
            "BUILD_REASON": reason,
            "BUILD_SOURCEBRANCH": ref,
            "BUILD_SOURCEVERSION": sha or self.git("rev-parse", ref),
        }
        run = self.agent.run(load(template), variables, parameters)
        self._keeps_tokens(run)
        return run

    def _keeps_tokens(self, run: Run) -> None:
        """No job has a token of the fleet and one of Azure DevOps, and none is in anything that a run leaves."""
        fleet = {token for group in self.agent.groups.values() for token in group.values()}
        for job in run.jobs:
            values = {value for env in job.seen for value in env.values()}
            assert not (values & fleet and self.agent.token in values), job.name
        texts = [job.log + job.summary for job in run.jobs]
        texts += [file.read_text() for one in run.artifacts.values() for file in one.rglob("*") if file.is_file()]
        texts += [str(self.devops.threads), str(self.devops.items)]
        for secret in (*fleet, self.agent.token):
            assert secret not in "\n".join(texts)

    def pull(self, number: int, files: Mapping[str, str], *, fork: str = "False") -> Run:
        branch = f"feature-{number}"
        known = branch in self.git("branch", "--format=%(refname:short)").split()
        self.git("switch", "-q", *([branch] if known else ["-c", branch, "main"]))
        head = self.git.commit(files)
        self.git("switch", "-q", "--detach", "main")
        self.git("merge", "-q", "--no-ff", "-m", "as it will be", head)
        self.git("update-ref", f"refs/pull/{number}/merge", "HEAD")
        self.git("switch", "-q", "main")
        self.devops.open_pull(number, head=head)
        return self.start(
            "PullRequest",
            f"refs/pull/{number}/merge",
            SYSTEM_PULLREQUEST_PULLREQUESTID=str(number),
            SYSTEM_PULLREQUEST_SOURCECOMMITID=head,
            SYSTEM_PULLREQUEST_ISFORK=fork,
        )

    def merge(self, number: int) -> Run:
        self.git("merge", "-q", "--no-ff", "-m", f"merge {number}", f"feature-{number}")
        self.devops.merge(number, self.git("rev-parse", "HEAD"))
        return self.start("IndividualCI")

    def reported(self) -> set[str | None]:
        return {row["reported"] for row in self.server.control.rows()}


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Callable[..., World]]:
    with ExitStack() as stack:

        def begin(*, groups: Mapping[str, Mapping[str, str]] | None = None, **variables: str) -> World:
            server, devops = stack.enter_context(serve(FLEET)), stack.enter_context(serve_devops())
            git = Git(tmp_path / "origin")
            git.commit({MANIFEST: manifest("v1"), ".reconciler/install.sh": executable_installer()})
            own = {f"LOSANT_API_TOKEN_{PLANT}": server.token}
            groups = groups or {"reconciler-fleet": own, "reconciler-plan": own, "reconciler-forge": {}}
            agent = Agent(tmp_path / "scratch", git.folder, devops, groups)
            return World(git, devops, server, agent, {"LOSANT_API_URL": server.url, **variables})

        yield begin


@pytest.fixture
def world(build: Callable[..., World]) -> World:
    return build()


def test_a_pull_request_is_planned_then_applied_then_in_sync(world: World) -> None:
    opened = world.pull(1, {MANIFEST: manifest("v2")})
    assert opened.result == "Succeeded", "\n".join(job.log for job in opened.jobs)
    assert opened.ran() == ["check", PLAN_JOB, "comment"]
    (content,) = world.devops.contents(1)
    assert f"**{PLAN}**" in content
    assert "| `telemetry` | version | `v1` | `v2` | 1 |" in content
    assert "| `telemetry` | version | `v1` | `v2` | 1 |" in opened.job("check").summary
    assert PLAN in opened.job("plan").summary
    assert world.reported() == {"v1"}

    merged = world.merge(1)
    assert merged.result == "Succeeded", "\n".join(job.log for job in merged.jobs)
    assert merged.ran() == ["check", APPLY_JOB, "report"]
    assert "Applied as reviewed on pull request !1" in merged.job("apply").summary
    assert world.reported() == {"v2"}
    tip = world.git("rev-parse", "main")
    (mark,) = [tag for tag in world.devops.runs[2]["tags"] if tag != "reconciler-applied"]
    assert mark.startswith(f"reconciler-applied.{PLANT}.embedded.0.{tip}.")

    night = world.start("Schedule")
    assert night.result == "Succeeded", "\n".join(job.log for job in night.jobs)
    assert night.ran() == ["check", PLAN_JOB, "drift"]
    assert world.devops.items == {}


def test_the_thread_is_closed_where_nothing_changes(world: World) -> None:
    assert world.pull(1, {MANIFEST: manifest("v1") + "# no change\n"}).result == "Succeeded"
    (thread,) = world.devops.threads.values()
    assert thread["status"] == "closed"


def test_a_fork_gets_validate_and_diff_and_no_token(world: World) -> None:
    run = world.pull(1, {MANIFEST: manifest("v2")}, fork="True")
    assert run.result == "Succeeded"
    assert run.ran() == ["check"]
    assert "| `telemetry` | version | `v1` | `v2` | 1 |" in run.job("check").summary
    assert world.devops.log == []
    values = [value for job in run.jobs for env in job.seen for value in env.values()]
    assert world.server.token not in values
    assert world.agent.token not in values


def test_unrelated_changes_end_green_without_a_job_of_the_fleet(world: World) -> None:
    """Also where the build validation has no path filter: it can be required of every pull request."""
    run = world.pull(1, {"README.md": "hello\n"})
    assert (run.result, run.ran()) == ("Succeeded", ["check"])
    assert "no manifest changed" in run.job("check").log
    assert world.devops.log == []


def test_a_mistake_is_told_on_its_line_and_nothing_is_planned(world: World) -> None:
    run = world.pull(1, {MANIFEST: manifest("v2").replace("select:", "selekt:")})
    assert run.result == "Failed"
    (told,) = [line for line in run.job("check").issues if "selekt" in line]
    assert told.startswith(f"##vso[task.logissue type=error;sourcepath={MANIFEST};linenumber=4;columnnumber=")
    assert run.ran() == ["check", "comment"]
    assert "**No plan.**" in world.devops.contents(1)[0]


def test_a_name_can_not_become_a_secret(world: World) -> None:
    """Azure expands macros in the values of variables; `pull` looks for tokens in all that the run leaves."""
    text = manifest("v2").replace("name: plant", 'name: "$(LOSANT_API_TOKEN_' + PLANT + ')"')
    run = world.pull(1, {MANIFEST: text})
    assert run.ran() == ["check", PLAN_JOB, "comment"]
    assert run.job("plan").seen[0]["RECONCILER_NAME"] == f"$ (LOSANT_API_TOKEN_{PLANT})"


@pytest.mark.usefixtures("installed")
def test_an_old_run_that_is_run_again_applies_the_tip(world: World) -> None:
    old = world.git("rev-parse", "main")
    world.git.commit({MANIFEST: manifest("v2")})
    assert world.start("IndividualCI").result == "Succeeded"
    again = world.start("IndividualCI", sha=old)
    assert again.result == "Succeeded"
    assert world.reported() == {"v2"}
    assert {env["BUILD_SOURCEVERSION"] for env in again.job("apply").seen} == {old}


def test_other_branches_and_tags_are_not_applied(world: World) -> None:
    world.git("branch", "other")
    assert world.start("IndividualCI", "refs/heads/other").ran() == ["check"]
    by_hand = world.start("Manual", "refs/heads/other", command="apply")
    assert by_hand.result == "Failed"
    assert "only main is applied, and this run is for other" in by_hand.job("check").log
    world.git("branch", "gone")
    sha = world.git("rev-parse", "gone")
    world.git("branch", "-D", "gone")
    deleted = world.start("IndividualCI", "refs/heads/gone", sha=sha)
    assert (deleted.result, deleted.ran()) == ("Failed", ["check"])
    (told,) = deleted.job("check").issues
    assert told.endswith("]The branch of this run is gone, or is none: nothing is read and nothing applied.")
    world.git("update-ref", "refs/tags/main", "main")
    assert world.start("Manual", "refs/tags/main", command="apply").result == "Failed"
    assert world.reported() == {"v1"}


def test_names_of_branches_are_no_commands_and_none_but_the_branch_is_applied(world: World) -> None:
    branch = "x$(touch${IFS}taken);`id`$(LOSANT_API_TOKEN)"
    world.git("switch", "-qc", branch)
    world.git.commit({MANIFEST: manifest("v2")})
    world.git("switch", "-q", "main")
    refused = world.start("Manual", f"refs/heads/{branch}", command="apply")
    assert (refused.result, refused.ran()) == ("Failed", ["check"])
    assert "only main is applied, and this run is for x$(touch" in refused.job("check").log
    planned = world.start("Manual", f"refs/heads/{branch}")
    assert planned.ran() == ["check", PLAN_JOB]
    assert not list(world.agent.scratch.rglob("taken"))
    assert world.reported() == {"v1"}


def test_other_reasons_run_nothing(world: World) -> None:
    run = world.start("BuildCompletion")
    assert (run.result, run.ran()) == ("Failed", ["check"])
    assert "runs for the reason BuildCompletion are refused" in run.job("check").log


def test_what_the_review_did_not_show_is_told_or_refused(build: Callable[..., World]) -> None:
    world = build(RECONCILER_REQUIRE_REVIEWED_PLAN="true")
    world.pull(1, {MANIFEST: manifest("v2")})
    world.server.control.set_released("leeds-01", "telemetry", "v3")
    merged = world.merge(1)
    assert merged.result == "Failed"
    assert merged.job("apply").codes["Apply"] == 4
    assert "Run pipeline, command apply" in merged.job("apply").log
    assert world.devops.runs[2]["tags"] == []
    assert world.start("Manual", command="apply").result == "Succeeded"
    assert world.reported() == {"v2"}


def test_a_digest_is_held_to_by_hand(world: World) -> None:
    world.git.commit({MANIFEST: manifest("v2")})
    refused = world.start("Manual", command="apply", application="plant", digest=NO_CHANGES)
    assert refused.job("apply").codes["Apply"] == 4
    assert world.reported() == {"v1"}
    planned = world.start("Manual")
    assert planned.ran() == ["check", PLAN_JOB]
    assert PLAN in planned.job("plan").summary
    assert world.start("Manual", command="apply", application=PLANT).result == "Succeeded"
    assert world.reported() == {"v2"}


def test_drift_has_one_work_item_that_follows_and_closes(world: World) -> None:
    world.server.control.set_released("leeds-01", "telemetry", "v3")
    for _ in range(2):
        night = world.start("Schedule")
        assert night.result == "Failed"
        assert night.job("plan").result == "Succeeded"
        (item,) = world.devops.items.values()
    assert "1 to change" in item["fields"]["System.Description"]
    assert world.start("Manual", command="apply").result == "Succeeded"
    assert world.start("Schedule").result == "Succeeded"
    assert item["fields"]["System.State"] == "Done"


def test_a_night_that_cannot_tell_is_red_and_leaves_the_work_item(world: World) -> None:
    world.server.control.set_released("leeds-01", "telemetry", "v3")
    world.start("Schedule")
    world.git.commit({MANIFEST: "nonsense: true\n"})
    night = world.start("Schedule")
    assert (night.result, night.ran()) == ("Failed", ["check"])
    (item,) = world.devops.items.values()
    assert item["fields"]["System.State"] == "To Do"


def test_a_schedule_moves_on_where_it_is_asked_to(build: Callable[..., World]) -> None:
    world = build(RECONCILER_SCHEDULED_APPLY="true")
    world.git.commit({MANIFEST: manifest("v2")})
    night = world.start("Schedule")
    assert night.ran() == ["check", APPLY_JOB, PLAN_JOB, "report", "drift"]
    assert night.result == "Succeeded", "\n".join(job.log for job in night.jobs)
    assert world.reported() == {"v2"}


def test_a_schedule_that_needs_a_review_applies_what_is_marked(build: Callable[..., World]) -> None:
    world = build(RECONCILER_REQUIRE_REVIEWED_PLAN="true", RECONCILER_SCHEDULED_APPLY="true")
    world.pull(1, {MANIFEST: manifest("v2")})
    assert world.merge(1).result == "Succeeded"
    world.server.control.set_released("leeds-01", "telemetry", "v3")
    assert world.start("Schedule").job("apply").result == "Succeeded"
    assert world.reported() == {"v2"}
    world.git.commit({MANIFEST: manifest("v3")})
    night = world.start("Schedule")
    assert night.job("apply").codes["Apply"] == 4
    assert "has no mark reconciler/applied" in night.job("apply").log
    assert world.reported() == {"v2"}


def test_a_forged_tag_lets_no_schedule_apply(build: Callable[..., World]) -> None:
    """Whatever a pull request makes of the pipeline may tag any run: with a seal of another commit, say."""
    world = build(RECONCILER_REQUIRE_REVIEWED_PLAN="true", RECONCILER_SCHEDULED_APPLY="true")
    world.pull(1, {MANIFEST: manifest("v2")})
    assert world.merge(1).result == "Succeeded"
    tags = world.devops.runs[2]["tags"]
    seal = tags[0].rpartition(".")[2]
    tip = world.git.commit({MANIFEST: manifest("v3")})
    tags.append(f"reconciler-applied.{PLANT}.embedded.0.{tip}.{seal}")
    apply = world.start("Schedule").job("apply")
    assert apply.codes["Apply"] == 4
    assert "was not made with this token" in apply.log
    assert world.reported() == {"v2"}


def test_a_rollout_that_is_stopped_is_red_and_has_one_work_item_until_it_goes_on(build: Callable[..., World]) -> None:
    world = build(RECONCILER_SCHEDULED_APPLY="true")
    world.server.control.fail("leeds-01", "telemetry", "v2", "bad flash")
    world.git.commit({MANIFEST: waved("v2")})
    night = world.start("Schedule")
    assert (night.job("apply").codes["Apply"], night.job("plan").codes["Plan"]) == (7, 7)
    assert (night.result, night.job("drift").result) == ("Failed", "Failed")
    (item,) = world.devops.items.values()
    assert item["fields"]["System.Title"] == "Stopped: a rollout of manifests waits for somebody"
    assert "error `bad flash`" in item["fields"]["System.Description"]
    world.git.commit({MANIFEST: waved("v3")})
    assert world.start("Schedule").result == "Succeeded"
    assert item["fields"]["System.State"] == "Done"
    assert {row["released"] for row in world.server.control.rows()} == {"v1", "v3"}


@pytest.mark.parametrize("job", ["report", "comment", "drift"])
def test_of_several_attempts_the_latest_counts(job: str, tmp_path: Path) -> None:
    (stage,) = [one for one in load(TEMPLATE)["stages"] if one.get("stage") == "forge"]
    (steps,) = [one["steps"] for one in stage["jobs"] if one["job"] == job]
    (script,) = [one["bash"] for one in steps if one.get("displayName") == "Collect what the jobs left"]
    kinds = {"report": ["result-embedded-a"], "comment": ["diff", "plan-edge-a"], "drift": ["plan-embedded-a"]}[job]
    for kind, attempt in product(kinds, ("1", "2", "9", "10", "11", "100")):
        folder = tmp_path / f"w/reconciler-{kind}-{attempt}"
        folder.mkdir(parents=True)
        (folder / "file").write_text(attempt)
    env = {"PATH": os.environ["PATH"], "PIPELINE_WORKSPACE": str(tmp_path / "w"), "AGENT_TEMPDIRECTORY": str(tmp_path)}
    processes.run(["bash", "-c", script], env=env, check=True)
    found = {file.parent.name: file.read_text() for file in (tmp_path / "collected").rglob("file")}
    assert found == {f"reconciler-{kind}": "100" for kind in kinds}


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_a_token_that_nobody_defined_is_missing_and_not_wrong(build: Callable[..., World], command: str) -> None:
    """Azure leaves a macro as it is where there is no such variable: it is no token, and is not sent."""
    world = build(groups={f"reconciler-{name}": {} for name in ("fleet", "plan", "forge")})
    run = world.start("Manual", command=command)
    assert run.result == "Failed"
    assert f"LOSANT_API_TOKEN_{PLANT}" in run.job(command).log
    assert "expired" not in run.job(command).log
    assert world.server.control.requests() == []


def test_a_token_for_all_applications_serves_where_there_is_no_own(build: Callable[..., World]) -> None:
    world = build(groups={"reconciler-fleet": {}, "reconciler-plan": {}, "reconciler-forge": {}})
    run = world.start("Manual")
    assert run.result == "Failed"
    assert run.ran() == ["check", PLAN_JOB]
    world.agent.groups = {
        "reconciler-fleet": {},
        "reconciler-plan": {"LOSANT_API_TOKEN": world.server.token},
        "reconciler-forge": {},
    }
    assert world.start("Manual").result == "Succeeded"


def test_an_installation_that_fails_ends_the_job(world: World) -> None:
    world.git.commit({".reconciler/install.sh": "exit 9\n"})
    run = world.start("IndividualCI")
    assert run.job("check").codes["Set reconciler up"] == 9
    assert (run.result, run.ran()) == ("Failed", ["check"])


def test_a_forge_that_does_not_answer_applies_nothing(world: World) -> None:
    world.pull(1, {MANIFEST: manifest("v2")})
    world.devops.pulls.clear()
    world.git("merge", "-q", "--no-ff", "-m", "merge", "feature-1")
    world.devops.token = lambda: "expired-token-of-the-job"  # type: ignore[method-assign, assignment, misc]
    run = world.start("IndividualCI")
    assert (run.result, run.ran()) == ("Failed", ["check"])
    assert "does not accept SYSTEM_ACCESSTOKEN" in run.job("check").log
    assert world.reported() == {"v1"}


class Noted(Agent):
    """Runs the jobs before and after those of the applications, which are only noted."""

    def _job(self, stage: str, job: Data, leg: Leg, *more: Any) -> Job:
        if not leg[0]:
            return super()._job(stage, job, leg, *more)
        more[-1].jobs.append(one := Job(stage, f"{job['job']} {leg[0]}"))
        return one


def test_hundreds_of_applications_are_batches_that_the_last_jobs_wait_for(world: World) -> None:
    number = 257
    ids = [f"{n:024x}" for n in range(number)]
    documents = [f"apiVersion: reconciler/v1\napplication: {{id: '{one}', name: plant}}\n" for one in ids]
    world.git.commit({MANIFEST: "---\n".join(documents)})
    world.agent.__class__ = Noted
    merged = world.start("IndividualCI")
    assert merged.result == "Succeeded", merged.job("check").log
    assert "257 rows, but Azure makes at most 256 jobs of a stage: 2 batches" in merged.job("check").log
    stages = [job.stage for job in merged.jobs]
    assert [(name, stages.count(name)) for name in dict.fromkeys(stages)] == [
        ("check", 1),
        ("apply_0", 256),
        ("apply_1", 1),
        ("forge", 1),
    ]
    applied = [job.name for job in merged.jobs if job.stage.startswith("apply_")]
    assert applied == [f"apply embedded_{one}" for one in ids]

    night = world.start("Schedule")
    assert [job.name for job in night.jobs if job.stage.startswith("plan_")] == [f"plan embedded_{one}" for one in ids]
    assert night.job("drift").result == "Failed"  # none left a report
    assert f"0 applications have drifted, {number} could not be planned" in night.job("drift").log


def test_more_applications_than_there_are_stages_for_apply_nothing(build: Callable[..., World]) -> None:
    world = build()
    one_batch = TEMPLATE.replace('"0 1 2 3"', '"0"')
    documents = [f"apiVersion: reconciler/v1\napplication: {{id: '{n:024x}', name: plant}}\n" for n in range(257)]
    world.git.commit({MANIFEST: "---\n".join(documents)})
    run = world.start("IndividualCI", template=one_batch)
    assert (run.result, run.ran()) == ("Failed", ["check"])
    assert "257 applications, but this pipeline has stages for 256, 256 each" in run.job("check").log
    assert "add another number to RECONCILER_BATCHES" in run.job("check").log


class TestFile:
    pipeline = compiled(load(TEMPLATE), parameters=PARAMETERS, variables=load(TEMPLATE)["variables"])

    def test_the_groups_of_the_fleet_and_of_the_forge_keep_apart(self) -> None:
        for stage in self.pipeline["stages"]:
            text = str(stage)
            groups = [name for name in self.groups(stage) if name != "reconciler-forge"]
            assert not (groups and "System.AccessToken" in text)
            assert not (groups and "reconciler-forge" in text)
        assert {stage["stage"]: self.groups(stage) for stage in self.pipeline["stages"]} == {
            "check": [],
            **{f"apply_{n}": ["reconciler-fleet"] for n in range(4)},
            **{f"plan_{n}": ["reconciler-plan"] for n in range(4)},
            "forge": ["reconciler-forge"],
        }

    def groups(self, stage: Mapping[str, object]) -> list[str]:
        jobs: list[dict[str, list[dict[str, str]]]] = stage["jobs"]  # type: ignore[assignment]
        listed = [*stage.get("variables", []), *(one for job in jobs for one in job.get("variables", []))]  # type: ignore[misc]
        return [one["group"] for one in listed if "group" in one]

    def test_applies_wait_for_each_other(self) -> None:
        applies = [stage for stage in self.pipeline["stages"] if stage["stage"].startswith("apply_")]
        assert [apply["lockBehavior"] for apply in applies] == ["sequential"] * 4

    def test_the_last_stage_waits_for_every_batch(self) -> None:
        *before, forge = self.pipeline["stages"]
        assert sorted(forge["dependsOn"]) == sorted(stage["stage"] for stage in before)

    def test_the_branch_stands_where_it_is_replaced(self) -> None:
        assert self.pipeline["trigger"]["branches"]["include"] == ["main"]
        assert self.pipeline["schedules"][0]["branches"]["include"] == ["main"]
        assert self.pipeline["variables"]["RECONCILER_BRANCH"] == "main"
        assert TEMPLATE.count("main") == 3
