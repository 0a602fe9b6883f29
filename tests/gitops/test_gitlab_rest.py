"""The steps that read and write at GitLab: one note and one issue, whatever happens to requests and posts."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from reconciler.api.http.credentials import VARIABLE
from reconciler.ci.comment import Review, find_comment, read_review
from reconciler.ci.drift import first_line
from reconciler.ci.marks import Applied
from reconciler.ci.provider import PAUSES_S, Merged, Post
from reconciler.ci.providers.gitlab import FORGE_TOKEN, GitLab
from reconciler.ci.providers.gitlab_rest import Project
from reconciler.ci.reports import Report
from reconciler.ci.stopped import Stopped
from reconciler.errors import Problem, ReconcilerError, UsageError
from tests.gitops.runner.lab import (
    DEVELOPER,
    MAINTAINER,
    MALLORY,
    MARKER,
    PROJECT_ID,
    REPORTER,
    US,
    Lab,
    serve_lab,
)
from tests.gitops.runner.reports import in_sync, one
from tests.gitops.runner.standin import Trouble
from tests.support.cli import Ended, run_here

A, C = "0" * 24, "c" * 24
MARK = f"reconciler/applied: {A} embedded"
SEAL = "5ea1" * 8
SHA = "c" * 40


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    with serve_lab() as lab:
        variables = {
            "GITLAB_CI": "true",
            "CI_API_V4_URL": lab.url,
            "CI_COMMIT_BRANCH": "main",
            "CI_DEFAULT_BRANCH": "main",
            "CI_PIPELINE_SOURCE": "schedule",
            "CI_PIPELINE_URL": "https://gitlab.example/acme/fleet/-/pipelines/7",
            "CI_PROJECT_DIR": str(tmp_path),
            "CI_PROJECT_ID": str(PROJECT_ID),
            "RECONCILER_FORGE_TOKEN": lab.token(),
        }
        monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        yield lab


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made, without making them."""
    made: list[float] = []
    monkeypatch.setattr(time, "sleep", made.append)
    return made


def project() -> Project:
    forge = GitLab(os.environ, print).forge()
    assert isinstance(forge, Project)
    return forge


class TestRest:
    def test_listings_are_read_to_their_end(self, lab: Lab) -> None:
        line = Review("manifests", "c", {}).line()
        for number in range(25_000):  # 250 pages
            lab.note(1, line if number == 24_999 else "talk")
        found = find_comment(project(), 1, "manifests")
        assert found is not None
        assert lab.notes[found[0].id]["body"] == line

    def test_a_token_that_only_reads_is_told_what_it_needs(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RECONCILER_FORGE_TOKEN", lab.token(scope="read_api"))
        with pytest.raises(ReconcilerError, match="returned 403 for POST issues; RECONCILER_FORGE_TOKEN has to be"):
            project().write_issue("x", "y", None)
        monkeypatch.setenv("RECONCILER_FORGE_TOKEN", lab.token(role=REPORTER))
        with pytest.raises(
            ReconcilerError, match=f"returned 403 for POST statuses/{SHA}; .* RECONCILER_MARK_TOKEN has"
        ):
            project().mark(SHA, MARK, "x", "https://gitlab.example")

    @pytest.mark.parametrize("may", ["nothing", "merge", "maintain"])
    def test_a_commit_of_a_protected_branch_is_marked_by_who_may_merge_to_it(
        self, may: str, lab: Lab, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The role Developer alone does not suffice: a status updates the pipeline of the branch."""
        lab.may_merge = {MARKER} if may == "merge" else set()
        role = MAINTAINER if may == "maintain" else DEVELOPER
        monkeypatch.setenv("RECONCILER_MARK_TOKEN", lab.token(user=MARKER, role=role))
        if may == "nothing":
            with pytest.raises(ReconcilerError, match="the branch allows to merge, or with the role Maintainer"):
                project().mark(SHA, MARK, "x", "https://gitlab.example")
            return
        project().mark(SHA, MARK, "x", "https://gitlab.example")
        assert project().marks(SHA) == {MARK: "x"}
        monkeypatch.setenv("RECONCILER_MARK_TOKEN", "")
        assert project().marks(SHA) == {}, "they are of another user"

    @pytest.mark.parametrize(("role", "status"), [(0, 404), (None, 401)])
    def test_a_token_of_another_project_and_one_that_is_revoked(
        self, role: int | None, status: int, lab: Lab, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        token = lab.token(role=role) if role is not None else "glpat-revoked"
        monkeypatch.setenv("RECONCILER_FORGE_TOKEN", token)
        with pytest.raises(ReconcilerError, match=f"GitLab returned {status} for GET ") as caught:
            project().head(1)
        assert token not in str(caught.value)
        assert ("RECONCILER_FORGE_TOKEN is not valid, or has expired" in str(caught.value)) is (status == 401)

    def test_no_token_is_told_with_the_place_to_put_it(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RECONCILER_FORGE_TOKEN", "")
        with pytest.raises(UsageError, match=r"RECONCILER_FORGE_TOKEN is not set .*reconciler-forge"):
            project()

    @pytest.mark.parametrize(
        "trouble",
        [
            Trouble("GET merge.*"),
            Trouble("GET merge.*", 500),
            Trouble("GET merge.*", 502),
            Trouble("GET merge.*", 409, '{"message": "409 Conflict"}'),
            Trouble("GET merge.*", 429, "Retry later", headers={"Retry-After": "1"}),
            Trouble("GET merge.*", 403, headers={"Retry-After": "1"}),
            Trouble("GET merge.*", 200),
            Trouble("GET merge.*", 200, '{"message": "try again"}'),
        ],
        ids=["cut", "500", "502", "409", "429", "rate", "html", "object"],
    )
    def test_what_may_pass_is_asked_again(self, trouble: Trouble, lab: Lab, pauses: list[float]) -> None:
        lab.note(1, Review("manifests", "c", {}).line())
        lab.troubles += [trouble, trouble]
        assert find_comment(project(), 1, "manifests") is not None
        assert pauses == [1, 5]
        lab.troubles += [trouble] * 4
        with pytest.raises(ReconcilerError):
            find_comment(project(), 1, "manifests")

    def test_no_answer_is_told(self, lab: Lab, pauses: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CI_API_V4_URL", "http://127.0.0.1:9/api/v4")
        ended = run_here("ci", "drift", "--reports", str(in_sync()), "--applications", "1")
        assert ended.code == 1
        assert "error: no usable response from GitLab to GET" in ended.out
        assert pauses == list(PAUSES_S)

    def test_a_redirect_is_followed_without_the_token(self, lab: Lab) -> None:
        with serve_lab() as other:
            other.token()
            moved = {"Location": f"{other.url}/projects/{PROJECT_ID}/merge_requests/1"}
            lab.troubles.append(Trouble("GET merge_requests/1", 302, headers=moved))
            with pytest.raises(ReconcilerError, match="GitLab returned 401 for GET merge_requests/1"):
                project().head(1)
            assert other.authorizations == [""]

    @pytest.mark.parametrize("how", ["merge_commit_sha", "squash_commit_sha", "sha"])
    def test_the_merge_request_of_a_commit(self, how: str, lab: Lab) -> None:
        lab.open_request(3, head="a" * 40)
        lab.open_request(4, head="b" * 40, target="other")
        lab.merge(3, SHA, how=how)
        lab.merge(4, SHA)
        lab.commits[SHA] = [4, 3]
        assert project().merged(SHA, "main") == Merged(3, SHA if how == "sha" else "a" * 40)
        assert project().merged("d" * 40, "main") is None

    def test_what_is_open_was_not_merged(self, lab: Lab) -> None:
        lab.open_request(3, head=SHA)
        lab.commits[SHA] = [3]
        assert project().merged(SHA, "main") is None

    def test_protection(self, lab: Lab) -> None:
        assert project().protected("main")
        assert not project().protected("other")


class TestNotes:
    def write(self, monkeypatch: pytest.MonkeyPatch, *, head: str) -> Ended:
        """The comment's step, for a pipeline that planned this head of the merge request."""
        about = {
            "CI_COMMIT_SHA": head,
            "CI_MERGE_REQUEST_DIFF_BASE_SHA": "base",
            "CI_MERGE_REQUEST_IID": "1",
            "CI_MERGE_REQUEST_PROJECT_ID": str(PROJECT_ID),
            "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": str(PROJECT_ID),
            "CI_PIPELINE_SOURCE": "parent_pipeline",
            "RECONCILER_PIPELINE_SOURCE": "merge_request_event",
        }
        for name, value in about.items():
            monkeypatch.setenv(name, value)
        return run_here("ci", "comment", "--path", "manifests", "--reports", "reports")

    def test_one_is_kept_up_to_date_and_a_late_run_leaves_the_newer_one(
        self, lab: Lab, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lab.open_request(1, head="older")
        assert self.write(monkeypatch, head="older").code == 0
        lab.requests[1]["sha"] = "newer"
        assert self.write(monkeypatch, head="newer").code == 0
        assert self.write(monkeypatch, head="older").code == 0
        (body,) = lab.bodies(1)
        read = read_review(Post(1, body))
        assert read is not None
        assert read.commit == "newer"
        assert [line.split()[0] for line in lab.writes()] == ["POST", "PUT"]

    def test_one_that_is_deleted_meanwhile_is_written_again(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        lab.open_request(1, head="c")
        assert self.write(monkeypatch, head="c").code == 0
        lab.troubles.append(Trouble("PUT .*", 404, "{}", before=lab.notes.clear))
        assert self.write(monkeypatch, head="c").code == 0
        assert len(lab.bodies(1)) == 1

    @pytest.mark.parametrize("status", [0, 409, 429, 502])
    def test_a_write_of_unknown_outcome_makes_no_second_note(
        self, status: int, lab: Lab, pauses: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lab.open_request(1, head="c")
        lab.troubles.append(Trouble("POST .*", status, acts=True, headers={"Retry-After": "1"}))
        assert self.write(monkeypatch, head="c").code == 0
        assert len(lab.bodies(1)) == 1
        assert [line.split()[0] for line in lab.writes()] == ["POST", "PUT"]

    def test_those_of_others_with_our_mark_are_left_alone(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        lab.open_request(1, head="c")
        forged = Review("manifests", "c", {}).line()
        lab.note(1, forged, user=MALLORY)
        lab.note(1, forged, user=None)  # the account is gone
        lab.note(1, forged, system=True)
        assert self.write(monkeypatch, head="c").code == 0
        assert [one["body"] for one in lab.notes.values()][:3] == [forged] * 3
        assert len(lab.notes) == 4

    def test_no_line_is_a_quick_action(self, lab: Lab) -> None:
        lab.open_request(1, head="c")
        project().write_comment(1, "<!-- x -->\n/merge\n  /close\na /label b\n1 / 2", None)
        assert lab.bodies(1) == ["<!-- x -->\n&#47;merge\n  &#47;close\na /label b\n1 / 2"]


class TestDrift:
    def tell(self, folder: Path, monkeypatch: pytest.MonkeyPatch, report: Report, *, expected: int = 1) -> Ended:
        home = folder / "reports" / "one"
        home.mkdir(parents=True, exist_ok=True)
        replace(report, folder=home).save()
        monkeypatch.setattr("reconciler.ci.reports.show", lambda file, commit, max_bytes: "the plan")
        return run_here("ci", "drift", "--path", "manifests", "--applications", str(expected), "--reports", "reports")

    def test_it_opens_follows_and_closes(self, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for _ in range(2):
            assert self.tell(tmp_path, monkeypatch, one()).code == 1
        (issue,) = lab.issues.values()
        assert (issue["state"], issue["title"]) == ("opened", "Drift: Losant is not as manifests says")
        assert self.tell(tmp_path, monkeypatch, one(code=0, changes=0), expected=2).code == 1
        assert issue["state"] == "opened"  # a job was lost
        assert self.tell(tmp_path, monkeypatch, one(code=0, changes=0)).code == 0
        assert issue["state"] == "closed"
        assert "The drift is gone" in lab.bodies(issue["iid"])[0]

    def test_a_stopped_rollout_has_the_same_issue(
        self, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        waits = Stopped("all", "careful", Problem("two devices failed", hint="revert"))
        assert self.tell(tmp_path, monkeypatch, one()).code == 1
        assert self.tell(tmp_path, monkeypatch, one(code=7, changes=0, stopped=(waits,))).code == 1
        (issue,) = lab.issues.values()
        assert issue["title"] == "Stopped: a rollout of manifests waits for somebody"

    def test_issues_of_others_are_left_alone(self, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        lab.issues[5] = {
            "iid": 5,
            "state": "opened",
            "author": {"id": MALLORY},
            "description": first_line("manifests"),
        }
        assert self.tell(tmp_path, monkeypatch, one(code=0, changes=0)).code == 0
        assert lab.writes() == []

    def test_one_that_is_deleted_meanwhile_is_opened_again(
        self, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert self.tell(tmp_path, monkeypatch, one()).code == 1
        lab.troubles.append(Trouble("PUT .*", 404, "{}", before=lab.issues.clear))
        assert self.tell(tmp_path, monkeypatch, one()).code == 1
        assert len(lab.issues) == 1

    def test_where_issues_are_disabled_the_run_reports_it(
        self, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lab.issues_access_level = "disabled"
        ended = self.tell(tmp_path, monkeypatch, one())
        assert ended.code == 1
        assert "warning: issues are disabled in this repository" in ended.out
        assert lab.writes() == []


class TestMarks:
    @pytest.fixture(autouse=True)
    def may_merge(self, lab: Lab) -> None:
        lab.may_merge.add(US)

    def mark(self, folder: Path, code: int) -> Ended:
        (folder / "results/one").mkdir(parents=True, exist_ok=True)
        Applied(A, "embedded", SHA, code, SEAL).save(folder / "results/one")
        return run_here("ci", "mark", "--results", "results")

    def test_what_ended_is_marked_once(self, lab: Lab, tmp_path: Path) -> None:
        for _ in range(2):
            assert self.mark(tmp_path, 0).code == 0
        assert project().marks(SHA) == {MARK: f"apply ended with exit code 0, sealed {SEAL}"}
        assert lab.writes() == [f"POST statuses/{SHA}"]
        assert self.mark(tmp_path, 7).code == 0
        assert project().marks(SHA) == {MARK: f"apply ended with exit code 7, sealed {SEAL}"}

    def test_what_did_not_end_is_not(self, lab: Lab, tmp_path: Path) -> None:
        assert self.mark(tmp_path, 4).code == 0
        assert lab.writes() == []

    def test_those_of_others_do_not_count_and_hide_nothing(self, lab: Lab) -> None:
        lab.mark(SHA, MARK, user=MALLORY)
        assert project().marks(SHA) == {}
        lab.mark(SHA, MARK)
        lab.mark(SHA, MARK, status="failed", user=MALLORY)
        assert project().marks(SHA) == {MARK: ""}
        assert project().applied(["e" * 40, SHA], [MARK, "another"]) == {MARK: SHA}
        lab.mark(SHA, MARK, status="failed")
        assert project().marks(SHA) == {}

    def test_a_conflict_is_tried_again(self, lab: Lab, tmp_path: Path, pauses: list[float]) -> None:
        lab.troubles.append(Trouble("POST statuses/.*", 409, "{}"))
        assert self.mark(tmp_path, 0).code == 0
        assert pauses == [1]
        assert lab.statuses[SHA][0]["author"] == {"id": US}


def kept(key: str, scope: str, *, protected: bool = False, masked: bool = True) -> dict[str, object]:
    return {"key": key, "environment_scope": scope, "protected": protected, "masked": masked}


class TestKept:
    """Which jobs get which token, as the project's variables say."""

    APART: ClassVar = (
        kept("LOSANT_API_TOKEN", "reconciler-fleet", protected=True),
        kept("LOSANT_API_TOKEN", "reconciler-fleet*"),
        kept("RECONCILER_FORGE_TOKEN", "reconciler-forge"),
        kept("RECONCILER_MARK_TOKEN", "reconciler-forge", protected=True),
        kept("OTHER", "*", masked=False),
    )

    @pytest.fixture(autouse=True)
    def maintainer(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RECONCILER_FORGE_TOKEN", lab.token(role=MAINTAINER))
        lab.protect_merge_request_pipelines = False
        lab.ci_pipeline_variables_minimum_override_role = "maintainer"

    @pytest.mark.parametrize("own", ["", f"_{A}", f"_{C.upper()}"])
    def test_tokens_that_are_kept_apart(self, own: str, lab: Lab) -> None:
        lab.variables[:] = [
            one | {"key": str(one["key"]).replace("API_TOKEN", f"API_TOKEN{own}")} for one in self.APART
        ]
        found = project().settings([C if own.lower().endswith(C) else A])
        assert [(one.what, one.right, one.why) for one in found] == [
            ("tokens are kept apart", True, ""),
            ("protected variables are kept from merge requests", True, ""),
            ("a pipeline by hand may get variables", True, ""),
            (
                "variables of groups and of the instance",
                None,
                f"a project does not show them; see that none of them is named {VARIABLE} or {FORGE_TOKEN}",
            ),
        ]

    @pytest.mark.parametrize(
        ("number", "wrong", "told"),
        [
            (0, kept("LOSANT_API_TOKEN", "reconciler-fleet"), "LOSANT_API_TOKEN of reconciler-fleet is not protected"),
            (
                0,
                kept("LOSANT_API_TOKEN", "reconciler-fleet*"),
                "no LOSANT_API_TOKEN of reconciler-fleet, protected for",
            ),
            (
                1,
                kept("LOSANT_API_TOKEN", "reconciler-fleet", protected=True),
                "no LOSANT_API_TOKEN of reconciler-fleet*",
            ),
            (4, kept("LOSANT_API_TOKENS", "reconciler-fleet", protected=True), "LOSANT_API_TOKENS is read by no job"),
            (4, kept("LOSANT_API_TOKEN_A", "*"), "LOSANT_API_TOKEN_A of * is to be of reconciler-fleet"),
            (
                4,
                kept(f"LOSANT_API_TOKEN_{A}", "reconciler-fleet*"),
                f"no LOSANT_API_TOKEN_{A} of reconciler-fleet, prot",
            ),
            (2, kept("RECONCILER_FORGE_TOKEN", "*"), "RECONCILER_FORGE_TOKEN of * is to be of reconciler-forge"),
            (2, kept("RECONCILER_FORGE_TOKEN", "reconciler-forge", masked=False), "is not masked"),
            (2, kept("MINE", "*"), "no variable RECONCILER_FORGE_TOKEN"),
            (
                3,
                kept("RECONCILER_MARK_TOKEN", "reconciler-forge"),
                "RECONCILER_MARK_TOKEN of reconciler-forge is not prot",
            ),
            (3, kept("MINE", "*"), "no variable RECONCILER_MARK_TOKEN"),
            (1, kept("LOSANT_API_TOKEN", "reconciler-fleet*", protected=True), "merge requests do not get it"),
            (
                2,
                kept("RECONCILER_FORGE_TOKEN", "reconciler-forge", protected=True),
                "RECONCILER_FORGE_TOKEN of reconciler-forge is protected: merge requests do not get it",
            ),
            (
                2,
                kept("RECONCILER_FORGE_TOKEN", "reconciler-forge") | {"variable_type": "file"},
                "is of the type File",
            ),
        ],
    )
    def test_each_that_is_not_is_told(self, lab: Lab, number: int, wrong: dict[str, object], told: str) -> None:
        lab.variables[:] = [*self.APART[:number], wrong, *self.APART[number + 1 :]]
        apart, *_ = project().settings([A])
        assert (apart.right, apart.why.count("; ")) == (False, 0), apart.why
        assert told in apart.why

    @pytest.mark.parametrize("key", [f"LOSANT_API_TOKEN_{C}", "LOSANT_API_TOKENS"])
    def test_the_token_of_another_application_is_none(self, key: str, lab: Lab) -> None:
        named = [one | {"key": key} if str(one["key"]).startswith("LOSANT") else one for one in self.APART]
        lab.variables[:] = named
        apart, *_ = project().settings([A])
        assert apart.right is False
        assert f"no variable LOSANT_API_TOKEN_{A} or LOSANT_API_TOKEN" in apart.why

    @pytest.mark.parametrize(("given", "right"), [(True, False), (False, True), (None, None)])
    def test_whether_merge_requests_get_what_is_protected(
        self, given: bool | None, right: bool | None, lab: Lab
    ) -> None:
        lab.protect_merge_request_pipelines = given
        _, found, *_ = project().settings([A])
        assert found.right is right
        assert ("Allow merge request pipelines to access protected variables and runners" in found.why) is (not right)

    def test_where_no_pipeline_may_get_variables_none_can_apply_by_hand(self, lab: Lab) -> None:
        lab.ci_pipeline_variables_minimum_override_role = "no_one_allowed"
        *_, found, _ = project().settings([A])
        assert found.right is False
        assert "Settings > CI/CD > Variables > Minimum role to use pipeline variables" in found.why

    def test_a_role_that_may_not_read_them_is_no_verdict(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RECONCILER_FORGE_TOKEN", lab.token())
        apart, requests, by_hand, _ = project().settings([A])
        assert (apart.right, requests.right, by_hand.right) == (None, None, None)
        told = "GitLab returned 403 for GET variables; only the role Maintainer may read where variables are kept"
        assert apart.why == told
