"""Rollouts as data: what a plan says of them, a saved plan that is the plan again, and edits that are refused."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator

from reconciler.documents.attention import attention
from reconciler.documents.json_schema import output_schema
from reconciler.documents.plan import plan_document
from reconciler.documents.result import read_results, result_document
from reconciler.documents.saved_plan import read_plans
from reconciler.errors import ExitCode, ManifestError
from reconciler.model.digest import digests
from reconciler.model.health import Offline, Verdict, Verdicts, Wait
from reconciler.model.plan import Plan
from reconciler.model.result import not_started
from reconciler.model.rollout import RolloutState
from reconciler.model.rules import Budget, Gate, Ref, Selector, Wave, Window
from reconciler.model.state import Decision, Desired, Entry, Place
from reconciler.model.world import Options
from reconciler.planner.planner import make_plan
from reconciler.planner.resolution.prune import PRUNE
from tests.support.rolling import FLOW, NEW, NO_LIMITS, NOW, OLD, PLACE, ident, plan, policy, world

STANDINGS = ("proven", "soaking", "waiting", "offline", "failed", "silent", "to_release")
OPEN = "c1/1=to_release c2/1=to_release a/2=to_release b/3=to_release"
STOPPED = "c1/1=proven c2/1=failed a/2=to_release b/3=to_release"
VALID = Draft202012Validator(output_schema())


def saved(*plans: Plan) -> dict[str, Any]:
    """The document as another process would read it."""
    loaded: dict[str, Any] = json.loads(json.dumps(plan_document(plans, "plan")))
    return loaded


def again(written: Plan) -> Plan:
    (read,) = read_plans(saved(written))
    return read


def test_what_a_plan_says_of_a_rollout_is_exactly_this() -> None:
    (told,) = saved(plan(STOPPED))["plans"]
    counts = dict.fromkeys(STANDINGS, 0)
    off = {"open": False, "passed": False, "needs": None, "earliest": None}
    assert told["summary"]["withheld"] == 2
    assert [
        (one["device_name"], one["call"], one["wave"], one["withheld"], one["goes_back"]) for one in told["changes"]
    ] == [
        ("a", None, 2, "stopped", False),
        ("b", None, 3, "stopped", False),
    ]
    assert told["rollouts"] == [
        {
            "group": "leeds",
            "policy": "careful",
            "state": "stopped",
            "reason": "wave 1: 1 of 2 devices failed or fell silent, at most 0 may",
            "up_to": None,
            "waves": [
                {
                    "wave": 1, "select": "tag ring=canary", "devices": 2, "evidence": 2,
                    **counts, "proven": 1, "failed": 1,
                    "open": True, "passed": False, "needs": "1 of 2 proven", "earliest": "2026-03-02T11:00:00Z",
                },
                {"wave": 2, "select": "all, 10 percent", "devices": 1, "evidence": 1, **counts, "to_release": 1, **off},
                {"wave": 3, "select": None, "devices": 1, "evidence": 1, **counts, "to_release": 1, **off},
            ],
            "failing": [
                {
                    "device_id": ident("c2"), "device_name": "c2", "verdict": "failed",
                    "since": "2026-03-02T08:00:00Z", "error": "bad flash", "former": {FLOW: OLD},
                }
            ],
            "earliest": None,
            "held_by": "stopped",
            "judged_at": "2026-03-02T10:00:00Z",
        }
    ]  # fmt: skip
    at = {"path": "manifests/prod.yaml", "line": 7, "column": 1}
    (group,) = told["waved"]["groups"]
    assert group["policy"] == {
        "name": "careful",
        **at,
        "waves": [
            {"select": [{**at, "devices": None, "tags": {"ring": ["canary"]}, "all": False, "percent": None}]},
            {"select": [{**at, "devices": None, "tags": None, "all": False, "percent": "10"}]},
        ],
        "gate": {"converged": "95", "soak_s": 3600, "sample": 1},
        "patience_s": 3600,
        "budget": None,
        "window": None,
    }
    assert group["rows"] == [
        {"wave": 1, "flows": {FLOW: NEW}, "device_ids": [ident("c1"), ident("c2")]},
        {"wave": 2, "flows": {FLOW: NEW}, "device_ids": [ident("a")]},
        {"wave": 3, "flows": {FLOW: NEW}, "device_ids": [ident("b")]},
    ]
    assert told["waved"]["sets"] == []


def test_the_published_schema_has_all_of_it_and_no_other_key() -> None:
    sets = {"c1": ("line=1",), "c2": ("line=1", "line=2"), "a": ("no line",), "b": ("line=2",)}
    document = saved(plan(OPEN, budget=Budget(("line",), 1, None), sets=sets))
    VALID.validate(document)
    document["plans"][0]["rollouts"][0]["odd"] = 1
    assert not VALID.is_valid(document)


def test_what_goes_back_says_so_and_has_its_call() -> None:
    (told,) = saved(plan("c1/1=on_new a/2=on_new b/3=proven", target=OLD, up_to=0))["plans"]
    assert [(one["device_name"], one["wave"], one["call"], one["goes_back"]) for one in told["changes"]] == [
        ("a", 2, 0, True),
        ("c1", 1, 0, True),
    ]


AT = Place("m.yaml", 3, 9)
REFS = (Ref("pump-*", AT), Ref("\U0001f600 'q\"", Place("n.yaml", 4, 1)))
SELECTORS = (
    Selector(AT, devices=REFS),
    Selector(AT, tags={"k": ("v", "w"), "l": ()}, exclude=Selector(PLACE, percent=Decimal("1.50"))),
    Selector(AT, percent=Decimal("1E+1"), exclude=Selector(PLACE, REFS, exclude=Selector(AT, tags={"k": ("x",)}))),
)
BUDGETS = (None, Budget((), 1, None), Budget(("line", "site"), 0, None), Budget(("line",), None, Decimal("7.5")))
WINDOWS = (None, Window((0, 4), 60, 1439, "Europe/London"), Window((6,), 1380, 5, "UTC"))


@given(
    devices=st.lists(st.tuples(st.integers(1, 2), st.sampled_from((*STANDINGS, "on_new"))), min_size=1, max_size=6),
    waves=st.lists(st.sampled_from(SELECTORS), min_size=1, max_size=3),
    gate=st.sampled_from((Gate(), Gate(Decimal("50.5"), 0, 9))),
    budget=st.sampled_from(BUDGETS),
    window=st.sampled_from(WINDOWS),
    up_to=st.none() | st.integers(0, 2),
    target=st.sampled_from([NEW, None, OLD]),
    now=st.sampled_from([None, NOW]),
)
def test_a_saved_plan_is_the_plan_again(
    devices: list[tuple[int, str]],
    waves: list[Selector],
    gate: Gate,
    budget: Budget | None,
    window: Window | None,
    up_to: int | None,
    target: str | None,
    now: float | None,
) -> None:
    words = " ".join(f"p{number}/{wave}={standing}" for number, (wave, standing) in enumerate(devices))
    rules = policy(gate=gate, budget=budget, window=window)._replace(waves=tuple(Wave(one.place, one) for one in waves))
    sets = {}
    if budget:
        sets = {f"p{number}": ((f"line={number % 2}",) if budget.by else ("",)) for number in range(len(devices))}
    written = plan(words, rules=rules, up_to=up_to, target=target, now=now, sets=sets)
    read = again(written)

    assert read.rollouts == written.rollouts
    assert read._replace(calls=written.calls) == written
    assert [(one.request, [*one.rows], one.after) for one in read.calls] == [
        (one.request, [*one.rows], one.after) for one in written.calls
    ]
    assert digests([read]) == digests([written])
    assert saved(read) == saved(written)
    VALID.validate(saved(written))


def test_two_groups_may_wave_rows_of_one_device_in_the_same_wave() -> None:
    one = world("a/1=to_release b/2=to_release")
    (leeds,) = one.rollouts
    flow, record = "e" * 24, one.live.devices[ident("a")]
    rows = {flow: "w2"}
    york = leeds._replace(group="york", rows=dict.fromkeys(leeds.rows, rows))
    decided = {FLOW: one.desired.devices[ident("a")][FLOW], flow: Decision("w2", PLACE, "group york")}
    read = one.read._replace(live=one.live._replace(devices=dict.fromkeys(one.live.devices, record)))
    both = one._replace(desired=Desired(dict.fromkeys(leeds.rows, decided)), rollouts=(leeds, york), read=read)
    written = make_plan(both, limits=NO_LIMITS, manifests=(), options=Options())
    assert len(written.changes) == 4
    assert again(written).rollouts == written.rollouts


def test_a_removal_by_prune_waits_with_its_device_in_a_saved_plan_too() -> None:
    one = world("a/1=soaking b/2=to_release")
    flow = "e" * 24
    devices = {
        device_id: record._replace(flows={**record.flows, flow: Entry("w1", "w1")})
        for device_id, record in one.live.devices.items()
    }
    decided = {**one.desired.devices[ident("a")], flow: Decision(None, PLACE, PRUNE)}
    both = one._replace(
        desired=Desired(dict.fromkeys(devices, decided)),
        read=one.read._replace(live=one.live._replace(devices=devices)),
    )
    written = make_plan(both, limits=NO_LIMITS, manifests=(), options=Options())
    document = saved(written)
    (told,) = document["plans"]
    assert [(one["device_name"], one["op"], one["wave"], one["withheld"]) for one in told["changes"]] == [
        ("a", "remove", 1, None),
        ("b", "remove", 2, "wave"),
        ("b", "update", 2, "wave"),
    ]
    assert again(written).rollouts == written.rollouts
    told["changes"][1]["wave"] = 1
    with pytest.raises(ManifestError, match=r"changes\[1\].wave must be null, since no group"):
        read_plans(document)


def test_devices_that_are_alike_share_their_rows_again() -> None:
    rollouts = again(plan(OPEN)).rollouts
    assert rollouts is not None
    (group,) = rollouts.groups
    assert len({id(rows) for rows in group.rows.values()}) == group.last_wave


Edit = Callable[[dict[str, Any]], Any]


def on(*path: str | int, **values: Any) -> Edit:
    """Set keys of the object at a path in a plan; of a list, append one."""

    def edit(part: Any) -> None:
        for step in path:
            part = part[step]
        part.update(values)

    return edit


def without(*path: str | int) -> Edit:
    """Leave out what is at a path."""

    def edit(part: Any) -> None:
        for step in path[:-1]:
            part = part[step]
        part.pop(path[-1])

    return edit


def with_group(**values: Any) -> Edit:
    """Add the group once more, with other values."""
    return lambda part: part["waved"]["groups"].append({**copy.deepcopy(part["waved"]["groups"][0]), **values})


def with_window(**values: Any) -> Edit:
    return on(*POLICY, window={"days": [1], "start_min": 0, "end_min": 1, "zone": "UTC"} | values)


CHANGE, REPORT, GROUP = ("changes", 0), ("rollouts", 0), ("waved", "groups", 0)
ROWS, POLICY = (*GROUP, "rows"), (*GROUP, "policy")
UNFIT = "rollouts[0].state does not match what is sent and withheld"
EDITS: dict[str, tuple[Edit, str]] = {
    "no groups": (without("waved"), "waved is missing"),
    "no reports": (without("rollouts"), "rollouts must be those of the groups in `waved`"),
    "no wave": (without("changes", 2, "wave"), "changes[2].wave is missing"),
    "another wave": (on("changes", 2, wave=2), "changes[2].wave must be 1, according to the group leeds"),
    "not waved": (on("changes", 2, wave=None), "changes[2].wave must be 1, according to the group leeds"),
    "odd reason": (
        on(*CHANGE, withheld="later"),
        "changes[0].withheld must be one of stopped, wave, up_to, window, budget",
    ),
    "back and withheld": (
        on(*CHANGE, goes_back=True),
        "changes[0].withheld must be null for a change without a wave, or",
    ),
    "withheld and called": (
        lambda part: (part["changes"][0].update(call=0), part["calls"][0].update(count=3)),
        "changes[0].call must be null for a change that is withheld",
    ),
    "one stopped": (on(*CHANGE, withheld="stopped"), UNFIT),
    "held": (on(*REPORT, state="held"), UNFIT),
    "complete": (on(*REPORT, state="complete"), UNFIT),
    "another group": (on(*REPORT, group="york"), "rollouts must be those of the groups in `waved`"),
    "another limit": (on(*REPORT, up_to=3), "rollouts[0] must have the policy and the `up_to` of its group"),
    "fewer waves": (without(*REPORT, "waves", 2), "rollouts[0].waves must be the waves 1 to 3"),
    "more devices": (
        on(*REPORT, "waves", 0, devices=3),
        "rollouts[0].waves[0].devices must be at most 2, the devices of",
    ),
    "limit too high": (on(*GROUP, up_to=4), "waved.groups[0].up_to must be at most 3, the number of waves"),
    "wave too high": (on(*ROWS, 0, wave=4), "waved.groups[0].rows[0].wave must be from 1 to 3"),
    "wave too low": (on(*ROWS, 0, wave=0), "waved.groups[0].rows[0].wave must be from 1 to 3"),
    "no flows": (on(*ROWS, 0, flows={}), "waved.groups[0].rows[0] must have flows and devices"),
    "twice in rows": (on(*ROWS, 1, device_ids=[ident("b")]), "waved.groups[0].rows[2].device_ids has a device twice"),
    "another target": (on(*ROWS, 0, flows={FLOW: "v9"}), "changes[2].to must be v9, according to the group leeds"),
    "twice the group": (with_group(), "waved.groups must be sorted by group, each once"),
    "rows of another": (with_group(group="york"), "waved.groups[1].rows has a row of device"),
    "another policy": (with_group(group="york", policy={}), "waved.groups[1].policy.name is missing"),
    "no policy waves": (on(*POLICY, waves=[]), "waved.groups[0].policy.waves must not be empty"),
    "no selector": (on(*POLICY, "waves", 0, select=[]), "waved.groups[0].policy.waves[0].select must not be empty"),
    "too much": (on(*POLICY, "gate", converged="101"), "waved.groups[0].policy.gate.converged must be at most 100"),
    "no sample": (on(*POLICY, "gate", sample=0), "waved.groups[0].policy.gate.sample must be at least 1"),
    "no day": (with_window(days=[]), "waved.groups[0].policy.window.days must be numbers from 0 (Monday) to 6"),
    "eighth day": (with_window(days=[7]), "waved.groups[0].policy.window.days must be numbers from 0 (Monday) to 6"),
    "no minute": (with_window(start_min=1440), "waved.groups[0].policy.window.start_min must be less than 1440"),
    "no time": (with_window(end_min=0), "waved.groups[0].policy.window.end_min must differ from start_min"),
    "no zone": (with_window(zone="../UTC"), "waved.groups[0].policy.window.zone must be a time zone"),
    "no budget": (
        on(*POLICY, budget={"by": [], "count": None, "percent": None}),
        "waved.groups[0].policy.budget must have either count or percent",
    ),
    "no sets": (
        on(*POLICY, budget={"by": ["line"], "count": 1, "percent": None}),
        "waved.sets must be those of the budgets, sorted by tags",
    ),
    "odd sets": (
        on("waved", sets=[{"by": ["k"], "devices": []}]),
        "waved.sets must be those of the budgets, sorted by",
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_is_told_where(name: str) -> None:
    edit, told = EDITS[name]
    document = saved(plan(OPEN))
    edit(document["plans"][0])
    with pytest.raises(ManifestError) as error:
        read_plans(document, path="plan.json")
    assert error.value.problems[0].message.startswith(f"plans[0].{told}")


@pytest.mark.parametrize(
    "edit", [on(*POLICY, patience_s=1), on(*POLICY, "gate", soak_s=0), on(*POLICY, name="lax"), on(*GROUP, up_to=2)]
)
def test_the_policies_are_in_the_review_digest(edit: Edit) -> None:
    document = saved(plan(OPEN, up_to=3))
    edit(document["plans"][0])
    (report,) = document["plans"][0]["rollouts"]
    (group,) = document["plans"][0]["waved"]["groups"]
    report |= {"policy": group["policy"]["name"], "up_to": group["up_to"]}
    with pytest.raises(ManifestError, match=r"^plan.json: review_digest is sha256:"):
        read_plans(document, path="plan.json")


def test_budget_sets_are_held_once_and_checked() -> None:
    sets = {"c1": ("line=1",), "c2": ("line=2",), "a": ("line=1",), "b": ("line=1", "line=2"), "spare": ("line=1",)}
    written = plan(OPEN, budget=Budget(("line",), 1, None), sets=sets)
    document = saved(written)
    part = document["plans"][0]["waved"]
    assert part["sets"] == [
        {
            "by": ["line"],
            "devices": [
                {"names": ["line=1"], "device_ids": sorted(map(ident, ("a", "c1", "spare")))},
                {"names": ["line=1", "line=2"], "device_ids": [ident("b")]},
                {"names": ["line=2"], "device_ids": [ident("c2")]},
            ],
        }
    ]
    edits: tuple[tuple[Edit, str], ...] = (
        (lambda part: part["sets"][0]["devices"].pop(), "groups[0].rows has a device that is in no set of the budget"),
        (lambda part: part["sets"][0]["devices"][0].update(names=[]), "sets[0].devices must have names"),
        (
            lambda part: part["sets"][0]["devices"][1].update(device_ids=[ident("a")]),
            "sets[0].devices has a device twice",
        ),
    )
    for edit, told in edits:
        before = copy.deepcopy(part["sets"])
        edit(part)
        with pytest.raises(ManifestError) as error:
            read_plans(document)
        assert error.value.problems[0].message == f"plans[0].waved.{told}"
        part["sets"] = before


def test_calls_and_summary_are_derived_from_what_is_sent() -> None:
    document = saved(plan(OPEN))
    part = document["plans"][0]
    part["summary"] |= {"withheld": 0, "calls": 7}
    part["calls"] = []
    for change in part["changes"]:
        change["call"] = None
    (read,) = read_plans(document)
    assert [(call.action, call.count) for call in read.calls] == [("release", 2)]
    assert (read.summary.withheld, read.summary.update) == (2, 4)
    assert len(read.notes) == 2


def test_a_plan_without_rollouts_has_no_key_of_theirs() -> None:
    document = saved(plan(OPEN)._replace(rollouts=None, summary=plan(OPEN).summary._replace(withheld=None)))
    (part,) = document["plans"]
    assert not {"rollouts", "waved"} & part.keys()
    assert "withheld" not in part["summary"]
    assert not {"wave", "withheld", "goes_back"} & part["changes"][0].keys()
    part["changes"][1]["goes_back"] = False
    with pytest.raises(ManifestError, match=r"changes\[1\].goes_back is not a known key of a plan without rollouts"):
        read_plans(document)


def test_a_state_of_a_later_version_is_shown() -> None:
    document = saved(plan(OPEN)) | {"format_version": "1.4"}
    document["plans"][0]["rollouts"][0]["state"] = "paused"
    document["plans"][0]["changes"][0]["withheld"] = "weather"
    (read,) = read_plans(document, later=True)
    assert read.rollouts is not None
    assert str(read.rollouts.reports[0].state) == "paused"
    assert read.withheld == 2


def test_a_result_with_rollouts_is_read_back() -> None:
    result = not_started(plan(STOPPED))
    result = replace(result, wait=Wait(Offline.SKIP, 1.0, Verdicts({}, {}, ()), tolerated=2))
    document = json.loads(json.dumps(result_document([result], "apply", code=7)))
    told = document["results"][0]
    assert (told["withheld"], told["exit_code"], told["rollouts"][0]["state"]) == (2, 7, "stopped")
    (problem,) = document["error"]["problems"]
    assert problem["message"].endswith("at most 0 may; c2 failed: bad flash")
    for counts in (told["wait"]["rows"], told["wait"]["devices"]):
        counts |= {str(one): 0 for one in Verdict}
    read = read_results(document)
    assert (read.code, read.results[0].rollouts, read.results[0].withheld) == (7, result.rollouts, 2)
    assert read.results[0].wait is not None
    assert read.results[0].wait.tolerated == 2
    told["rollouts"][0]["state"] = "held"
    with pytest.raises(ManifestError, match=r"results\[0\].exit_code must be 0"):
        read_results(document)


def test_the_error_names_a_few_failing_devices_and_counts_the_others() -> None:
    made = plan(" ".join([*(f"c{one}/1=failed" for one in range(9)), "a/2=to_release"]), error="x" * 1000)
    assert made.rollouts is not None
    stopped = attention(made.rollouts.reports)
    assert stopped is not None
    (problem,) = stopped.problems
    assert stopped.exit_code == ExitCode.ROLLOUT_STOPPED
    assert problem.message.endswith(f"c4 failed: {'x' * 200} and 4 more devices")
    assert attention(one._replace(state=RolloutState.HELD) for one in made.rollouts.reports) is None
    stalled = attention(one._replace(state=RolloutState.STALLED, failing=()) for one in made.rollouts.reports)
    assert stalled is not None
    assert (
        stalled.problems[0].hint
        == "see to the devices that are not proven, revert the change, or merge a fixed version"
    )
