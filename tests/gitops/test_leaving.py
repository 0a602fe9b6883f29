"""What leaves management, in the workflow: compared with the base of a pull request, and with what was applied last."""

from __future__ import annotations

import pytest

from reconciler.ci.against import mark_of
from reconciler.errors import ReconcilerError
from tests.gitops.conftest import PLANT, World, manifest
from tests.gitops.runner.hub import Hub
from tests.gitops.runner.standin import Trouble
from tests.gitops.test_rest import pauses, repository

__all__ = ["pauses"]
MANIFEST = "manifests/plant.yaml"
MARK = mark_of(PLANT, "embedded")
# Two of twenty devices are managed by name, so the tag that selects the others can be lost.
KEPT = (
    f"apiVersion: reconciler/v1\napplication: {{id: {PLANT}, name: plant}}\ndevices: {{leeds-01: {{telemetry: v1}}}}\n"
)
RAISED = f"{KEPT}limits: {{leaving: {{count: 19, percent: 95}}}}\n"
TOLD = "19 rows leave management, 95.0% of the 20"


class TestMark:
    def test_the_newest_commit_with_the_mark_counts(self, hub: Hub) -> None:
        for commit in ("old", "mid"):
            hub.mark(commit, MARK)
        hub.mark("new", MARK, state="failure")
        hub.mark("new", mark_of(PLANT, "edge"))
        assert repository().applied(["new", "mid", "old"], [MARK, mark_of(PLANT, "edge"), "none"]) == {
            MARK: "mid",
            mark_of(PLANT, "edge"): "new",
        }
        assert hub.log == [f"GET commits/{commit}/statuses" for commit in ("new", "mid", "old")]

    def test_nothing_is_asked_once_every_mark_is_found(self, hub: Hub) -> None:
        hub.mark("new", MARK)
        assert repository().applied(["new", "old"], [MARK]) == {MARK: "new"}
        assert hub.log == ["GET commits/new/statuses"]

    def test_a_mark_by_somebody_else_is_none(self, hub: Hub) -> None:
        hub.mark("new", MARK, user={"login": "ada", "type": "User"})
        hub.mark("old", MARK)
        assert repository().applied(["new", "old"], [MARK]) == {MARK: "old"}

    def test_of_several_statuses_the_newest_counts_and_pages_are_read_to_their_end(self, hub: Hub) -> None:
        hub.mark("new", MARK)
        for number in range(150):
            hub.mark("new", f"other {number}")
        assert repository().applied(["new"], [MARK]) == {MARK: "new"}
        hub.mark("new", MARK, state="error")
        assert repository().applied(["new"], [MARK]) == {}

    def test_no_answer_ends_the_step(self, hub: Hub, pauses: list[float]) -> None:
        hub.troubles += [Trouble("GET .*", 502)] * 4
        with pytest.raises(ReconcilerError, match="GitHub returned 502 for GET commits/new/statuses"):
            repository().applied(["new"], [MARK])


def test_a_loss_that_was_refused_is_not_forgotten_behind_many_commits(world: World) -> None:
    world.git.commit({MANIFEST: f"{manifest('v1')}# applied\n"})
    assert world.push().conclusion == "success"
    world.git.commit({MANIFEST: KEPT})
    assert world.push().job("apply").exit_codes["Apply"] == 3
    world.git.advance(101)
    world.git.commit({MANIFEST: f"{KEPT}# again\n"})
    apply = world.push().job("apply")
    assert apply.exit_codes["Apply"] == 3
    assert TOLD in apply.log


def test_a_pull_request_is_compared_with_its_base_and_may_raise_the_limit(world: World) -> None:
    refused = world.pull(1, {MANIFEST: KEPT})
    assert refused.conclusion == "failure"
    (body,) = world.hub.bodies(1)
    assert TOLD in body
    assert "**Leaves management: 19 rows** of 20" in body
    raised = world.pull(1, {MANIFEST: RAISED})
    assert raised.conclusion == "success"
    (body,) = world.hub.bodies(1)
    assert "**Leaves management: 19 rows** of 20" in body
    assert world.merge(1).conclusion == "success"


def test_a_push_is_compared_with_the_former_tip_where_nothing_has_the_mark(world: World) -> None:
    world.git.commit({MANIFEST: KEPT})
    pushed = world.push()
    assert pushed.conclusion == "failure"
    assert pushed.job("apply").exit_codes["Apply"] == 3
    assert TOLD in pushed.job("apply").log


def test_a_loss_that_was_refused_is_not_forgotten_by_the_next_push(world: World) -> None:
    world.hub.mark(world.git("rev-parse", "HEAD"), MARK)
    for number in range(2):
        world.git.commit({MANIFEST: f"{KEPT}# push {number}\n"})
        pushed = world.push()
        assert pushed.job("apply").exit_codes["Apply"] == 3
        assert TOLD in pushed.job("apply").log
    night = world.night()
    assert night.conclusion == "failure"
    assert TOLD in night.everything
    world.git.commit({MANIFEST: RAISED})
    assert world.push().conclusion == "success"
    world.hub.mark(world.git("rev-parse", "HEAD"), MARK)
    world.git.commit({MANIFEST: KEPT})  # the limit is as it was
    assert world.push().conclusion == "success"


def test_an_application_that_is_gone_is_told_first_and_without_a_job(world: World) -> None:
    other = manifest("v1").replace(PLANT, "5" * 24).replace(", name: plant", "")
    world.git.commit({"manifests/other.yaml": other})
    world.git("switch", "-qc", "feature")
    world.git("rm", "-q", "manifests/other.yaml")
    run = world.pull(1, {"note": "x"})
    assert run.conclusion == "success"
    gone = f"application {'5' * 24} (embedded) is gone"
    (told,) = [line for line in run.job("check").annotations if gone in line]
    assert told.startswith("::warning")
    assert run.job("check").summary.index(f"**Warning: `{gone}") < run.job("check").summary.index("difference")
    (body,) = world.hub.bodies(1)
    assert f"**Warning: `{gone}" in body


def test_the_first_manifests_have_nothing_to_be_compared_with(world: World) -> None:
    world.git("rm", "-q", "-r", "manifests")
    world.git.commit({}, "none")
    run = world.pull(1, {MANIFEST: KEPT})
    assert run.conclusion == "success"


def test_a_base_alone_is_nothing_to_be_compared_with(world: World) -> None:
    world.git("rm", "-q", "-r", "manifests")
    world.git.commit({"manifests/base.yaml": "apiVersion: reconciler/v1\n"}, "a base")
    run = world.pull(1, {MANIFEST: KEPT})
    assert run.conclusion == "success"


def test_a_pull_request_may_mend_manifests_that_cannot_be_read(world: World) -> None:
    world.git.commit({MANIFEST: "{{{\n"}, "broken")
    run = world.pull(1, {MANIFEST: KEPT})
    assert run.conclusion == "success"
    assert "not verified: what " in run.everything
    assert world.merge(1).conclusion == "success"


def test_manifests_that_moved_are_not_compared_and_that_is_said(world: World) -> None:
    world.git("mv", "manifests", "fleet")
    world.git.commit({}, "moved away")
    run = world.pull(1, {MANIFEST: KEPT})
    assert "not verified: whether rows leave management; HEAD^1 has the manifests in fleet/plant.yaml" in run.everything
