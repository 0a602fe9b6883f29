"""`kind: edge` by the command line over loopback: every command, custom nodes, and both kinds in one run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reconciler.simulator import Clock, serve
from tests.support.cli import Ended, Here
from tests.support.fleet import Shop
from tests.support.time import skip_pauses
from tests.support.waiting import join

APPLICATION = "5f0c8a1b2d3e4f5061728394"
FLEET = f"""
take_up_s: 1
applications:
  - id: {APPLICATION}
    name: shop
    flows:
      collect: {{class: edge, versions: [v1, v2, v3]}}
      filter: {{class: edge, versions: [f1, f2]}}
      parser: {{class: customNode, versions: [n1, n2]}}
      pumping: {{class: embedded, versions: [e1, e2]}}
    devices:
      - count: 4
        name: "leeds-{{n}}"
        class: edgeCompute
        tags: {{site: leeds}}
        deployed: {{collect: v1, filter: f1, parser: n1}}
      - {{count: 2, name: "york-{{n}}", class: edgeCompute, tags: {{site: york}}, deployed: {{collect: v1}}}}
      - {{name: away, class: edgeCompute, tags: {{site: hull}}, deployed: {{collect: v1}}, connected: false}}
      - name: weak
        class: edgeCompute
        tags: {{site: hull}}
        deployed: {{collect: v1}}
        fails: {{collect: {{v2: no space}}}}
      - {{name: bare, class: edgeCompute, tags: {{site: hull}}}}
      - {{count: 3, name: "pump-{{n}}", tags: {{site: leeds}}, deployed: {{pumping: e1}}}}
"""
HEAD = f"apiVersion: reconciler/v1\napplication: {{id: {APPLICATION}, name: shop}}\nkind: edge\n"
MANIFEST = f"""{HEAD}
groups:
  leeds: {{select: {{tags: {{site: leeds}}}}, flows: {{collect: v2, filter: f2}}}}
devices:
  bare: {{filter: f1}}
  york-1: {{collect: absent}}
limits: {{removals: {{percent: 50}}}}
"""
LEEDS = [f"leeds-{number}" for number in range(1, 5)]
BEFORE = {
    **{f"{gateway}/{flow}": version for gateway in LEEDS for flow, version in
       {"collect": "v1", "filter": "f1", "parser": "n1"}.items()},
    **{f"{gateway}/collect": "v1" for gateway in ("york-1", "york-2", "away", "weak")},
    **{f"pump-{number}/pumping": "e1" for number in (1, 2, 3)},
}  # fmt: skip
AFTER = {
    **BEFORE,
    **{f"{gateway}/collect": "v2" for gateway in LEEDS},
    **{f"{gateway}/filter": "f2" for gateway in LEEDS},
    "bare/filter": "f1",
}
del AFTER["york-1/collect"]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with serve(FLEET, clock=Clock(frozen_at=datetime(2026, 3, 2, 9, tzinfo=UTC))) as server:
        shop = Shop(server, tmp_path)
        shop.write("shop.yaml", MANIFEST)
        yield shop


@pytest.fixture
def here(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Here:
    skip_pauses(monkeypatch)
    return shop.here(monkeypatch)


def only(done: Ended, name: str) -> dict[str, Any]:
    (one,) = done.document[name]
    return dict(one)


def edge_writes(shop: Shop) -> set[str]:
    return {action for action, _ in shop.writes()}


def test_validate_plan_apply_plan_again_by_the_installed_command(shop: Shop) -> None:
    program = (str(Path(sys.executable).parent / "reconciler"),)
    assert shop.run("validate", "shop.yaml", program=program).code == 0
    planned = shop.run("plan", "--detailed-exitcode", "shop.yaml", program=program)
    assert planned.code == 2
    assert f"Application shop ({APPLICATION}), edge\n" in planned.out
    assert planned.out.endswith("Plan: 1 to add, 8 to change, 1 to destroy.\n")
    assert shop.writes() == []

    applied = shop.run("apply", "--yes", "shop.yaml")
    assert (applied.code, applied.err) == (0, "")
    assert applied.out.endswith("Apply complete! Resources: 1 added, 8 changed, 1 destroyed.\n")
    assert shop.released() == AFTER
    assert all(action.startswith("edgeDeployments.") for action in edge_writes(shop))

    shop.control.forget_requests()
    again = shop.run("plan", "--detailed-exitcode", "shop.yaml")
    assert again.code == 0
    assert again.out.endswith("\nNo changes.\n")
    assert shop.run("apply", "--yes", "shop.yaml").code == 0
    assert shop.writes() == []


def test_a_saved_plan_says_its_kind_and_is_carried_out(shop: Shop, here: Here) -> None:
    plan = only(here("plan", "shop.yaml", "--out", "plan.json", "--format", "json"), "plans")
    assert plan["kind"] == "edge"
    assert here("apply", "--plan", "plan.json", "--yes").code == 0
    assert shop.released() == AFTER


def test_apply_waits_flow_by_flow(shop: Shop, here: Here) -> None:
    """Each flow of a gateway is taken up alone, and what one of them fails at is told of that one."""
    shop.write(
        "shop.yaml", HEAD + "devices: {weak: {collect: v2, filter: f1}, away: {collect: v2}, leeds-1: {collect: v2}}"
    )
    from threading import Event, Thread

    over = Event()

    def pass_time() -> None:
        while not over.wait(0.02):
            shop.control.advance(1)

    thread = Thread(target=pass_time)
    thread.start()
    done = here("apply", "shop.yaml", "--yes", "--wait", "--timeout", "2m", "--format", "json")
    over.set()
    join(thread)
    assert done.code == 5, done.err
    wait = only(done, "results")["wait"]
    nothing = {"pending": 0, "drift": 0, "device_deleted": 0}
    assert wait["rows"] == {"converged": 2, "offline": 1, "failed": 1, **nothing}
    verdicts = {(one["device_name"], one["flow_name"]): one for one in wait["laggards"]}
    assert verdicts["weak", "collect"]["verdict"] == "failed"
    assert verdicts["weak", "collect"]["error"] == "no space"
    assert verdicts["away", "collect"]["verdict"] == "offline"


def test_status_knows_each_standing(shop: Shop, here: Here) -> None:
    shop.write("shop.yaml", HEAD + "devices: {weak: {collect: v2}, away: {collect: v2}, leeds-1: {collect: v2}}")
    assert here("apply", "shop.yaml", "--yes").code == 0
    before = only(here("status", "shop.yaml", "--format", "json"), "status")
    assert before["rows"] | {"pending": 2, "offline": 1, "failed": 0} == before["rows"]
    shop.control.settle()
    done = here("status", "shop.yaml", "--format", "json")
    assert done.code == 5
    status = only(done, "status")
    assert status["kind"] == "edge"
    unmanaged = len([row for row in BEFORE if "pump" not in row]) - 3  # the custom nodes are among them
    nothing = {"pending": 0, "drift": 0, "device_deleted": 0}
    assert status["rows"] == {"in_sync": 1, "offline": 1, "failed": 1, "unmanaged": unmanaged, **nothing}
    shop.control.set_released("leeds-1", "collect", "v3")
    drifted = here("status", "shop.yaml", "--device", "leeds-1", "--detailed-exitcode")
    assert drifted.code == 2
    assert "drift" in drifted.out


@pytest.mark.parametrize("group_by", ["auto", "none", "tag:site"])
def test_what_is_imported_plans_empty(group_by: str, shop: Shop, here: Here) -> None:
    text = here("import", "--application", APPLICATION, "--kind", "edge", "--group-by", group_by).out
    assert "kind: edge\n" in text
    assert "parser" not in text
    assert "pumping" not in text
    shop.write("imported.yaml", text)
    planned = here("plan", "imported.yaml", "--detailed-exitcode", "--format", "json")
    assert planned.code == 0
    kept = only(planned, "plans")["summary"]["keep"] - text.partition("devices:")[2].count(": absent")
    assert kept == len([row for row in BEFORE if "parser" not in row and "pump" not in row])


def test_diff_tells_the_kind(shop: Shop, here: Here) -> None:
    for name, text in (("old", MANIFEST), ("new", MANIFEST.replace("collect: v2", "collect: v3"))):
        (shop.folder / name).mkdir()
        shop.write(f"{name}/shop.yaml", text)
    done = here("diff", "old/", "new/", "--format", "json")
    assert done.code == 0
    assert {one["kind"] for one in done.document["differences"]} == {"edge"}
    assert {(one["from"], one["to"]) for one in done.document["differences"]} == {("v2", "v3")}


@pytest.mark.parametrize("prune", ["devices", "flows", "application"])
def test_custom_nodes_are_never_changes(prune: str, shop: Shop, here: Here) -> None:
    """Neither by a prune that makes everything exhaustive, nor on the side of a call for a whole device."""
    wanted = "devices: {leeds-1: {collect: absent, filter: absent}, leeds-2: {collect: absent, filter: absent}}\n"
    limits = "limits: {removals: {count: 1000, percent: 100}}\n"
    shop.write("shop.yaml", f"{HEAD}prune: {prune}\n{wanted}{limits}")
    planned = only(here("plan", "shop.yaml", "--format", "json"), "plans")
    assert "parser" not in {change["flow_name"] for change in planned["changes"]}
    parsers = {row["flow_id"] for row in shop.control.rows() if row["flow"] == "parser"}
    assert sum(row["flow_id"] in parsers for row in planned["unmanaged"]) == len(LEEDS)
    assert here("apply", "shop.yaml", "--yes").code == 0
    left = {row for row in shop.released() if row.startswith("leeds-")}
    assert left >= {f"{gateway}/parser" for gateway in LEEDS}
    assert not any(body.get("flowId") is None for _, body in shop.writes())
    assert here("plan", "shop.yaml", "--detailed-exitcode").code == 0


def test_a_custom_node_that_is_declared_is_left_alone_with_a_word_or_refused(shop: Shop, here: Here) -> None:
    parser = next(row["flow_id"] for row in shop.control.rows() if row["flow"] == "parser")
    shop.write("shop.yaml", HEAD + "devices: {leeds-1: {parser: n2}}")
    by_name = here("plan", "shop.yaml")
    assert by_name.code == 1
    assert "parser" in by_name.err
    shop.write("shop.yaml", HEAD + f"devices: {{leeds-1: {{{parser}: n2}}, leeds-2: {{{parser}: absent}}}}")
    done = here("apply", "shop.yaml", "--yes")
    assert done.code == 0
    told = " ".join(done.out.split())
    assert 'Warning: shop.yaml:4: flow "parser" is a custom node: its declaration is ignored' in told
    assert shop.writes() == []
    assert shop.released() == BEFORE
    shop.write("shop.yaml", HEAD + f"devices: {{york-1: {{{parser}: n2}}}}")
    done = here("apply", "shop.yaml", "--yes")
    assert done.code == 1
    assert 'shop.yaml:4:20: flow "parser" is a custom node, which cannot be released (it is deployed with' in done.err
    assert shop.writes() == []


def test_devices_of_another_class_are_never_selected(shop: Shop, here: Here) -> None:
    shop.write("shop.yaml", HEAD + "groups: {all: {select: {all: true}, flows: {collect: v2}}}")
    plan = only(here("plan", "shop.yaml", "--format", "json"), "plans")
    assert {change["device_name"] for change in plan["changes"]} == {*LEEDS, "york-1", "york-2", "away", "weak", "bare"}
    shop.write("shop.yaml", HEAD + "devices: {pump-1: {collect: v2}}")
    done = here("plan", "shop.yaml")
    assert done.code == 1
    assert "pump-1" in done.err
    assert "embedded" in done.err
    shop.write("shop.yaml", HEAD + "devices: {leeds-1: {pumping: e2}}")
    done = here("plan", "shop.yaml")
    assert done.code == 1
    assert "pumping" in done.err


def test_few_calls_and_the_same_result_by_explicit_ones(shop: Shop, here: Here) -> None:
    """Wildcards of the edge API do what they do for embedded deployments."""
    for calls in ("explicit", "fewest"):
        shop.write("shop.yaml", HEAD + "groups: {all: {select: {all: true}, flows: {collect: absent}}}\n"
                   "limits: {removals: {count: 1000, percent: 100}}\n")  # fmt: skip
        shop.control.forget_requests()
        assert here("apply", "shop.yaml", "--yes", "--calls", calls).code == 0
        assert not any("collect" in row for row in shop.released())
        assert len(shop.writes()) == 1
        shop.write("shop.yaml", HEAD + "groups: {all: {select: {all: true}, flows: {collect: v1}}}")
        assert here("apply", "shop.yaml", "--yes", "--calls", calls).code == 0


@pytest.mark.parametrize("cap", [1, 2, 100])
def test_pages_of_any_size(cap: int, shop: Shop, here: Here) -> None:
    shop.control.switch(per_page_cap=cap)
    assert here("apply", "shop.yaml", "--yes").code == 0
    assert shop.released() == AFTER


@pytest.mark.parametrize("kept", ["kept", "dropped"])
def test_empty_records_are_nothing(kept: str, shop: Shop, here: Here) -> None:
    shop.control.switch(empty_edge_records=kept)
    assert here("apply", "shop.yaml", "--yes").code == 0
    shop.control.settle()
    done = here("plan", "shop.yaml", "--detailed-exitcode", "--format", "json")
    assert done.code == 0
    plan = only(done, "plans")
    york = next(row["device_id"] for row in shop.control.rows() if row["device"] == "york-2")
    assert plan["summary"]["pending"] == 0
    assert york in {row["device_id"] for row in plan["unmanaged"]}
    assert shop.released() == AFTER


# --- both kinds -------------------------------------------------------------------------------------------------

PUMPS = HEAD.replace("kind: edge", "kind: embedded") + "groups: {p: {select: {all: true}, flows: {pumping: e2}}}\n"


def test_one_application_with_both_kinds_in_one_run(shop: Shop, here: Here) -> None:
    shop.write("both.yaml", f"{MANIFEST}---\n{PUMPS}")
    planned = here("plan", "both.yaml", "--format", "json")
    assert [(plan["kind"], len(plan["changes"])) for plan in planned.document["plans"]] == [
        ("edge", 10),
        ("embedded", 3),
    ]
    text = here("plan", "both.yaml").out
    assert text.endswith("Plan: 1 to add, 11 to change, 1 to destroy.\n")

    done = here("apply", "both.yaml", "--yes", "--result", "result.json", "--format", "json")
    assert done.code == 0, done.err
    assert {one["kind"]: one["rows"]["confirmed"] for one in done.document["results"]} == {"edge": 10, "embedded": 3}
    after = {**AFTER, **{f"pump-{number}/pumping": "e2" for number in (1, 2, 3)}}
    assert shop.released() == after
    assert {action.partition(".")[0] for action in edge_writes(shop)} == {"edgeDeployments", "embeddedDeployments"}

    shop.control.settle()
    status = here("status", "both.yaml", "--format", "json").document["status"]
    assert {one["kind"]: one["rows"]["in_sync"] for one in status} == {"edge": 10, "embedded": 3}
    assert here("plan", "both.yaml", "--detailed-exitcode").code == 0
    held = here("applications", "both.yaml", "--format", "json").document["applications"]
    assert [one["kind"] for one in held] == ["edge", "embedded"]


def test_a_refusal_of_one_kind_stops_both(shop: Shop, here: Here) -> None:
    shop.write("both.yaml", f"{MANIFEST.replace('percent: 50', 'count: 0')}---\n{PUMPS}")
    assert here("apply", "both.yaml", "--yes").code == 3
    assert shop.writes() == []
    assert here("apply", "both.yaml", "--yes", "--kind", "embedded").code == 0
    assert edge_writes(shop) == {"embeddedDeployments.release"}
