"""A group that selects nothing is refused, through the installed command and in this process, on a simulator."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.simulator import serve
from tests.support.cli import Ended, Here
from tests.support.fleet import FLEET, HEAD, Shop

# Somebody renamed the tag of York in the manifest.
RENAMED = f"""{HEAD}
groups:
  leeds: {{select: {{tags: {{site: leeds}}}}, flows: {{telemetry: v2}}}}
  york: {{select: {{tags: {{site: yrok}}}}, flows: {{telemetry: v2}}}}
"""
TOLD = 'group "york" selects nothing: no device has the tag site=yrok'
NEAREST = "nearest: site=york"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with serve(FLEET) as server:
        shop = Shop(server, tmp_path)
        shop.write("shop.yaml", RENAMED)
        yield shop


@pytest.fixture
def here(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Here:
    return shop.here(monkeypatch)


def guards(ended: Ended) -> list[str]:
    """The guards that refuse in a JSON document."""
    return [one["guard"] for plan in ended.document["plans"] for one in plan["refused"]]


def test_the_installed_command_refuses_and_sends_nothing(shop: Shop) -> None:
    planned = shop.run("plan", "shop.yaml", "--format", "json", "--out", "plan.json")
    assert planned.code == 3
    (refused,) = planned.document["plans"][0]["refused"]
    assert refused["guard"] == "selects-nothing"
    assert (refused["path"], refused["line"]) == ("shop.yaml", 6)
    assert refused["message"] == TOLD
    assert NEAREST in refused["hint"]
    assert "may_be_empty: true" in refused["hint"]
    assert shop.run("apply", "shop.yaml", "--yes").code == 3
    assert shop.run("apply", "--plan", "plan.json", "--yes").code == 3
    assert shop.writes() == []


def test_text_and_markdown_say_it(here: Here) -> None:
    for text in (here("plan", "shop.yaml").out, here("plan", "shop.yaml", "--format", "markdown").out):
        assert TOLD in " ".join(text.split())
        assert NEAREST in " ".join(text.split())


def test_a_group_that_may_be_empty_is_not_judged_nor_warned_of(shop: Shop, here: Here) -> None:
    allowed = RENAMED.replace("flows: {telemetry: v2}}\n", "flows: {telemetry: v2}, may_be_empty: true}\n")
    shop.write("shop.yaml", allowed)
    ended = here("plan", "shop.yaml", "--format", "json", "--strict")
    assert ended.code == 0, ended.err
    assert ended.document["plans"][0]["warnings"] == []
    judged = next(iter(ended.document["guards"].values()))
    assert judged["may_be_empty"] == ["leeds", "york"]
    assert judged["selects_nothing"] == []


def test_the_review_covers_that_a_group_may_be_empty(shop: Shop, here: Here) -> None:
    plain = RENAMED.replace("yrok", "york")
    shop.write("shop.yaml", plain)
    before = here("plan", "shop.yaml", "--format", "json").document
    shop.write("shop.yaml", plain.replace("flows: {telemetry: v2}}\n", "flows: {telemetry: v2}, may_be_empty: true}\n"))
    after = here("plan", "shop.yaml", "--format", "json").document
    assert before["digest"] == after["digest"]
    assert before["review_digest"] != after["review_digest"]


@pytest.mark.parametrize(
    ("filters", "code"),
    [
        (["--target", "group=leeds"], 0),
        (["--exclude", "group=york"], 0),
        (["--target", "device=leeds-1"], 0),  # it decides no row of that device
        (["--target", "flow=alarms"], 0),
        (["--exclude", "flow=telemetry"], 0),
        (["--target", "group=york"], 3),
        (["--target", "flow=telemetry"], 3),
        (["--exclude", "group=leeds"], 3),
        (["--target", "group=york", "--exclude", "group=york"], 0),
    ],
)
def test_it_is_judged_for_the_groups_that_filters_leave(here: Here, filters: list[str], code: int) -> None:
    ended = here("plan", "shop.yaml", "--format", "json", *filters)
    assert ended.code == code
    assert guards(ended) == ["selects-nothing"] * (code == 3)
    warned = [one["message"] for one in ended.document["plans"][0]["warnings"]]
    assert (TOLD in warned) == (code == 0)


@pytest.mark.parametrize(
    ("select", "code"),
    [
        ("{tags: {site: york}, percent: 0}", 0),
        ("{tags: {site: yrok}, percent: 100}", 3),
        ("{tags: {site: york}, exclude: {percent: 100}}", 0),
        ("{query: {name: nobody}}", 0),
        ("{tags: {site: york}, exclude: {tags: {site: york}}}", 3),
        ('{devices: ["york*-9"]}', 3),
    ],
)
def test_a_share_and_a_query_are_warnings(shop: Shop, here: Here, select: str, code: int) -> None:
    shop.write(
        "shop.yaml",
        f"{HEAD}groups:\n  a: {{select: {select}, flows: {{telemetry: v1}}}}\ndevices: {{york-1: {{telemetry: v1}}}}\n",
    )
    ended = here("plan", "shop.yaml", "--format", "json")
    assert ended.code == code
    assert guards(ended) == ["selects-nothing"] * (code == 3)
    assert bool(ended.document["plans"][0]["warnings"]) == (code == 0)


def test_an_excluded_device_that_nobody_has_makes_no_refusal(shop: Shop, here: Here) -> None:
    shop.write(
        "shop.yaml",
        f"{HEAD}groups: {{a: {{select: {{devices: [york-9]}}, flows: {{telemetry: v1}}}}}}\n"
        "devices: {york-1: {telemetry: v1}}\n",
    )
    ended = here("plan", "shop.yaml", "--format", "json", "--exclude", "device=york-9")
    assert (ended.code, guards(ended)) == (0, [])


def test_status_warns(here: Here) -> None:
    ended = here("status", "shop.yaml")
    assert f"Warning: shop.yaml:6: {TOLD}" in ended.err


def test_a_saved_plan_without_the_empty_group_is_told(shop: Shop, here: Here) -> None:
    here("plan", "shop.yaml", "--out", "plan.json")
    data: dict[str, Any] = shop.read_json("plan.json")
    next(iter(data["guards"].values()))["selects_nothing"] = []
    shop.write("edited.json", json.dumps(data))
    ended = here("apply", "--plan", "edited.json", "--yes")
    assert ended.code == 1
    assert "does not match its guards: the file was edited or damaged" in ended.err
