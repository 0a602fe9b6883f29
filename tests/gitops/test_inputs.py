"""The inputs of the steps: yes or no is read the same everywhere, and what cannot be told decides nothing."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from tests.gitops.conftest import Git
from tests.gitops.runner.places import Place
from tests.gitops.runner.reports import one
from tests.support.cli import Ended

REQUIRE, SCHEDULED = "RECONCILER_REQUIRE_REVIEWED_PLAN", "RECONCILER_SCHEDULED_APPLY"


@pytest.mark.parametrize("there", ["gitlab"], indirect=True)
@pytest.mark.parametrize(
    ("word", "required"),
    [("true", True), ("1", True), ("yes", True), ("on", True), (" TRUE ", True), ("", False), ("0", False)],
)
def test_a_review_that_is_required_in_any_words_is_passed_on(word: str, required: bool, there: Place, git: Git) -> None:
    """The other pipelines hand the word itself to the apply."""
    there.run_for_push()
    there.set(REQUIRE, word)
    ended = there.fan_out()
    assert ended.code == 0, ended.out + ended.err
    assert f'export {REQUIRE}="{"true" if required else ""}"' in there.started(ended)


def test_what_is_neither_yes_nor_no_is_an_error(there: Place, git: Git) -> None:
    there.run_for_push()
    there.set(REQUIRE, "enabled")
    ended = there.fan_out()
    assert ended.code == 1
    assert f"(env var: '{REQUIRE}'): 'enabled' is not a valid boolean" in ended.err
    assert there.started(ended) == ""
    there.set(SCHEDULED, "enabled")
    assert there.step("decide").code == 1


def test_drift_of_one_application_alone_has_an_issue_of_its_own(there: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Schedules that each look at one application neither close nor overwrite what another one found."""

    def night(application: str, *, drifts: bool) -> Ended:
        folder = there.folder / "reports" / (application or "all")
        folder.mkdir(parents=True, exist_ok=True)
        number = int(application == "other")
        replace(one(number, code=2 * drifts, changes=int(drifts)), folder=folder).save()
        (folder / "plan.json").write_text("{}")
        there.set("RECONCILER_APPLICATION", application)
        return there.step("drift", "--reports", str(folder.parent), "--applications", "1")

    monkeypatch.setattr("reconciler.ci.reports.show", lambda *_, **__: "a plan")
    assert night("other", drifts=True).code == 1
    (issue,) = there.forge.issues()
    shutil.rmtree(there.folder / "reports")
    assert night("plant", drifts=False).code == 0
    assert list(there.forge.issues()) == [issue]
    shutil.rmtree(there.folder / "reports")
    assert night("", drifts=False).code == 0
    assert list(there.forge.issues()) == [issue]
    shutil.rmtree(there.folder / "reports")
    assert night("other", drifts=False).code == 0
    assert list(there.forge.issues()) == []


class TestBranch:
    @pytest.fixture(autouse=True)
    def unknown(self, there: Place) -> None:
        """Nobody says which branch is applied."""
        there.set("RECONCILER_BRANCH", "")
        there.run_for_push()
        if there.name == "github":
            (there.folder / "event.json").write_text(json.dumps({}))
        there.set("CI_DEFAULT_BRANCH", "main" if there.name == "gitlab" else "")

    @pytest.mark.parametrize("there", ["github", "azure"], indirect=True)
    @pytest.mark.parametrize("command", ["", "apply"])
    def test_where_no_default_branch_is_known_either_it_is_an_error(self, command: str, there: Place) -> None:
        ended = there.step("decide", "--command", command)
        assert ended.code == 1
        assert "which branch is applied is not said (set RECONCILER_BRANCH to its name)" in ended.out
        assert there.outputs(ended) == ""

    @pytest.mark.parametrize("there", ["gitlab"], indirect=True)
    def test_the_default_branch_is_applied_where_it_is_known(self, there: Place) -> None:
        ended = there.step("decide")
        assert (ended.code, "main is applied" in ended.out) == (0, True)

    @pytest.mark.parametrize("there", ["azure"], indirect=True)
    def test_a_schedule_that_applies_needs_it_too(self, there: Place) -> None:
        there.set("BUILD_REASON", "Schedule")
        assert there.step("decide").code == 0
        assert there.step("decide", "--scheduled-apply").code == 1

    @pytest.mark.parametrize("there", ["gitlab"], indirect=True)
    def test_a_schedule_of_another_branch_applies_nothing(self, there: Place) -> None:
        there.set("CI_PIPELINE_SOURCE", "schedule")
        there.set("CI_COMMIT_BRANCH", "feature")
        ended = there.step("decide", "--scheduled-apply")
        assert ended.code == 1
        assert "only main is applied, and schedules run for feature" in ended.out
