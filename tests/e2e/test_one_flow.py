"""`--target flow=`: only that flow's records are read, and no call reaches further than what was read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reconciler.model.state import Kind
from reconciler.simulator import Clock, Server, faults, serve
from tests.support.cli import Ended, Here
from tests.support.fleet import Shop
from tests.support.time import skip_pauses

APPLICATION = "5f0c8a1b2d3e4f5061728394"
TELEMETRY, ALARMS = "5f0c8a1b2d3e4f50617283f1", "5f0c8a1b2d3e4f50617283f2"
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
PUMPS = 1_005  # more than one release names, so that a wildcard would save a call
many = pytest.mark.parametrize("pumps", [PUMPS])


def fleet(kind: Kind, pumps: int) -> str:
    return f"""
take_up_s: 0
applications:
  - id: {APPLICATION}
    name: shop
    flows:
      telemetry: {{id: {TELEMETRY}, class: {kind}, versions: [v1, v2]}}
      alarms: {{id: {ALARMS}, class: {kind}, versions: [a1, a2]}}
    devices:
      - {{count: {pumps}, name: "pump-{{n}}", class: {kind.device_class}, deployed: {{telemetry: v1}}}}
      - {{count: 7, name: "fan-{{n}}", class: {kind.device_class}, deployed: {{alarms: a1}}}}
"""


def manifest(kind: Kind, telemetry: str) -> str:
    return f"""
apiVersion: reconciler/v1
application: {APPLICATION}
kind: {kind}
flows: {{telemetry: {TELEMETRY}, alarms: {ALARMS}}}
groups:
  pumps: {{select: {{devices: ["pump-*"]}}, flows: {{telemetry: {telemetry}}}}}
  fans: {{select: {{devices: ["fan-*"]}}, flows: {{alarms: a2}}}}
limits: {{removals: {{count: 100000, percent: 100}}}}
"""


@pytest.fixture
def pumps() -> int:
    return 5


@pytest.fixture
def shop(kind: Kind, pumps: int, tmp_path: Path) -> Iterator[Shop]:
    with serve(fleet(kind, pumps), clock=Clock(frozen_at=START)) as server:
        shop = Shop(server, tmp_path)
        shop.write("shop.yaml", manifest(kind, "v2"))
        yield shop


@pytest.fixture
def here(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Here:
    skip_pauses(monkeypatch)
    return shop.here(monkeypatch)


def listings(server: Server, kind: Kind) -> list[str | None]:
    """The flow that each page of deployments was restricted to."""
    lists = [one for one in server.control.requests() if one["action"] == f"{kind}Deployments.get"]
    return [one["query"].get("flowId") for one in lists]


def plan_of(done: Ended) -> dict[str, Any]:
    (plan,) = done.document["plans"]
    return dict(plan)


@many
@pytest.mark.parametrize("target", ["telemetry", TELEMETRY, TELEMETRY.upper()])
def test_only_its_records_are_read(target: str, kind: Kind, shop: Shop, here: Here) -> None:
    partly = plan_of(here("plan", "shop.yaml", "--target", f"flow={target}", "--format", "json"))
    assert set(listings(shop.server, kind)) == {TELEMETRY}
    versions = [one["path"] for one in shop.control.requests() if one["action"] == "flowVersions.get"]
    assert [TELEMETRY in path for path in versions] == [True]  # nor is anything of another flow checked
    shop.control.forget_requests()
    # A second target that adds nothing makes it read everything: the same changes by other calls.
    whole = plan_of(
        here("plan", "shop.yaml", "--target", f"flow={target}", "--exclude", "device=fan-1", "--format", "json")
    )
    assert set(listings(shop.server, kind)) == {None}
    assert [call["action"] for call in whole["calls"]] == ["replace"]
    assert [(call["action"], call["count"]) for call in partly["calls"]] == [("release", 1_000), ("release", 5)]
    for plan in (partly, whole):
        del plan["calls"]
        del plan["summary"]["calls"]
        for change in plan["changes"]:
            del change["call"]
    assert partly == whole


def test_apply_reads_and_moves_nothing_else(kind: Kind, shop: Shop, here: Here) -> None:
    done = here("apply", "shop.yaml", "--target", "flow=telemetry", "--yes", "--wait", "--format", "json")
    assert done.code == 0, done.err
    (result,) = done.document["results"]
    assert result["rows"] == {"total": 5, "confirmed": 5}
    assert (result["collateral"], result["moved_meanwhile"]) == ([], [])
    assert set(listings(shop.server, kind)) == {TELEMETRY}
    assert {action for action, _ in shop.writes()} == {f"{kind}Deployments.release"}
    assert set(shop.released().values()) == {"v2", "a1"}

    again = here("plan", "shop.yaml", "--target", "flow=telemetry", "--detailed-exitcode")
    assert again.code == 0


@many
def test_the_removal_of_the_flow_is_the_one_wildcard_whose_reach_was_read(kind: Kind, shop: Shop, here: Here) -> None:
    shop.write("shop.yaml", manifest(kind, "absent"))
    done = here("apply", "shop.yaml", "--target", "flow=telemetry", "--yes", "--format", "json")
    assert done.code == 0, done.err
    assert shop.writes() == [(f"{kind}Deployments.remove", {"flowId": TELEMETRY, "deviceId": None})]
    assert set(listings(shop.server, kind)) == {TELEMETRY}
    assert shop.released() == {f"fan-{number}/alarms": "a1" for number in range(1, 8)}


@many
def test_a_row_of_the_flow_that_is_not_managed_stands_in_the_way(kind: Kind, shop: Shop, here: Here) -> None:
    shop.write("shop.yaml", manifest(kind, "absent"))
    shop.control.set_released("fan-1", "telemetry", "v1")
    done = here("apply", "shop.yaml", "--target", "flow=telemetry", "--yes")
    assert done.code == 0, done.err
    assert {action for action, _ in shop.writes()} == {f"{kind}Deployments.release"}
    assert shop.released()["fan-1/telemetry"] == "v1"
    assert set(listings(shop.server, kind)) == {TELEMETRY}


@many
def test_an_accepted_call_that_does_nothing_is_still_found_out(kind: Kind, shop: Shop, here: Here) -> None:
    shop.control.fault(faults.Lost(when=faults.When(action=f"{kind}Deployments.release", nth=2)))
    in_turn = ("--parallelism", "1")  # so that the second is the smaller one
    done = here("apply", "shop.yaml", "--target", "flow=telemetry", "--yes", "--format", "json", *in_turn)
    assert done.code == 6
    (result,) = done.document["results"]
    assert result["rows"] == {"total": PUMPS, "confirmed": 1_000}
    assert set(listings(shop.server, kind)) == {TELEMETRY}


@many
def test_percentages_are_of_all_managed_rows(kind: Kind, shop: Shop, here: Here) -> None:
    """Seven of seven alarms are few of all rows: where the flow alone would cross a limit, everything is read."""
    limit = "limits: {removals: {count: 100000, percent: 100}, changes: {percent: 50}}"
    text = manifest(kind, "v1").rpartition("limits:")[0] + limit
    shop.write("shop.yaml", text)
    done = here("plan", "shop.yaml", "--target", "flow=alarms", "--format", "json")
    assert done.code == 0
    assert plan_of(done)["summary"]["update"] == 7
    assert listings(shop.server, kind) == [ALARMS, None, None]

    shop.write("shop.yaml", text.replace("percent: 50", "percent: 0.1"))
    refused = here("plan", "shop.yaml", "--target", "flow=alarms")
    assert refused.code == 3
    assert "0.7% of the 1,012 managed rows" in refused.err


@pytest.mark.parametrize(
    "filters",
    [
        ["--target", "flow=telemetry", "--target", "flow=alarms"],
        ["--target", "flow=telemetry", "--target", "group=fans"],
        ["--target", "group=pumps"],
        ["--target", "device=fan-1"],
        ["--exclude", "flow=alarms"],
        [],
    ],
)
def test_whatever_needs_more_reads_everything(filters: list[str], kind: Kind, shop: Shop, here: Here) -> None:
    assert here("plan", "shop.yaml", *filters).code == 0
    assert set(listings(shop.server, kind)) == {None}


def test_a_flow_by_its_name_is_known_where_the_manifest_uses_names(kind: Kind, shop: Shop, here: Here) -> None:
    text = manifest(kind, "v2").replace(f"flows: {{telemetry: {TELEMETRY}, alarms: {ALARMS}}}\n", "")
    shop.write("shop.yaml", text)
    assert here("plan", "shop.yaml", "--target", "flow=telemetry").code == 0
    assert set(listings(shop.server, kind)) == {TELEMETRY}
    misspelt = here("plan", "shop.yaml", "--target", "flow=telemetri")
    assert misspelt.code == 1
    assert "--target flow=telemetri: there is no such flow" in misspelt.err
    assert "nearest: telemetry" in misspelt.err
