"""`--format html` of the commands, from the fleet and from what was saved."""

from __future__ import annotations

import json
import re

import pytest

from tests.support.cli import Here
from tests.support.fleet import Shop

READ = re.compile(r"<div><dt>Read</dt>.*?</div>\n", re.DOTALL)
WHY = re.compile(r'<td role="cell" data-label="Why so">.*?</td>')  # why a call was chosen is not saved
NAME = re.compile('<span class="name">[^<]*</span> <code class="id">')


def _saved(page: str) -> str:
    """A plan's page without what a saved plan does not hold: when, why, and the names of devices left alone."""
    return NAME.sub("<code>", WHY.sub("", READ.sub("", page)))


def test_a_plan_is_a_page_live_and_saved(shop: Shop, here: Here) -> None:
    live = here("plan", "shop.yaml", "--out", "plan.json", "--format", "html", "--commit", "c0ffee")
    assert live.code == 0
    assert live.out.startswith("<!doctype html>\n")
    assert live.out.endswith("</html>\n")
    assert "<h1>Plan: 1 to add, 8 to change, 1 to destroy.</h1>" in live.out
    assert "<dt>Commit</dt><dd><code>c0ffee</code></dd>" in live.out
    assert READ.search(live.out)
    saved = here("show", "plan.json", "--format", "html", "--commit", "c0ffee")
    assert saved.code == 0
    assert _saved(saved.out) == _saved(live.out)


def test_a_result_is_a_page_live_and_saved(shop: Shop, here: Here) -> None:
    live = here("apply", "shop.yaml", "--yes", "--wait", "--result", "result.json", "--format", "html")
    assert live.code == 0
    assert "<h1>Apply complete! Resources: 1 added, 8 changed, 1 destroyed.</h1>" in live.out
    assert live.out.count("</html>") == 1, "stdout gets the page alone"
    assert here("show", "result.json", "--format", "html").out == live.out


def test_a_status_is_a_page_live_and_saved(shop: Shop, here: Here) -> None:
    live = here("status", "shop.yaml", "--format", "html")
    assert live.code == 0
    assert "devices run what Git says; " in live.out
    shop.write("status.json", here("status", "shop.yaml", "--format", "json").out)
    saved = here("show", "status.json", "--format", "html")
    assert saved.out == READ.sub("", live.out)
    assert here("show", "status.json").out == here("status", "shop.yaml").out
    assert (
        here("show", "status.json", "--format", "markdown").out
        == here("status", "shop.yaml", "--format", "markdown").out
    )
    shown = here("show", "status.json", "--format", "json").document
    assert shown == {**shop.read_json("status.json"), "command": "show"}


def test_a_row_that_lags_tells_its_group(shop: Shop, here: Here) -> None:
    report = here("status", "shop.yaml", "--format", "json").document["status"][0]
    groups = {(row["device_name"], row["flow_name"]): row["group"] for row in report["laggards"]}
    assert groups["leeds-1", "telemetry"] == "leeds"
    assert groups["york-1", "alarms"] is None
    assert '<td role="cell" data-label="Group">leeds</td>' in here("status", "shop.yaml", "--format", "html").out


def test_the_page_of_a_device_has_its_log(shop: Shop, here: Here) -> None:
    here("apply", "shop.yaml", "--yes", "--wait")
    page = here("status", "shop.yaml", "--device", "leeds-1", "--format", "html").out
    assert 'Log of <span class="name">leeds-1</span>' in page
    shop.write("status.json", here("status", "shop.yaml", "--device", "leeds-1", "--format", "json").out)
    assert here("show", "status.json", "--format", "html").out == READ.sub("", page)
    assert "The only device runs what Git says" in page


def test_what_is_refused_is_a_page_that_says_so(shop: Shop, here: Here) -> None:
    ended = here("plan", "shop.yaml", "--strict", "--target", "device=york-1", "--format", "html")
    assert ended.code == 0
    shop.write("shop.yaml", (shop.folder / "shop.yaml").read_text().replace("percent: 50", "count: 0"))
    ended = here("plan", "shop.yaml", "--format", "html")
    assert ended.code == 3
    assert "<b>Refused.</b>" in ended.out
    assert "Way out:" in ended.out


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ({"format_version": "2"}, "format_version is '2'"),
        ({"status": [{}]}, r"status\[0\]\.application is missing"),
        ({"status": 1}, "status must be a list"),
    ],
)
def test_a_damaged_status_is_told_with_its_place(shop: Shop, here: Here, damage: dict[str, object], said: str) -> None:
    document = here("status", "shop.yaml", "--format", "json").document
    shop.write("status.json", json.dumps({**document, **damage}))
    ended = here("show", "status.json", "--format", "html")
    assert (ended.code, ended.out) == (1, "")
    assert re.search(said, ended.err)


def test_a_status_cannot_be_applied(shop: Shop, here: Here) -> None:
    shop.write("status.json", here("status", "shop.yaml", "--format", "json").out)
    assert here("apply", "--plan", "status.json", "--yes").code == 1
    assert shop.writes() == []
