"""The adapter of Azure Pipelines, and what it reads and writes at Azure DevOps."""

from __future__ import annotations

import json
import os
import re
import time
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.ci.comment import Review, find_comment, read_review
from reconciler.ci.decide import decide
from reconciler.ci.drift import first_line
from reconciler.ci.provider import Post, Run, Trigger
from reconciler.ci.providers.azure import MOST_JOBS, Azure
from reconciler.ci.providers.azure_rest import Project
from reconciler.ci.reports import Report
from reconciler.errors import Problem, ReconcilerError, UsageError
from reconciler.render.inert import inert
from tests.gitops.runner.devops import EVERYTHING, GIT, PIPELINE, PROJECT, REPOSITORY, SIGN_IN, DevOps, serve_devops
from tests.gitops.runner.reports import one
from tests.gitops.runner.standin import Trouble
from tests.hostile import NAMES
from tests.support.cli import Ended, run_here

A, B = "5f0c8a1b2d3e4f5061728394", "5f0c8a1b2d3e4f5061728395"
COMMIT, OLDER = "c0ffee00" * 5, "deadbeef" * 5
MARK = f"reconciler/applied: {A} embedded"
SEAL = "5ea1" * 8
MALLORY = {"id": "mallory", "displayName": "Mallory"}
REVIEW = {
    "BUILD_REASON": "PullRequest",
    "BUILD_SOURCEBRANCH": "refs/pull/7/merge",
    "SYSTEM_PULLREQUEST_PULLREQUESTID": "7",
    "SYSTEM_PULLREQUEST_SOURCECOMMITID": COMMIT,
    "SYSTEM_PULLREQUEST_ISFORK": "False",
}


@pytest.fixture(autouse=True)
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    variables = {
        "TF_BUILD": "True",
        "BUILD_REASON": "Schedule",
        "BUILD_SOURCEBRANCH": "refs/heads/main",
        "BUILD_BUILDID": "40",
        "BUILD_REPOSITORY_ID": REPOSITORY,
        "BUILD_REPOSITORY_PROVIDER": "TfsGit",
        "SYSTEM_COLLECTIONURI": "https://dev.azure.example/acme/",
        "SYSTEM_DEFINITIONID": str(PIPELINE),
        "SYSTEM_TEAMPROJECT": PROJECT,
        "AGENT_TEMPDIRECTORY": str(tmp_path),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


BATCHES = {"RECONCILER_BATCHES": "0 1 2 3"}


def matrices(out: str) -> list[tuple[str, dict[str, dict[str, str]]]]:
    """The batches that were set, with the legs of each."""
    found = re.findall(r"^##vso\[task\.setvariable variable=(matrix_\w+);isOutput=true;\](.*)$", out, re.MULTILINE)
    return [(name, json.loads(text.replace("%AZP25", "%"))) for name, text in found]


@pytest.fixture
def devops(monkeypatch: pytest.MonkeyPatch) -> Iterator[DevOps]:
    with serve_devops() as devops:
        devops.run(40)
        monkeypatch.setenv("SYSTEM_COLLECTIONURI", devops.url)
        monkeypatch.setenv("SYSTEM_ACCESSTOKEN", devops.token())
        yield devops


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    made: list[float] = []
    monkeypatch.setattr(time, "sleep", made.append)
    return made


def project() -> Project:
    forge = Azure(os.environ, print).forge()
    assert isinstance(forge, Project)
    return forge


def run(**variables: str) -> Run:
    return Azure({**os.environ, **variables}, print).run()


class TestRun:
    @pytest.mark.parametrize(
        ("reason", "trigger"),
        [
            ("IndividualCI", Trigger.PUSH),
            ("BatchedCI", Trigger.PUSH),
            ("Schedule", Trigger.SCHEDULE),
            ("Manual", Trigger.HAND),
        ],
    )
    def test_what_started_it(self, reason: str, trigger: Trigger) -> None:
        url = "https://dev.azure.example/acme/Fleet%20of%20Acme/_build/results?buildId=40"
        assert run(BUILD_REASON=reason) == Run(trigger, url, branch="main", base="HEAD^1")
        assert run(BUILD_REASON=reason, BUILD_SOURCEBRANCH="refs/tags/main").branch == ""

    def test_a_pull_request_is_its_merge(self) -> None:
        found = run(**REVIEW)
        assert (found.trigger, found.number, found.head, found.base) == (Trigger.REVIEW, 7, COMMIT, "HEAD^1")
        assert (found.branch, found.withheld) == ("", "")
        assert decide(found, branch="main").plan == "review"

    @pytest.mark.parametrize("fork", ["True", "true", "maybe"])
    def test_a_fork_gets_no_token(self, fork: str) -> None:
        found = run(**{**REVIEW, "SYSTEM_PULLREQUEST_ISFORK": fork})
        assert found.withheld == "pull requests from forks get no token"
        decision = decide(found, branch="main")
        assert (decision.apply, decision.plan) == (False, "")

    @pytest.mark.parametrize(
        "reason", ["ResourceTrigger", "BuildCompletion", "CheckInShelveset", "ValidateShelveset", "x\n##vso[a]"]
    )
    def test_other_reasons_are_refused(self, reason: str) -> None:
        with pytest.raises(UsageError, match=r"runs for the reason [^\n]* are refused"):
            run(BUILD_REASON=reason)

    @pytest.mark.parametrize("provider", ["GitHub", "Bitbucket"])
    def test_a_repository_elsewhere_is_refused(self, provider: str) -> None:
        with pytest.raises(UsageError, match=f"not of Azure Repos but of {provider}"):
            run(BUILD_REPOSITORY_PROVIDER=provider)

    @pytest.mark.parametrize("value", ["", "$(System.AccessToken)"])
    def test_what_the_job_is_not_told_is_an_error_and_no_guess(
        self, value: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SYSTEM_ACCESSTOKEN", value)
        ended = run_here("ci", "drift", "--reports", "reports")
        assert ended.code == 1
        assert "##vso[task.logissue type=error;]SYSTEM_ACCESSTOKEN is not set (this step is for a job of" in ended.out


class TestCommands:
    @pytest.mark.parametrize("name", NAMES)
    def test_one_problem_is_one_command_that_says_nothing_else(
        self, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Azure({}, print).annotate("error", [Problem(name, f"manifests/{name}.yaml", 3, hint=name)])
        line = capsys.readouterr().out.removesuffix("\n")
        assert not [char for char in line if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
        assert len(re.findall(r"##(?=[a-z]*\[)", line, re.IGNORECASE)) == 1
        match = re.fullmatch(r"##vso\[task\.logissue type=error;sourcepath=([^;\]]*);linenumber=3;\](.*)", line)
        assert match
        assert match[2].replace("%AZP25", "%") == inert(f"{name} ({name})")
        path = match[1].replace("%5D", "]").replace("%3B", ";").replace("%AZP25", "%")
        assert path == inert(f"manifests/{name}.yaml")

    @pytest.mark.parametrize("name", NAMES)
    def test_what_is_logged_is_no_command(self, name: str, capsys: pytest.CaptureFixture[str]) -> None:
        Azure({}, print).log(f"{name}\nx##vso[task.setvariable variable=PATH]{name}")
        assert not re.search(r"##[a-z]*\[", capsys.readouterr().out, re.IGNORECASE)

    def test_an_output_of_a_manifest_is_no_macro(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Azure expands macros within values: a name must not become a secret that a comment then shows."""
        row = {"application": A, "kind": "edge", "name": "$(LOSANT_API_TOKEN)50%", "against": "", "reviewed": ""}
        Azure(BATCHES, print).start_jobs([row], require_review=False)
        Azure({}, print).output("pull-request", "$(X)\n##vso[a]")
        out = capsys.readouterr().out
        leg = {
            "RECONCILER_APPLICATION": A,
            "RECONCILER_KIND": "edge",
            "RECONCILER_NAME": "$ (LOSANT_API_TOKEN)50%",
            "RECONCILER_AGAINST": "",
            "RECONCILER_REVIEWED": "",
            "RECONCILER_TOKEN": f"$(LOSANT_API_TOKEN_{A})",
        }
        empty: list[tuple[str, dict[str, object]]] = [(f"matrix_{n}", {}) for n in (1, 2, 3)]
        assert matrices(out) == [("matrix_0", {f"edge_{A}": leg}), *empty]
        other = out.splitlines()[-1]
        assert other == "##vso[task.setvariable variable=pull_request;isOutput=true;]$ (X)%0A##vso[a]"

    @pytest.mark.parametrize(
        ("number", "sizes"),
        [(256, [256, 0, 0, 0]), (257, [256, 1, 0, 0]), (1024, [256, 256, 256, 256])],
    )
    def test_each_application_is_in_exactly_one_batch(
        self, number: int, sizes: list[int], capsys: pytest.CaptureFixture[str]
    ) -> None:
        rows = [{"application": f"{n:024x}", "kind": "edge"} for n in range(number)]
        Azure(BATCHES, print).start_jobs(rows, require_review=False)
        out = capsys.readouterr().out
        found = matrices(out)
        assert [(name, len(legs)) for name, legs in found] == [(f"matrix_{n}", size) for n, size in enumerate(sizes)]
        started = [leg["RECONCILER_APPLICATION"] for _, legs in found for leg in legs.values()]
        assert started == [row["application"] for row in rows]
        assert (f"{number} rows, but Azure makes at most {MOST_JOBS} jobs of a stage" in out) == (number > MOST_JOBS)

    @pytest.mark.parametrize(("batches", "number"), [("0 1 2 3", 1025), ("0", 257)])
    def test_more_applications_than_the_pipeline_has_stages_for_start_nothing(
        self, batches: str, number: int, capsys: pytest.CaptureFixture[str]
    ) -> None:
        rows = [{"application": f"{n:024x}", "kind": "edge"} for n in range(number)]
        with pytest.raises(UsageError, match=f"{number} applications, but this pipeline has stages for") as refused:
            Azure({"RECONCILER_BATCHES": batches}, print).start_jobs(rows, require_review=False)
        assert refused.value.problems[0].hint == "add another number to RECONCILER_BATCHES in the pipeline's file"
        assert capsys.readouterr().out == ""
        Azure({"RECONCILER_BATCHES": f"{batches} 4"}, print).start_jobs(rows, require_review=False)

    def test_a_pipeline_that_does_not_say_its_batches_starts_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(UsageError, match="RECONCILER_BATCHES is not set"):
            Azure({}, print).start_jobs([{"application": A, "kind": "edge"}], require_review=False)
        assert capsys.readouterr().out == ""

    def test_summaries_are_files_of_their_own(self, job: Path, capsys: pytest.CaptureFixture[str]) -> None:
        azure = Azure(os.environ, print)
        azure.summary("one\n")
        azure.summary("##vso[two]")
        names = re.findall(r"^##vso\[task\.uploadsummary\](/.*\.md)$", capsys.readouterr().out, re.MULTILINE)
        assert [Path(name).read_text() for name in names] == ["one\n", "##vso[two]\n"]


class TestRest:
    def test_every_thread_is_read(self, devops: DevOps) -> None:
        line = Review("manifests", COMMIT, {}).line()
        for number in range(25_000):
            devops.thread(1, line if number == 24_999 else "talk")
        found = find_comment(project(), 1, "manifests")
        assert found is not None
        assert devops.threads[found[0].id]["comments"][0]["content"] == line

    @pytest.mark.parametrize(
        "trouble",
        [
            Trouble("GET .*threads"),
            Trouble("GET .*threads", 503),
            Trouble("GET .*threads", 409, "{}"),
            Trouble("GET .*threads", 429, headers={"Retry-After": "1"}),
            Trouble("GET .*threads", 200, SIGN_IN),
            Trouble("GET .*threads", 200, "[]"),
        ],
        ids=["cut", "503", "409", "429", "html", "list"],
    )
    def test_what_may_pass_is_asked_again(self, trouble: Trouble, devops: DevOps, pauses: list[float]) -> None:
        devops.thread(1, Review("manifests", COMMIT, {}).line())
        devops.troubles += [trouble, trouble]
        assert find_comment(project(), 1, "manifests") is not None
        assert pauses == [1, 5]
        devops.troubles += [trouble] * 4
        with pytest.raises(ReconcilerError):
            find_comment(project(), 1, "manifests")

    def test_a_page_to_sign_in_is_told_at_once(
        self, devops: DevOps, pauses: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SYSTEM_ACCESSTOKEN", "expired-token-of-somebody")
        with pytest.raises(ReconcilerError, match=r"returned 203 for GET .* does not accept SYSTEM_ACCESSTOKEN"):
            project().head(1)
        with pytest.raises(ReconcilerError, match="returned 203 for POST "):
            project().write_comment(1, "x", None)
        assert pauses == []

    def test_a_refusal_names_what_to_look_at(self, devops: DevOps, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SYSTEM_ACCESSTOKEN", devops.token({**EVERYTHING, "code": "read"}))
        with pytest.raises(ReconcilerError, match=r"403 for POST .*; check that the pipeline's build service has"):
            project().write_comment(1, "x", None)

    def test_the_pull_request_of_a_commit(self, devops: DevOps) -> None:
        devops.open_pull(1, head=OLDER)
        assert project().merged(COMMIT, "main") is None
        devops.pulls[1]["commits"] = [COMMIT]
        assert project().merged(COMMIT, "main") is None  # it is not merged yet
        devops.merge(1, OLDER)
        assert project().merged(COMMIT, "main") == (1, OLDER)
        devops.open_pull(2, head="b" * 40)
        devops.merge(2, COMMIT)
        assert project().merged(COMMIT, "main") == (2, "b" * 40)
        assert project().merged(COMMIT, "other") is None

    @pytest.mark.parametrize(
        ("policy", "protected"),
        [
            ({}, True),
            ({"isEnabled": False}, False),
            ({"isBlocking": False}, False),
            ({"isDeleted": True}, False),
            ({"ref": "refs/heads/other"}, False),
            ({"settings": {"scope": [{"refName": None, "matchKind": "DefaultBranch", "repositoryId": None}]}}, True),
            ({"settings": {"scope": [{"repositoryId": None}]}}, False),  # such as a limit of a file's size
            ({"settings": {}}, False),
        ],
    )
    def test_a_branch_is_protected_by_a_policy(
        self, policy: dict[str, object], protected: bool, devops: DevOps
    ) -> None:
        scope = {"refName": "refs/heads/main", "matchKind": "Exact", "repositoryId": None}
        own = {"ref": "refs/heads/main", "isEnabled": True, "isBlocking": True, "settings": {"scope": [scope]}}
        devops.policies.append({**own, **policy})
        assert project().protected("main") is protected


def test_what_no_pipeline_may_read_is_not_verified(devops: DevOps) -> None:
    found = project().settings([A])
    assert {one.right for one in found} == {None}
    assert [one.what for one in found] == [
        "tokens are kept apart",
        "reconciler-fleet has the check Exclusive Lock",
        "reconciler-fleet has the check Branch control",
    ]
    assert all(one.why for one in found)


class TestMarks:
    def test_a_mark_is_a_tag_that_names_the_commit(self, devops: DevOps) -> None:
        project().mark(COMMIT, MARK, f"apply ended with exit code 5, sealed {SEAL}", "url")
        assert devops.runs[40]["tags"] == [f"reconciler-applied.{A}.embedded.5.{COMMIT}.{SEAL}", "reconciler-applied"]
        assert project().marks(COMMIT) == {MARK: f"apply ended with exit code 5, sealed {SEAL}"}
        assert project().marks(OLDER) == {}
        other = f"reconciler/applied: {B} edge"
        assert project().applied([COMMIT, OLDER], [MARK, other]) == {MARK: COMMIT}

    def test_the_first_of_the_commits_counts(self, devops: DevOps) -> None:
        tags = [f"reconciler-applied.{A}.embedded.0.{commit}.{SEAL}" for commit in (COMMIT, OLDER)]
        devops.run(41, tags=("reconciler-applied", tags[1]))
        devops.run(42, tags=("reconciler-applied", tags[0]))
        devops.run(43, tags=("reconciler-applied", tags[1]))
        assert project().applied([COMMIT, OLDER], [MARK]) == {MARK: COMMIT}
        assert project().applied([OLDER], [MARK]) == {MARK: OLDER}

    @pytest.mark.parametrize("ref", ["refs/pull/3/merge", "refs/heads/other", "refs/tags/main"])
    def test_a_mark_on_a_run_for_anything_else_is_none(self, ref: str, devops: DevOps) -> None:
        devops.run(41, ref=ref, tags=("reconciler-applied", f"reconciler-applied.{A}.embedded.0.{COMMIT}.{SEAL}"))
        assert project().applied([COMMIT], [MARK]) == {}
        assert project().marks(COMMIT) == {}

    def test_the_step_marks_what_ended_once(self, devops: DevOps, job: Path) -> None:
        for application, code in ((A, 0), (B, 3)):
            folder = job / "results" / application
            folder.mkdir(parents=True)
            note = {"application": application, "kind": "embedded", "commit": COMMIT, "code": code, "seal": SEAL}
            (folder / "applied.json").write_text(json.dumps(note))
        for _ in range(2):
            assert run_here("ci", "mark", "--results", "results").code == 0
        assert project().marks(COMMIT) == {MARK: f"apply ended with exit code 0, sealed {SEAL}"}
        assert len(devops.writes()) == 2


class TestComment:
    @pytest.fixture(autouse=True)
    def review(self, devops: DevOps, monkeypatch: pytest.MonkeyPatch) -> None:
        devops.open_pull(7, head=COMMIT)
        for name, value in REVIEW.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("reconciler.ci.reports.show", lambda file, commit, max_bytes: "the plan")

    def write(self, *reports: Report) -> Ended:
        for made in reports:
            home = Path("reports") / f"{made.application}"
            home.mkdir(parents=True, exist_ok=True)
            replace(made, folder=home).save()
        return run_here("ci", "comment", "--applications", "1", "--reports", "reports")

    def test_a_thread_follows_and_is_closed_where_there_is_nothing_to_say(self, devops: DevOps) -> None:
        assert self.write(one()).code == 0
        (thread,) = devops.threads.values()
        assert thread["status"] == "active"
        assert "Plan: 1 to add" in thread["comments"][0]["content"]
        assert self.write(one(code=0, changes=0)).code == 0
        (thread,) = devops.threads.values()
        assert thread["status"] == "closed"
        assert "**No changes.**" in thread["comments"][0]["content"]
        assert self.write(one(code=1)).code == 0
        assert [thread["status"] for thread in devops.threads.values()] == ["active"]

    def test_a_thread_of_somebody_else_or_a_deleted_one_is_left_alone(self, devops: DevOps) -> None:
        line = Review("manifests", COMMIT, {}).line()
        devops.thread(7, line, author=MALLORY)
        devops.thread(7, line, isDeleted=True)
        devops.thread(7, "")["comments"][0] |= {"isDeleted": True, "content": None}
        devops.thread(7, "talk", author=MALLORY)["comments"].append(
            {"id": 2, "content": line, "author": MALLORY, "isDeleted": False}
        )
        assert find_comment(project(), 7, "manifests") is None
        assert self.write(one()).code == 0
        assert len(devops.threads) == 5
        assert [line.split()[0] for line in devops.writes()] == ["POST"]

    def test_a_thread_that_is_deleted_meanwhile_is_written_again(self, devops: DevOps) -> None:
        assert self.write(one()).code == 0
        devops.troubles.append(Trouble("PATCH .*", 404, "{}", before=devops.threads.clear))
        assert self.write(one()).code == 0
        assert len(devops.contents(7)) == 1

    @pytest.mark.parametrize("status", [0, 409, 502])
    def test_a_write_of_unknown_outcome_makes_no_second_thread(
        self, status: int, devops: DevOps, pauses: list[float]
    ) -> None:
        devops.troubles.append(Trouble("POST .*threads", status, acts=True))
        assert self.write(one()).code == 0
        assert len(devops.contents(7)) == 1
        devops.threads.clear()
        devops.troubles.append(Trouble("POST .*threads", status))
        assert self.write(one()).code == 0
        assert len(devops.contents(7)) == 1

    def test_a_run_that_is_late_leaves_the_newer_thread(self, devops: DevOps) -> None:
        devops.pulls[7]["lastMergeSourceCommit"]["commitId"] = OLDER
        assert self.write(one()).code == 0
        assert devops.writes() == []

    def test_what_was_written_is_read_back_after_the_merge(self, devops: DevOps) -> None:
        assert self.write(one()).code == 0
        (text,) = devops.contents(7)
        read = read_review(Post(1, text))
        assert read is not None
        assert (read.commit, read.complete) == (COMMIT, True)


class TestDrift:
    def tell(self, made: Report, monkeypatch: pytest.MonkeyPatch) -> Ended:
        home = Path("reports") / "one"
        home.mkdir(parents=True, exist_ok=True)
        replace(made, folder=home).save()
        monkeypatch.setattr("reconciler.ci.reports.show", lambda file, commit, max_bytes: "<b>the plan</b>")
        return run_here("ci", "drift", "--applications", "1", "--reports", "reports")

    def test_one_work_item_is_opened_followed_and_closed(self, devops: DevOps, monkeypatch: pytest.MonkeyPatch) -> None:
        for count in (1, 2):
            assert self.tell(one(changes=count), monkeypatch).code == 1
            (item,) = devops.items.values()
            assert f"Plan: {count} to add" in item["fields"]["System.Description"]
        fields = item["fields"]
        assert fields["System.Title"] == "Drift: Losant is not as manifests says"
        assert "&lt;b&gt;the plan" in fields["System.Description"]
        assert self.tell(one(code=0, changes=0), monkeypatch).code == 0
        assert fields["System.State"] == "Done"
        assert "The drift is gone" in fields["System.History"]
        assert self.tell(one(), monkeypatch).code == 1
        assert len(devops.items) == 2

    @pytest.mark.parametrize("form", ["<div>{}</div><div>more</div>", "{}<br>more", "<pre>{}\nmore</pre>"])
    def test_it_is_found_however_the_editor_kept_it(self, form: str, devops: DevOps) -> None:
        line = first_line("manifests").replace("<", "&lt;").replace(">", "&gt;")
        item = devops.item(form.format(line))
        devops.item(form.format(line), author=MALLORY)
        (found,) = project().issues()
        assert (found.id, found.first_line) == (item["id"], first_line("manifests"))

    @pytest.mark.parametrize("permission", [{}, {"work": "read"}])
    def test_where_none_may_be_written_the_failed_run_tells(
        self, permission: dict[str, str], devops: DevOps, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SYSTEM_ACCESSTOKEN", devops.token({**permission, "code": "write", "build": "write"}))
        ended = self.tell(one(), monkeypatch)
        assert ended.code == 1
        assert "or closed to this job, so only this run reports drift" in ended.out
        assert "1 applications have drifted" in ended.out
        assert devops.items == {}

    def test_a_project_without_boards_has_the_run(self, devops: DevOps, monkeypatch: pytest.MonkeyPatch) -> None:
        devops.troubles.append(Trouble("GET wit/.*", 404, "{}"))
        assert "so only this run reports drift" in self.tell(one(), monkeypatch).out

    @pytest.mark.parametrize("status", [0, 409, 502])
    def test_trouble_makes_no_second_item_and_none_that_stays_open(
        self, status: int, devops: DevOps, pauses: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        devops.troubles.append(Trouble(r"POST wit/workitems/.*", status, acts=True))
        assert self.tell(one(), monkeypatch).code == 1
        assert len(devops.items) == 1
        devops.troubles.append(Trouble("PATCH .*", status))
        assert self.tell(one(code=0, changes=0), monkeypatch).code == 0
        (item,) = devops.items.values()
        assert item["fields"]["System.State"] == "Done"

    def test_an_item_that_is_deleted_meanwhile_is_opened_again(
        self, devops: DevOps, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert self.tell(one(), monkeypatch).code == 1
        devops.troubles.append(Trouble("PATCH .*", 404, "{}", before=devops.items.clear))
        assert self.tell(one(), monkeypatch).code == 1
        assert len(devops.items) == 1

    def test_more_items_than_one_request_takes(self, devops: DevOps) -> None:
        for _ in range(250):
            devops.item("talk")
        assert len(list(project().issues())) == 250
        assert GIT not in "".join(devops.log)
