"""Rollouts in the workflow: a schedule moves them on; one that is stopped is red and has the issue until it goes on."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.ci import drift, reports
from reconciler.ci.against import mark_of
from reconciler.ci.changed import changed
from reconciler.ci.command import Application
from reconciler.ci.comment import read_review
from reconciler.ci.provider import Post
from reconciler.ci.stopped import Stopped, stopped
from reconciler.errors import Problem
from reconciler.model.rollout import RolloutReport, RolloutState
from tests.gitops.conftest import PLANT, Build, Git, World
from tests.gitops.runner.hub import Hub
from tests.gitops.runner.reports import one
from tests.gitops.test_marks import says, sealed
from tests.support.cli import Ended, run_here

MANIFEST = "manifests/plant.yaml"
MARK = mark_of(PLANT, "embedded")
FLEET = f"""
take_up_s: 0
deployed_for_s: {30 * 86_400}
applications:
  - id: {PLANT}
    name: plant
    flows: {{telemetry: [v1, v2, v3], alarms: [a1, a2]}}
    devices:
      - {{count: 2, name: "canary-{{n}}", tags: {{ring: canary}}, deployed: {{telemetry: v1}}}}
      - {{count: 8, name: "pump-{{n}}", deployed: {{telemetry: v1}}}}
"""
WAYS = "revert the change, merge a fixed version, or pin the failing devices"
REASON = "the rollout of group all is stopped: 1 of 2 failed"
STOPPED = Stopped("all", "careful", Problem(REASON, hint=WAYS))


def manifest(version: str, *, ring: str = "canary") -> str:
    return f"""\
apiVersion: reconciler/v1
application: {{id: {PLANT}, name: plant}}
rollouts:
  careful: {{waves: [{{tags: {{ring: {ring}}}}}], gate: {{soak: 1h}}, patience: 15m}}
groups:
  all: {{select: {{all: true}}, rollout: careful, flows: {{telemetry: {version}}}}}
"""


@pytest.fixture
def world(build: Build) -> World:
    """A fleet whose manifest has a rollout; schedules move it on, and a review is required."""
    return build(
        fleet=FLEET, files={MANIFEST: manifest("v1")}, **{"scheduled-apply": True, "require-reviewed-plan": True}
    )


def runs(world: World) -> dict[str, set[str | None]]:
    """What canaries and pumps run."""
    rows = world.server.control.rows()
    return {ring: {row["reported"] for row in rows if row["device"].startswith(ring)} for ring in ("canary", "pump")}


def test_a_schedule_moves_a_rollout_on(world: World) -> None:
    opened = world.pull(1, {MANIFEST: manifest("v2")})
    assert opened.conclusion == "success"
    (body,) = world.hub.bodies(1)
    assert "**Plan: 0 to add, 10 to change, 0 to destroy. 8 withheld by rollouts.**" in body
    merged = world.merge(1)
    assert merged.conclusion == "success"
    assert "Applied as reviewed on pull request #1" in merged.job("apply").summary
    assert runs(world) == {"canary": {"v2"}, "pump": {"v1"}}
    tip = world.git("rev-parse", "HEAD")
    assert world.hub.marks(tip) == {MARK: says(0, sealed(tip, token=world.server.token))}

    soaking = world.night()  # what is withheld is no drift
    assert soaking.conclusion == "success"
    assert soaking.ran() == ["check", "apply plant embedded", "plan plant embedded", "report", "drift"]
    assert runs(world) == {"canary": {"v2"}, "pump": {"v1"}}
    assert soaking.job("apply").concurrency == merged.job("apply").concurrency
    assert merged.job("apply").concurrency == {
        "group": f"reconciler-{PLANT}-embedded",
        "cancel-in-progress": False,
        "queue": "max",
    }

    world.server.control.advance(hours=2)
    assert world.night().conclusion == "success"
    assert runs(world) == {"canary": {"v2"}, "pump": {"v2"}}
    assert world.hub.issues == {}
    assert len(world.hub.statuses[tip]) == 1


def test_a_stopped_rollout_is_red_and_has_one_issue_until_it_goes_on(world: World) -> None:
    world.server.control.fail("canary-1", "telemetry", "v2", "bad flash")
    world.pull(1, {MANIFEST: manifest("v2")})
    merged = world.merge(1)
    assert merged.conclusion == "failure"
    apply = merged.job("apply")
    assert apply.exit_codes["Apply"] == 7
    assert any("the rollout of group all is stopped" in line and WAYS in line for line in apply.annotations)
    assert f"Ways on: {WAYS}." in apply.summary
    tip = world.git("rev-parse", "HEAD")
    assert world.hub.marks(tip) == {MARK: says(7, sealed(tip, token=world.server.token))}

    night = world.night()
    assert night.conclusion == "failure"
    assert night.job("apply").exit_codes["Apply"] == 7
    assert night.job("plan").exit_codes["Plan"] == 7
    (issue,) = world.hub.issues.values()
    assert (issue["state"], issue["title"]) == ("open", "Stopped: a rollout of manifests waits for somebody")
    assert f"Ways on: {WAYS}." in issue["body"]
    assert "error `bad flash`" in issue["body"]
    assert re.search(r"^    pins:\n      - device: \"\w{24}\"  # canary-1$", issue["body"], re.MULTILINE)
    assert runs(world) == {"canary": {"v1", "v2"}, "pump": {"v1"}}

    world.git("revert", "--no-edit", "-m", "1", "HEAD")
    assert world.push().job("apply").exit_codes["Apply"] == 4  # nobody has reviewed it
    assert world.by_hand("apply").conclusion == "success"
    assert runs(world) == {"canary": {"v1"}, "pump": {"v1"}}
    assert world.night().conclusion == "success"
    (issue,) = world.hub.issues.values()
    assert issue["state"] == "closed"
    assert "no rollout is stopped" in world.hub.bodies(issue["number"])[0]


def test_a_pull_request_is_red_only_for_a_rollout_that_it_stops(world: World) -> None:
    broken = world.pull(1, {MANIFEST: manifest("v2", ring="nobody")})
    assert broken.conclusion == "failure"
    assert broken.job("plan").exit_codes["Plan"] == 7
    (body,) = world.hub.bodies(1)
    assert "1 rollout stopped.**" in body
    read = read_review(Post(1, body))
    assert read is not None
    assert read.digest(PLANT, "embedded").startswith("sha256:")

    world.git.commit({MANIFEST: manifest("v2", ring="nobody")})  # and here it is
    fleet = f"apiVersion: reconciler/v1\napplication: {PLANT}\ndevices: {{pump-1: {{alarms: a1}}}}\n"
    hotfix = world.pull(2, {"manifests/hotfix.yaml": fleet}, branch="hotfix")
    assert hotfix.conclusion == "success"
    assert any(line.startswith("::warning") and "is stopped" in line for line in hotfix.job("plan").annotations)
    assert "1 rollout stopped.**" in world.hub.bodies(2)[0]


@pytest.mark.parametrize("state", RolloutState)
def test_stopped_and_stalled_ones_wait_for_somebody(state: RolloutState) -> None:
    found = stopped([RolloutReport("all", "careful", state, "why", None, ())])
    if state in (RolloutState.STOPPED, RolloutState.STALLED):
        (told,) = found
        assert (told.group, told.policy) == ("all", "careful")
        assert told.problem.message == f"the rollout of group all is {state}: why"
        assert "revert the change" in str(told.problem.hint)
    else:
        assert found == ()


class TestChanged:
    """What a pull request changes of a rollout that is stopped."""

    @pytest.fixture
    def git(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
        git = Git(tmp_path / "repository")
        git.commit({MANIFEST: manifest("v1")})
        monkeypatch.chdir(git.folder)
        return git

    def changes(self, git: Git, text: str, *, base: str = "HEAD") -> bool:
        (git.folder / MANIFEST).write_text(text)
        return [*changed(Application("manifests", PLANT, "embedded"), [STOPPED], base)] == [STOPPED]

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("telemetry: v1", "telemetry: v2"),
            ("all: true", "tags: {site: leeds}"),
            ("ring: canary", "ring: first"),
            ("soak: 1h", "soak: 2h"),
            ("rollout: careful", "rollout: {policy: careful, up_to: 1}"),
        ],
    )
    def test_the_group_or_its_policy(self, old: str, new: str, git: Git) -> None:
        assert self.changes(git, manifest("v1").replace(old, new))

    def test_what_an_alias_stands_for(self, git: Git) -> None:
        aliased = f"{manifest('v1')}flows: {{telemetry: {'1' * 24}}}\n"
        git.commit({MANIFEST: aliased})
        assert self.changes(git, aliased.replace("1" * 24, "2" * 24))

    @pytest.mark.parametrize("more", ["", "pins:\n- {device: a, flows: {alarms: a1}, reason: x}\n", "prune: devices\n"])
    def test_nothing_of_it(self, more: str, git: Git) -> None:
        assert not self.changes(git, f"# moved by a line\n{manifest('v1')}{more}")

    @pytest.mark.parametrize("base", ["none", "damaged"])
    def test_a_base_that_cannot_be_read_tells_nothing_for_it(self, base: str, git: Git) -> None:
        if base == "damaged":
            git.commit({MANIFEST: "nonsense: true\n"})
        assert self.changes(git, manifest("v1"), base="HEAD" if base == "damaged" else "0" * 40)


class TestIssue:
    def tell(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, made: reports.Report, *, scheduled: bool = True
    ) -> Ended:
        home = folder / "reports/one"
        home.mkdir(parents=True, exist_ok=True)
        replace(made, folder=home).save()
        monkeypatch.setattr("reconciler.ci.reports.show", lambda file, commit, max_bytes: "the plan")
        options = ["--scheduled-apply"] if scheduled else []
        return run_here("ci", "drift", "--applications", "1", "--reports", "reports", *options)

    def test_what_is_withheld_is_no_drift(self, hub: Hub, job_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.tell(job_files, monkeypatch, one(code=0, changes=8, withheld=8)).code == 0
        assert hub.issues == {}
        assert self.tell(job_files, monkeypatch, one(changes=9, withheld=8)).code == 1
        assert [issue["title"] for issue in hub.issues.values()] == ["Drift: Losant is not as manifests says"]

    @pytest.mark.parametrize("scheduled", [True, False])
    def test_what_the_next_schedule_sends_is_no_drift(
        self, scheduled: bool, hub: Hub, job_files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = one(changes=9, withheld=8, moving=1)
        assert self.tell(job_files, monkeypatch, made, scheduled=scheduled).code == int(not scheduled)
        assert len(hub.issues) == int(not scheduled)

    def test_one_issue_follows_what_is_the_matter(
        self, hub: Hub, job_files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = one(code=7, changes=8, withheld=8, stopped=(STOPPED,))
        assert self.tell(job_files, monkeypatch, made).code == 1
        (issue,) = hub.issues.values()
        assert issue["title"] == "Stopped: a rollout of manifests waits for somebody"
        assert "8 withheld by rollouts. 1 rollout stopped." in issue["body"]
        assert self.tell(job_files, monkeypatch, replace(made, withheld=7)).code == 1
        assert issue["title"] == "Drift: Losant is not as manifests says, and a rollout is stopped"
        assert self.tell(job_files, monkeypatch, replace(made, withheld=7, stopped=())).code == 1
        assert issue["title"] == "Drift: Losant is not as manifests says"
        assert self.tell(job_files, monkeypatch, one(code=0, changes=8, withheld=8)).code == 0
        assert len(hub.issues) == 1
        assert issue["state"] == "closed"

    @pytest.mark.parametrize("number", [1, 500])
    def test_of_several_applications_they_come_first_and_leave_room_for_the_plans(
        self, number: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("reconciler.ci.reports.show", lambda file, commit, max_bytes: "the plan")
        told = Stopped("all", "careful", Problem(REASON + "x" * 600, hint=WAYS))
        page = drift.text(
            [one(1, code=7, stopped=(told,) * number), one(2)],
            drift.About("manifests"),
            run_url="https://x",
            max_bytes=64_000,
        )
        assert len(page.encode()) <= 64_000
        assert page.index(f"- `plant-001 embedded`: `{REASON}") < page.index("| application |")
        shown = page.count(f"Ways on: {WAYS}.")
        assert shown == number or f"- and {number - shown} more rollouts" in page
        assert page.count("the plan") == 2
