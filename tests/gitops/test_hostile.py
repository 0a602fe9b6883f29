"""Names that want to be more than text, through the whole workflow: annotations, summaries, comment, issue."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gitops.conftest import PLANT, Build, World
from tests.gitops.runner.steps import Job
from tests.hostile import NAMES, check_page, harmless
from tests.support import processes


def fleet(names: list[str]) -> dict[str, object]:
    devices = [{"name": name, "deployed": {"telemetry": "v1"}} for name in names]
    flows = {"telemetry": ["v1", "v2"]}
    return {"take_up_s": 0, "applications": [{"id": PLANT, "name": "plant", "flows": flows, "devices": devices}]}


def manifest(version: str, name: str = "plant") -> str:
    groups = {"all": {"select": {"all": "true"}, "flows": {"telemetry": version}}}
    limits = {"removals": {"count": "100", "percent": "100"}}
    application = {"id": PLANT, "name": name}
    return json.dumps(
        {"apiVersion": "reconciler/v1", "application": application, "groups": groups, "limits": limits},
        ensure_ascii=False,
    )


def commands(job: Job) -> list[str]:
    """Lines of a log that GitHub would act on."""
    found = [line for line in job.log.splitlines() if re.match(r"\s*::[a-z-]+.*?::", line)]
    return found + re.findall(r"##(?:\[|vso\[).*", job.log)


def test_names_stay_text_wherever_a_plan_is_shown(build: Build) -> None:
    world = build(fleet=fleet(NAMES))
    run = world.pull(1, {"manifests/plant.yaml": manifest("absent")})  # removals are listed one by one
    assert run.conclusion == "success", run.job("plan").log
    assert not [line for job in run.jobs for line in commands(job)]
    (body,) = world.hub.bodies(1)
    check_page(body, 65_000)
    shown = harmless(body)
    assert "not ours" in shown
    assert f"{len(NAMES)} to destroy" in body
    assert f"{len(NAMES)} to destroy" in run.job("plan").summary
    for job in ("check", "plan"):
        harmless(run.job(job).summary)
    merged = world.merge(1)
    assert merged.conclusion == "success"
    harmless(merged.job("apply").summary)
    assert merged.job("apply").summary.count("to nothing (`") == len(NAMES)
    assert not (world.git.folder / "pwned").exists()


def test_names_stay_text_in_errors(build: Build) -> None:
    """A manifest names the application as somebody evil does: it is told, in one annotation and in the comment."""
    world = build(fleet=fleet(["pump"]))
    for number, name in enumerate((NAMES[4], NAMES[8]), 1):
        run = world.pull(number, {"manifests/plant.yaml": manifest("v2", name)}, branch=f"b{number}")
        assert run.conclusion == "failure"
        for job in run.jobs:
            for line in commands(job):
                assert line.startswith(("::error file=manifests/plant.yaml,line=1,col=", "::error::")), line
        (body,) = world.hub.bodies(number)
        harmless(body)


PLACES = [
    '--format=json & $(touch pwned) `touch pwned` "quoted" \'',
    "mänifests 泵 🚰\nb::set-output name=apply::true,line=9|<b>@team",
]


BRANCH = "x;echo${IFS}`id`$(id)'@team"
FILE = "a b::c ${{ secrets.OTHER }}.yaml"


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> str:
    """A folder; it, the file and the branch are named by somebody careless or evil."""
    return str(request.param)


@pytest.fixture
def named(place: str, build: Build) -> Iterator[World]:
    world = build(fleet=fleet(["pump"]), files={f"{place}/{FILE}": manifest("v1")}, path=place)
    yield world
    assert not list(world.git.folder.parent.rglob("pwned"))


def test_a_mistake_at_a_path_of_any_spelling_is_told(place: str, named: World) -> None:
    wrong = named.pull(1, {f"{place}/{FILE}": manifest("v2").replace("select", "selekt")}, branch=BRANCH)
    assert wrong.conclusion == "failure"
    for line in [line for job in wrong.jobs for line in commands(job)]:
        assert line.startswith("::error"), line


def test_what_is_at_a_path_of_any_spelling_is_reviewed_and_applied(place: str, named: World) -> None:
    world = named
    opened = world.pull(1, {f"{place}/{FILE}": manifest("v2")}, branch=BRANCH)
    assert opened.conclusion == "success", [job.log for job in opened.jobs]
    assert not [line for job in opened.jobs for line in commands(job)]
    (body,) = world.hub.bodies(1)
    assert "Plan: 0 to add, 1 to change" in body
    check_page(body.partition("\n")[2], 65_000)  # the first line is for us alone
    merged = world.merge(1, branch=BRANCH)
    assert merged.conclusion == "success", [job.log for job in merged.jobs]
    assert "Applied as reviewed" in merged.job("apply").summary


def test_drift_at_a_path_of_any_spelling_is_an_issue(named: World) -> None:
    named.server.control.set_released("pump", "telemetry", "v2")
    assert named.night().conclusion == "failure"
    (issue,) = named.hub.issues.values()
    assert "\n" not in issue["title"]
    harmless(issue["body"].replace("](https://github.example/acme/fleet/actions/runs/7)", ""))


def test_a_committed_link_is_not_written_through(build: Build, tmp_path: Path) -> None:
    """Nothing is written into the checkout at all: the links wait under every name that a step writes to."""
    world = build(fleet=fleet(["pump"]), files={"manifests/plant.yaml": manifest("v1")})
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("diff", "report", "reports", "result", "reconciler", "diff.md", "plan.json", "result.json"):
        (world.git.folder / name).symlink_to(elsewhere)
    world.git.commit({}, "links")
    assert world.pull(1, {"manifests/plant.yaml": manifest("v2")}).conclusion == "success"
    assert world.merge(1).conclusion == "success"
    assert world.night().conclusion == "success"
    assert list(elsewhere.iterdir()) == []
    checkouts = [place for place in (tmp_path / "scratch").glob("*/workspace") if (place / ".git").exists()]
    assert len(checkouts) == 6
    for place in checkouts:
        assert processes.run(["git", "-C", str(place), "status", "--porcelain", "--ignored"], check=True).stdout == ""


def test_a_folder_named_like_a_revision_hides_nothing(build: Build) -> None:
    """A fork that brings a folder along under the name of the base would show a diff of its own making."""
    world = build(fleet=fleet(["pump"]), files={"manifests/plant.yaml": manifest("v1")})
    files = {"manifests/plant.yaml": manifest("v2"), "HEAD/plant.yaml": manifest("v1")}
    run = world.pull(1, files, fork=True)
    assert run.conclusion == "success"
    assert "| `telemetry` | version | `v1` | `v2` | 1 |" in run.job("check").summary
    run = world.pull(1, {**files, "HEAD^1/plant.yaml": manifest("v2")}, fork=True)
    assert run.conclusion == "failure"
    assert "HEAD^1 is both a git revision and a file or folder" in run.job("check").log
