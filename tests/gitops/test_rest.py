"""The steps that read and write at GitHub: one comment and one issue, whatever happens to requests and posts."""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from reconciler.ci.comment import Review, find_comment, read_review
from reconciler.ci.drift import first_line
from reconciler.ci.provider import PAUSES_S, Post
from reconciler.ci.providers import rest
from reconciler.ci.providers.github import GitHub
from reconciler.ci.providers.github_rest import Repository
from reconciler.ci.reports import Report
from reconciler.errors import ReconcilerError
from tests.gitops.runner.hub import BOT, REPOSITORY, Hub, serve_hub
from tests.gitops.runner.reports import in_sync, one
from tests.gitops.runner.standin import Trouble
from tests.support.cli import Ended, run_here


def repository() -> Repository:
    """As a step opens it, with a log that goes to stdout."""
    forge = GitHub(os.environ, print).forge()
    assert isinstance(forge, Repository)
    return forge


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made, without making them."""
    made: list[float] = []
    monkeypatch.setattr(time, "sleep", made.append)
    return made


class TestRest:
    def test_listings_are_read_to_their_end(self, hub: Hub) -> None:
        hub.open_pull(1, head="c")
        line = Review("manifests", "c", {}).line()
        for number in range(25_000):  # 250 pages
            hub.comment(1, line if number == 24_999 else "talk")
        found = find_comment(repository(), 1, "manifests")
        assert found is not None
        assert hub.comments[found[0].id]["body"] == line

    def test_a_refusal_names_what_to_look_at(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GITHUB_TOKEN", hub.token({}))
        with pytest.raises(
            ReconcilerError, match="GitHub returned 403 for POST issues; check that the calling job grants"
        ):
            repository().write_issue("x", "y", None)

    def test_no_answer_is_told(
        self,
        job_files: Path,
        pauses: list[float],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("GITHUB_API_URL", "http://127.0.0.1:9")
        monkeypatch.setenv("GITHUB_TOKEN", "t")
        ended = run_here("ci", "drift", "--reports", str(in_sync()), "--applications", "1")
        assert ended.code == 1
        assert "::error::no usable response from GitHub to GET issues" in ended.out
        assert pauses == list(PAUSES_S)

    @pytest.mark.parametrize(
        "trouble",
        [
            Trouble("GET .*"),
            Trouble("GET .*", 500),
            Trouble("GET .*", 502),
            Trouble("GET .*", 409, "{}"),
            Trouble("GET .*", 429),
            Trouble("GET .*", 403, headers={"Retry-After": "1"}),
            Trouble("GET .*", 200),
            Trouble("GET .*", 200, '{"message": "try again"}'),
            Trouble("GET .*", 200, "[", headers={"X": "y"}),
        ],
        ids=["cut", "500", "502", "409", "429", "rate", "html", "object", "half"],
    )
    def test_what_may_pass_is_asked_again(self, trouble: Trouble, hub: Hub, pauses: list[float]) -> None:
        hub.open_pull(1, head="c")
        hub.comment(1, Review("manifests", "c", {}).line())
        hub.troubles += [trouble, trouble]
        assert find_comment(repository(), 1, "manifests") is not None
        assert pauses == [1, 5]
        hub.troubles += [trouble] * 4
        with pytest.raises(ReconcilerError):
            find_comment(repository(), 1, "manifests")

    def test_an_answer_that_does_not_come_is_waited_for_no_longer_than_that(
        self, hub: Hub, pauses: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rest, "TIMEOUT_S", 0.05)
        hub.troubles += [Trouble("GET .*", before=lambda: threading.Event().wait(0.2))] * 4
        with pytest.raises(ReconcilerError, match="timed out"):
            list(repository().issues())

    def test_what_a_strange_server_says_is_no_command(
        self,
        hub: Hub,
        pauses: list[float],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise httpx.ConnectError("x\n::set-output name=apply::true")

        monkeypatch.setattr(httpx.HTTPTransport, "handle_request", fail)
        ended = run_here("ci", "drift", "--reports", str(in_sync()), "--applications", "1")
        assert ended.code == 1
        lines = ended.out.splitlines()
        assert len(lines) == 4
        assert not [line for line in lines if line.startswith("::set-output")]

    @pytest.mark.parametrize("token", ["ghs_a-token-of-some-length\n::set-output", "ghs_a-token-of-some-length-é"])
    def test_a_token_that_cannot_be_sent_is_not_told(
        self, token: str, hub: Hub, pauses: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GITHUB_TOKEN", token)
        ended = run_here("ci", "drift", "--reports", str(in_sync()), "--applications", "1")
        assert ended.code == 1
        assert "a-token-of" not in ended.out + ended.err
        assert "bug" not in ended.out + ended.err

    def test_a_token_may_end_in_a_newline(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GITHUB_TOKEN", os.environ["GITHUB_TOKEN"] + "\n")
        assert list(repository().issues()) == []

    def test_the_variables_for_proxies_are_read_as_by_every_command(
        self, job_files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GITHUB_API_URL", "https://api.github.example")
        monkeypatch.setenv("GITHUB_TOKEN", "t")
        monkeypatch.setenv("HTTPS_PROXY", "http://user:s3cr/et@h")
        ended = run_here("ci", "drift", "--reports", str(in_sync()), "--applications", "1")
        assert ended.code == 1
        assert "::error::HTTPS_PROXY is not the URL of a proxy" in ended.out
        assert "s3c" not in ended.out + ended.err
        monkeypatch.setenv("NO_PROXY", "[::1],fd00::/8,github.example")
        repository()

    def test_an_answer_is_decoded_only_to_its_bound(
        self, hub: Hub, pauses: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rest, "MAX_BODY", 100)
        for number in range(3):
            hub.issues[number] = {"number": number, "state": "open", "user": BOT, "body": "x" * 50}
        with pytest.raises(ReconcilerError, match="GET issues: the response is larger than"):
            list(repository().issues())

    def test_a_redirect_is_followed_without_the_token(self, hub: Hub) -> None:
        """To another host a read goes on as a stranger; a write does not go on at all."""
        hub.issues[1] = {"number": 1, "state": "open", "user": BOT, "body": "here"}
        with serve_hub() as other:
            seen = other.token({})  # the first token of a hub is spelled like ours
            assert seen == os.environ["GITHUB_TOKEN"]
            moved = {"Location": f"{other.url}/repos/{REPOSITORY}/issues?state=open"}
            hub.troubles.append(Trouble("GET issues", 302, headers=moved))
            with pytest.raises(ReconcilerError, match="GitHub returned 403 for GET issues"):
                list(repository().issues())
            assert other.refused == ["GET issues"]
            assert other.authorizations == [""]
            hub.troubles.append(Trouble("POST issues", 307, headers=moved))
            with pytest.raises(ReconcilerError, match="GitHub returned 307 for POST issues"):
                repository().write_issue("x", "y", None)
            assert other.refused == ["GET issues"]

    def test_a_redirect_to_the_same_host_keeps_the_token(self, hub: Hub) -> None:
        hub.issues[1] = {"number": 1, "state": "open", "user": BOT, "body": "here"}
        moved = {"Location": f"{hub.url}/repos/{REPOSITORY}/issues?state=open"}
        hub.troubles.append(Trouble("GET issues", 301, headers=moved))
        assert list(repository().issues()) == [Post(1, "here")]


class TestWriting:
    def write(self, folder: Path, monkeypatch: pytest.MonkeyPatch, *, head: str) -> Ended:
        """The comment's step, for a run that planned this head of the pull request."""
        event = folder / "event.json"
        about = {"number": 1, "head": {"sha": head, "repo": {"full_name": REPOSITORY}}}
        event.write_text(json.dumps({"pull_request": about}))
        monkeypatch.setenv("GITHUB_EVENT_NAME", "pull_request")
        return run_here("ci", "comment", "--path", "manifests", "--reports", "reports")

    def test_a_run_that_is_late_leaves_the_newer_comment(
        self, hub: Hub, job_files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hub.open_pull(1, head="newer")
        assert self.write(job_files, monkeypatch, head="newer").code == 0
        assert self.write(job_files, monkeypatch, head="older").code == 0
        (body,) = hub.bodies(1)
        read = read_review(Post(1, body))
        assert read is not None
        assert read.commit == "newer"
        assert len(hub.writes()) == 1

    def test_comments_of_two_folders_of_manifests_keep_apart(
        self, hub: Hub, job_files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hub.open_pull(1, head="c")
        hub.comment(1, Review("other", "c", {}).line())
        assert self.write(job_files, monkeypatch, head="c").code == 0
        assert len(hub.bodies(1)) == 2

    def test_a_comment_that_is_deleted_meanwhile_is_written_again(
        self, hub: Hub, job_files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hub.open_pull(1, head="c")
        assert self.write(job_files, monkeypatch, head="c").code == 0
        hub.troubles.append(Trouble("PATCH .*", 404, "{}", before=hub.comments.clear))
        assert self.write(job_files, monkeypatch, head="c").code == 0
        assert len(hub.bodies(1)) == 1

    @pytest.mark.parametrize("status", [0, 502])
    def test_a_write_of_unknown_outcome_makes_no_second_comment(
        self, status: int, hub: Hub, job_files: Path, pauses: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hub.open_pull(1, head="c")
        hub.troubles.append(Trouble("POST .*", status, acts=True))
        assert self.write(job_files, monkeypatch, head="c").code == 0
        assert len(hub.bodies(1)) == 1
        assert [line.split()[0] for line in hub.writes()] == ["POST", "PATCH"]
        hub.comments.clear()
        hub.troubles.append(Trouble("POST .*", status))
        assert self.write(job_files, monkeypatch, head="c").code == 0
        assert len(hub.bodies(1)) == 1

    def test_a_comment_of_another_author_with_our_mark_is_left_alone(
        self, hub: Hub, job_files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hub.open_pull(1, head="c")
        forged = Review("manifests", "c", {}).line()
        for user in ({"login": "mallory", "type": "User"}, {"login": "github-actions", "type": "User"}, None):
            hub.comment(1, forged, user=user)  # type: ignore[arg-type]  # null where the account is gone
        assert self.write(job_files, monkeypatch, head="c").code == 0
        assert hub.bodies(1)[:3] == [forged] * 3
        assert len(hub.bodies(1)) == 4

    def test_a_refusal_ends_the_step_with_a_clear_error(
        self, hub: Hub, job_files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hub.open_pull(1, head="c")
        hub.troubles.append(Trouble("POST .*", 422, "{}"))
        ended = self.write(job_files, monkeypatch, head="c")
        assert ended.code == 1
        assert "::error::GitHub returned 422 for POST issues/1/comments" in ended.out


class TestDrift:
    def tell(self, folder: Path, monkeypatch: pytest.MonkeyPatch, *reports: Report, expected: int = 1) -> Ended:
        for made in reports:
            home = folder / "reports" / f"{made.application}-{made.kind}"
            home.mkdir(parents=True, exist_ok=True)
            replace(made, folder=home).save()
        monkeypatch.setattr("reconciler.ci.reports.show", lambda file, commit, max_bytes: "the plan")
        return run_here("ci", "drift", "--path", "manifests", "--applications", str(expected), "--reports", "reports")

    def test_a_check_that_listed_nothing_leaves_the_issue_open(
        self, hub: Hub, job_files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        repository().write_issue("Drift", first_line("manifests") + "\nold", None)
        ended = self.tell(job_files, monkeypatch, expected=0)
        assert ended.code == 1
        assert "the check listed no applications" in ended.out
        assert [issue["state"] for issue in hub.issues.values()] == ["open"]

    def test_a_refused_plan_is_drift(self, hub: Hub, job_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.tell(job_files, monkeypatch, one(code=3)).code == 1
        (issue,) = hub.issues.values()
        assert "1 refused" in issue["body"]

    def test_a_partial_plan_neither_opens_nor_closes(
        self, hub: Hub, job_files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert self.tell(job_files, monkeypatch, one(partial=True)).code == 1
        assert hub.issues == {}
        assert self.tell(job_files, monkeypatch, one()).code == 1
        assert self.tell(job_files, monkeypatch, one(code=0, changes=0, partial=True)).code == 1
        assert [issue["state"] for issue in hub.issues.values()] == ["open"]

    def test_a_job_that_was_lost_leaves_the_issue_as_it_is(
        self, hub: Hub, job_files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert self.tell(job_files, monkeypatch, one()).code == 1
        assert self.tell(job_files, monkeypatch, one(code=0, changes=0), expected=2).code == 1
        assert [issue["state"] for issue in hub.issues.values()] == ["open"]
        assert self.tell(job_files, monkeypatch, one(code=0, changes=0)).code == 0
        assert [issue["state"] for issue in hub.issues.values()] == ["closed"]

    def test_issues_of_others_are_left_alone(self, hub: Hub, job_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        hub.issues[1] = {
            "number": 1,
            "state": "open",
            "user": {"login": "mallory"},
            "body": first_line("manifests"),
        }
        assert self.tell(job_files, monkeypatch, one(code=0, changes=0)).code == 0
        assert hub.issues[1]["state"] == "open"
        assert hub.writes() == []

    def test_a_pull_request_of_the_bot_is_no_issue(
        self, hub: Hub, job_files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mark = {"user": BOT, "body": first_line("manifests"), "state": "open"}
        hub.issues[1] = {"number": 1, "pull_request": {}, **mark}
        assert self.tell(job_files, monkeypatch, one(code=0, changes=0)).code == 0
        assert hub.writes() == []

    @pytest.mark.parametrize("status", [0, 502])
    def test_trouble_makes_no_second_issue_and_none_that_stays_open(
        self, status: int, hub: Hub, job_files: Path, pauses: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hub.troubles.append(Trouble("POST issues", status, acts=True))
        assert self.tell(job_files, monkeypatch, one()).code == 1
        assert len(hub.issues) == 1
        hub.troubles.append(Trouble("PATCH .*", status))
        assert self.tell(job_files, monkeypatch, one(code=0, changes=0)).code == 0
        (issue,) = hub.issues.values()
        assert issue["state"] == "closed"

    def test_an_issue_that_is_deleted_meanwhile_is_opened_again(
        self, hub: Hub, job_files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert self.tell(job_files, monkeypatch, one()).code == 1
        hub.troubles.append(Trouble("PATCH .*", 410, "{}", before=hub.issues.clear))
        assert self.tell(job_files, monkeypatch, one()).code == 1
        assert len(hub.issues) == 1
        hub.troubles.append(Trouble("PATCH .*", 410, "{}", before=hub.issues.clear))
        assert self.tell(job_files, monkeypatch, one(code=0, changes=0)).code == 0

    def test_a_repository_without_issues_has_the_run(
        self, hub: Hub, job_files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for changes, ending in ((0, 0), (1, 1)):
            hub.troubles.append(Trouble("GET issues", 410, "{}"))
            ended = self.tell(job_files, monkeypatch, one(code=2 * changes, changes=changes))
            assert ended.code == ending
            assert "::warning::issues are disabled in this repository" in ended.out
        assert hub.issues == {}
