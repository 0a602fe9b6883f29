"""The steps one by one: what the scenarios are too coarse or too slow to show."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.ci import command, comment, reports
from reconciler.ci.comment import NO_CHANGES, Review, read_review
from reconciler.ci.decide import Decision, decide
from reconciler.ci.provider import Post
from reconciler.ci.providers.github import GitHub
from reconciler.errors import Problem, ReconcilerError, UsageError
from reconciler.render.inert import inert
from tests.gitops.runner.actions import MOST_JOBS
from tests.gitops.runner.hub import Hub
from tests.gitops.runner.reports import DIGEST, one
from tests.gitops.runner.steps import read_outputs
from tests.hostile import NAMES
from tests.support import processes
from tests.support.cli import run_here
from tests.support.processes import usual_signals
from tests.support.waiting import join, until

A, B = "5f0c8a1b2d3e4f5061728394", "5f0c8a1b2d3e4f5061728395"
HERE = "acme/fleet"


def pull(head: str | None = HERE) -> dict[str, Any]:
    return {"pull_request": {"number": 1, "head": {"sha": "c0ffee", "repo": head and {"full_name": head}}}}


ABOUT = {"repository": {"default_branch": "main"}}
OTHERS = ("issue_comment", "workflow_run", "pull_request_review", "issues", "fork", "discussion", "deployment", "")
MAIN, OTHER = "refs/heads/main", "refs/heads/other"
MAX_BYTES = GitHub.max_bytes


@pytest.fixture
def decided(job_files: Path) -> Any:
    def decided(name: str, event: Any, *, ref: str = MAIN, actor: str = "ada", **inputs: Any) -> Decision:
        (job_files / "event.json").write_text(json.dumps(event))
        given = {"GITHUB_EVENT_NAME": name, "GITHUB_REF": ref, "GITHUB_ACTOR": actor, "GITHUB_REPOSITORY": HERE}
        return decide(GitHub({**os.environ, **given}, print).run(), **inputs)

    return decided


class TestDecide:
    @pytest.mark.parametrize(
        ("name", "event", "options", "apply", "plan"),
        [
            ("pull_request", pull(), {}, False, "review"),
            ("pull_request", pull("stranger/fleet"), {}, False, ""),
            ("pull_request", pull(None), {}, False, ""),
            ("pull_request", pull(), {"actor": "dependabot[bot]"}, False, ""),
            ("pull_request", pull(), {"command": "apply"}, False, "review"),
            ("pull_request", pull(), {"command": "validate"}, False, ""),
            ("push", ABOUT, {}, True, ""),
            ("push", ABOUT, {"ref": OTHER}, False, ""),
            ("push", ABOUT, {"ref": "refs/tags/main"}, False, ""),
            ("push", ABOUT, {"branch": "other"}, False, ""),
            ("push", ABOUT, {"branch": "other", "ref": OTHER}, True, ""),
            ("push", ABOUT, {"command": "plan"}, False, "plan"),
            ("push", ABOUT, {"command": "validate"}, False, ""),
            ("schedule", {}, {}, False, "drift"),
            ("schedule", {}, {"scheduled_apply": True}, True, "drift"),
            ("schedule", {}, {"scheduled_apply": True, "branch": "main"}, True, "drift"),
            ("schedule", {}, {"branch": "other"}, False, "drift"),
            ("workflow_dispatch", ABOUT, {"command": "plan", "ref": OTHER}, False, "plan"),
            ("workflow_dispatch", ABOUT, {"command": "apply"}, True, ""),
            ("workflow_dispatch", ABOUT, {}, False, "plan"),
            ("repository_dispatch", ABOUT, {}, False, "plan"),
            ("merge_group", ABOUT, {"command": "apply"}, False, ""),
            ("merge_group", ABOUT, {"ref": "refs/heads/gh-readonly-queue/main/pr-1-c0ffee"}, False, ""),
        ],
    )
    def test_what_an_event_may_do(
        self, name: str, event: Any, options: dict[str, Any], apply: bool, plan: str, decided: Any
    ) -> None:
        decision = decided(name, event, **options)
        assert (decision.apply, decision.plan) == (apply, plan)

    @pytest.mark.parametrize(
        ("name", "options", "why"),
        [
            ("pull_request_target", {}, "are refused: secrets .*trigger on pull_request, push, schedule, "),
            *(
                (event, {"command": command}, f"runs for the event {event} are refused")
                for event in OTHERS
                for command in ("", "apply")
            ),
            ("workflow_dispatch", {"command": "apply", "ref": OTHER}, "only main is applied"),
            (
                "schedule",
                {"scheduled_apply": True, "branch": "other"},
                "only other is applied, and schedules run for main",
            ),
            ("workflow_dispatch", {"command": "aply"}, "is not validate, plan or apply"),
        ],
    )
    def test_what_it_must_not(self, name: str, options: dict[str, Any], why: str, decided: Any) -> None:
        with pytest.raises(UsageError, match=why):
            decided(name, ABOUT, **options)

    def test_what_the_job_is_not_told_is_an_error_and_no_guess(
        self, job_files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("GITHUB_REF")
        ended = run_here("ci", "decide")
        assert ended.code == 1
        assert "::error::GITHUB_REF is not set (this step is for a job of GitHub Actions)" in ended.out


class TestReview:
    def test_it_reads_back_what_it_wrote(self) -> None:
        written = Review("manifests", "c0ffee", {f"{A} embedded": DIGEST, f"{B} edge": None})
        read = read_review(Post(1, f"{written.line()}\r\n### more --> text"))
        assert read is not None
        assert read == written
        assert read.digest(A, "embedded") == DIGEST
        assert read.digest(B, "edge") == ""
        assert read.digest(B, "embedded") == NO_CHANGES

    def test_silence_promises_nothing_when_it_is_incomplete(self) -> None:
        read = read_review(Post(1, Review("m", "c", {}, complete=False).line()))
        assert read is not None
        assert read.digest(A, "embedded") == ""

    def test_more_digests_than_fit_are_not_promised(self) -> None:
        digests: dict[str, str | None] = {f"{number:024x} embedded": DIGEST for number in range(1000)}
        line = Review("m", "c", digests).line()
        assert len(line) < 40_000
        read = read_review(Post(1, line))
        assert read is not None
        assert not read.complete

    @given(st.text(), st.text())
    def test_no_path_ends_the_line_or_the_html_comment(self, path: str, commit: str) -> None:
        line = Review(path, commit, {}).line()
        assert "\n" not in line
        assert "--" not in line[4:-3]
        assert read_review(Post(1, line)) == Review(path, commit, {})

    @pytest.mark.parametrize(
        "body",
        [
            "",
            "LGTM",
            "<!-- reconciler {} -->",
            "<!-- reconciler [] -->",
            '<!-- reconciler {"path": "m", "commit": "c", "complete": true, "digests": {"a": 5}} -->',
            "first\n" + Review("m", "c", {}).line(),
        ],
    )
    def test_other_comments_are_none_of_ours(self, body: str) -> None:
        assert read_review(Post(1, body)) is None

    def test_a_digest_of_another_shape_is_dropped(self) -> None:
        line = Review("m", "c", {f"{A} embedded": "sha256:$(id)"}).line()
        read = read_review(Post(1, line))
        assert read is not None
        assert read.digests == {}


class TestPage:
    @pytest.fixture(autouse=True)
    def plans_in_full(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As large as they may be, in characters of three bytes."""
        monkeypatch.setattr("reconciler.ci.reports.show", lambda file, commit, max_bytes: "€" * (max_bytes // 3))

    @pytest.mark.parametrize("number", [1, 2, 10, 60, 500, 2000])
    def test_it_never_grows_past_its_limit(self, number: int) -> None:
        made = [one(n, changes=n) for n in range(number)]
        text = reports.body(made, max_bytes=MAX_BYTES)
        assert len(text.encode()) <= MAX_BYTES
        total = sum(range(number))
        assert text.startswith(f"**Plan: {total} to add" if total else "**No changes.**")

    def test_what_is_left_out_is_counted(self) -> None:
        text = reports.body([one(n) for n in range(500)], max_bytes=MAX_BYTES)
        shown = sum(set(line) == {"€"} for line in text.splitlines())
        left_out = int(text.rpartition("size limit: ")[2].split()[0])
        assert shown > 0
        assert left_out > 0
        assert shown + left_out == 500

    def test_trouble_comes_first_and_quiet_ones_are_counted(self) -> None:
        problem = Problem("no such flow", "manifests/a.yaml", 3, 5, hint="look")
        made = [one(1), one(2, code=0, changes=0), one(3, code=1, problems=(problem,)), one(4, code=3)]
        text = reports.body(made, max_bytes=MAX_BYTES)
        assert text.startswith("**Plan: 2 to add, 0 to change, 0 to destroy. 1 without a plan. 1 refused.**")
        rows = [line for line in text.splitlines() if line.startswith("| `plant")]
        assert rows == [
            "| `plant-003` | embedded |  |  |  | no plan |",
            "| `plant-004` | embedded | 1 | 0 | 0 | refused |",
            "| `plant-001` | embedded | 1 | 0 | 0 |  |",
        ]
        assert "1 more without changes." in text
        assert "- `manifests/a.yaml:3:5`: `no such flow (look)`" in text

    def test_all_in_sync(self) -> None:
        text = reports.body([one(n, code=0, changes=0) for n in range(3)], max_bytes=MAX_BYTES)
        assert text == "**No changes.**\n\n3 applications, all in sync.\n"

    def test_what_could_not_be_verified_is_shown_where_nothing_changes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("reconciler.ci.reports.show", lambda file, commit, max_bytes: "the plan")
        quiet: Any = {"code": 0, "changes": 0}
        first, _, text = reports.body([one(1, unverified=2, **quiet), one(2, **quiet)], max_bytes=MAX_BYTES).partition(
            "\n"
        )
        assert first == "**No changes. Not everything could be verified.**"
        assert "| `plant-001` | embedded | 0 | 0 | 0 | not verified |" in text
        assert "1 more without changes." in text
        assert text.count("the plan") == 1


class TestComment:
    def test_a_job_without_a_report_is_told_and_promises_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("reconciler.ci.reports.show", lambda file, commit, max_bytes: "the plan")
        text = comment.text([one()], path="manifests", commit="c0ffee", expected=2, max_bytes=MAX_BYTES)
        assert "**1 applications have no report**" in text
        read = read_review(Post(1, text))
        assert read is not None
        assert read.digest(B, "embedded") == ""

    def test_a_partial_plan_is_no_review(self) -> None:
        made = comment.review_of([one(partial=True)], path="m", commit="c", expected=1)
        assert made.digest("0" * 24, "embedded") == ""

    def test_a_diff_goes_along_where_it_fits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("reconciler.ci.reports.show", lambda file, commit, max_bytes: "the plan")
        few: Any = {"path": "m", "commit": "c", "expected": 1, "max_bytes": MAX_BYTES}
        assert "a little" in comment.text([one()], diff="a little", **few)
        large = comment.text([one()], diff="x" * MAX_BYTES, **few)
        assert "the plan" in large
        assert "xxx" not in large


class TestReports:
    def test_a_report_comes_back_and_one_that_was_lost_is_none(self, tmp_path: Path) -> None:
        saved = one(folder=tmp_path / "one")
        saved.folder.mkdir()
        saved.save()
        assert reports.load_reports(tmp_path) == [saved]
        assert reports.load_reports(tmp_path / "none") == []
        assert reports.read_page(tmp_path / "none") == ""

    @pytest.mark.parametrize("text", ["", "{", "{}", "[]", '{"code": "two"}'])
    def test_a_damaged_report_is_told_with_its_place(self, text: str, tmp_path: Path) -> None:
        (tmp_path / "one").mkdir()
        (tmp_path / "one/report.json").write_text(text)
        with pytest.raises(ReconcilerError, match=r"one/report.json is not a report"):
            reports.load_reports(tmp_path)

    def test_what_another_job_left_is_read_with_a_bound(self, tmp_path: Path) -> None:
        (tmp_path / "one").mkdir()
        (tmp_path / "one/report.json").symlink_to("/dev/zero")
        with pytest.raises(ReconcilerError, match="cannot be read: larger than 16 MiB"):
            reports.load_reports(tmp_path)


class TestAnnotations:
    @pytest.mark.parametrize("name", NAMES)
    def test_one_problem_is_one_line_that_says_nothing_else(
        self, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        problem = Problem(name, f"manifests/{name}.yaml", 3, hint=name)
        GitHub({}, print).annotate("error", [problem])
        line = capsys.readouterr().out.removesuffix("\n")
        assert not [char for char in line if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
        match = re.fullmatch(r"::error file=([^:,]*),line=3::(.*)", line)
        assert match
        undone = match[2].replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%")
        assert undone == inert(f"{name} ({name})")


class TestCommand:
    def test_what_lies_in_the_folder_is_not_run(self, job_files: Path) -> None:
        """A pull request may bring along modules that are named like ours, or like those that we use."""
        for name in ("reconciler", "click", "json"):
            Path(f"{name}.py").write_text("raise SystemExit(9)\n")
        Path("m.yaml").write_text(f"apiVersion: reconciler/v1\napplication: {A}\n")
        assert command.Application("m.yaml", A, "embedded").run("validate").code == 0

    def test_an_interrupt_waits_for_what_the_command_leaves(
        self, job_files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        program = """\
import pathlib, signal, sys, time
from tests.support.cli import run_here
def end(*_):
    time.sleep(0.5)
    pathlib.Path("result").write_text("whole")
    sys.exit(130)
signal.signal(signal.SIGINT, end)
pathlib.Path("ready").touch()
signal.pause()
"""
        monkeypatch.setattr(command, "_PROGRAM", (sys.executable, "-c", program))

        def interrupt() -> None:
            until(Path("ready").exists)
            os.kill(os.getpid(), signal.SIGINT)

        other = threading.Thread(target=interrupt)
        with usual_signals():
            other.start()
            with pytest.raises(KeyboardInterrupt):
                command.Application("m.yaml", A, "embedded").run("apply")
            join(other)
        assert Path("result").read_text() == "whole"


class TestFanOut:
    @pytest.fixture(autouse=True)
    def here(self, hub: Hub) -> None:
        """In a checkout, beside a hub."""
        who = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
        for words in (["init", "-q"], [*who, "commit", "-q", "--allow-empty", "-m", "first"]):
            processes.run(["git", *words], check=True)

    def manifests(self, number: int) -> str:
        documents = [f"apiVersion: reconciler/v1\napplication: {n:024x}\n" for n in range(number)]
        Path("many.yaml").write_text("---\n".join(documents))
        return "many.yaml"

    def test_more_applications_than_one_matrix_takes(self) -> None:
        ended = run_here("ci", "fan-out", "--path", self.manifests(600))
        assert ended.code == 0
        assert f"600 rows, but GitHub makes at most {MOST_JOBS} jobs of a matrix" in ended.out
        batches = json.loads(read_outputs(Path("GITHUB_OUTPUT").read_text())["batches"])
        assert [len(batch) for batch in batches] == [MOST_JOBS, MOST_JOBS, 88]
        assert [row["application"] for batch in batches for row in batch] == [f"{n:024x}" for n in range(600)]

    def test_a_digest_is_of_one_plan(self) -> None:
        path = self.manifests(2)
        ended = run_here("ci", "fan-out", "--path", path, "--expect-digest", DIGEST)
        assert ended.code == 1
        assert "::error::a digest identifies one plan, but 2 are to be made" in ended.out
        narrowed = ("--application", f"{1:024x}")
        assert run_here("ci", "fan-out", "--path", path, "--expect-digest", DIGEST, *narrowed).code == 0

    def test_an_application_that_nobody_has(self) -> None:
        ended = run_here("ci", "fan-out", "--path", self.manifests(1), "--application", "plnat")
        assert ended.code == 1
        assert "::error::the manifests contain no application 'plnat'" in ended.out
