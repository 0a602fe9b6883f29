"""The pipeline that `init` writes for GitLab, run on a simulator of the fleet and a stand-in of the project."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest

from reconciler.ci.provider import Trigger
from reconciler.ci.providers.gitlab import FORGE_TOKEN, MARK_TOKEN, GitLab
from reconciler.ci.providers.gitlab_child import FLEET as FLEET_JOBS
from reconciler.ci.providers.gitlab_child import FORGE as FORGE_JOBS
from reconciler.cli.commands.ci import command as steps
from reconciler.errors import Problem, ReconcilerError, UsageError
from reconciler.simulator import Server, serve
from tests.gitops.conftest import FLEET, PLANT, Git, manifest, waved
from tests.gitops.runner.lab import MARKER, PROJECT_ID, REPORTER, Lab, serve_lab
from tests.gitops.runner.pipeline import Pipeline, Runner, Variable, executable_installer
from tests.gitops.runner.steps import BIN, PROJECT, load
from tests.support import processes

TEMPLATE = PROJECT / "reconciler/cli/init_files/gitlab.yml"
BASE = "apiVersion: reconciler/v1\ngroups:\n  all: {{select: {{all: true}}, flows: {{telemetry: {}}}}}\n"
MARK = f"reconciler/applied: {PLANT} embedded"


@dataclass
class World:
    git: Git
    lab: Lab
    server: Server
    runner: Runner
    before: str = ""

    def request(self, iid: int, files: Mapping[str, str], *, branch: str = "feature", fork: bool = False) -> Pipeline:
        """Open a merge request, or push to it; its pipeline."""
        if branch in self.git("branch", "--format=%(refname:short)").split():
            self.git("switch", "-q", branch)
        else:
            self.git("switch", "-qc", branch, "main")
        head = self.git.commit(files)
        self.git("switch", "-q", "main")
        if iid in self.lab.requests:
            self.lab.requests[iid]["sha"] = head
        else:
            self.lab.open_request(iid, head=head)
        about = {
            "CI_PIPELINE_SOURCE": "merge_request_event",
            "CI_COMMIT_SHA": head,
            "CI_MERGE_REQUEST_DIFF_BASE_SHA": self.git("merge-base", "main", head),
            "CI_MERGE_REQUEST_EVENT_TYPE": "detached",
            "CI_MERGE_REQUEST_IID": str(iid),
            "CI_MERGE_REQUEST_PROJECT_ID": str(PROJECT_ID),
            "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "666" if fork else str(PROJECT_ID),
        }
        return self._run(about, at=head)

    def merge(self, iid: int, *, branch: str = "feature") -> Pipeline:
        """Merge a request; the pipeline of the push to main."""
        self.before = self.git("rev-parse", "main")
        self.git("merge", "-q", "--no-ff", "-m", f"merge !{iid}", branch)
        self.lab.merge(iid, self.git("rev-parse", "main"))
        return self.push()

    def push(self, *, sha: str = "", branch: str = "main") -> Pipeline:
        about = {"CI_COMMIT_BEFORE_SHA": self.before or "0" * 40}
        return self._branch("push", sha, branch, about)

    def schedule(self, **variables: str) -> Pipeline:
        return self._branch("schedule", "", "main", variables)

    def by_hand(self, command: str, *, branch: str = "main", **variables: str) -> Pipeline:
        return self._branch("web", "", branch, {"RECONCILER_COMMAND": command, **variables})

    def _branch(self, source: str, sha: str, branch: str, more: Mapping[str, str]) -> Pipeline:
        sha = sha or self.git("rev-parse", branch)
        about = {"CI_PIPELINE_SOURCE": source, "CI_COMMIT_BRANCH": branch, "CI_COMMIT_SHA": sha, **more}
        return self._run(about, at=sha)

    def _run(self, about: Mapping[str, str], *, at: str) -> Pipeline:
        done = self.runner.run(load(self.git("show", f"{at}:.gitlab-ci.yml")), about)
        assert done is not None
        left = [done.log, *(one["body"] for one in self.lab.notes.values()), json.dumps(list(self.lab.issues.values()))]
        for job in done.jobs.values():
            if job.artifacts != Path():  # else it would be the working directory
                left += [file.read_text() for file in job.artifacts.rglob("*") if file.is_file()]
            held = {name for name in job.seen if name.startswith("LOSANT_API_TOKEN")}
            assert not (held and "RECONCILER_FORGE_TOKEN" in job.seen), f"{job.name} has both tokens"
        for secret in self.runner.settings:
            assert secret.value not in "\n".join(left)
        return done

    def released(self) -> set[str | None]:
        return {row["released"] for row in self.server.control.rows()}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with serve(FLEET) as server, serve_lab() as lab:
        git = Git(tmp_path / "origin")
        template = TEMPLATE.read_text()
        assert template.count("main") == 2
        url = f"variables:\n  LOSANT_API_URL: {server.url}\n"
        files = {".reconciler/install.sh": executable_installer(), "manifests/plant.yaml": manifest("v1")}
        git.commit({".gitlab-ci.yml": template.replace("variables:\n", url, 1), **files})
        settings = [
            Variable(f"LOSANT_API_TOKEN_{PLANT}", server.token, "reconciler-fleet"),
            Variable(f"LOSANT_API_TOKEN_{'b' * 24}", "the-token-of-another-application", "reconciler-fleet"),
            Variable("RECONCILER_FORGE_TOKEN", lab.token(role=REPORTER), "reconciler-forge"),
            Variable("RECONCILER_MARK_TOKEN", lab.token(user=MARKER), "reconciler-forge", protected=True),
        ]
        lab.may_merge.add(MARKER)
        (tmp_path / "jobs").mkdir()
        yield World(git, lab, server, Runner(tmp_path / "jobs", git.folder, lab, settings))


class TestPipeline:
    def test_from_a_merge_request_to_the_fleet(self, world: World) -> None:
        planned = world.request(1, {"manifests/plant.yaml": manifest("v2")})
        assert planned.codes() == {"check": 0, "applications": None, "plan": 0, "comment": 0}, planned.log
        (note,) = world.lab.bodies(1)
        assert "**Plan: 0 to add, 20 to change, 0 to destroy.**" in note
        assert "Diff of the desired state" in note
        assert world.released() == {"v1"}
        assert "20 to change" in planned.one("plan").text("summary.md")
        assert "20 to change" in planned.one("plan").log

        applied = world.merge(1)
        assert applied.codes() == {"check": 0, "applications": None, "apply": 0, "mark": 0}, applied.log
        assert "Applied as reviewed on merge request !1" in applied.one("apply").log
        assert world.released() == {"v2"}
        assert world.lab.statuses[world.git("rev-parse", "main")][0]["name"] == MARK
        assert world.request(2, {"manifests/plant.yaml": manifest("v2") + "# same\n"}, branch="b").passed
        assert "**No changes.**" in world.lab.bodies(2)[0]

    def test_a_fork_gets_a_diff_and_no_job_with_a_token(self, world: World) -> None:
        done = world.request(1, {"manifests/plant.yaml": manifest("v2")}, fork=True)
        assert done.codes() == {"check": 0, "applications": None, "nothing": 0}, done.log
        assert "`v1` to `v2`" in done.one("check").text("diff.md")
        assert "`v1` to `v2`" in done.one("check").log
        assert world.lab.notes == {}

    def test_unrelated_changes_end_green_without_a_job_of_the_fleet(self, world: World) -> None:
        done = world.request(1, {"README.md": "hello\n"})
        assert done.codes() == {"check": 0, "applications": None, "nothing": 0}, done.log

    def test_mistakes_are_on_their_lines(self, world: World) -> None:
        done = world.request(1, {"manifests/plant.yaml": manifest("v2") + "grups: {}\n"})
        assert done.codes() == {"check": 1, "applications": None}
        (problem,) = json.loads(done.one("check").text("gl-code-quality.json"))
        assert problem["location"] == {"path": "manifests/plant.yaml", "lines": {"begin": 5}}
        assert problem["severity"] == "critical"
        assert "error: manifests/plant.yaml:5:1: " in done.one("check").log

    @pytest.mark.usefixtures("installed")
    def test_an_old_pipeline_that_is_run_again_applies_the_tip(self, world: World) -> None:
        old = world.git("rev-parse", "main")
        world.git.commit({"manifests/plant.yaml": manifest("v2")})
        assert world.push(sha=old).passed
        assert world.released() == {"v2"}

    def test_an_old_pipeline_that_is_run_again_installs_what_the_tip_says(self, world: World) -> None:
        """Also in the jobs that have a token: they would apply the tip with what its commit has replaced."""
        installer = executable_installer()
        old = world.git.commit({".reconciler/install.sh": f"{installer}echo installed the old one\n"})
        files = {".reconciler/install.sh": f"{installer}echo installed the new one\n"}
        world.git.commit({**files, "manifests/plant.yaml": manifest("v2")})
        again = world.push(sha=old)
        assert again.codes() == {"check": 0, "applications": None, "apply": 0, "mark": 0}, again.log
        assert "installed the old one" not in again.log
        assert again.log.count("installed the new one") == 3

    def test_no_variable_makes_another_branch_the_one_that_is_applied(self, world: World) -> None:
        """Those that somebody gives a pipeline count before those of the file."""
        world.git("switch", "-qc", "other")
        world.git.commit({"manifests/plant.yaml": manifest("v2")})
        world.git("switch", "-q", "main")
        refused = world.by_hand("apply", branch="other", RECONCILER_BRANCH="other")
        assert refused.codes() == {"check": 1, "applications": None}, refused.log
        assert "only main is applied, and this run is for other" in refused.log
        assert world.released() == {"v1"}

    def test_a_review_that_is_required(self, world: World) -> None:
        config = world.git("show", "main:.gitlab-ci.yml")
        required = config.replace("variables:\n", 'variables:\n  RECONCILER_REQUIRE_REVIEWED_PLAN: "true"\n', 1)
        world.git.commit({".gitlab-ci.yml": required, "manifests/plant.yaml": manifest("v2")})
        refused = world.push()
        assert refused.codes() == {"check": 0, "applications": None, "apply": 4, "mark": 0}, refused.log
        assert "does not belong to a merge request, so no plan was shown" in refused.log
        assert "Run pipeline, with the variable RECONCILER_COMMAND=apply" in refused.log
        assert "Minimum role to use pipeline variables" in refused.log
        assert world.released() == {"v1"}
        scheduled = world.schedule(RECONCILER_SCHEDULED_APPLY="true")
        assert scheduled.codes()["marked"] == 0, scheduled.log
        assert scheduled.codes()["apply"] == 4, scheduled.log
        assert world.released() == {"v1"}
        assert world.by_hand("apply").passed
        assert world.released() == {"v2"}
        assert world.schedule(RECONCILER_SCHEDULED_APPLY="true").codes()["apply"] == 0

    def test_drift_has_one_issue(self, world: World) -> None:
        world.git.commit({"manifests/plant.yaml": manifest("v2")})
        for _ in range(2):
            night = world.schedule()
            assert night.codes() == {"check": 0, "applications": None, "plan": 0, "drift": 1}, night.log
        (issue,) = world.lab.issues.values()
        assert (issue["state"], issue["title"]) == ("opened", "Drift: Losant is not as manifests says")
        moved = world.schedule(RECONCILER_SCHEDULED_APPLY="true")
        assert moved.passed, moved.log
        assert list(moved.codes()) == ["check", "applications", "apply", "plan", "drift", "mark"]
        assert issue["state"] == "closed"

    def test_a_rollout_that_is_stopped_is_red_and_has_one_issue_until_it_goes_on(self, world: World) -> None:
        world.server.control.fail("leeds-01", "telemetry", "v2", "bad flash")
        world.git.commit({"manifests/plant.yaml": waved("v2")})
        codes = world.schedule(RECONCILER_SCHEDULED_APPLY="true").codes()
        assert (codes["apply"], codes["plan"], codes["drift"]) == (7, 7, 1)
        (issue,) = world.lab.issues.values()
        assert (issue["state"], issue["title"]) == ("opened", "Stopped: a rollout of manifests waits for somebody")
        assert "error `bad flash`" in issue["description"]
        world.git.commit({"manifests/plant.yaml": waved("v3")})
        assert world.schedule(RECONCILER_SCHEDULED_APPLY="true").passed
        assert issue["state"] == "closed"
        assert world.released() == {"v1", "v3"}

    def test_by_hand(self, world: World) -> None:
        world.git.commit({"manifests/plant.yaml": manifest("v2")})
        assert world.by_hand("plan").codes() == {"check": 0, "applications": None, "plan": 0}
        assert world.released() == {"v1"}
        wrong = world.by_hand("apply", RECONCILER_APPLICATION="plant", RECONCILER_EXPECT_DIGEST="sha256:" + "0" * 64)
        assert wrong.codes()["apply"] == 4
        assert world.released() == {"v1"}

    def test_a_deleted_branch_applies_nothing(self, world: World) -> None:
        sha = world.git("rev-parse", "main")
        world.git("branch", "-m", "main", "gone")
        done = world.push(sha=sha)
        assert done.codes()["check"] != 0
        assert list(done.jobs) == ["check", "applications"]

    def test_what_a_commit_has_in_our_folder_is_not_taken_for_a_report(self, world: World) -> None:
        forged = {"reconciler-ci/reports/x/report.json": "{}", "manifests/plant.yaml": manifest("v2")}
        done = world.request(1, forged)
        assert done.codes() == {"check": 0, "applications": None, "plan": 1, "comment": 1}
        assert "so remove it from the repository" in done.one("comment").log
        assert world.lab.notes == {}

    def test_names_of_branches_are_no_commands_and_links_are_not_followed(self, world: World, tmp_path: Path) -> None:
        branch, elsewhere = "x$(touch${IFS}taken);`id`", tmp_path / "elsewhere"
        elsewhere.mkdir()
        world.git("switch", "-qc", branch)
        (world.git.folder / "reconciler-ci").symlink_to(elsewhere)
        world.git.commit({"manifests/plant.yaml": manifest("v2")})
        world.git("switch", "-q", "main")
        planned = world.by_hand("plan", branch=branch)
        assert planned.codes() == {"check": 0, "applications": None, "plan": 1}, planned.log
        assert "so remove it from the repository" in planned.one("plan").log
        assert not list(elsewhere.iterdir())
        refused = world.by_hand("apply", branch=branch)
        assert refused.codes() == {"check": 1, "applications": None}
        assert "only main is applied, and this run is for x$(touch" in refused.log
        assert not list(world.runner.folder.rglob("taken"))
        assert world.released() == {"v1"}

    def test_where_the_review_cannot_be_read_nothing_is_applied(self, world: World) -> None:
        world.request(1, {"manifests/plant.yaml": manifest("v2")})
        world.runner.settings = [one for one in world.runner.settings if one.name != "RECONCILER_FORGE_TOKEN"]
        done = world.merge(1)
        assert done.codes() == {"check": 1, "applications": None}
        assert "RECONCILER_FORGE_TOKEN is not set" in done.log
        assert world.released() == {"v1"}

    def test_names_of_manifests_are_no_commands(self, world: World) -> None:
        name = "--x$(touch taken)${HOME}`id` 'é\\n: #*&"
        text = manifest("v2").replace("name: plant", f"name: {json.dumps(name)}")
        done = world.request(1, {"manifests/plant.yaml": text})
        assert done.codes() == {"check": 0, "applications": None, "plan": 1, "comment": 0}, done.log
        assert 'is named "plant", not "--x$(touch taken)' in done.log
        assert "$(touch taken)${HOME}" in done.one("plan").seen["ROW_NAME"]
        assert not any("touch" in line for job in done.jobs.values() for line in job.keywords.get("script", ()))
        assert not list(world.runner.folder.rglob("taken"))

    def test_a_push_applies_only_what_the_manifests_are_read_from(self, world: World) -> None:
        world.before = world.git("rev-parse", "main")
        world.git.commit({"README.md": "hello\n"})
        assert world.push().codes() == {"check": 0, "applications": None, "nothing": 0}
        base = manifest("v2").split("groups:")[0]
        world.git.commit({"manifests/plant.yaml": f"{base}extends: ../base.yaml\n", "base.yaml": BASE.format("v1")})
        world.before = world.git("rev-parse", "main")
        planned = world.request(1, {"base.yaml": BASE.format("v2")})
        assert planned.codes() == {"check": 0, "applications": None, "plan": 0, "comment": 0}, planned.log
        assert "20 to change" in world.lab.bodies(1)[0]
        merged = world.merge(1)
        assert merged.codes() == {"check": 0, "applications": None, "apply": 0, "mark": 0}, merged.log
        assert world.released() == {"v2"}

    def test_other_pushes_have_no_pipeline(self, world: World) -> None:
        config = load(TEMPLATE.read_text())
        assert world.runner.run(config, {"CI_PIPELINE_SOURCE": "push", "CI_COMMIT_BRANCH": "other"}) is None
        assert world.runner.run(config, {"CI_PIPELINE_SOURCE": "external_pull_request_event"}) is None


def provider(folder: Path, **variables: str) -> GitLab:
    common = {
        "CI_PIPELINE_SOURCE": "push",
        "CI_COMMIT_BRANCH": "main",
        "CI_DEFAULT_BRANCH": "main",
        "CI_PIPELINE_URL": "https://gitlab.example/p/7",
        "CI_PROJECT_DIR": str(folder),
    }
    return GitLab({**common, **variables}, print)


REQUEST = {
    "CI_PIPELINE_SOURCE": "merge_request_event",
    "CI_COMMIT_BRANCH": "",
    "CI_COMMIT_SHA": "c0ffee",
    "CI_MERGE_REQUEST_DIFF_BASE_SHA": "ba5e",
    "CI_MERGE_REQUEST_IID": "1",
    "CI_MERGE_REQUEST_PROJECT_ID": "4711",
    "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "4711",
}


class TestEnvironment:
    @pytest.mark.parametrize(
        ("source", "trigger"),
        [
            ("push", Trigger.PUSH),
            ("schedule", Trigger.SCHEDULE),
            ("web", Trigger.HAND),
            ("api", Trigger.HAND),
            ("trigger", Trigger.HAND),
        ],
    )
    def test_what_started_it(self, source: str, trigger: Trigger, tmp_path: Path) -> None:
        assert provider(tmp_path, CI_PIPELINE_SOURCE=source).run().trigger is trigger
        child = provider(tmp_path, CI_PIPELINE_SOURCE="parent_pipeline", RECONCILER_PIPELINE_SOURCE=source)
        assert child.run().trigger is trigger

    @pytest.mark.parametrize(
        "source",
        ["chat", "external", "external_pull_request_event", "pipeline", "webide", "security_orchestration_policy"],
    )
    def test_others_are_refused(self, source: str, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=f"pipelines of the source {source} are refused"):
            provider(tmp_path, CI_PIPELINE_SOURCE=source).run()
        with pytest.raises(UsageError, match=f"pipelines of the source {source} are refused"):
            provider(tmp_path, CI_PIPELINE_SOURCE="parent_pipeline", RECONCILER_PIPELINE_SOURCE=source).run()

    def test_a_child_that_is_not_ours_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="RECONCILER_PIPELINE_SOURCE is not set"):
            provider(tmp_path, CI_PIPELINE_SOURCE="parent_pipeline").run()

    def test_merge_requests(self, tmp_path: Path) -> None:
        run = provider(tmp_path, **REQUEST).run()
        assert (run.trigger, run.number, run.head, run.base, run.branch) == (Trigger.REVIEW, 1, "c0ffee", "ba5e", "")
        shas = {"CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": "50", "CI_MERGE_REQUEST_TARGET_BRANCH_SHA": "7a"}
        merged = provider(tmp_path, **REQUEST, **shas).run()
        assert (merged.head, merged.base) == ("50", "7a")
        train = provider(tmp_path, **REQUEST, CI_MERGE_REQUEST_EVENT_TYPE="merge_train").run()
        assert train.trigger is Trigger.QUEUE

    @pytest.mark.parametrize("project", ["4711", "666"])
    def test_forks_get_no_token_wherever_they_run(self, project: str, tmp_path: Path) -> None:
        fork = {**REQUEST, "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "666", "CI_PROJECT_ID": project}
        assert provider(tmp_path, **fork).run().withheld == "merge requests from forks get no token"
        assert provider(tmp_path, **REQUEST).run().withheld == ""

    @pytest.mark.parametrize(("before", "known"), [("0" * 40, ""), ("", ""), ("a0", "a0")])
    def test_what_the_branch_was_before(self, before: str, known: str, tmp_path: Path) -> None:
        assert provider(tmp_path, CI_COMMIT_BEFORE_SHA=before).run().before == known

    def test_what_the_job_is_not_told_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="CI_PIPELINE_URL is not set"):
            provider(tmp_path, CI_PIPELINE_URL="").run()


class TestFiles:
    def test_an_output_is_one_line(self, tmp_path: Path) -> None:
        made = provider(tmp_path)
        made.output("pull-request", "7")
        assert (tmp_path / "reconciler-ci/outputs.env").read_text() == "RECONCILER_OUTPUT_PULL_REQUEST=7\n"
        for value in ("a\nB=1", "a\n", "a\rb", "a\u2028b"):
            with pytest.raises(ReconcilerError, match="more than one line"):
                made.output("apply", value)

    def test_a_report_of_problems(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        made = provider(tmp_path)
        made.annotate("error", [Problem("a\x1b[0m", "m.yaml", 3, 4), Problem("nowhere")])
        made.annotate("warning", [Problem("b", "m.yaml")])
        made.annotate("warning", [Problem("b", "m.yaml")])
        assert "\x1b" not in capsys.readouterr().out
        reported = json.loads((tmp_path / "reconciler-ci/gl-code-quality.json").read_text())
        assert [(one["severity"], one["location"]["lines"]["begin"]) for one in reported] == [
            ("critical", 3),
            ("minor", 1),
        ]
        assert len({one["fingerprint"] for one in reported}) == 2


class TestChild:
    def child(self, folder: Path, *, number: int = 1, **outputs: str) -> dict[str, Any]:
        made = provider(folder, CI_PIPELINE_SOURCE="schedule")
        for name, text in outputs.items():
            made.output(name, text)
        row: dict[str, Any] = {"kind": "embedded", "name": "same", "against": "a" * 40, "reviewed": ""}
        made.start_jobs([{**row, "application": f"{one:024x}"} for one in range(number)], require_review=True)
        pipeline: dict[str, Any] = load((folder / "reconciler-ci/child.yml").read_text())
        return {
            name.split()[0]: {**pipeline[one["extends"]], **one} if "extends" in one else one
            for name, one in pipeline.items()
            if isinstance(one, dict) and not name.startswith(".")
        }

    def test_gitlab_takes_both_files(self, tmp_path: Path) -> None:
        assert "marked" in self.child(tmp_path, number=2, apply="true", plan="drift")
        options = ["--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci"]
        files = [str(TEMPLATE), str(tmp_path / "reconciler-ci/child.yml")]
        checked = processes.run([str(BIN / "check-jsonschema"), *options, *files])
        assert checked.returncode == 0, checked.stdout

    @pytest.mark.parametrize("own", [PLANT, PLANT.upper()])
    def test_a_job_has_the_token_of_its_application_however_its_id_is_written(self, own: str, tmp_path: Path) -> None:
        jobs = self.child(tmp_path, apply="true", plan="")
        (line,) = [line for line in jobs["apply"]["script"] if line.startswith("for NAME in ${!LOSANT")]
        env = {"ROW_ID": PLANT, f"LOSANT_API_TOKEN_{own}": "1", f"LOSANT_API_TOKEN_{'b' * 24}": "2"}
        done = processes.run(["bash", "-ec", f"{line}; compgen -v LOSANT_API_TOKEN_"], env={**env, "PATH": "/usr/bin"})
        assert done.stdout == f"LOSANT_API_TOKEN_{own}\n"

    def test_jobs_exclude_each_other_where_they_must(self, tmp_path: Path) -> None:
        jobs = self.child(tmp_path, apply="true", plan="drift")
        assert jobs["apply"]["resource_group"] == jobs["plan"]["resource_group"] == f"reconciler-{0:024x}-embedded"
        assert jobs["apply"]["interruptible"] is False
        assert jobs["drift"]["resource_group"].startswith("reconciler-drift-")
        assert "resource_group" not in self.child(tmp_path, apply="false", plan="plan")["plan"]

    def test_a_push_cancels_no_pipeline_before_it(self) -> None:
        """It may change no manifest, and then would apply nothing."""
        assert load(TEMPLATE.read_text())["workflow"]["auto_cancel"] == {"on_new_commit": "none"}

    def test_each_job_is_in_the_environment_of_its_token_and_only_an_apply_deploys(self, tmp_path: Path) -> None:
        jobs = self.child(tmp_path, apply="true", plan="drift")
        found = {name: one["environment"] for name, one in jobs.items() if "script" in one}
        forge = {"name": "reconciler-forge", "action": "access"}
        assert found == {
            "marked": forge,
            "apply": {"name": "reconciler-fleet"},
            "plan": {"name": "reconciler-fleet", "action": "access"},
            "drift": forge,
            "mark": forge,
        }
        assert load(TEMPLATE.read_text())["check"]["environment"] == forge

    @pytest.mark.parametrize(
        ("source", "plan", "fits", "jobs"), [("push", "", 499, 501), ("schedule", "drift", 166, 503)]
    )
    def test_more_jobs_than_gitlab_takes_are_refused_before_any_starts(
        self, source: str, plan: str, fits: int, jobs: int, tmp_path: Path
    ) -> None:
        """GitLab counts the jobs that have an environment: here all, one to three an application."""

        def start(number: int, **variables: str) -> None:
            made = provider(tmp_path, CI_PIPELINE_SOURCE=source, **variables)
            made.output("apply", "true")
            made.output("plan", plan)
            row = {"kind": "embedded", "name": "same", "against": "a" * 40, "reviewed": ""}
            made.start_jobs([{**row, "application": f"{one:024x}"} for one in range(number)], require_review=True)

        child = tmp_path / "reconciler-ci/child.yml"
        start(fits)
        child.unlink()
        refused = f"the pipeline of {fits + 1} applications has {jobs} jobs with an environment, and GitLab takes 500"
        with pytest.raises(ReconcilerError, match=refused):
            start(fits + 1)
        assert not child.exists()
        with pytest.raises(ReconcilerError, match="and GitLab takes 1"):
            start(1, RECONCILER_MOST_JOBS="1")
        start(1, RECONCILER_MOST_JOBS="5")
        with pytest.raises(UsageError, match="RECONCILER_MOST_JOBS is not a number: many"):
            start(1, RECONCILER_MOST_JOBS="many")

    def test_a_file_that_gitlab_would_not_read_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("reconciler.ci.providers.gitlab.CHILD_BYTES", 1000)
        with pytest.raises(ReconcilerError, match=r"the pipeline of 3 applications has .* and GitLab reads 1,000"):
            self.child(tmp_path, number=3, plan="drift")


class TestGuide:
    """What the guide says of the variables is so."""

    section = re.findall(r"^## GitLab CI$(.*?)^## ", (PROJECT / "docs/ci.md").read_text(), re.MULTILINE | re.DOTALL)[0]

    def test_the_tokens_are_scoped_to_the_environments(self) -> None:
        rows = re.findall(
            r"^\| (?:`([A-Z_]+).*|the same name) \| `(reconciler-[a-z*]+)` \| (.*) \|$", self.section, re.MULTILINE
        )
        assert [scope for _, scope, _ in rows] == [FLEET_JOBS, f"{FLEET_JOBS}*", FORGE_JOBS, FORGE_JOBS]
        assert "*protected*" in rows[0][2]
        assert [name for name, _, _ in rows[2:]] == [FORGE_TOKEN, MARK_TOKEN]
        assert "*protected*" in rows[3][2]

    def test_each_variable_is_one_that_the_steps_read(self) -> None:
        listed = set(re.findall(r"`(RECONCILER_[A-Z_]+)`", self.section)) - {FORGE_TOKEN, MARK_TOKEN}
        options = {f"RECONCILER_{name}" for name in ("RUNNER_TAGS", "PATH", "MOST_JOBS")}
        for step in steps.commands.values():
            options |= {str(one.envvar) for one in step.params if isinstance(one, click.Option) and one.envvar}
        assert listed <= options
