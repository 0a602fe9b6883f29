"""The scripts one by one: what the scenarios are too coarse or too slow to show."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.cli.app import run
from reconciler.render.inert import inert
from tests.gitops.actions import MOST_JOBS
from tests.gitops.scripts import DIGEST, FOLDER, one, script
from tests.gitops.steps import read_outputs
from tests.hostile import NAMES
from tests.support import processes

decide, review, page, report, comment = map(script, ["decide", "review", "page", "report", "comment"])
A, B = "5f0c8a1b2d3e4f5061728394", "5f0c8a1b2d3e4f5061728395"
HERE = "acme/fleet"


def test_they_are_typed() -> None:
    files = sorted(file.name for file in FOLDER.glob("*.py"))
    command = [sys.executable, "-m", "mypy", "--strict", "--explicit-package-bases", *files]
    done = processes.run(command, cwd=FOLDER)
    assert done.returncode == 0, done.stdout


def pull(head: str | None = HERE) -> dict[str, Any]:
    return {"pull_request": {"head": {"repo": head and {"full_name": head}}}}


ABOUT = {"repository": {"default_branch": "main"}}
MAIN, OTHER = "refs/heads/main", "refs/heads/other"


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
            ("workflow_dispatch", ABOUT, {"command": "plan", "ref": OTHER}, False, "plan"),
            ("workflow_dispatch", ABOUT, {"command": "apply"}, True, ""),
            ("workflow_dispatch", ABOUT, {}, False, "plan"),
            ("repository_dispatch", ABOUT, {}, False, "plan"),
        ],
    )
    def test_what_an_event_may_do(self, name: str, event: Any, options: dict[str, Any], apply: bool, plan: str) -> None:
        decision = decide.decide(name, event, **{"repository": HERE, "ref": MAIN, "actor": "ada", **options})
        assert (decision.apply, decision.plan) == (apply, plan)

    @pytest.mark.parametrize(
        ("name", "options", "why"),
        [
            ("pull_request_target", {}, "would give secrets"),
            ("workflow_dispatch", {"command": "apply", "ref": OTHER}, "only main is applied"),
            ("workflow_dispatch", {"command": "aply"}, "none of validate, plan and apply"),
        ],
    )
    def test_what_it_must_not(self, name: str, options: dict[str, Any], why: str) -> None:
        with pytest.raises(decide.NotAllowed, match=why):
            decide.decide(name, ABOUT, **{"repository": HERE, "ref": MAIN, "actor": "ada", **options})


class TestReview:
    def test_it_reads_back_what_it_wrote(self) -> None:
        written = review.Review("manifests", "c0ffee", {f"{A} embedded": DIGEST, f"{B} edge": None})
        read = review.read_review(f"{written.line()}\r\n### more --> text")
        assert read == written
        assert read.digest(A, "embedded") == DIGEST
        assert read.digest(B, "edge") == ""
        assert read.digest(B, "embedded") == review.NO_CHANGES

    def test_silence_promises_nothing_when_it_is_incomplete(self) -> None:
        read = review.read_review(review.Review("m", "c", {}, complete=False).line())
        assert read.digest(A, "embedded") == ""

    def test_more_digests_than_fit_are_not_promised(self) -> None:
        digests = {f"{number:024x} embedded": DIGEST for number in range(1000)}
        line = review.Review("m", "c", digests).line()
        assert len(line) < 40_000
        assert not review.read_review(line).complete

    @given(st.text(), st.text())
    def test_no_path_ends_the_line_or_the_html_comment(self, path: str, commit: str) -> None:
        line = review.Review(path, commit, {}).line()
        assert "\n" not in line
        assert "--" not in line[4:-3]
        assert review.read_review(line) == review.Review(path, commit, {})

    @pytest.mark.parametrize(
        "body",
        [
            "",
            "LGTM",
            "<!-- reconciler {} -->",
            "<!-- reconciler [] -->",
            '<!-- reconciler {"path": "m", "commit": "c", "complete": true, "digests": {"a": 5}} -->',
            "first\n" + review.Review("m", "c", {}).line(),
        ],
    )
    def test_other_comments_are_none_of_ours(self, body: str) -> None:
        assert review.read_review(body) is None

    def test_a_digest_of_another_shape_is_dropped(self) -> None:
        line = review.Review("m", "c", {f"{A} embedded": "sha256:$(id)"}).line()
        assert review.read_review(line).digests == {}


class TestPage:
    @pytest.fixture(autouse=True)
    def plans_in_full(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As large as they may be, in characters of three bytes."""
        monkeypatch.setattr(page, "show", lambda file, commit, max_bytes: "€" * (max_bytes // 3))

    @pytest.mark.parametrize("number", [1, 2, 10, 60, 500, 2000])
    def test_it_never_grows_past_its_limit(self, number: int) -> None:
        reports = [one(n, changes=n) for n in range(number)]
        text = page.body(reports, max_bytes=page.MAX_BYTES)
        assert len(text.encode()) <= page.MAX_BYTES
        total = sum(range(number))
        assert text.startswith(f"**Plan: {total} to add" if total else "**No changes.**")

    def test_what_is_left_out_is_counted(self) -> None:
        text = page.body([one(n) for n in range(500)], max_bytes=page.MAX_BYTES)
        shown = sum(set(line) == {"€"} for line in text.splitlines())
        left_out = int(text.rpartition("size limit: ")[2].split()[0])
        assert shown > 0
        assert left_out > 0
        assert shown + left_out == 500

    def test_trouble_comes_first_and_quiet_ones_are_counted(self) -> None:
        problem = {"path": "manifests/a.yaml", "line": 3, "column": 5, "message": "no such flow", "hint": "look"}
        reports = [one(1), one(2, code=0, changes=0), one(3, code=1, problems=[problem]), one(4, code=3)]
        text = page.body(reports, max_bytes=page.MAX_BYTES)
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
        text = page.body([one(n, code=0, changes=0) for n in range(3)], max_bytes=page.MAX_BYTES)
        assert text == "**No changes.**\n\n3 applications, all in sync.\n"


class TestComment:
    def test_a_job_without_a_report_is_told_and_promises_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(page, "show", lambda file, commit, max_bytes: "the plan")
        text = comment.text([one()], path="manifests", commit="c0ffee", expected=2)
        assert "**1 applications have no report**" in text
        assert review.read_review(text).digest(B, "embedded") == ""

    def test_a_partial_plan_is_no_review(self) -> None:
        made = comment.review_of([one(partial=True)], path="m", commit="c", expected=1)
        assert made.digest("0" * 24, "embedded") == ""

    def test_a_diff_goes_along_where_it_fits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(page, "show", lambda file, commit, max_bytes: "the plan")
        few = {"path": "m", "commit": "c", "expected": 1}
        assert "a little" in comment.text([one()], diff="a little", **few)
        large = comment.text([one()], diff="x" * page.MAX_BYTES, **few)
        assert "the plan" in large
        assert "xxx" not in large


class TestAnnotations:
    @pytest.mark.parametrize("name", NAMES)
    def test_one_problem_is_one_line_that_says_nothing_else(
        self, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        problem = {"path": f"manifests/{name}.yaml", "line": 3, "column": None, "message": name, "hint": name}
        script("job").annotate("error", [problem])
        line = capsys.readouterr().out.removesuffix("\n")
        assert not [char for char in line if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
        match = re.fullmatch(r"::error file=([^:,]*),line=3::(.*)", line)
        assert match
        undone = match[2].replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%")
        assert undone == inert(f"{name} ({name})")


class TestFanOut:
    def matrix(self, number: int) -> Path:
        documents = [f"apiVersion: reconciler/v1\napplication: {n:024x}\n" for n in range(number)]
        Path("many.yaml").write_text("---\n".join(documents))
        return Path("many.yaml")

    def test_more_applications_than_one_matrix_takes(
        self, job_files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(["applications", "--format", "github-matrix", str(self.matrix(600))]) == 0
        (job_files / "matrix.json").write_text(capsys.readouterr().out)
        monkeypatch.setattr(sys, "argv", ["fan_out.py", "matrix.json"])
        script("fan_out").main()
        batches = json.loads(read_outputs((job_files / "GITHUB_OUTPUT").read_text())["batches"])
        assert [len(batch) for batch in batches] == [MOST_JOBS, MOST_JOBS, 88]
        assert [row["application"] for batch in batches for row in batch] == [f"{n:024x}" for n in range(600)]

    def test_a_digest_is_of_one_plan(self, job_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        rows: list[dict[str, Any]] = [
            {"application": one, "name": None, "kind": "embedded", "paths": []} for one in (A, B)
        ]
        (job_files / "matrix.json").write_text(json.dumps({"include": rows}))
        monkeypatch.setattr(sys, "argv", ["fan_out.py", "matrix.json"])
        monkeypatch.setenv("EXPECT_DIGEST", DIGEST)
        with pytest.raises(SystemExit):
            script("fan_out").main()
        monkeypatch.setenv("APPLICATION", A)
        script("fan_out").main()

    def test_an_application_that_nobody_has(
        self, job_files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (job_files / "matrix.json").write_text('{"include": []}')
        monkeypatch.setattr(sys, "argv", ["fan_out.py", "matrix.json"])
        monkeypatch.setenv("APPLICATION", "plnat")
        with pytest.raises(SystemExit):
            script("fan_out").main()
        assert "::error::the manifests hold no application 'plnat'" in capsys.readouterr().out
