"""Where rollouts stand, as text and Markdown: golden cases for each state, width, hostile names, pins that parse."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.documents.attention import attention
from reconciler.health import summarise
from reconciler.model.digest import digest
from reconciler.model.health import Offline, Wait
from reconciler.model.plan import Plan
from reconciler.model.result import Result, not_started
from reconciler.model.rollout import FailingDevice, RolloutReport, RolloutState, RolloutVerdict, WaveReport
from reconciler.model.rules import Budget, Window
from reconciler.render.inert import WIDTH, painter
from reconciler.render.markdown import plan_markdown
from reconciler.render.page import size
from reconciler.render.result import result_markdown, result_text
from reconciler.render.rollouts.pins import pin_lines
from reconciler.render.rollouts.text import next_wave, rollout_lines, table, when
from reconciler.render.status import status_markdown, status_text
from reconciler.render.text import plan_text
from tests.support.rolling import FLOW, HOUR, NOW, OLD, ident, plan, policy, world

CASES = Path(__file__).parents[1] / "cases" / "rollouts"
ID = re.compile("[0-9a-f]{24}")
WORLDS: dict[str, tuple[str, dict[str, Any]]] = {
    "open": ("c1/1=to_release c2/1=to_release a/2=to_release b/3=to_release", {}),
    "open, with a tolerated failure": (
        " ".join([f"c{one:02}/1=proven" for one in range(19)] + ["c19/1=failed a/2=to_release b/3=to_release"]),
        {},
    ),
    "held by a soak": ("c1/1=soaking c2/1=soaking a/2=to_release b/3=to_release", {}),
    "held by up_to": ("c1/1=proven c2/1=proven a/2=to_release b/3=to_release", {"up_to": 1}),
    "paused": ("c1/1=to_release a/2=to_release", {"up_to": 0}),
    "held without a server's time": ("c1/1=proven a/2=to_release", {"now": None}),
    "stopped": ("c1/1=proven c2/1=failed a/2=to_release b/3=to_release", {}),
    "stopped with every column": (
        "c1/1=waiting c2/1=silent c3/1=offline c4/1=proven c5/1=soaking c6/1=failed a/2=to_release",
        {},
    ),
    "stopped by an empty wave": ("a/2=to_release b/3=to_release", {}),
    "stopped by many": (" ".join([*(f"c{one:02}/1=failed" for one in range(12)), "a/2=to_release"]), {}),
    "stalled": (
        "c1/1=proven c2/1=waiting a/2=to_release b/3=to_release",
        {"now": NOW + 9 * 24 * HOUR, "patience_s": 10**9},
    ),
    "complete": ("c1/1=proven c2/1=proven a/2=proven b/3=proven", {}),
    "going back": ("c1/1=on_new c2/1=on_new a/2=on_new b/3=proven", {"target": OLD, "up_to": 0}),
    "budget": (
        "c1/1=to_release c2/1=to_release a/2=to_release",
        {"budget": Budget(("line",), 1, None), "sets": dict.fromkeys(("c1", "c2", "a"), ("line=1",))},
    ),
    "window": ("c1/1=to_release a/2=to_release", {"window": Window((0, 1), 60, 300, "Europe/London")}),
    "removal": ("c1/1=to_release a/2=to_release b/3=to_release", {"target": None}),
}


@pytest.fixture(autouse=True)
def _today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.render.rollouts.pins.utc_today", lambda: date(2026, 3, 2))


def made(name: str) -> Plan:
    devices, keys = WORLDS[name]
    return plan(devices, **keys)


def file_of(name: str) -> Path:
    return CASES / f"{re.sub('[^a-z]+', '-', name)}.txt"


def result_of(made: Plan) -> Result:
    return not_started(made)


def golden(name: str) -> str:
    """What people see of a world: the plan as text and Markdown, then the status, then the result of a step."""
    made_plan, (devices, keys) = made(name), WORLDS[name]
    status, result = summarise(world(devices, **keys)), result_of(made_plan)
    stopped = any(one.needs_attention for one in result.rollouts)
    parts = {
        "plan": plan_text([made_plan], digest([made_plan])),
        "plan, Markdown": plan_markdown([made_plan], digest([made_plan])),
        "status": status_text([status]),
        "status, Markdown": status_markdown([status]),
        "apply": result_text([result], code=7 if stopped else 0),
        "apply, Markdown": result_markdown([result], exit_code=7 if stopped else 0),
    }
    return "".join(f"=== {title}\n\n{text.rstrip()}\n\n" for title, text in parts.items())


@pytest.mark.parametrize("name", WORLDS)
def test_a_rollout_is_shown_like_this(name: str) -> None:
    """See `tests/render/rewrite_rollouts.py`."""
    assert golden(name) == file_of(name).read_text("utf-8")


@pytest.mark.parametrize("name", WORLDS)
def test_it_fits_in_60_columns(name: str) -> None:
    made_plan, (devices, keys) = made(name), WORLDS[name]
    texts = [plan_text([made_plan], "sha256:", verbose=level) for level in (0, 1)]
    texts.append(status_text([summarise(world(devices, **keys))]))
    for text in texts:
        wide = [line for line in text.splitlines() if len(line) > WIDTH and not ID.search(line)]
        assert [line for line in wide if not line.startswith(("Now: ", "Rows: ")) and "reason: " not in line] == []


@pytest.mark.parametrize("name", WORLDS)
def test_a_plan_ends_with_what_is_sent_now(name: str) -> None:
    made_plan = made(name)
    *_, last = plan_text([made_plan], "sha256:").splitlines()
    if made_plan.changes:
        assert last.startswith(f"Now: {len(made_plan.sent)} change")
        assert f"; withheld: {made_plan.withheld}" in last
    else:
        assert last == "No changes."
    assert ("next wave at the earliest" in last) is (
        name in ("open", "open, with a tolerated failure", "held by a soak", "stalled", "budget", "window")
    )


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("most", [1_000, 1_500, 2_500])
def test_markdown_keeps_to_its_size_and_its_pins_stay_whole(name: str, most: int) -> None:
    made_plan, (devices, keys) = made(name), WORLDS[name]
    result, status = result_of(made_plan), summarise(world(devices, **keys))
    for page in (
        plan_markdown([made_plan], "sha256:", max_bytes=most),
        result_markdown([result], exit_code=7, max_bytes=most),
        status_markdown([status], max_bytes=most),
    ):
        assert size(page) <= most
        if "    pins:" in page:
            block = page.partition("    pins:")[2].partition("</details>")[0]
            assert all(
                pin.keys() == {"device", "flows", "reason", "until"} for pin in yaml.safe_load("pins:" + block)["pins"]
            )


def test_more_devices_than_are_listed_are_counted_and_all_are_there_with_v() -> None:
    text, whole = (plan_text([made("stopped by many")], "sha256:", verbose=level) for level in (0, 1))
    assert "    Failing: 12 devices\n" in text
    assert "      and 2 more devices\n" in text
    assert (text.count("  - device: "), whole.count("  - device: ")) == (10, 12)


def test_failing_devices_go_by_name() -> None:
    (told,) = made("stopped by many").rollouts.reports  # type: ignore[union-attr]
    failing = [one._replace(device_name=f"pump-{99 - number}") for number, one in enumerate(told.failing)]
    told = told._replace(failing=tuple(failing))
    text = "\n".join(rollout_lines([told], {}, paint=painter(color=False)))
    assert re.findall(r"^      (pump-\d+) ", text, re.MULTILINE) == [f"pump-{number}" for number in range(88, 98)]
    error = attention([told])
    assert error is not None
    assert re.findall(r"pump-\d+", str(error)) == [f"pump-{number}" for number in range(88, 93)]


def test_colour_adds_nothing_but_colour() -> None:
    made_plan = made("stopped")
    coloured = plan_text([made_plan], "sha256:", color=True)
    assert "\x1b[31mstopped\x1b[0m" in coloured
    assert re.sub("\x1b\\[[0-9]+m", "", coloured) == plan_text([made_plan], "sha256:")


@pytest.mark.parametrize(("name", "code", "color"), [("open", 0, 33), ("stopped", 7, 33), ("complete", 0, 32)])
def test_an_apply_is_not_green_while_rollouts_withhold_changes(name: str, code: int, color: int) -> None:
    (*_, last) = result_text([result_of(made(name))], code=code, color=True).splitlines()
    assert last.startswith(f"\x1b[{color}mApply complete!\x1b[0m Resources: ")
    assert (" withheld by rollouts" in last) is (name != "complete")


def test_nothing_is_shut_or_needed_where_no_change_is_left() -> None:
    made_plan = made("complete")
    assert made_plan.rollouts is not None
    (report,) = made_plan.rollouts.reports
    later = report.waves[-1]._replace(open=False, passed=False, needs="0 of 5 proven")
    rollouts = made_plan.rollouts._replace(reports=(report._replace(waves=(later,)),))
    text = plan_text([made_plan._replace(rollouts=rollouts)], "sha256:")
    assert f"    {later.wave}: the rest\n" in text


def test_rollouts_that_nobody_looked_at_after_the_apply_are_said_to_be_from_before() -> None:
    unsent = result_of(made("open"))
    sent = replace(unsent, calls=tuple(replace(one, attempts=1) for one in unsent.calls))
    waited = replace(sent, wait=Wait(Offline.SKIP, 1.0))
    for result, told in ((unsent, False), (sent, True), (waited, False)):
        for shown in (result_text([result], code=0), result_markdown([result], exit_code=0)):
            assert ("The rollouts as they were before this apply:" in shown) is told


def test_a_row_of_several_groups_is_shown_by_name_of_each() -> None:
    made_plan = made("stopped")
    assert made_plan.rollouts is not None
    (report,) = made_plan.rollouts.reports
    both = made_plan.rollouts._replace(reports=(report, report._replace(group="york", failing=())))
    text = plan_text([made_plan._replace(rollouts=both)], "sha256:")
    assert [line for line in text.splitlines() if line.startswith("  Rollout")] == [
        "  Rollout of group leeds (careful): stopped",
        "  Rollout of group york (careful): stopped",
    ]
    assert text.count("pins:") == 1


# --- pins -------------------------------------------------------------------------------------------------------

NASTY = st.text(
    st.sampled_from("ab: #-\"'\\\n\t{}[]&*!|>%@`?,\u200b\u202e\x85\x00\u2028\ud7ffé☃\U0001f600")
    | st.characters(codec="utf-8"),
    min_size=1,
)


@given(name=NASTY, version=NASTY, error=NASTY, flow_name=NASTY)
def test_pins_are_yaml_whatever_names_and_versions_contain(name: str, version: str, error: str, flow_name: str) -> None:
    failing = FailingDevice(ident("a"), name, RolloutVerdict.FAILED, None, error, {FLOW: f"v{version}", "e" * 24: None})
    lines = [*pin_lines(report(RolloutState.STOPPED), [failing], {FLOW: flow_name})]
    assert all(line.isprintable() for line in lines)
    (pin,) = yaml.safe_load("\n".join(lines))["pins"]
    assert pin == {
        "device": ident("a"),
        "flows": {FLOW: f"v{version}", "e" * 24: "absent"},
        "reason": f"failed in the rollout of leeds: {error}"[:200],
        "until": pin["until"],
    }


@pytest.mark.parametrize(
    ("judged_at", "until"),
    [
        ("2026-01-31T23:59:59Z", date(2026, 3, 2)),
        (None, date(2026, 4, 1)),  # no server's time: this clock's day, which is 2026-03-02 here
        ("9999-12-31T23:59:59Z", date(2026, 4, 1)),
    ],
)
def test_pins_end_thirty_days_after_the_server_s_time(judged_at: str | None, until: date) -> None:
    failing = FailingDevice(ident("a"), "pump", RolloutVerdict.FAILED, None, None, {FLOW: "v1"})
    stopped = report(RolloutState.STOPPED, judged_at=judged_at)
    (pin,) = yaml.safe_load("\n".join(pin_lines(stopped, [failing], {})))["pins"]
    assert pin["until"] == until


def test_pins_go_through_ci_logs_without_a_command_and_back() -> None:
    failing = FailingDevice(
        ident("a"), "##[error]x", RolloutVerdict.SILENT, None, "##vso[task]", {FLOW: "::set-output::1"}
    )
    text = "\n".join(pin_lines(report(RolloutState.STOPPED), [failing], {}))
    assert "##" not in text
    assert not re.search(r"^\s*::", text, re.MULTILINE)
    (pin,) = yaml.safe_load(text)["pins"]
    assert (pin["flows"], pin["until"]) == ({FLOW: "::set-output::1"}, date(2026, 4, 1))
    assert pin["reason"] == "silent in the rollout of leeds: ##vso[task]"


def test_a_version_that_no_manifest_can_declare_is_no_pin() -> None:
    odd = FailingDevice(ident("a"), "pump", RolloutVerdict.FAILED, None, None, {FLOW: "develop"})
    fine = replace_former(odd, "v1")
    lines = [*pin_lines(report(RolloutState.STOPPED), [odd, fine], {})]
    assert lines[1] == '  # pump ran "develop", which cannot be declared'
    assert len(yaml.safe_load("\n".join(lines))["pins"]) == 1


def replace_former(device: FailingDevice, version: str) -> FailingDevice:
    return device._replace(former={FLOW: version})


# --- parts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("date", "shown"),
    [
        ("2026-03-02T14:10:00Z", "2026-03-02 14:10Z"),
        ("2026-03-02T14:10:01Z", "2026-03-02 14:11Z"),
        ("2026-12-31T23:59:30Z", "2027-01-01 00:00Z"),
        ("9999-12-31T23:59:30Z", "9999-12-31T23:59:30Z"),
        ("\x1b[31msoon", "\\x1b[31msoon"),
        (None, ""),
    ],
)
def test_earliest_times_are_never_too_early(date: str | None, shown: str) -> None:
    assert when(date) == shown


def test_columns_that_do_not_fit_follow_below() -> None:
    numbers = ["100,000"] * 9
    lines = [*table([["wave", *map("column-{}".format, range(9))], ["1", *numbers]], indent=4)]
    assert max(map(len, lines)) <= WIDTH
    assert len(lines) == 4
    assert [line.split()[0] for line in lines] == ["wave", "1", "wave", "1"]
    assert sum(line.count("100,000") for line in lines) == 9


def wave(number: int, **more: Any) -> WaveReport:
    counts = dict.fromkeys(("proven", "soaking", "waiting", "offline", "failed", "silent", "to_release"), 0)
    return WaveReport(number, None, devices=1, evidence=1, open=True, passed=False, **{**counts, **more})


def report(state: RolloutState, *waves: WaveReport, **more: Any) -> RolloutReport:
    return RolloutReport("leeds", "careful", state, None, more.pop("up_to", None), waves, **more)


def test_the_next_wave_goes_at_the_earliest_of_all_rollouts() -> None:
    soon, late = "2026-03-02T11:00:00Z", "2026-03-02T12:00:00Z"
    going = report(RolloutState.OPEN, wave(1, earliest=late), wave(2, to_release=1))
    assert next_wave([going]) == " (next wave at the earliest 2026-03-02 12:00Z)"
    assert (
        next_wave([going, report(RolloutState.HELD, earliest=soon)]) == " (next wave at the earliest 2026-03-02 11:00Z)"
    )
    assert next_wave([going._replace(up_to=1)]) == ""
    assert next_wave([going._replace(waves=(going.waves[0], wave(2)))]) == ""
    assert next_wave([going._replace(state=RolloutState.STOPPED, earliest=soon)]) == ""
    assert next_wave([report(RolloutState.HELD), report(RolloutState.COMPLETE)]) == ""


def test_names_and_reasons_are_inert() -> None:
    bad = "\x1b[2J##[error]"
    failing = FailingDevice(ident("a"), bad, RolloutVerdict.FAILED, bad, bad, {FLOW: bad})
    told = RolloutReport(
        bad, bad, RolloutState.STOPPED, bad, None, (wave(1, needs=bad)._replace(select=bad),), (failing,)
    )
    for text in (
        "\n".join(rollout_lines([told], {FLOW: bad}, paint=painter(color=False))),
        result_markdown([replace(result_of(made("stopped")), rollouts=(told,))], exit_code=7),
    ):
        assert "\x1b" not in text
        assert "##[" not in text


def test_a_policy_may_have_many_waves() -> None:
    rules = policy(*map("ring{}".format, range(19)))
    lines = plan_text([plan("a/1=to_release b/20=to_release", rules=rules)], "sha256:").splitlines()
    assert "      20       1      -          1" in lines
    assert "    20: the rest" in lines
