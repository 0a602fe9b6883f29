"""The workflow as people meet it, run here in full: events in; comments, issues, annotations and the fleet out."""

from __future__ import annotations

import pytest

from tests.gitops.conftest import PLANT, Build, World, manifest

MANIFEST = "manifests/plant.yaml"
PLAN = "Plan: 0 to add, 20 to change, 0 to destroy."


def test_a_pull_request_keeps_one_comment_up_to_date(world: World) -> None:
    opened = world.pull(1, {MANIFEST: manifest("v2")})
    assert opened.conclusion == "success"
    (body,) = world.hub.bodies(1)
    assert f"**{PLAN}**" in body
    assert f"commit `{world.hub.pulls[1]['head']['sha']}`" in body
    assert "| `telemetry` | version | `v1` | `v2` | 1 |" in body  # the diff
    assert "| `telemetry` | version | `v1` | `v2` | 1 |" in opened.job("check").summary
    assert PLAN in opened.job("plan plant embedded").summary

    updated = world.pull(1, {MANIFEST: manifest("v3")})
    assert updated.conclusion == "success"
    (body,) = world.hub.bodies(1)
    assert "| `telemetry` | version | `v1` | `v3` | 1 |" in body
    assert f"commit `{world.hub.pulls[1]['head']['sha']}`" in body
    assert [line.split()[0] for line in world.hub.writes()] == ["POST", "PATCH"]
    assert world.released() == {"v1"}


def test_a_pull_request_from_a_fork_gets_validate_and_diff_and_no_secret(world: World) -> None:
    run = world.pull(1, {MANIFEST: manifest("v2")}, fork=True)
    assert run.conclusion == "success"
    assert run.ran() == ["check"]
    assert "| `telemetry` | version | `v1` | `v2` | 1 |" in run.job("check").summary
    seen = [value for job in run.jobs for env in job.seen for value in env.values()]
    assert world.server.token not in seen
    assert world.hub.log == []
    assert world.hub.refused == []


def test_a_mistake_is_told_on_its_line_and_ends_the_run(world: World) -> None:
    run = world.pull(1, {MANIFEST: manifest("v2").replace("select:", "selekt:")})
    assert run.conclusion == "failure"
    (told,) = [line for line in run.job("check").annotations if "selekt" in line]
    assert told.startswith(f"::error file={MANIFEST},line=4,col=")
    (body,) = world.hub.bodies(1)
    assert "**No plan.**" in body
    assert run.ran() == ["check", "comment"]


@pytest.mark.usefixtures("installed")
def test_merging_applies_what_was_reviewed(world: World) -> None:
    world.pull(1, {MANIFEST: manifest("v2")})
    merged = world.merge(1)
    assert merged.conclusion == "success"
    assert world.reported() == {"v2"}
    apply = merged.job("apply plant embedded")
    assert "Applied as reviewed on pull request #1" in apply.summary
    assert f"Commit `{world.git('rev-parse', 'main')}`." in apply.summary
    assert "| `telemetry` | change | `v1` | `v2` | 20 |" in apply.summary
    assert "Apply complete!" in apply.summary
    assert apply.concurrency == {
        "group": f"reconciler-{PLANT}-embedded",
        "cancel-in-progress": False,
        "queue": "max",
    }
    assert '"exit_code"' in (merged.artifacts[f"reconciler-result-{PLANT}-embedded"] / "result.json").read_text()


def test_a_night_finds_nothing_where_nothing_moved(world: World) -> None:
    night = world.night()
    assert night.conclusion == "success"
    assert world.hub.issues == {}


def test_a_merge_says_when_its_plan_is_not_the_reviewed_one(world: World) -> None:
    world.pull(1, {MANIFEST: manifest("v2")})
    world.server.control.set_released("leeds-01", "telemetry", "v3")
    merged = world.merge(1)
    assert merged.conclusion == "success"
    assert world.reported() == {"v2"}
    apply = merged.job("apply plant embedded")
    assert "**Not as reviewed**: pull request #1 shows review digest sha256:" in apply.summary
    assert any(line.startswith("::warning::") and "was applied" in line for line in apply.annotations)


def test_a_required_review_passes_its_plan(build: Build) -> None:
    world = build(**{"require-reviewed-plan": True})
    world.pull(1, {MANIFEST: manifest("v2")})
    assert world.merge(1).conclusion == "success"
    assert world.reported() == {"v2"}


def test_a_required_review_refuses_another_plan_and_a_hand_finishes_that(build: Build) -> None:
    world = build(**{"require-reviewed-plan": True})
    world.pull(1, {MANIFEST: manifest("v3")})
    world.server.control.set_released("leeds-01", "telemetry", "v2")
    merged = world.merge(1)
    assert merged.conclusion == "failure"
    assert merged.job("apply").exit_codes["Apply"] == 4
    assert "nothing was applied: look at a plan by hand" in merged.job("apply").log
    assert world.released() == {"v1", "v2"}

    assert world.by_hand("apply").conclusion == "success"
    assert world.reported() == {"v3"}
    again = world.push()  # the merge's job run again: nothing is left to do, so nothing needs a review
    assert again.conclusion == "success"


def test_a_required_review_covers_what_the_manifests_guard_with(build: Build) -> None:
    """The changes are those that were shown; the limits were raised beside them."""
    world = build(**{"require-reviewed-plan": True})
    world.pull(1, {MANIFEST: manifest("v2")})
    limits = f"apiVersion: reconciler/v1\napplication: {PLANT}\nlimits: {{removals: {{count: 99}}}}\n"
    world.git("switch", "-q", "main")
    world.git.commit({"manifests/limits.yaml": limits})
    merged = world.merge(1)
    assert merged.conclusion == "failure"
    assert merged.job("apply").exit_codes["Apply"] == 4
    assert "The plan is not the one that was reviewed (sha256:" in merged.job("apply").log
    assert world.released() == {"v1"}


def test_what_was_never_shown_is_no_review(build: Build) -> None:
    world = build(**{"require-reviewed-plan": True})
    world.pull(1, {MANIFEST: manifest("v2")})
    (body,) = world.hub.bodies(1)
    world.hub.comments.clear()
    world.hub.comment(1, body, user={"login": "mallory", "type": "User"})
    merged = world.merge(1)
    assert merged.job("apply").exit_codes["Apply"] == 4
    assert "pull request #1 shows no plan for its last commit" in merged.job("apply").log

    world.git.commit({MANIFEST: manifest("v3")})
    pushed = world.push()
    assert pushed.job("apply").exit_codes["Apply"] == 4
    assert "this commit does not belong to a pull request" in pushed.job("apply").log
    assert world.released() == {"v1"}


def test_drift_opens_one_issue_that_follows_it_and_closes(world: World) -> None:
    world.server.control.set_released("leeds-01", "telemetry", "v3")
    first = world.night()
    assert first.conclusion == "failure"
    assert first.job("drift").conclusion == "failure"
    (issue,) = world.hub.issues.values()
    assert issue["title"] == "Drift: Losant is not as manifests says"
    assert "Plan: 0 to add, 1 to change, 0 to destroy." in issue["body"]
    assert f"commit `{world.git('rev-parse', 'main')}`" in issue["body"]
    assert "telemetry" in first.job("plan").summary

    world.server.control.set_released("leeds-02", "telemetry", "v3")
    assert world.night().conclusion == "failure"
    (issue,) = world.hub.issues.values()
    assert issue["state"] == "open"
    assert "Plan: 0 to add, 2 to change, 0 to destroy." in issue["body"]

    token = world.runner.secrets.pop(f"LOSANT_API_TOKEN_{PLANT}")
    unread = world.night()  # neither drift nor its end
    assert unread.conclusion == "failure"
    assert "1 could not be planned" in unread.job("drift").log
    (issue,) = world.hub.issues.values()
    assert issue["state"] == "open"
    world.runner.secrets[f"LOSANT_API_TOKEN_{PLANT}"] = token

    for device in ("leeds-01", "leeds-02"):
        world.server.control.set_released(device, "telemetry", "v1")
    gone = world.night()
    assert gone.conclusion == "success"
    (issue,) = world.hub.issues.values()
    assert (issue["state"], issue["state_reason"]) == ("closed", "completed")
    assert "The drift is gone" in world.hub.bodies(issue["number"])[0]


def test_a_scheduled_apply_is_asked_for_and_then_looks_again(build: Build) -> None:
    world = build(**{"scheduled-apply": True})
    world.server.control.set_released("leeds-01", "telemetry", "v3")
    night = world.night()
    assert night.conclusion == "success"
    assert night.ran() == ["check", "apply plant embedded", "plan plant embedded", "report", "drift"]
    assert world.released() == {"v1"}
    assert world.hub.issues == {}


def test_what_a_review_refuses_at_the_merge_is_not_applied_at_night(build: Build) -> None:
    world = build(**{"require-reviewed-plan": True, "scheduled-apply": True})
    world.pull(1, {MANIFEST: manifest("v3")})
    world.server.control.set_released("leeds-01", "telemetry", "v2")
    assert world.merge(1).job("apply").exit_codes["Apply"] == 4
    night = world.night()
    assert night.conclusion == "failure"
    assert night.job("apply").exit_codes["Apply"] == 4
    assert night.job("plan plant").conclusion == "success"
    assert world.released() == {"v1", "v2"}
    assert [issue["state"] for issue in world.hub.issues.values()] == ["open"]
    assert world.hub.marks(world.git("rev-parse", "HEAD")) == {}

    assert world.by_hand("apply").conclusion == "success"  # as the night says
    assert world.released() == {"v3"}
    world.server.control.set_released("leeds-01", "telemetry", "v2")
    assert world.night().conclusion == "success"
    assert world.released() == {"v3"}


def test_a_late_run_applies_the_tip_and_never_goes_back(world: World) -> None:
    first = world.git.commit({MANIFEST: manifest("v2")})
    world.git.commit({MANIFEST: manifest("v3")})
    assert world.push(sha=first).conclusion == "success"
    assert world.reported() == {"v3"}


def test_only_the_trusted_branch_is_ever_applied(world: World) -> None:
    world.git("switch", "-qc", "other")
    world.git.commit({MANIFEST: manifest("v2")})
    pushed = world.push("refs/heads/other")
    assert pushed.conclusion == "success"
    assert pushed.ran() == ["check"]
    by_hand = world.by_hand("apply", ref="refs/heads/other")
    assert by_hand.conclusion == "failure"
    assert "only main is applied" in by_hand.job("check").log
    assert world.released() == {"v1"}


def test_a_refused_plan_is_red_and_shown(world: World) -> None:
    text = manifest("v1").replace("telemetry: v1", "telemetry: absent")
    run = world.pull(1, {MANIFEST: text})
    assert run.conclusion == "failure"
    assert run.job("plan").exit_codes["Plan"] == 3
    (body,) = world.hub.bodies(1)
    assert "1 refused" in body
    assert any("removals" in line for line in run.job("plan").annotations)
    world.pull(1, {MANIFEST: text + "limits: {removals: {count: 20, percent: 100}}\n"})
    (body,) = world.hub.bodies(1)
    assert "20 to destroy.**" in body
    assert body.count("leeds-") >= 20  # removals one by one


def test_what_a_guard_refuses_at_the_merge_is_not_reported_as_applied(world: World) -> None:
    world.pull(1, {MANIFEST: manifest("v1").replace("telemetry: v1", "telemetry: absent")})
    apply = world.merge(1).job("apply plant embedded")
    assert apply.exit_codes["Apply"] == 3
    assert "eviewed" not in apply.summary
    assert not any("was applied" in line for line in apply.annotations)
    assert world.released() == {"v1"}


OTHER = "5f0c8a1b2d3e4f5061728395"


def elsewhere(version: str) -> str:
    return manifest(version).replace(PLANT, OTHER).replace("name: plant", "name: other")


@pytest.fixture
def two(build: Build) -> World:
    """Two applications, each with a token of its own."""
    fleet = f"""
take_up_s: 0
applications:
  - {{id: {PLANT}, name: plant, flows: {{telemetry: [v1, v2]}}, devices: [{{name: a, deployed: {{telemetry: v1}}}}]}}
  - id: {OTHER}
    name: other
    flows: {{telemetry: [v1, v2]}}
    devices: [{{name: b, deployed: {{telemetry: v1}}}}]
    tokens: [{{text: token-of-the-other-application, scopes: [all.Application]}}]
"""
    world = build(fleet=fleet, files={MANIFEST: manifest("v1"), "manifests/other.yaml": elsewhere("v1")})
    world.runner.secrets[f"LOSANT_API_TOKEN_{OTHER}"] = "token-of-the-other-application"
    return world


def test_several_applications_fan_out_with_a_token_each(two: World) -> None:
    world = two
    run = world.pull(1, {MANIFEST: manifest("v2"), "manifests/other.yaml": elsewhere("v2")})
    assert run.conclusion == "success"
    tokens = {job.name: {env["LOSANT_API_TOKEN"] for env in job.seen if "LOSANT_API_TOKEN" in env} for job in run.jobs}
    assert tokens["plan plant embedded"] == {world.server.token}
    assert tokens["plan other embedded"] == {"token-of-the-other-application"}
    (body,) = world.hub.bodies(1)
    assert "| `other` | embedded | 0 | 1 | 0 |  |" in body
    assert "**Plan: 0 to add, 2 to change, 0 to destroy.**" in body


def test_a_merge_applies_every_application(two: World) -> None:
    two.git.commit({MANIFEST: manifest("v2"), "manifests/other.yaml": elsewhere("v2")})
    assert two.push().conclusion == "success"
    assert two.reported() == {"v2"}


def test_a_run_by_hand_is_for_one_application(two: World) -> None:
    only = two.by_hand("plan", application="other")
    assert only.ran() == ["check", "plan other embedded"]
    assert "No changes." in only.job("plan other").summary


def test_the_first_pull_request_has_nothing_to_compare_with(build: Build) -> None:
    world = build(files={"README.md": "empty"})
    run = world.pull(1, {MANIFEST: manifest("v2")}, fork=True)
    assert run.conclusion == "success"
    assert "The base has no manifests there" in run.job("check").summary
