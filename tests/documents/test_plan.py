"""Plans as data: the published shape, the digest, and a reader that trusts nothing but the changes."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from reconciler import __version__
from reconciler.documents.json import Failure, error_data
from reconciler.documents.plan import plan_document
from reconciler.documents.saved_plan import read_document, read_plans
from reconciler.errors import ExitCode, ManifestError, Problem
from reconciler.model.digest import digest, digests
from reconciler.model.plan import Guard, Plan, Protected, Warning
from reconciler.model.requests import RemoveDevice, RemoveFlow, RemoveRow, Replace, outcome
from reconciler.model.rules import Forbid, Limits, Source
from reconciler.model.state import Application, Kind, LiveDevice, LogEntry, Place
from reconciler.model.world import Options
from reconciler.planner.planner import make_plan
from reconciler.render.markdown import plan_markdown
from reconciler.render.text import plan_text
from tests.builders import desired, live, read, world

PLACE = Place("prod.yaml", 14, 5)
OTHER = Place("prod.yaml", 15, 1)
SEEN = live(
    "a/f=1 a/g=1 b/f=1 c/f=2>1 c/h=3>- d/f=absent",
    names={"a": "pump-001", "c": "pump-003", "d": "pump-004"},
    flow_names={"f": "telemetry"},
    offline=["c"],
)
AT = world(desired("a/f=2 a/g=absent b/f=2 c/f=2 e/f=2", place=PLACE), SEEN)._replace(
    warnings=(Warning("pin 1 has expired", PLACE, "renew it"), Warning("odd")),
    protected=(Protected(None, "g", Forbid.REMOVAL, PLACE),),
    deleted_devices=frozenset("de"),
)
JUDGED = f"{'5' * 24}/embedded"
SOURCES = (Source("prod.yaml", "b" * 64), Source("base.yaml", "a" * 64))


def plan(**options: Any) -> Plan:
    return make_plan(AT, limits=Limits(place=PLACE), manifests=SOURCES, options=Options(**options))


def saved(*plans: Plan) -> dict[str, Any]:
    """The document as another process would read it."""
    loaded: dict[str, Any] = json.loads(json.dumps(plan_document(plans or (plan(),), "plan")))
    return loaded


def test_one_plan_is_exactly_this() -> None:
    rows = [
        ["5" * 24, "embedded", "a", "f", "1", "2"],
        ["5" * 24, "embedded", "a", "g", "1", None],
        ["5" * 24, "embedded", "b", "f", "1", "2"],
        ["5" * 24, "embedded", "e", "f", None, "2"],
    ]
    text = json.dumps(rows, separators=(",", ":"))
    expected_digest = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    change = {
        "flow_id": "f",
        "flow_name": "telemetry",
        "from": "1",
        "to": "2",
        "reported": "1",
        "source": "prod.yaml:14",
    }
    (told,) = saved()["plans"]
    assert told == {
        "tool": {"name": "reconciler", "version": __version__},
        "application": {"id": "5" * 24, "name": "plant"},
        "kind": "embedded",
        "manifests": [{"path": "base.yaml", "sha256": "a" * 64}, {"path": "prod.yaml", "sha256": "b" * 64}],
        "partial": False,
        "digest": expected_digest,
        "summary": {
            "add": 1, "update": 2, "remove": 1, "keep": 1, "pending": 1, "unmanaged": 2, "devices": 4, "calls": 2,
        },
        "changes": [
            {"op": "update", "device_id": "a", "device_name": "pump-001", **change, "call": 1},
            {
                "op": "remove", "device_id": "a", "device_name": "pump-001", "flow_id": "g", "flow_name": None,
                "from": "1", "to": None, "reported": "1", "source": "prod.yaml:14", "call": 0,
            },
            {"op": "update", "device_id": "b", "device_name": None, **change, "call": 1},
            {"op": "add", "device_id": "e", "device_name": None, **change, "from": None, "reported": None, "call": 1},
        ],
        "calls": [
            {"id": 0, "action": "remove", "body": {"flowId": "g", "deviceId": "a"}, "count": 1, "after": []},
            {
                "id": 1, "action": "release", "body": {"flowId": "f", "version": "2", "deviceIds": ["a", "b", "e"]},
                "count": 3, "after": [],
            },
        ],
        "pending": [
            {
                "device_id": "c", "device_name": "pump-003", "flow_id": "f", "flow_name": "telemetry",
                "released": "2", "reported": "1", "connected": False, "last_error": None,
            }
        ],
        "unmanaged": [
            {"device_id": "c", "flow_id": "h", "released": "3", "reported": None},
            {"device_id": "d", "flow_id": "f", "released": "absent", "reported": "absent"},
        ],
        "deleted_devices": [{"device_id": "d", "device_name": "pump-004"}],
        "warnings": [
            {"path": None, "line": None, "column": None, "message": "odd", "hint": None},
            {"path": "prod.yaml", "line": 14, "column": 5, "message": "pin 1 has expired", "hint": "renew it"},
        ],
        "refused": [
            {
                "guard": "removals", "path": "prod.yaml", "line": 14, "column": 5,
                "message": "1 removal, 25.0% of the 4 managed rows with something released: more than 10%",
                "hint": "if they are meant, pass --allow-removals 1, or raise limits.removals in the same pull request",
                "rows": [{"device_id": "a", "flow_id": "g"}],
            },
            {
                "guard": "protect", "path": "prod.yaml", "line": 14, "column": 5,
                "message": "1 removal of protected rows (protected at prod.yaml:14)",
                "hint": "lift that protection in the same pull request, or leave the rows out with --exclude",
                "rows": [{"device_id": "a", "flow_id": "g"}],
            },
        ],
    }  # fmt: skip
    assert list(told) == [
        "tool", "application", "kind", "manifests", "partial", "digest", "summary", "changes", "calls", "pending",
        "unmanaged", "deleted_devices", "warnings", "refused",
    ]  # fmt: skip


def test_what_a_plan_is_judged_by_is_exactly_this() -> None:
    limits = Limits(7, Decimal("0.50"), None, Decimal("1E+1"), 20, None, PLACE)
    options = Options(allow_removals=3, allow_empty=True, strict=True)
    protected = (Protected(None, "g", Forbid.REMOVAL, OTHER), Protected("a", None, Forbid.CHANGE, PLACE))
    at = AT._replace(protected=protected)
    told = saved(make_plan(at, limits=limits, manifests=(), options=options))["guards"]
    assert told == {
        JUDGED: {
            "limits": {
                "removals": {"count": 7, "percent": "0.50"},
                "changes": {"count": None, "percent": "10"},
                "leaving": {"count": 20, "percent": None},
                "path": "prod.yaml", "line": 14, "column": 5,
            },
            "protect": [
                {
                    "device_id": "a", "flow_id": None, "forbid": "change",
                    "path": "prod.yaml", "line": 14, "column": 5,
                },
                {
                    "device_id": None, "flow_id": "g", "forbid": "removal",
                    "path": "prod.yaml", "line": 15, "column": 1,
                },
            ],
            "released": 4,
            "live": 6,
            "only_flow": None,
            "empty": False,
            "allow_removals": 3,
            "allow_empty": True,
            "strict": True,
            "selects_nothing": [],
            "may_be_empty": [],
        }
    }  # fmt: skip
    without = make_plan(AT, limits=Limits(None, None), manifests=(), options=Options())
    assert saved(without)["guards"][JUDGED]["limits"] == {
        "removals": {"count": None, "percent": None}, "changes": {"count": None, "percent": None},
        "leaving": {"count": 10, "percent": "10"}, "path": None, "line": None, "column": None,
    }  # fmt: skip


def test_the_document_holds_plans_by_application_and_kind() -> None:
    one = plan()
    edge = one._replace(kind=Kind.EDGE)
    other = one._replace(application=Application("4" * 24))
    told = saved(one, edge, other)
    assert {key: told[key] for key in ("format_version", "command", "error")} == {
        "format_version": "1",
        "command": "plan",
        "error": None,
    }
    assert [(each["application"]["id"][0], each["kind"]) for each in told["plans"]] == [
        ("4", "embedded"),
        ("5", "edge"),
        ("5", "embedded"),
    ]
    assert told["digest"] == digest([other, edge, one]) == digest([one, edge, other])
    assert told["digest"] != told["plans"][0]["digest"]


def test_the_digest_is_of_changes_and_nothing_else() -> None:
    base = digest([plan()])
    assert digest([plan(chunk=1)]) == base
    offline = {
        device_id: device._replace(connected=None, name="x", logs=(LogEntry(error="e"),))
        for device_id, device in SEEN.devices.items()
    }
    quiet = make_plan(
        AT._replace(
            read=read(SEEN._replace(devices=offline)), warnings=(), application=Application("5" * 24, "renamed")
        ),
        limits=Limits(None, None),
        manifests=(),
        options=Options(),
    )
    assert digest([quiet]) == base
    more = make_plan(
        AT._replace(read=read(SEEN._replace(devices={**SEEN.devices, "b": LiveDevice({})}))),
        limits=Limits(),
        manifests=(),
        options=Options(),
    )
    assert digest([more]) != base
    assert digest([plan()._replace(kind=Kind.EDGE)]) != base
    assert digest([]) == "sha256:" + hashlib.sha256(b"[]").hexdigest()


def test_the_review_digest_is_of_the_changes_and_of_what_the_manifests_guard_with() -> None:
    application, kind = "5" * 24, "embedded"
    protected = (Protected(None, "g", Forbid.REMOVAL, OTHER), Protected("a", None, Forbid.CHANGE, PLACE))
    judged = make_plan(
        AT._replace(protected=protected), limits=Limits(7, Decimal("0.50"), None, Decimal("1E+1")), manifests=(),
        options=Options(),
    )  # fmt: skip
    hashed = [
        [application, kind, "a", "f", "1", "2"],
        [application, kind, "a", "g", "1", None],
        [application, kind, "b", "f", "1", "2"],
        [application, kind, "e", "f", None, "2"],
        [application, kind, "limits.removals", 7, "0.5"],
        [application, kind, "limits.changes", None, "10"],
        [application, kind, "limits.leaving", 10, "10"],
        [application, kind, "protect", None, "g", "removal"],
        [application, kind, "protect", "a", None, "change"],
    ]
    text = json.dumps(hashed, separators=(",", ":"))
    assert saved(judged)["review_digest"] == "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    assert saved(judged)["digest"] == saved()["digest"]
    assert digests([]).review == digests([]).changes


def test_the_review_digest_is_the_same_wherever_the_guards_are_written_and_whatever_the_options() -> None:
    base = digests([plan()])
    for same in (
        plan(chunk=1, allow_removals=9, allow_empty=True, strict=True),
        make_plan(AT, limits=Limits(removals_percent=Decimal("10.00")), manifests=(), options=Options()),
        plan()._replace(
            guards=plan().guards._replace(protect=tuple(p._replace(place=OTHER) for p in AT.protected * 2))
        ),
    ):
        assert digests([same]) == base
    for other in (
        Limits(11),
        Limits(removals_percent=None),
        Limits(changes_count=10),
        Limits(changes_percent=Decimal(1)),
    ):
        told = digests([plan()._replace(guards=plan().guards._replace(limits=other))])
        assert told.changes == base.changes
        assert told.review != base.review
    lifted = digests([plan()._replace(guards=plan().guards._replace(protect=()))])
    softer = plan().guards._replace(protect=tuple(p._replace(forbid=Forbid.CHANGE) for p in AT.protected))
    assert len({base.review, lifted.review, digests([plan()._replace(guards=softer)]).review}) == 3


def test_names_that_are_not_ascii_are_hashed_as_they_are() -> None:
    odd = make_plan(world(desired("a/f=ü\ud800"), live("a/f=1")), limits=Limits(), manifests=(), options=Options())
    text = f'[["{"5" * 24}","embedded","a","f","1","ü\ud800"]]'
    assert digest([odd]) == "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def test_reading_gives_back_what_was_saved() -> None:
    made = plan(chunk=1)
    (read,) = read_plans(saved(made))
    assert plan_document([read], "plan") == plan_document([made], "plan")
    assert read.changes == tuple(change._replace(source=Place("prod.yaml", 14)) for change in made.changes)
    assert [call.rows for call in read.calls] == [call.rows for call in made.calls]
    assert read.refused == made.refused
    assert read.guards == made.guards
    assert read.warnings == made.warnings
    assert read.pending == made.pending


@pytest.mark.parametrize(
    ("rows", "seen", "request_"),
    [
        ("a/f=absent", "a/f=1", RemoveRow("f", "a")),
        ("a/f=absent a/g=absent", "a/f=1 a/g=1", RemoveDevice("a")),
        ("a/f=absent b/f=absent", "a/f=1 b/f=2", RemoveFlow("f")),
        ("a/f=absent b/f=absent", "a/f=1 b/f=1", Replace("f", "1", None)),
        ("a/f=2 b/f=2", "a/f=1 b/f=1", Replace("f", "1", "2")),
    ],
)
def test_every_request_comes_back(rows: str, seen: str, request_: object) -> None:
    made = make_plan(world(desired(rows), live(seen)), limits=Limits(), manifests=(), options=Options(chunk=1))
    (read,) = read_plans(saved(made))
    assert [call.request for call in read.calls] == [request_]


@pytest.mark.parametrize(
    ("rows", "seen", "chunk", "edit"),
    [
        ("a/f=2", "a/f=1", 9, {"version": "1"}),
        ("a/f=2 b/f=2", "a/f=1 b/f=1", 9, {"deviceIds": ["b", "a"]}),
        ("a/f=2 b/f=2", "a/f=1 b/f=1", 9, {"deviceIds": ["a", "b", "c"]}),
        ("a/f=absent", "a/f=1", 1, {"deviceId": "b"}),
        ("a/f=absent a/g=absent", "a/f=1 a/g=1", 1, {"deviceId": "b"}),
        ("a/f=absent a/g=absent", "a/f=1 a/g=1", 1, {"flowId": "f", "deviceId": None}),
        ("a/f=absent b/f=absent", "a/f=1 b/f=2", 1, {"flowId": "g"}),
        ("a/f=2 b/f=2", "a/f=1 b/f=1", 1, {"oldVersion": "0"}),
        ("a/f=2 b/f=2", "a/f=1 b/f=1", 1, {"newVersion": None}),
        ("a/f=2 b/f=2", "a/f=1 b/f=1", 1, {"flowId": "g"}),
    ],
)
def test_calls_that_do_not_say_what_the_changes_say_are_made_again(
    rows: str, seen: str, chunk: int, edit: dict[str, object]
) -> None:
    made = make_plan(world(desired(rows), live(seen)), limits=Limits(), manifests=(), options=Options(chunk=chunk))
    data = saved(made)
    assert read_plans(data)[0].notes == ()
    data["plans"][0]["calls"][0]["body"].update(edit)
    (read,) = read_plans(data)
    assert {call.action for call in read.calls} <= {"release", "remove"}
    assert sorted(row for call in read.calls for row in call.rows) == [change.row for change in read.changes]
    assert all(outcome(call.request) == read.changes[0].to_version for call in read.calls)
    assert read.summary.calls == len(read.calls)
    assert read.notes == (f"the calls did not match the changes ({EDITED}); shown are explicit ones",)


def _forget(calls: list[dict[str, Any]]) -> None:
    calls[1]["after"] = []


def _wait_for_each_other(calls: list[dict[str, Any]]) -> None:
    calls[0]["after"] = [1]


@pytest.mark.parametrize("edit", [_forget, _wait_for_each_other, list.reverse])
def test_calls_have_the_order_that_follows_from_the_changes(edit: Callable[[list[dict[str, Any]]], None]) -> None:
    """What moves a row to 2 waits for the replace of 2."""
    seen = "a/f=1 b/f=1 c/f=2 d/f=2"
    made = make_plan(
        world(desired("a/f=2 b/f=2 c/f=3 d/f=3"), live(seen)), limits=Limits(), manifests=(), options=Options(chunk=1)
    )
    assert sorted(call.after for call in made.calls) == [(), (0,)]
    data = saved(made)
    edit(data["plans"][0]["calls"])
    (read,) = read_plans(data)
    assert {call.action for call in read.calls} == {"release"}
    assert len(read.notes) == 1


@pytest.mark.parametrize(
    ("edit", "keep", "devices"),
    [
        ({"add": 0, "update": 0, "remove": 0, "pending": 0, "unmanaged": 0}, 1, 4),
        ({"add": 9, "update": 9, "remove": 9, "pending": 9, "unmanaged": 9}, 1, 4),
        ({"remove": 0}, 1, 4),
        ({"keep": 0}, 1, 4),
        ({"keep": 7}, 7, 4),
        ({"devices": 3}, 1, 4),
        ({"devices": 6}, 1, 5),
    ],
)
def test_a_summary_is_that_of_the_changes(edit: dict[str, int], keep: int, devices: int) -> None:
    data = saved()
    data["plans"][0]["summary"].update(edit)
    (read,) = read_plans(data)
    assert read.summary == plan().summary._replace(keep=keep, devices=devices)
    told = f"the summary did not match the changes ({EDITED}); it is counted again"
    assert read.notes == (() if keep == 7 else (told,))
    shown = plan_text([read], read.digest)
    assert shown.endswith("Plan: 1 to add, 2 to change, 1 to destroy.\n")
    assert ("  Note: the summary did not match" in shown) is bool(read.notes)
    assert ("Notes:" in plan_markdown([read], read.digest)) is bool(read.notes)


def _plan0(**values: Any) -> Callable[[dict[str, Any]], object]:
    return lambda data: data["plans"][0].update(values)


def _at(*path: str | int, **values: Any) -> Callable[[dict[str, Any]], object]:
    """Set keys of an object in the first plan."""
    return _in("plans", 0, *path, **values)


def _judged(*path: str | int, **values: Any) -> Callable[[dict[str, Any]], object]:
    """Set keys of an object in what the first plan is judged by."""
    return _in("guards", JUDGED, *path, **values)


def _moved(key: str) -> Callable[[dict[str, Any]], object]:
    """Make the first plan one for another application and kind."""

    def edit(data: dict[str, Any]) -> None:
        application, kind = key.split("/")
        data["plans"][0] |= {"application": {"id": application, "name": None}, "kind": kind}
        data["guards"] = {key: data["guards"][JUDGED]}

    return edit


def _in(*path: str | int, **values: Any) -> Callable[[dict[str, Any]], object]:
    def edit(data: Any) -> None:
        for step in path:
            data = data[step]
        data.update(values)

    return edit


TEXT, ID, WHOLE, FLAG = "must be text", "must be an id", "must be a whole number", "must be true or false"
EDITED = "the file was edited or damaged"
NOT_GIVEN = f"does not match its guards: {EDITED}"
# What is edited, and the whole message; one that ends in … is only the beginning of it.
EDITS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "format": (
        lambda d: d.update(format_version="2"), "format_version is '2'; this version of reconciler reads \"1\"",
    ),
    "format number": (
        lambda d: d.update(format_version=1), "format_version is 1; this version of reconciler reads \"1\"",
    ),
    "no format": (lambda d: d.pop("format_version"), "format_version is missing"),
    "an error": (lambda d: d.update(error={"code": 1}), "the document reports an error, not a plan"),
    "a result": (lambda d: d.update(results=d.pop("plans")), "plans is missing"),
    "no digest": (lambda d: d.pop("digest"), "digest is missing"),
    "the digest": (
        lambda d: d.update(digest="sha256:0"),
        "digest is sha256:0, but the digest of the changes is sha256:…",
    ),
    "no review": (lambda d: d.pop("review_digest"), "review_digest is missing"),
    "the review": (
        lambda d: d.update(review_digest=d["digest"]),
        "review_digest is sha256:…",
    ),
    "protection of a row without a change": (
        _judged("protect", 0, flow_id="z", forbid="change"), f"plans[0].refused {NOT_GIVEN}",
    ),
    "no guards": (lambda d: d.pop("guards"), "guards is missing"),
    "guards of another": (lambda d: d.update(guards={}), f"guards.{JUDGED} is missing"),
    "no limits": (lambda d: d["guards"][JUDGED].pop("limits"), f"guards.{JUDGED}.limits is missing"),
    "no removals": (_judged("limits", removals=None), f"guards.{JUDGED}.limits.removals must be an object"),
    "limit": (_judged("limits", "removals", count=-1), f"guards.{JUDGED}.limits.removals.count {WHOLE}"),
    "share": (
        _judged("limits", "changes", percent="1e9"),
        f"guards.{JUDGED}.limits.changes.percent must be a decimal number as text",
    ),
    "share number": (_judged("limits", "changes", percent=10), f"guards.{JUDGED}.limits.changes.percent {TEXT}"),
    "forbid": (
        _judged("protect", 0, forbid="all"), f"guards.{JUDGED}.protect[0].forbid must be one of removal, change",
    ),
    "protected id": (_judged("protect", 0, device_id="../x"), f"guards.{JUDGED}.protect[0].device_id {ID}"),
    "protected line": (_judged("protect", 0, line=None), f"guards.{JUDGED}.protect[0].line {WHOLE}"),
    "live": (_judged(live=-1), f"guards.{JUDGED}.live {WHOLE}"),
    "only flow": (_judged(only_flow="../f"), f"guards.{JUDGED}.only_flow {ID}"),
    "share without end": (
        _judged("limits", "changes", percent="9" * 10),
        f"guards.{JUDGED}.limits.changes.percent must be a decimal number as text",
    ),
    "refusal left out": (lambda d: d["plans"][0]["refused"].pop(), f"plans[0].refused {NOT_GIVEN}"),
    "refusal of other rows": (_at("refused", 0, rows=[]), f"plans[0].refused {NOT_GIVEN}"),
    "limit raised": (_judged("limits", "removals", count=9, percent="99"), f"plans[0].refused {NOT_GIVEN}"),
    "protection lifted": (_judged(protect=[]), f"plans[0].refused {NOT_GIVEN}"),
    "leave given": (_judged(allow_removals=1), f"plans[0].refused {NOT_GIVEN}"),
    "released": (_judged(released=None), f"guards.{JUDGED}.released {WHOLE}"),
    "allow removals": (_judged(allow_removals=True), f"guards.{JUDGED}.allow_removals {WHOLE}"),
    "allow empty": (_judged(allow_empty=0), f"guards.{JUDGED}.allow_empty {FLAG}"),
    "empty": (_judged(empty=None), f"guards.{JUDGED}.empty {FLAG}"),
    "strict": (_judged(strict="no"), f"guards.{JUDGED}.strict {FLAG}"),
    "plans no list": (lambda d: d.update(plans={}), "plans must be a list"),
    "a plan twice": (lambda d: d["plans"].append(d["plans"][0]), "plans has two entries for one application and kind"),
    "a plan no object": (lambda d: d.update(plans=[1]), "plans[0] must be an object"),
    "to": (_at("changes", 0, to="9"), "plans[0].digest is sha256:…"),
    "from": (_at("changes", 0, **{"from": "9"}), "plans[0].digest is sha256:…"),
    "device": (_at("changes", 3, device_id="z"), "plans[0].digest is sha256:…"),
    "application": (_moved(f"{'4' * 24}/embedded"), "plans[0].digest is sha256:…"),
    "other kind": (_moved(f"{'5' * 24}/edge"), "plans[0].digest is sha256:…"),
    "a change less": (
        lambda d: d["plans"][0]["changes"].pop(),
        "plans[0].calls[1].count must be 2, the number of changes with this call",
    ),
    "order": (
        lambda d: d["plans"][0]["changes"].reverse(),
        "plans[0].changes must be sorted by device and flow, each row once",
    ),
    "twice": (
        lambda d: d["plans"][0]["changes"].insert(0, d["plans"][0]["changes"][0]),
        "plans[0].changes must be sorted by device and flow, each row once",
    ),
    "op": (_at("changes", 0, op="add"), "plans[0].changes[0].op must be update, according to its `from` and `to`"),
    "nowhere": (_at("changes", 0, to="1"), "plans[0].changes[0].to is the same as `from`"),
    "application path": (_at("application", id="../x"), f"plans[0].application.id {ID}"),
    "application no object": (_plan0(application="x"), "plans[0].application must be an object"),
    "kind": (_plan0(kind="cloud"), "plans[0].kind must be one of embedded, edge"),
    "partial": (_plan0(partial=1), f"plans[0].partial {FLAG}"),
    "summary": (_at("summary", add=-1), f"plans[0].summary.add {WHOLE}"),
    "summary flag": (_at("summary", add=True), f"plans[0].summary.add {WHOLE}"),
    "summary text": (_at("summary", calls="1"), f"plans[0].summary.calls {WHOLE}"),
    "a change without a call": (_at("changes", 1, call=None), "plans[0].calls[0].count must be 0, …"),
    "manifest": (_at("manifests", 0, path=None), f"plans[0].manifests[0].path {TEXT}"),
    "empty text": (_at("changes", 0, reported=""), f"plans[0].changes[0].reported {TEXT}"),
    "number text": (_at("changes", 0, to=2), f"plans[0].changes[0].to {TEXT}"),
    "source": (_at("changes", 0, source="prod.yaml"), "plans[0].changes[0].source must be path:line"),
    "source line": (_at("changes", 0, source="prod.yaml:x"), "plans[0].changes[0].source must be path:line"),
    "source digits": (_at("changes", 0, source="prod.yaml:²"), "plans[0].changes[0].source must be path:line"),
    "source arabic": (_at("changes", 0, source="prod.yaml:٣"), "plans[0].changes[0].source must be path:line"),
    "source without end": (
        _at("changes", 0, source=f"prod.yaml:{'9' * 5000}"), "plans[0].changes[0].source must be path:line",
    ),
    "source path": (_at("changes", 0, source=":4"), "plans[0].changes[0].source must be path:line"),
    "call": (_at("changes", 0, call="0"), f"plans[0].changes[0].call {WHOLE}"),
    "count": (_at("calls", 0, count=5), "plans[0].calls[0].count must be 1, the number of changes with this call"),
    "after": (_at("calls", 0, after=["x"]), f"plans[0].calls[0].after[0] {WHOLE}"),
    "action": (_at("calls", 0, action="wipe"), "plans[0].calls[0].action must be one of release, replace, remove"),
    "null": (
        _at("calls", 0, "body", flowId=None, deviceId=None),
        "plans[0].calls[0].body.deviceId must not be null if flowId is null",
    ),
    "ids": (_at("calls", 1, "body", deviceIds=[1]), f"plans[0].calls[1].body.deviceIds[0] {TEXT}"),
    "connected": (_at("pending", 0, connected=1), f"plans[0].pending[0].connected {FLAG}"),
    "guard": (
        _at("refused", 0, guard="whim"),
        "plans[0].refused[0].guard must be one of "
        + ", ".join(guard for guard in Guard),
    ),
    "line": (_at("warnings", 1, line=None), "plans[0].warnings[1].line must not be null where path is not"),
    "huge id": (_at("unmanaged", 0, flow_id="f" * 65), f"plans[0].unmanaged[0].flow_id {ID}"),
    "refused row": (_at("refused", 0, "rows", 0, device_id=""), f"plans[0].refused[0].rows[0].device_id {TEXT}"),
}  # fmt: skip


@pytest.mark.parametrize("edit", EDITS)
def test_a_document_that_was_edited_is_told_where(edit: str) -> None:
    change, told = EDITS[edit]
    data = saved()
    untouched = copy.deepcopy(data)
    change(data)
    with pytest.raises(ManifestError) as raised:
        read_plans(data, path="plan.json")
    (problem,) = raised.value.problems
    assert problem.message == told or (told.endswith("…") and problem.message.startswith(told[:-1]))
    assert problem.message.endswith(EDITED) or "digest is sha256:" not in told
    assert (problem.path, problem.hint) == ("plan.json", "make the plan again with `reconciler plan --out FILE`")
    assert raised.value.exit_code is ExitCode.ERROR
    read_plans(untouched)


def test_what_a_document_may_hold() -> None:
    data = saved()
    told = data["plans"][0]
    for change in told["changes"]:
        change["source"] = "C:\\fleet\\prod.yaml:14"
    told["pending"][0]["last_error"] = "out of memory"
    (read,) = read_plans(data)
    assert {change.source for change in read.changes} == {Place("C:\\fleet\\prod.yaml", 14)}
    assert read.pending[0].last_error == "out of memory"


UNKNOWN: dict[str, Callable[[dict[str, Any]], object]] = {
    "more": lambda d: d.update(more=1),
    f"guards.{JUDGED}.limits.more": _judged("limits", more=1),
    "plans[0].more": _plan0(more=[]),
    "plans[0].changes[1].more": _at("changes", 1, more=1),
    "plans[0].calls[1].body.more": _at("calls", 1, "body", more=1),
}


@pytest.mark.parametrize("place", UNKNOWN)
def test_a_key_that_is_not_known_is_left_out_where_a_plan_is_shown_and_refused_where_it_is_sent(place: str) -> None:
    data = saved()
    UNKNOWN[place](data)
    with pytest.raises(ManifestError, match=f"^plan.json: {re.escape(place)} is not a known key "):
        read_plans(data, path="plan.json")
    assert saved(*read_plans(data, later=True)) == saved()


def test_words_that_are_not_known_are_shown_as_they_are_and_never_sent() -> None:
    data = saved()
    data["plans"][0]["calls"][0] |= {"action": "swap", "body": {"deviceId": "a"}}
    data["plans"][0]["refused"].append(data["plans"][0]["refused"][0] | {"guard": "tides", "message": "3 rows leave"})
    plans = read_plans(data, later=True)
    shown = plan_text(plans, digest(plans), verbose=True)
    assert "3 rows leave" in shown
    assert "1 release, 1 swap" in shown
    assert "3 rows leave" in plan_markdown(plans, digest(plans))
    assert saved(*plans) == data
    with pytest.raises(ManifestError, match=re.escape("plans[0].calls[0].action must be one of ")):
        read_plans(data)


def test_what_a_plan_command_wrote_is_read_also_if_it_failed() -> None:
    (part,) = read_document(saved() | {"format_version": "1.4"})["plans"]
    assert [one.problem for one in part.warnings] == [
        Problem("odd"), Problem("pin 1 has expired", "prod.yaml", 14, 5, "renew it"),
    ]  # fmt: skip
    failed = read_document(plan_document([], "plan", error=error_data(ExitCode.ERROR, [Problem("no")])))
    assert failed["error"] == Failure(1, (Problem("no"),))
    with pytest.raises(ManifestError, match="plans is missing"):
        read_document({"format_version": "1", "command": "plan", "error": None})


@pytest.mark.parametrize("version", ["1.0", "1.4", "1.12"])
def test_a_later_format_of_the_same_kind_is_shown_and_not_sent(version: str) -> None:
    data = saved() | {"format_version": version}
    with pytest.raises(ManifestError, match=f"format_version is '{version}'; this version of reconciler reads \"1\""):
        read_plans(data)
    assert saved(*read_plans(data, later=True)) == saved()


@pytest.mark.parametrize("version", ["2", "1.", "1.x", "01", "1.4.1", 1, 1.4, None])
def test_no_other_format_is_shown(version: object) -> None:
    with pytest.raises(ManifestError, match="format_version is "):
        read_plans(saved() | {"format_version": version}, later=True)


@pytest.mark.parametrize("data", [None, [], "plan", 1])
def test_anything_else_is_no_document(data: object) -> None:
    with pytest.raises(ManifestError, match=r"^Error: the document must be an object "):
        read_plans(data)


def test_a_saved_plan_holds_nothing_secret() -> None:
    """Its keys are known, so no header, token, environment or machine can be in it."""
    keys: set[str] = set()

    def walk(value: object) -> None:
        if isinstance(value, dict):
            keys.update(value)
            for each in value.values():
                walk(each)
        elif isinstance(value, list):
            for each in value:
                walk(each)

    walk(saved(plan(chunk=1)))
    known = (
        "format_version command error digest review_digest plans tool name version application id kind manifests path "
        "sha256 partial "
        "summary add update remove keep pending unmanaged devices calls changes op device_id device_name flow_id "
        "flow_name from to reported source call action body flowId deviceIds deviceId count after released connected "
        "last_error oldVersion newVersion deleted_devices warnings line column message hint refused guard rows "
        "guards limits removals percent protect forbid live only_flow empty allow_removals allow_empty strict "
        "selects_nothing may_be_empty leaving"
    )
    assert keys - {JUDGED} == set(known.split())
