"""Attacks on lists while they are read: records, devices, flows and versions come and go between the pages.

Each attack hides something healthy from whoever reads page after page, and leaves no trace in the totals: what was
behind the first page before is on it afterwards. Where it matters, what is hidden is the very thing that makes a plan
wrong. A command may end with an error then; what it plans, sends and tells has to be right.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from reconciler.model.state import Kind
from reconciler.simulator import faults
from reconciler.simulator.faults import Shift, When
from tests.support.cli import Ended, run_here
from tests.support.fleet import APPLICATION, application
from tests.support.plant import Plant, plant_at

HEAD = f"apiVersion: reconciler/v1\napplication: {APPLICATION}\nlimits: {{removals: {{count: 1000, percent: 100}}}}\n"
BY_TAG, BY_QUERY = "{tags: {site: leeds}}", "{query: {tags: {site: leeds}}}"
PAGE = 10
TWO = 2  # so many come and go at once: neighbouring pages overlap by one record, which makes up for one
CAPPED, FIXED = {"per_page_cap": PAGE}, {"per_page_fixed": PAGE}
LIST = "*Deployments.get"
PLAN = ["plan", "plant.yaml", "--format", "json"]
APPLY = ["apply", "plant.yaml", "--yes", "--format", "json"]
OLD = [f"old-{number:02}" for number in range(15)]


def fleet(kind: str, count: int = 40) -> dict[str, Any]:
    """Healthy pumps, and more flows and versions than fit onto a page."""
    pumps = {"count": count, "name": "pump-{n:04}", "tags": {"site": "leeds"}, "deployed": {"telemetry": "v1"}}
    flows = {"telemetry": ["v1", "v2", *OLD], **{f"spare-{number:02}": ["s1"] for number in range(30)}}
    return {"take_up_s": 0, "applications": [application(kind, [pumps], flows)]}


@pytest.fixture
def pumps(kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plant]:
    with plant_at(tmp_path, monkeypatch, description=fleet(kind), kind=kind) as plant:
        plant.control.switch(**CAPPED)
        yield plant


def at_page(action: str, page: int = 1, **when: Any) -> When:
    return When(action=action, query={"page": str(page)}, **when)


def swapped(what: Any, action: str, **when: Any) -> list[Shift]:
    """Hardware is replaced between the first two pages."""
    return [Shift(what=what, count=TWO, when=at_page(action, **when))]


def exchanged(what: Any, action: str, **when: Any) -> list[Shift]:
    """Two that were deleted long ago are restored, and two of the first page deleted: nothing has a newer date."""
    at = at_page(action, **when)
    return [
        Shift(what=what, count=TWO, how="restore", end="last", when=at),
        Shift(what=what, count=TWO, how="delete", when=at),
    ]


def delete_the_last_two(plant: Plant, what: Any) -> None:
    number = plant.control.fault(Shift(what=what, count=TWO, how="delete", end="last"))
    items(plant, f"{plant.kind}/deployments")
    plant.control.clear_faults(number)


def items(plant: Plant, path: str, **params: str) -> list[dict[str, Any]]:
    """All items of a list in the order of their ids, on one page."""
    before = plant.control.switch()
    plant.control.switch(per_page_cap=None, per_page_fixed=None)
    url = f"{plant.server.url}/applications/{APPLICATION}/{path}"
    query = {"perPage": "10000", "sortField": "id", "sortDirection": "asc", **params}
    headers = {"Authorization": f"Bearer {plant.server.token}"}
    found = httpx.get(url, params=query, headers=headers, verify=False).json()["items"]  # no certificates to load
    plant.control.switch(**before)
    plant.control.forget_requests()
    return list(found)


def behind_the_first_page(plant: Plant, path: str, *, page: int = PAGE, flow_class: str = "") -> dict[str, Any]:
    """What a swap between the first two pages hides from whoever reads page after page."""
    return items(plant, path, **({"flowClass": flow_class} if flow_class else {}))[page]


def strike(plant: Plant, shifts: list[Shift]) -> None:
    for one in shifts:
        plant.control.fault(one)


def is_refused(ended: Ended, plant: Plant) -> bool:
    """Whether the command ended in an error that tells the list is incomplete, before anything was sent."""
    if ended.code in (0, 5, 6):  # something was sent, and the caller looks at that
        return False
    assert ended.code == 1, ended.err
    assert "incomplete" in ended.err, ended.err
    assert plant.writes() == []
    return True


SHIFTS: dict[str, list[Shift]] = {
    "records swapped": swapped("records", LIST, times=1),
    "records swapped in three reads": swapped("records", LIST, times=3),
    "records swapped in every read": swapped("records", LIST),
    "records swapped on a later page": [Shift(count=TWO, when=at_page(LIST, 3, times=1))],
    "one record swapped": [Shift(when=at_page(LIST, times=1))],
    "an old record restored": exchanged("records", LIST, times=1),
    "an old record restored in every read": exchanged("records", LIST),
    "devices swapped": swapped("devices", "devices.get", times=1),
    "devices swapped in every read": swapped("devices", "devices.get"),
    "an old device restored": exchanged("devices", "devices.get", times=1),
    "devices swapped while records are read": swapped("devices", LIST, times=1),
    "records swapped while devices are read": swapped("records", "devices.get", times=1),
    "everything swapped": swapped("records", LIST, times=1) + swapped("devices", "devices.get", times=1),
}


@pytest.mark.parametrize("server", [CAPPED, FIXED], ids=["capped", "ignores sizes"])
@pytest.mark.parametrize("select", [BY_TAG, BY_QUERY], ids=["tags", "query"])
@pytest.mark.parametrize("name", SHIFTS)
def test_pruning_removes_nothing_that_is_healthy(name: str, select: str, server: dict[str, int], pumps: Plant) -> None:
    """All pumps, old and new, run what the manifest says: there is nothing to remove."""
    pumps.manifest(f"{HEAD}prune: application\ngroups: {{leeds: {{select: {select}, flows: {{telemetry: v1}}}}}}\n")
    for what in ("records", "devices"):
        delete_the_last_two(pumps, what)
    pumps.control.switch(**server)
    strike(pumps, SHIFTS[name])
    ended = run_here(*APPLY)
    struck = sum(one["fired"] for one in pumps.control.faults())
    assert struck
    if is_refused(ended, pumps):
        return
    assert [body["version"] for _, body in pumps.writes()] == ["v1"] * len(pumps.writes())
    assert set(pumps.released().values()) == {"v1"}


@pytest.fixture
def herd(kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plant]:
    with plant_at(tmp_path, monkeypatch, description=fleet(kind, 1010), kind=kind) as plant:
        plant.control.switch(per_page_cap=300)
        yield plant


@pytest.mark.parametrize("shifts", [swapped("records", LIST, times=1), exchanged("records", LIST, times=1)])
@pytest.mark.parametrize("server", [{"per_page_cap": 300}, {"per_page_fixed": 300}], ids=["capped", "ignores sizes"])
def test_a_replace_moves_no_unmanaged_device(server: dict[str, int], shifts: list[Shift], herd: Plant) -> None:
    """The only unmanaged device at the old version is hidden: without it one replace would be right."""
    delete_the_last_two(herd, "records")
    stranger = behind_the_first_page(herd, f"{herd.kind}/deployments", page=300)["deviceName"]
    select = f"{{all: true, exclude: {{devices: [{stranger}]}}}}"
    herd.manifest(f"{HEAD}groups: {{all: {{select: {select}, flows: {{telemetry: v2}}}}}}\n")
    herd.control.switch(**server)
    strike(herd, shifts)
    ended = run_here(*APPLY)
    assert ended.code == 0, ended.err
    assert {action for action, _ in herd.writes()} == {f"{herd.kind}Deployments.release"}
    assert herd.released()[f"{stranger}/telemetry"] == "v1"


@pytest.mark.parametrize(
    "shifts", [swapped("devices", "devices.get", times=1), exchanged("devices", "devices.get", times=1)]
)
@pytest.mark.parametrize("select", [BY_TAG, BY_QUERY], ids=["tags", "query"])
def test_no_device_is_left_out(select: str, shifts: list[Shift], pumps: Plant) -> None:
    delete_the_last_two(pumps, "devices")
    hidden = behind_the_first_page(pumps, "devices")["name"]
    pumps.manifest(f"{HEAD}groups: {{leeds: {{select: {select}, flows: {{telemetry: v2}}}}}}\n")
    strike(pumps, shifts)
    ended = run_here(*PLAN)
    assert ended.code == 0, ended.err
    (plan,) = ended.document["plans"]
    assert hidden in {change["device_name"] for change in plan["changes"]}
    assert len(plan["changes"]) >= 36


def test_a_protected_device_is_not_left_out(pumps: Plant) -> None:
    hidden = behind_the_first_page(pumps, "devices")["name"]
    select = f"{{devices: ['pump-*'], exclude: {{devices: [{hidden}]}}}}"
    pumps.manifest(f"{HEAD}groups: {{all: {{select: {select}, flows: {{telemetry: v2}}}}}}\n")
    strike(pumps, swapped("devices", "devices.get", times=1))
    ended = run_here(*PLAN)
    assert ended.code == 0, ended.err
    assert hidden not in {change["device_name"] for change in ended.document["plans"][0]["changes"]}


def test_the_second_flow_of_a_name_is_not_hidden(pumps: Plant) -> None:
    """Two flows of one name have to be told apart by id; one that is hidden would leave the other, wrong one."""
    hidden = behind_the_first_page(pumps, "flows", flow_class=pumps.kind)
    twin = items(pumps, "flows", flowClass=pumps.kind)[-1]
    with pumps.control.world.changing() as db:
        db.execute("update flows set name = 'twin' where id in (?, ?)", (hidden["id"], twin["id"]))
    pumps.manifest(f"{HEAD}groups: {{leeds: {{select: {BY_TAG}, flows: {{twin: s1}}}}}}\n")
    strike(pumps, swapped("flows", "flows.get", times=1))
    ended = run_here(*PLAN)
    assert ended.code == 1
    assert hidden["id"] in ended.err
    assert twin["id"] in ended.err


def test_a_flow_that_is_there_is_found(pumps: Plant) -> None:
    hidden = behind_the_first_page(pumps, "flows", flow_class=pumps.kind)["name"]
    version = "v2" if hidden == "telemetry" else "s1"
    pumps.manifest(f"{HEAD}groups: {{leeds: {{select: {BY_TAG}, flows: {{{hidden}: {version}}}}}}}\n")
    strike(pumps, swapped("flows", "flows.get", times=1))
    ended = run_here(*PLAN)
    assert ended.code == 0, ended.err
    assert pumps.control.faults()[0]["fired"] == 1
    assert ended.document["plans"][0]["summary"]["devices"] == 40


def test_a_version_that_is_there_is_found(pumps: Plant) -> None:
    """Every version of the flow is wanted by some device. Only those that are deleted meanwhile are missed."""
    flow = next(row["flow_id"] for row in pumps.control.rows() if row["flow"] == "telemetry")
    versions = [item["version"] for item in items(pumps, f"flows/{flow}/versions")]
    assert len(versions) > PAGE
    wanted = "\n".join(f"  pump-{n:04}: {{telemetry: {one}}}" for n, one in enumerate(versions, start=1))
    pumps.manifest(f"{HEAD}devices:\n{wanted}\n")
    strike(pumps, swapped("versions", "flowVersions.get", times=1))
    ended = run_here(*PLAN)
    assert pumps.control.faults()[0]["fired"] == 1
    told = " ".join(problem["message"] for problem in ended.document["error"]["problems"])
    assert [one for one in versions if f"no version {one}" in told] == versions[:TWO]


# --- in the middle of an apply and of a wait --------------------------------------------------------------------


def removing(plant: Plant) -> str:
    """A manifest that removes the hidden row. Its device's name."""
    hidden = str(behind_the_first_page(plant, f"{plant.kind}/deployments")["deviceName"])
    plant.manifest(f"{HEAD}devices: {{{hidden}: {{telemetry: absent}}}}\n")
    return hidden


@pytest.mark.parametrize("server", [CAPPED, FIXED], ids=["capped", "ignores sizes"])
@pytest.mark.parametrize("every", [1, 2])
def test_a_row_that_is_hidden_is_not_confirmed_as_removed(every: int, server: dict[str, int], pumps: Plant) -> None:
    """The removal is accepted and lost; who does not see the row would take it for removed."""
    hidden = removing(pumps)
    pumps.control.switch(**server)
    pumps.control.fault(faults.Lost(when=When(method="POST")))
    since = 4 if server == FIXED else 2  # the plan's read is left in peace
    strike(pumps, [Shift(count=TWO, when=at_page(LIST, since=since, every=every, times=4))])
    ended = run_here(*APPLY)
    assert ended.code == 6, ended.err
    assert ended.result["rows"]["confirmed"] == 0
    assert pumps.released()[f"{hidden}/telemetry"] == "v1"


@pytest.mark.parametrize("server", [CAPPED, FIXED], ids=["capped", "ignores sizes"])
def test_a_row_that_is_hidden_has_not_converged(server: dict[str, int], pumps: Plant) -> None:
    """The pump never takes the removal up; who does not see its row would take it for done."""
    hidden = removing(pumps)
    with pumps.control.world.changing() as db:
        db.execute("update devices set take_up_ms = null where name = ?", (hidden,))
    pumps.control.switch(**server)
    rhythm = {"since": 7, "every": 4} if server == FIXED else {"since": 3, "every": 2}
    strike(pumps, [Shift(count=TWO, when=at_page(LIST, **rhythm, times=4))])
    ended = run_here(*APPLY, "--wait", "--timeout", "60s")
    assert ended.code == 5, ended.err
    assert {(row["device"], row["flow"]): row["reported"] for row in pumps.control.rows()}[hidden, "telemetry"] == "v1"


@pytest.mark.parametrize("server", [CAPPED, FIXED], ids=["capped", "ignores sizes"])
def test_swaps_in_the_middle_of_an_apply(server: dict[str, int], pumps: Plant) -> None:
    """Whoever is there all the time ends where the manifest says, and who comes is left alone."""
    before = {item["deviceName"] for item in items(pumps, f"{pumps.kind}/deployments")}
    pumps.manifest(f"{HEAD}devices:\n" + "\n".join(f"  {name}: {{telemetry: v2}}" for name in sorted(before)) + "\n")
    pumps.control.switch(**server)
    strike(pumps, [Shift(count=TWO, when=at_page(LIST, since=4 if server == FIXED else 2, times=1))])
    ended = run_here(*APPLY, "--wait", "--timeout", "60s")
    rows = {row.partition("/")[0]: version for row, version in pumps.released().items()}
    assert ended.code in (0, 5, 6)
    assert {rows[name] for name in before & rows.keys()} == {"v2"}
    assert len(before - rows.keys()) <= TWO
    (fault,) = pumps.control.faults()
    assert fault["fired"] == 1


# --- other readers ----------------------------------------------------------------------------------------------


def test_an_import_leaves_out_nobody(pumps: Plant) -> None:
    hidden = behind_the_first_page(pumps, f"{pumps.kind}/deployments")["deviceName"]
    strike(pumps, swapped("records", LIST, times=1))
    ended = run_here("import", "--application", APPLICATION, "--kind", str(pumps.kind), "--group-by", "none")
    assert ended.code == 0, ended.err
    assert pumps.control.faults()[0]["fired"] == 1
    assert f"# {hidden}\n" in ended.out


def test_a_status_leaves_out_nobody(pumps: Plant) -> None:
    pumps.manifest(f"{HEAD}groups: {{leeds: {{select: {BY_TAG}, flows: {{telemetry: v1}}}}}}\n")
    strike(pumps, swapped("records", LIST, times=1))
    ended = run_here("status", "plant.yaml", "--format", "json")
    assert pumps.control.faults()[0]["fired"] == 1
    assert ended.code == 0, ended.err


def test_the_installed_command_and_the_control_endpoint(pumps: Plant) -> None:
    """The same, in a process of its own, with the fault set from outside."""
    pumps.manifest(f"{HEAD}prune: application\ngroups: {{leeds: {{select: {BY_TAG}, flows: {{telemetry: v1}}}}}}\n")
    fault = {"kind": "shift", "when": {"action": LIST, "query": {"page": "1"}, "times": 3}}
    assert httpx.post(f"{pumps.server.url}/_simulator/fault", json={"fault": fault}).json() == {"result": 1}
    ended = pumps.run("plan", "plant.yaml", "--format", "json")
    assert ended.code == 0, ended.err
    assert ended.document["plans"][0]["summary"]["remove"] == 0
    assert pumps.control.faults()[0]["fired"] == 3
