"""Rollouts on the pages: where they stand, what goes now, what is withheld and why, who fails, what leaves."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
import yaml

from reconciler.documents.json import document, dump
from reconciler.documents.plan import plan_document
from reconciler.documents.saved_plan import load_saved
from reconciler.documents.status import Stood, read_status
from reconciler.health import summarise
from reconciler.model.digest import digests
from reconciler.model.health import StatusReport, Verdict
from reconciler.model.plan import Plan
from reconciler.model.result import Result, not_started
from reconciler.model.rollout import FailingDevice, Rollout, RolloutReport, RolloutState, RolloutVerdict, WaveReport
from reconciler.render.html.plan import plan_html
from reconciler.render.html.result import result_html
from reconciler.render.html.rollouts import next_time
from reconciler.render.html.status import status_html
from reconciler.render.rollouts.tallies import WaveTally, by_wave
from tests.builders import hex_id
from tests.hostile import NAMES
from tests.render.test_html import PAGES, PLAIN, Page
from tests.render.test_rollouts import WORLDS
from tests.support import hostile_documents as hostile
from tests.support.rolling import FLOW, ident, plan, world

SOAKS = "c1/1=soaking c2/1=soaking a/2=to_release b/3=to_release"
FAILS = "c1/1=proven c2/1=failed a/2=to_release b/3=to_release"


@pytest.fixture(autouse=True)
def _today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.render.rollouts.pins.utc_today", lambda: date(2026, 3, 2))


def plan_page(made: Plan) -> Page:
    return Page(plan_html([made], digests([made])))


def status_page(devices: str, **keys: Any) -> Page:
    return Page(status_html([summarise(world(devices, **keys))]))


def rows(page: Page, label: str) -> list[str]:
    """The texts of the rows of a table, by its label."""
    inside = page.html.partition(f'aria-label="{label}"')[2].partition("<tbody")[2].partition("</tbody>")[0]
    assert inside, label
    found = re.findall("<tr.*?</tr>", inside, re.DOTALL)
    return [" ".join(Page(one.replace("<svg", "<b").replace("</svg>", "</b>")).texts) for one in found]


def test_a_status_shows_each_wave_its_counts_and_what_it_needs() -> None:
    page = status_page(SOAKS)
    assert rows(page, "Waves of group leeds") == [
        "1 tag ring=canary open 2 soaking 2 – 2 – 0 of 2 proven, at the earliest 2026-03-02 10:45:00 UTC",
        "2 10 percent shut 1 to release 1 – – 1 –",
        "3 the rest shut 1 to release 1 – – 1 –",
    ]
    for said in (
        "Group leeds by careful held",
        "wave 1 has not passed: 0 of 2 proven, at the earliest 2026-03-02 10:45:00 UTC",
        "The next wave goes at the earliest 2026-03-02 10:45:00 UTC",
        "2 withheld",
        "Withheld: desired only, until its rollout lets it go",
    ):
        assert said in page.text, said
    assert page.text.index("Flows") < page.text.index("Rollouts 1") < page.text.index("Not in sync")
    assert "Pins" not in page.text


def test_what_is_withheld_is_desired_but_not_released() -> None:
    """Two of four run v2; the others were given v1, and are withheld."""
    page = status_page(SOAKS)
    assert "Desired Released Reported in sync withheld v2 4 2 2 2 2 v1 – 2 2 – –" in page.text


def test_a_status_says_first_which_rollout_is_stopped_and_why() -> None:
    page = status_page(FAILS)
    lead = page.text.partition("Application")[0]
    assert "The rollout of group leeds is stopped. wave 1: 1 of 2 devices failed or fell silent, at most 0 may." in lead
    assert 'class="top is-bad"' in page.html
    assert "next wave" not in lead
    assert "Ways on: revert the change, merge a fixed version, or pin the failing devices." in page.text
    assert rows(page, "Failing devices of group leeds") == [
        f"c2 {ident('c2')} failed 2026-03-02 08:00:00 UTC bad flash"
    ]
    assert [one.split(" ")[-1] for one in rows(page, "Waves of group leeds")] == ["–"] * 3
    (pins,) = page.pins
    (pin,) = yaml.safe_load(pins)["pins"]
    assert pin == {
        "device": ident("c2"), "flows": {FLOW: "v1"}, "reason": "failed in the rollout of leeds: bad flash",
        "until": date(2026, 4, 1),
    }  # fmt: skip
    assert "# telemetry" in pins


def test_more_rollouts_than_three_that_need_attention_are_counted_at_the_top() -> None:
    report = summarise(world(FAILS))
    (told,) = report.rollouts or ()
    many = tuple(told._replace(group=f"g{at}") for at in range(5))
    lead = Page(status_html([replace(report, rollouts=many)])).text.partition("Application")[0]
    assert re.findall(r"group (\w+) is stopped", lead) == ["g0", "g1", "g2"]
    assert "2 more rollouts need attention." in lead


def test_a_plan_shows_by_wave_what_goes_now_and_what_is_withheld_and_why() -> None:
    made = plan("c1/1=to_release c2/1=to_release a/2=to_release b/3=to_release")
    page = plan_page(made)
    withheld = "1 change: a wave before theirs has not passed"
    first, second, third = rows(page, "Waves of group leeds")
    assert first.startswith("1 tag ring=canary open 2 to release 2 – 2 2 nothing 0 of 2 proven, at the earliest ")
    assert second == f"2 10 percent shut 1 to release 1 – 1 – {withheld} –"
    assert third == f"3 the rest shut 1 to release 1 – 1 – {withheld} –"
    for said in (
        "Now: 2 changes; withheld: 2, the next wave at the earliest ",
        "Withheld 2 changes 2 changes: a wave before theirs has not passed",
        "v1 → to v2 4 devices, 2 now release #0",
    ):
        assert said in page.text, said
    listed = rows(page, "Changes, device by device")
    assert sorted(one.split(" ")[-1] for one in listed) == ["(wave)", "(wave)", "sent", "sent"]


def test_a_plan_that_sends_nothing_says_so_of_each_flow() -> None:
    page = plan_page(plan(FAILS))
    assert "v1 → to v2 2 devices, none now withheld" in page.text
    assert "Now: 0 changes; withheld: 2." in page.text
    assert "2 changes: their rollout is stopped" in page.text


def test_a_removal_says_whether_it_goes_now() -> None:
    page = plan_page(plan("c1/1=to_release a/2=to_release", target=None))
    assert [one.rpartition("prod.yaml:12 ")[2] for one in rows(page, "Removals")] == ["withheld (wave)", "removed"]


@pytest.mark.parametrize("name", WORLDS)
def test_the_waves_of_a_plan_add_up(name: str) -> None:
    devices, keys = WORLDS[name]
    made = plan(devices, **keys)
    tallies = by_wave(made).values()
    assert sum(one.now for one in tallies) == len(made.sent)
    assert sum(sum(one.withheld.values()) for one in tallies) == made.withheld
    assert plan_page(made).text.count("None") == 0


def test_a_removal_by_prune_counts_in_the_wave_that_it_waits_with() -> None:
    made = hostile.plan(PLAIN)
    assert made.rollouts is not None
    first, second = made.rollouts.groups
    device_id = made.changes[3].device_id
    elsewhere = {one: {hex_id(9, "f"): "v1"} if one == device_id else flows for one, flows in first.rows.items()}
    groups: tuple[Rollout, ...] = (first._replace(rows=elsewhere), second)
    tallies = by_wave(made._replace(rollouts=made.rollouts._replace(groups=groups)))
    assert tallies[first.group, 4] == WaveTally(0, {"wave": 1})


def test_a_plan_of_devices_that_go_back_says_that_no_wave_holds_them() -> None:
    devices, keys = WORLDS["going back"]
    text = plan_page(plan(devices, **keys)).text
    assert "3 changes go back , which no wave holds." in text
    assert "Withheld 0" not in text


@pytest.mark.parametrize("name", WORLDS)
def test_a_saved_plan_makes_the_same_page(name: str, tmp_path: Any) -> None:
    devices, keys = WORLDS[name]
    made = plan(devices, **keys)
    (tmp_path / "plan.json").write_text(dump(plan_document([made], "plan")), encoding="utf-8")
    saved = load_saved(str(tmp_path / "plan.json"))
    assert isinstance(saved, tuple)
    read = [one for one in saved if isinstance(one, Plan)]
    why = re.compile('<td role="cell" data-label="Why so">.*?</td>')  # not saved
    pages = [why.sub("", plan_html(one, digests(one))) for one in ([made], read)]
    assert pages[0] == pages[1]


def result_of(made: Plan) -> Result:
    return not_started(made)


def test_a_result_says_what_is_withheld_and_which_rollout_is_stopped() -> None:
    made = result_of(plan(FAILS))
    page = Page(result_html([made], exit_code=7))
    for said in (
        "A rollout is stopped.",
        "2 withheld",
        "What was asked 0 changes, 0 confirmed; 2 more withheld",
        "Nothing was sent: rollouts withhold every change.",
        "The rollout of group leeds is stopped.",
    ):
        assert said in page.text, said
    assert len(page.pins) == 1
    assert len(rows(page, "Waves of group leeds")) == 3
    open_one = Page(result_html([result_of(plan(SOAKS.replace("soaking", "to_release")))], exit_code=0)).text
    assert "2 changes withheld by rollouts (next wave at the earliest " in open_one


def test_what_leaves_management_stands_beside_the_removals() -> None:
    page = plan_page(hostile.plan(PLAIN))
    assert rows(page, "Leaves management") == [
        f"{hex_id(2, 'f')} absent named devices 1 {PLAIN}", f"{PLAIN} {PLAIN} {PLAIN} 1 {PLAIN}"
    ]  # fmt: skip
    assert rows(page, "Leaves management, row by row") == [
        f"{PLAIN} {hex_id(1, 'd')} {PLAIN} {PLAIN} {PLAIN} {PLAIN} {PLAIN}:7",
        f"{PLAIN} {hex_id(2, 'd')} {hex_id(2, 'f')} absent nothing none {PLAIN}:7",
    ]


def test_a_plan_from_which_nothing_leaves_says_so() -> None:
    made = hostile.plan(PLAIN)
    compared = made.guards.leaving
    assert compared is not None
    made = made._replace(leaving=(), guards=made.guards._replace(leaving=compared._replace(rows=0)))
    assert "Nothing leaves management, of 12 rows that pump-7 manages." in plan_page(made).text
    silent = made._replace(leaving=None, guards=made.guards._replace(leaving=None))
    assert "eaves management" not in plan_page(silent).text


def test_what_no_plan_is_made_for_is_told_before_everything() -> None:
    page = plan_page(hostile.plan(PLAIN))
    lead = page.text.partition("to add, ")[2]
    assert lead.index("pump-7 pump-7:7 pump-7") < lead.index("Refused.")
    assert "Warnings 2" in page.text, "and not once more among the others"


@pytest.mark.parametrize("make", PAGES.values(), ids=PAGES)
@pytest.mark.parametrize("name", NAMES)
def test_pins_are_yaml_whatever_names_contain(make: Any, name: str) -> None:
    page = Page(make(name))
    assert page.pins
    for text in page.pins:
        assert all(line.isprintable() for line in text.splitlines())
        second, first = yaml.safe_load(text)["pins"]  # the device without a name comes first
        assert first["flows"] == {hex_id(1, "f"): name, hex_id(2, "f"): "absent"}
        assert name[:100] in first["reason"]
        assert second["flows"] == {hex_id(1, "f"): "absent"}


def test_many_pins_stay_whole_and_the_page_small() -> None:
    flows = {hex_id(at, "f"): "\u202e" * 255 for at in range(60)}
    failing = tuple(
        FailingDevice(hex_id(at, "d"), "x" * 255, RolloutVerdict.FAILED, None, "e" * 300, flows) for at in range(2_000)
    )
    report = replace(summarise(world(FAILS)), laggards=())
    (told,) = report.rollouts or ()
    html = status_html([replace(report, rollouts=(told._replace(failing=failing),))])
    assert len(html.encode()) < 5_000_000
    page = Page(html)
    pins = yaml.safe_load(page.pins[0])["pins"]
    assert all(pin["flows"] == flows for pin in pins)
    left = re.search(r"([\d,]+) more failing devices of 2,000 are not listed", page.text)
    assert left
    assert len(pins) == 2_000 - int(left[1].replace(",", ""))


def test_many_rollouts_leave_the_page_small() -> None:
    counts = dict.fromkeys(("proven", "soaking", "waiting", "offline", "failed", "silent", "to_release"), 1_000)
    waves = tuple(
        WaveReport(at, "tag ring=first", 7_000, 7_000, **counts, open=True, passed=False)  # type: ignore[arg-type]
        for at in range(1, 21)
    )
    reports = tuple(RolloutReport(f"g{at}", "p", RolloutState.OPEN, None, None, waves) for at in range(300))
    report = replace(summarise(world(SOAKS)), rollouts=reports)
    html = status_html([report])
    assert len(html.encode()) < 5_000_000
    assert "more waves</b> of 20 are not listed" in html


def test_a_status_is_read_back_with_its_rollouts() -> None:
    report = summarise(world(FAILS))
    read = read_status(json.loads(dump(document("status", error=None, status=(report,)))))
    assert isinstance(read, Stood)
    assert status_html(read.reports) == status_html([report])


def test_only_withheld_rows_do_not_make_a_status_alarming() -> None:
    report: StatusReport = summarise(world(SOAKS))
    assert report.devices[Verdict.WITHHELD] == 2
    html = status_html([report])
    assert 'class="top is-attention"' in html
    assert "2 of 4 devices run what Git says; 2 withheld" in html


def test_times_are_never_too_early_and_text_that_is_none_is_shown() -> None:
    (told,) = summarise(world(SOAKS)).rollouts or ()
    assert str(next_time([told._replace(earliest="2026-03-02T11:00:01.000Z")])) == "2026-03-02 11:01:00+00:00"
    assert next_time([told._replace(earliest="soon")]) == "soon"
    assert next_time([told._replace(state=RolloutState.STOPPED, earliest="2026-03-02T11:00:01.000Z")]) is None
