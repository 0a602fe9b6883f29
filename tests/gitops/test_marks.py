"""The mark of a commit whose apply ended: who writes it, what it says, and which commits bear it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from reconciler.api.http.credentials import Token
from reconciler.ci.against import mark_of
from reconciler.ci.marks import Applied
from tests.gitops.conftest import PLANT, Build, Git, World, manifest
from tests.gitops.runner.hub import Hub
from tests.gitops.runner.standin import Trouble
from tests.gitops.runner.steps import read_outputs
from tests.gitops.test_rest import pauses
from tests.support import processes
from tests.support.cli import Ended, run_here

__all__ = ["pauses"]
MANIFEST = "manifests/plant.yaml"
MARK = mark_of(PLANT, "embedded")
COMMIT = "c0ffee" * 6 + "cafe"
SEAL = "5ea1" * 8
TOKEN = "a-token-that-may-write-to-the-fleet"


def says(code: int, seal: str = SEAL) -> str:
    return f"apply ended with exit code {code}, sealed {seal}"


def sealed(commit: str, *, token: str = TOKEN, kind: str = "embedded", path: str = "manifests") -> str:
    """The seal that the apply of a commit makes."""
    return Token(token, source="").seal(f"{mark_of(PLANT, kind)} {commit} {path}")


def test_its_name_is_that_of_the_application_and_the_kind() -> None:
    assert f"reconciler/applied: {PLANT} embedded" == MARK


class TestMark:
    def mark(self, folder: Path, code: int, *, kind: str = "embedded") -> Ended:
        """The report job's step, for one apply that ended so."""
        home = folder / f"results/{kind}"
        home.mkdir(parents=True, exist_ok=True)
        Applied(PLANT, kind, COMMIT, code, SEAL).save(home)
        return run_here("ci", "mark", "--results", "results")

    @pytest.mark.parametrize("code", [0, 5, 6, 7])
    def test_an_apply_that_ended_is_marked_with_its_exit_code(self, code: int, hub: Hub, job_files: Path) -> None:
        assert self.mark(job_files, code).code == 0
        assert hub.marks(COMMIT) == {MARK: says(code)}
        (status,) = hub.statuses[COMMIT]
        assert (status["state"], status["target_url"]) == (
            "success",
            "https://github.example/acme/fleet/actions/runs/7",
        )

    @pytest.mark.parametrize("code", [1, 2, 3, 4, 130, -9])
    def test_one_that_did_not_end_is_not(self, code: int, hub: Hub, job_files: Path) -> None:
        ended = self.mark(job_files, code)
        assert ended.code == 0
        assert f"{COMMIT} gets no {MARK}: apply ended with exit code {code}" in ended.out
        assert hub.statuses == {}

    def test_kinds_are_marked_each_by_itself(self, hub: Hub, job_files: Path) -> None:
        self.mark(job_files, 0)
        self.mark(job_files, 7, kind="edge")
        assert hub.marks(COMMIT) == {
            MARK: says(0),
            mark_of(PLANT, "edge"): says(7),
        }

    def test_what_it_says_already_is_not_written_again(self, hub: Hub, job_files: Path) -> None:
        """A schedule would fill the thousand that a commit has room for in three weeks."""
        for code in (0, 0, 7, 7, 0):
            assert self.mark(job_files, code).code == 0
        assert hub.writes() == [f"POST statuses/{COMMIT}"] * 3
        assert hub.marks(COMMIT) == {MARK: says(0)}

    @pytest.mark.parametrize("status", [0, 502])
    def test_a_write_of_unknown_outcome_is_written_once(
        self, status: int, hub: Hub, job_files: Path, pauses: list[float]
    ) -> None:
        hub.troubles.append(Trouble("POST .*", status, acts=True))
        assert self.mark(job_files, 0).code == 0
        assert len(hub.statuses[COMMIT]) == 1
        hub.statuses.clear()
        hub.troubles.append(Trouble("POST .*", status))
        assert self.mark(job_files, 0).code == 0
        assert len(hub.statuses[COMMIT]) == 1

    def test_what_is_gone_is_told(self, hub: Hub, job_files: Path) -> None:
        hub.troubles.append(Trouble("POST .*", 410, "{}"))
        ended = self.mark(job_files, 0)
        assert ended.code == 1
        assert "there is nothing to mark any more: " in ended.out

    def test_what_was_not_shown_has_no_seal_and_gets_no_mark(self, hub: Hub, job_files: Path) -> None:
        home = job_files / "results/embedded"
        home.mkdir(parents=True)
        Applied(PLANT, "embedded", COMMIT, 0).save(home)
        assert run_here("ci", "mark", "--results", "results").code == 0
        assert hub.log == []

    def test_a_commit_is_asked_once_for_all_its_marks(self, hub: Hub, job_files: Path) -> None:
        self.mark(job_files, 0, kind="edge")
        hub.log.clear()
        self.mark(job_files, 0)
        assert hub.log.count(f"GET commits/{COMMIT}/statuses") == 1

    def test_without_the_permission_it_is_told(
        self, hub: Hub, job_files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GITHUB_TOKEN", hub.token({"statuses": "read"}))
        ended = self.mark(job_files, 0)
        assert ended.code == 1
        assert f"::error::GitHub returned 403 for POST statuses/{COMMIT}; check that the calling job" in ended.out

    def test_no_result_is_no_mark(self, hub: Hub, job_files: Path) -> None:
        Path("none").mkdir()
        assert run_here("ci", "mark", "--results", "none").code == 0
        assert hub.log == []

    @pytest.mark.parametrize(
        "change",
        [
            {"commit": "../../issues"},
            {"commit": "main"},
            {"kind": "other"},
            {"application": "x"},
            {"code": "a"},
            {"seal": "x"},
        ],
    )
    def test_a_damaged_note_marks_nothing(self, change: dict[str, str], hub: Hub, job_files: Path) -> None:
        (job_files / "results/one").mkdir(parents=True)
        note = {"application": PLANT, "kind": "embedded", "commit": COMMIT, "code": 0, **change}
        (job_files / "results/one/applied.json").write_text(json.dumps(note))
        ended = run_here("ci", "mark", "--results", "results")
        assert ended.code == 1
        assert "applied.json is no note of an apply" in ended.out
        assert hub.log == []


class TestMarked:
    """The look before a scheduled apply: does what is checked out bear the mark?"""

    @pytest.fixture
    def git(self, job_files: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
        git = Git(job_files / "checkout")
        monkeypatch.chdir(git.folder)
        git.commit({MANIFEST: manifest("v1")})
        return git

    def look(self, folder: Path) -> str:
        output = folder / "GITHUB_OUTPUT"
        output.unlink(missing_ok=True)
        arguments = ("--path", "manifests", "--application", PLANT, "--kind", "embedded")
        assert run_here("ci", "marked", *arguments).code == 0
        return read_outputs(output.read_text())["seal"]

    def test_the_seal_of_the_mark_of_the_tip_is_given(
        self, git: Git, hub: Hub, job_files: Path, pauses: list[float]
    ) -> None:
        tip = git("rev-parse", "HEAD")
        hub.mark(tip, MARK, description=says(0))
        assert self.look(job_files) == SEAL
        assert max(pauses, default=0) < 1

    @pytest.mark.parametrize(
        "bad",
        [
            {"context": mark_of(PLANT, "edge")},
            {"context": mark_of("0" * 24, "embedded")},
            {"context": MARK, "state": "failure"},
            {"context": MARK, "user": {"login": "mallory", "type": "User"}},
            {"context": MARK, "description": "apply ended with exit code 0"},
        ],
        ids=["kind", "application", "state", "somebody", "no seal"],
    )
    def test_no_other_mark_will_do(
        self, bad: dict[str, Any], git: Git, hub: Hub, job_files: Path, pauses: list[float]
    ) -> None:
        hub.mark(git("rev-parse", "HEAD"), **{"description": says(0), **bad})
        assert self.look(job_files) == ""

    @pytest.mark.parametrize("of", ["the tip", "the commit of the manifests"])
    def test_a_mark_that_is_on_its_way_is_awaited(
        self, of: str, git: Git, hub: Hub, job_files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        applied = git("rev-parse", "HEAD")
        tip = git.commit({"README.md": "words"})
        made: list[float] = []

        def pause(seconds: float) -> None:
            made.append(seconds)
            if made.count(5) == 2:
                hub.mark(tip if of == "the tip" else applied, MARK, description=says(0))

        monkeypatch.setattr(time, "sleep", pause)
        assert self.look(job_files) == SEAL
        assert made.count(5) == 2

    def test_it_is_awaited_for_a_minute(self, git: Git, hub: Hub, job_files: Path, pauses: list[float]) -> None:
        assert self.look(job_files) == ""
        assert [one for one in pauses if one >= 1] == [5] * 12  # shorter ones are those of waiting for git

    def test_a_tip_whose_manifests_are_those_of_a_marked_commit_bears_the_mark_with_it(
        self, git: Git, hub: Hub, job_files: Path, pauses: list[float]
    ) -> None:
        hub.mark(git("rev-parse", "HEAD"), MARK, description=says(0))
        git.commit({"README.md": "words"})
        git("switch", "-qc", "feature")
        git.commit({"src/main.c": "int main(void) { return 0; }\n"})
        git("switch", "-q", "main")
        git("merge", "-q", "--no-ff", "-m", "merge", "feature")
        assert self.look(job_files) == SEAL

    @pytest.mark.parametrize("file", [MANIFEST, "manifests/other.yaml", "bases/base.yaml", "gone"])
    def test_a_change_of_any_manifest_needs_a_mark_of_its_own(
        self, file: str, git: Git, hub: Hub, job_files: Path, pauses: list[float]
    ) -> None:
        base = "apiVersion: reconciler/v1\nflows: {telemetry: telemetry}\n"
        more = f"apiVersion: reconciler/v1\napplication: {PLANT}\nlimits: {{removals: {{count: 5}}}}\n"
        files = {
            MANIFEST: f"{manifest('v1')}extends: ../bases/base.yaml\n",
            "bases/base.yaml": base,
            "manifests/more.yaml": more,
        }
        hub.mark(git.commit(files), MARK, description=says(0))
        if file == "gone":
            git("rm", "-q", "manifests/more.yaml")
            git.commit({})
        else:
            was = files.get(file, f"apiVersion: reconciler/v1\napplication: {'5' * 24}\n")
            git.commit({file: f"{was}# changed\n"})
            git.commit({"README.md": "words"})
        assert self.look(job_files) == ""

    def test_it_is_found_behind_many_commits_of_other_files(
        self, git: Git, hub: Hub, job_files: Path, pauses: list[float]
    ) -> None:
        hub.mark(git("rev-parse", "HEAD"), MARK, description=says(0))
        git.advance(51)
        assert self.look(job_files) == SEAL

    def test_what_was_reverted_is_another_commit(
        self, git: Git, hub: Hub, job_files: Path, pauses: list[float]
    ) -> None:
        hub.mark(git("rev-parse", "HEAD"), MARK, description=says(0))
        git.commit({MANIFEST: manifest("v2")})
        git.commit({MANIFEST: manifest("v1")})
        assert self.look(job_files) == ""

    def test_a_shallow_clone_knows_the_tip_alone(
        self, git: Git, hub: Hub, job_files: Path, pauses: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hub.mark(git("rev-parse", "HEAD"), MARK, description=says(0))
        git.commit({"README.md": "words"})
        clone = ["git", "clone", "-q", "--depth=1", git.folder.as_uri(), str(job_files / "shallow")]
        processes.run(clone, check=True)
        monkeypatch.chdir(job_files / "shallow")
        assert self.look(job_files) == ""


class TestLetThrough:
    """The apply of the schedule: is the seal that of what is checked out, made with this very token?"""

    @pytest.fixture
    def git(self, job_files: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
        git = Git(job_files / "checkout")
        monkeypatch.chdir(git.folder)
        monkeypatch.setenv("LOSANT_API_TOKEN", TOKEN)
        git.commit({MANIFEST: manifest("v1")})
        git.commit({MANIFEST: manifest("v2")})
        git.commit({"README.md": "words"})
        return git

    def apply(self, folder: Path, seal: str, digest: str = "", *more: str) -> Ended:
        options = ("--marked", seal, "--result", str(folder / "result/result.json"), "--require-reviewed-plan")
        about = ("--path", "manifests", "--application", PLANT, "--kind", "embedded", "--api-url", "http://127.0.0.1:9")
        return run_here("ci", "apply", *about, *options, "--expect-digest", digest, *more)

    @pytest.mark.parametrize("digest", ["", f"sha256:{'0' * 64}"])
    @pytest.mark.parametrize("forged", ["", SEAL, "token", "kind", "path", "the manifests before", "text"])
    def test_no_other_seal_is_applied(self, forged: str, digest: str, git: Git, job_files: Path) -> None:
        tip = git("rev-parse", "HEAD")
        seal = {
            "token": sealed(tip, token=f"{TOKEN}2"),
            "kind": sealed(tip, kind="edge"),
            "path": sealed(tip, path="fleet"),
            "the manifests before": sealed(git("rev-parse", "HEAD^^")),
            "text": f"\xe9{sealed(tip)}",
        }.get(forged, forged)
        ended = self.apply(job_files, seal, digest)
        assert ended.code == 4
        assert "run apply by hand" in ended.out
        assert ("was not made with this token" if seal else "has no mark") in ended.out
        assert [*(job_files / "result").iterdir()] == []

    def test_a_command_that_gives_the_token_is_run_once(
        self, git: Git, job_files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("LOSANT_API_TOKEN")
        script = f"echo asked >> {job_files}/asked; echo {TOKEN}"
        ended = self.apply(job_files, SEAL, "", "--token-command", f"sh -c '{script}'")
        assert ended.code == 4
        assert (job_files / "asked").read_text() == "asked\n"

    @pytest.mark.parametrize("of", ["HEAD", "HEAD^"])
    def test_that_of_the_same_manifests_is(self, of: str, git: Git, job_files: Path) -> None:
        ended = self.apply(job_files, sealed(git("rev-parse", of)))
        assert ended.code == 1, "there is no API at that port"
        # It did not end, so there is no seal: whoever reads results could mark with it what was refused.
        note = json.loads((job_files / "result/applied.json").read_text())
        assert (note["code"], note["seal"]) == (1, "")


def test_a_forged_mark_lets_no_schedule_apply(build: Build) -> None:
    world = build(**{"require-reviewed-plan": True, "scheduled-apply": True})
    world.git.commit({MANIFEST: manifest("v2")})  # pushed, and its run was lost
    world.hub.mark(world.git("rev-parse", "HEAD"), MARK, description=says(0))
    night = world.night()
    apply = night.job("apply")
    assert (night.conclusion, apply.exit_codes["Apply"]) == ("failure", 4)
    assert any("was not made with this token" in line for line in apply.annotations)
    assert world.released() == {"v1"}


def test_what_nobody_was_shown_is_not_let_through_because_it_changes_nothing_yet(build: Build) -> None:
    """A group for devices to come changes nothing today, and what joins it would get its version by the schedule."""
    world = build(**{"require-reviewed-plan": True, "scheduled-apply": True})
    world.git.commit({MANIFEST: f"{manifest('v1')}# for later\n"})
    assert world.push().conclusion == "success"
    assert world.hub.statuses == {}
    assert world.night().job("apply").exit_codes["Apply"] == 4


def test_a_schedule_that_needs_a_review_applies_no_commit_without_its_mark(build: Build) -> None:
    world = build(**{"require-reviewed-plan": True, "scheduled-apply": True})
    world.git.commit({MANIFEST: manifest("v2")})  # pushed, and its run was lost
    night = world.night()
    assert night.conclusion == "failure"
    apply = night.job("apply")
    assert apply.exit_codes["Apply"] == 4
    tip = world.git("rev-parse", "HEAD")
    told = (
        f"the tip of the branch, {tip}, has no mark {MARK}: its apply did not end, so nothing is applied (run apply by "
    )
    assert any(line.startswith(f"::error::{told}") for line in apply.annotations)
    assert world.released() == {"v1"}
    assert world.hub.statuses == {}


def test_the_job_that_marks_has_no_token_of_the_fleet_and_the_one_that_has_it_may_not_mark(world: World) -> None:
    world.pull(1, {MANIFEST: manifest("v2")})
    merged = world.merge(1)
    tip = world.git("rev-parse", "HEAD")
    assert world.hub.marks(tip) == {MARK: says(0, sealed(tip, token=world.server.token))}
    report = merged.job("report")
    assert not [env for env in report.seen if world.server.token in env.values()]
    assert [line for line in world.hub.log if line.startswith("POST statuses")] == [f"POST statuses/{tip}"]
    assert world.hub.refused == []


def test_what_is_marked_is_what_was_applied_not_what_started_the_run(world: World) -> None:
    first = world.git.commit({MANIFEST: manifest("v2")})
    tip = world.git.commit({MANIFEST: manifest("v3")})
    assert world.push(sha=first).conclusion == "success"
    assert first not in world.hub.statuses
    assert world.hub.marks(tip) == {MARK: says(0, sealed(tip, token=world.server.token))}


def test_an_apply_that_is_refused_leaves_no_mark(world: World) -> None:
    world.git.commit({MANIFEST: manifest("absent")})
    assert world.push().job("apply").exit_codes["Apply"] == 3
    assert world.hub.statuses == {}
