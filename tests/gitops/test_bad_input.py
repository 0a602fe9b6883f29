"""What can be wrong with a run, on every forge: a job that cannot tell is red, says why, and has started nothing."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest

from reconciler.ci.comment import Review, read_review
from reconciler.ci.marks import Applied
from reconciler.ci.provider import Post, Trigger
from reconciler.ci.providers import SIGNS
from reconciler.simulator import serve
from tests.gitops.conftest import PLANT, WORKFLOW, Git, World, manifest
from tests.gitops.runner.actions import Event
from tests.gitops.runner.places import Place, place
from tests.gitops.runner.reports import one
from tests.gitops.runner.steps import load
from tests.gitops.test_hostile import BRANCH, FILE, PLACES
from tests.hostile import NAMES, harmless
from tests.support import processes

MANY = 10_000
DIGESTS = ["sha256:" + digit * 64 for digit in "12"]
COMMANDS = {
    "github": re.compile(r"^\s*::[a-z-]+.*?::|##\["),
    "gitlab": re.compile(r"section_(?:start|end):|\x1b"),
    "azure": re.compile(r"##(?:vso)?\["),
}
"""What a forge acts on in a log."""


def review(path: str, commit: str, digest: str) -> str:
    """The first line of our comment on a pull request whose plan has this digest."""
    return Review(path, commit, {f"{PLANT} embedded": digest}, complete=True).line()


class TestMissingPermission:
    def test_no_comment_is_written_and_that_is_told(self, there: Place) -> None:
        there.open(1, head="c")
        there.run_for(1, head="c")
        there.read_with(there.weak)
        ended = there.step("comment", "--reports", "reports")
        assert ended.code == 1
        assert re.search(r"returned 403 for POST [^\n]*; \S", ended.out), ended.out
        assert there.comments(1) == []

    def test_drift_is_red_all_the_same(self, there: Place, tmp_path: Path) -> None:
        folder = tmp_path / "reports" / "one"
        folder.mkdir(parents=True)
        replace(one(), folder=folder).save()
        (folder / "plan.json").write_text("{}")
        there.read_with(there.weak)
        assert there.step("drift", "--reports", str(folder.parent), "--applications", "1").code == 1
        assert there.api.writes() == []

    def test_a_mark_that_cannot_be_written_is_red(self, there: Place, tmp_path: Path) -> None:
        folder = tmp_path / "results" / "one"
        folder.mkdir(parents=True)
        Applied(PLANT, "embedded", "c" * 40, 0, "5ea1" * 8).save(folder)
        there.read_with(there.weak)
        ended = there.step("mark", "--results", str(folder.parent))
        assert ended.code == 1
        assert "returned 403 for" in ended.out
        assert there.api.writes() == []

    def test_a_review_that_may_not_be_read_starts_no_job(self, there: Place, git: Git) -> None:
        there.run_for_push()
        there.read_with("a-token-of-nobody-here")
        ended = there.fan_out()
        assert ended.code == 1
        assert re.search(r"returned (?:203|401|403) for ", ended.out), ended.out
        assert there.started(ended) == ""


def test_reports_of_another_run_are_no_drift_of_this_one(there: Place, tmp_path: Path) -> None:
    for number in range(2):
        folder = tmp_path / "reports" / str(number)
        folder.mkdir(parents=True)
        replace(one(number), folder=folder).save()
    ended = there.step("drift", "--reports", str(tmp_path / "reports"), "--applications", "1")
    assert ended.code == 1
    assert "there are 2 reports of 1 application (collect the reports of this run alone" in ended.out
    assert there.api.writes() == []


@pytest.mark.parametrize(("here", "named"), [*permutations(SIGNS, 2)])
def test_another_provider_than_the_one_that_runs_the_job_decides_nothing(
    here: str, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with place(here, tmp_path, monkeypatch) as there:
        there.run_for_push()
        ended = there.step("decide", "--provider", named)
        assert ended.code == 1
        assert re.search(r"[A-Z_]+ is not set \(this step is for a job of ", ended.out + ended.err), ended.out
        assert there.outputs(ended) == ""


def test_a_fork_gets_no_plan_and_so_no_token(there: Place) -> None:
    there.run_for(1, head="c", fork=True)
    assert there.provider.run().withheld == f"{there.provider.noun}s from forks get no token"
    ended = there.step("decide")
    assert ended.code == 0
    assert "plan: no; apply: no" in ended.out


class TestShallowClone:
    @pytest.fixture(autouse=True)
    def shallow(self, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        clone = tmp_path / "shallow"
        processes.run(["git", "clone", "-q", "--depth=1", git.folder.as_uri(), str(clone)], check=True)
        monkeypatch.chdir(clone)

    def test_a_pull_request_has_no_diff_that_says_everything_is_new(self, there: Place, tmp_path: Path) -> None:
        there.run_for(1, head="c")
        for step in (["check", "--diff", str(tmp_path / "diff.md")], ["decide", "--only-related"]):
            ended = there.step(*step)
            assert ended.code == 1
            assert "in this clone, which is shallow" in ended.out
        assert not (tmp_path / "diff.md").exists()

    def test_what_was_applied_last_cannot_be_told_so_no_job_starts(self, there: Place) -> None:
        there.run_for_push()
        ended = there.fan_out()
        assert ended.code == 1
        assert "which commit was applied last cannot be told, since this clone is shallow" in ended.out
        assert there.started(ended) == ""

    def test_the_former_tip_is_cut_off_so_no_job_starts(self, there: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the clone has as many commits as are asked for a mark, and none bears it."""
        monkeypatch.setattr("reconciler.ci.against._COMMITS", 1)
        there.run_for_push()
        ended = there.fan_out()
        assert ended.code == 1
        assert "in this clone, which is shallow" in ended.out
        assert there.started(ended) == ""

    def test_the_base_of_a_pull_request_is_cut_off_so_no_job_starts(self, there: Place) -> None:
        there.run_for(1, head="c")
        ended = there.fan_out()
        assert ended.code == 1
        assert "in this clone, which is shallow" in ended.out
        assert there.started(ended) == ""


def test_only_the_first_commit_of_a_whole_clone_is_compared_with_none(there: Place, git: Git) -> None:
    git("checkout", "-q", "--detach", "HEAD^1")
    there.run_for_push()
    ended = there.fan_out()
    assert ended.code == 0, ended.out
    assert "This is the first commit, so there is none to compare with." in ended.out
    assert PLANT in there.started(ended)


def test_a_branch_that_is_gone_when_its_run_starts_applies_nothing(world: World) -> None:
    """On GitHub; the pipelines of GitLab and Azure have the same test."""
    workflow, sha = (
        load(world.git("show", f"main:{WORKFLOW}")),
        world.git.commit({"manifests/plant.yaml": manifest("v2")}),
    )
    world.git("branch", "-m", "main", "gone")
    run = world.runner.run(workflow, Event("push", "refs/heads/main", sha, {"repository": world.about}, {}, fork=False))
    assert (run.conclusion, run.ran()) == ("failure", ["check"])
    assert run.job("check").exit_codes["Check the repository out"] == 1
    assert world.released() == {"v1"}


def test_two_merges_within_a_second_are_both_the_tip_with_its_own_review(there: Place, git: Git) -> None:
    """Both runs start when both merges are there: neither compares with the review of the other."""
    merged = []
    for number, digest in enumerate(DIGESTS, 1):
        there.open(number, head=f"{number}" * 40)
        there.comment(number, review("manifests", f"{number}" * 40, digest))
        merged.append(git.commit({"manifests/plant.yaml": manifest(f"v{number}") + f"# {number}\n"}))
        there.merge(number, merged[-1])
    there.run_for_push()
    for _ in range(2):
        ended = there.fan_out()
        assert ended.code == 0, ended.out
        assert f"as reviewed on {there.provider.named(2)}" in ended.out
        assert DIGESTS[1] in there.started(ended)
        assert DIGESTS[0] not in there.started(ended)


class TestEditedComment:
    """Where others can edit it, what stands below our line is written anew, and a broken line promises nothing."""

    def test_what_somebody_wrote_below_our_line_is_replaced(self, there: Place) -> None:
        there.open(1, head="c")
        there.run_for(1, head="c")
        line = Review("manifests", "c", {}).line()
        there.comment(1, f"{line}\n**No changes.** Trust me.")
        assert there.step("comment", "--reports", "reports").code == 0
        (text,) = there.comments(1)
        assert "Trust me" not in text
        assert read_review(Post(1, text)) is not None

    @pytest.mark.parametrize(
        "edit",
        [
            lambda line: f"approved\n{line}",
            lambda line: line.replace("sha256:", "sha255:"),
            lambda line: line.replace("}", ""),
            lambda line: f"> {line}",
            lambda line: "",
        ],
        ids=["above", "digest", "json", "quoted", "emptied"],
    )
    def test_a_line_that_somebody_broke_is_no_review(self, edit: object, there: Place, git: Git) -> None:
        assert callable(edit)
        there.open(1, head="c" * 40)
        there.comment(1, edit(review("manifests", "c" * 40, DIGESTS[0])))
        there.merge(1, git("rev-parse", "HEAD"))
        there.run_for_push()
        ended = there.fan_out()
        assert ended.code == 0, ended.out
        assert PLANT in there.started(ended)
        assert DIGESTS[0] not in there.started(ended)

    def test_the_line_of_a_stranger_is_no_review(self, there: Place, git: Git) -> None:
        there.open(1, head="c" * 40)
        there.comment(1, review("manifests", "c" * 40, DIGESTS[0]), stranger=True)
        there.merge(1, git("rev-parse", "HEAD"))
        there.run_for_push()
        assert DIGESTS[0] not in there.started(there.fan_out())
        there.run_for(1, head="c" * 40)
        assert there.step("comment", "--reports", "reports").code == 0
        assert len(there.comments(1)) == 2


@pytest.fixture(scope="module")
def thousands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a job whose plan changes that many rows, one by one."""
    folder = tmp_path_factory.mktemp("many")
    device = f'{{count: {MANY}, name: "pump-{{n:05}}-{"x" * 60}", deployed: {{telemetry: v1}}}}'
    about = f"id: {PLANT}, name: plant, flows: {{telemetry: [v1, v2]}}, devices: [{device}]"
    with pytest.MonkeyPatch.context() as patch, serve(f"take_up_s: 0\napplications: [{{{about}}}]\n") as server:
        Git(folder / "git").commit(
            {"manifests/plant.yaml": f"{manifest('absent')}limits: {{removals: {{percent: 100}}}}\n"}
        )
        with place("gitlab", folder, patch) as there:
            patch.chdir(folder / "git")
            patch.setenv("LOSANT_API_URL", server.url)
            patch.setenv("LOSANT_API_TOKEN", server.token)
            there.run_for(1, head="c")
            out = ("--out", str(folder / "reports/one"))
            ended = there.step("plan", "--application", PLANT, "--kind", "embedded", *out)
            assert ended.code in (0, 3), ended.out
            assert f"{MANY:,}" in ended.out or str(MANY) in ended.out
    return folder / "reports"


def test_ten_thousand_changed_rows_fit_into_one_comment(there: Place, thousands: Path) -> None:
    """The stand-ins refuse what is longer than the forge takes."""
    there.open(1, head="c")
    there.run_for(1, head="c")
    shutil.copytree(thousands, there.folder / "reports")
    ended = there.step("comment", "--reports", "reports", "--applications", "1")
    assert ended.code == 0, ended.out
    (text,) = there.comments(1)
    assert len(text.encode()) <= there.provider.max_bytes
    assert str(MANY) in text.replace(",", "")
    assert read_review(Post(1, text)) is not None


class TestHostileNames:
    @pytest.mark.parametrize("name", [BRANCH, *NAMES])
    def test_a_branch_is_never_a_command_nor_the_one_that_is_applied(self, name: str, there: Place) -> None:
        variable = {"github": "GITHUB_REF", "gitlab": "CI_COMMIT_BRANCH", "azure": "BUILD_SOURCEBRANCH"}[there.name]
        there.run_for_push()
        there.set(variable, name if there.name == "gitlab" else f"refs/heads/{name}")
        assert there.provider.run().trigger is Trigger.PUSH
        ended = there.step("decide", "--command", "apply", "--branch", "main")
        assert ended.code == 1
        found = [line for line in ended.out.splitlines() if COMMANDS[there.name].search(line)]
        assert len(found) == (there.name != "gitlab"), found
        assert "only main is applied" in ended.out
        assert there.outputs(ended) == ""

    @pytest.mark.parametrize("folder", PLACES)
    def test_a_mistake_in_a_file_of_any_name_is_told_and_is_no_command(
        self, folder: str, there: Place, tmp_path: Path, git: Git
    ) -> None:
        wrong = manifest("v2").replace("select", "selekt")
        git.commit({f"{folder}/{FILE}": wrong})
        there.run_for(1, head="c")
        ended = there.step("check", f"--path={folder}", "--diff", str(tmp_path / "diff.md"))
        assert ended.code == 1
        assert "selekt" in ended.out
        found = [line for line in ended.out.splitlines() if COMMANDS[there.name].search(line)]
        told = {"github": "::error file=", "azure": "##vso[task.logissue type=error;sourcepath="}
        assert all(line.startswith(told[there.name]) for line in found)
        assert len(found) == (there.name != "gitlab"), found
        if there.name == "gitlab":
            (entry,) = json.loads((there.folder / "reconciler-ci/gl-code-quality.json").read_text())
            assert "\n" not in entry["location"]["path"]
        assert not list(tmp_path.rglob("pwned"))

    @pytest.mark.parametrize("folder", PLACES)
    def test_a_diff_of_a_file_of_any_name_is_harmless(
        self, folder: str, there: Place, tmp_path: Path, git: Git
    ) -> None:
        for version in ("v1", "v2"):
            git.commit({f"{folder}/{FILE}": manifest(version)})
        there.run_for(1, head="c")
        ended = there.step("check", f"--path={folder}", "--diff", str(tmp_path / "diff.md"))
        assert ended.code == 0, ended.out
        harmless((tmp_path / "diff.md").read_text())
        assert "`v1`" in (tmp_path / "diff.md").read_text()
        assert not list(tmp_path.rglob("pwned"))
