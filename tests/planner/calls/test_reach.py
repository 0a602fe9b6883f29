"""The rule for one wildcard on a newer read, reads laid over each other, and what is left of a plan."""

from __future__ import annotations

from math import inf

import pytest

from reconciler.errors import PlanUnsound
from reconciler.model.plan import Plan, PlannedCall
from reconciler.model.requests import Release, RemoveDevice, RemoveFlow, RemoveRow, Replace, Request, Wildcard
from reconciler.model.rules import Limits
from reconciler.model.state import NO_EVIDENCE, Entry, Evidence, Kind, Live
from reconciler.model.world import CallMode, Options
from reconciler.planner.calls.cover import cover
from reconciler.planner.calls.reach import moves_of, overlay, reach, still_sound, was_read
from reconciler.planner.diff import compare
from reconciler.planner.planner import make_plan
from reconciler.planner.replan import Remaining, calls_for, remaining
from tests.builders import desired, live, read, world
from tests.planner.worlds import Size, allowed, build, wildcards

SEEN = live("a/f=1 a/g=1 b/f=2>1 b/h=1 c/f=1>2 d/f=3 e/g=9 u/g=1 v/", unknown=["u"])


@pytest.mark.parametrize(
    ("request_", "rows"),
    [
        (Release("f", "2", ("a", "z")), "a/f z/f"),
        (RemoveRow("f", "a"), "a/f"),
        (Replace("f", "1", "2"), "a/f b/f c/f u/f"),
        (Replace("f", "3", None), "d/f u/f"),
        (Replace("g", "7", "8"), "u/g"),
        (RemoveDevice("b"), "b/f b/h"),
        (RemoveDevice("nobody"), ""),
        (RemoveFlow("g"), "a/g e/g u/g"),
    ],
)
def test_reach(request_: Request, rows: str) -> None:
    assert " ".join(sorted("/".join(row) for row in reach(request_, SEEN, {}))) == rows


def sound(request: Wildcard, wanted: str, seen: Live, before: str | None = None) -> bool:
    """Whether the wildcard may go on `seen`, with the changes that a plan on `before` had."""
    changes = compare(desired(wanted), live(before) if before else seen).changes
    return still_sound(request, seen, moves_of(changes))


@pytest.mark.parametrize(
    ("request_", "wanted", "before", "now", "expected"),
    [
        (Replace("f", "1", "2"), "a/f=2 b/f=2", "a/f=1 b/f=1", "a/f=1 b/f=1", True),
        (Replace("f", "1", "2"), "a/f=2 b/f=2", "a/f=1 b/f=1", "a/f=2>1 b/f=1", True),
        (Replace("f", "1", "2"), "a/f=2", "a/f=1", "a/f=1 new/f=1", False),
        (Replace("f", "1", "2"), "a/f=2", "a/f=1", "a/f=1 new/f=3>1", False),
        (Replace("f", "1", "2"), "a/f=2", "a/f=1", "a/f=1 new/f=2>1", True),
        (Replace("f", "1", "2"), "a/f=2 b/f=3", "a/f=1 b/f=2", "a/f=1 b/f=2>1", False),
        (Replace("f", "1", None), "a/f=absent", "a/f=1", "a/f=1 b/f=->1", True),
        (RemoveDevice("a"), "a/f=absent a/g=absent", "a/f=1 a/g=1", "a/f=1 a/g=1", True),
        (RemoveDevice("a"), "a/f=absent a/g=absent", "a/f=1 a/g=1", "a/f=1 a/g=1 a/h=1", False),
        (RemoveDevice("a"), "a/f=absent a/g=1", "a/f=1", "a/f=1", False),
        (RemoveDevice("a"), "a/f=absent b/g=1", "a/f=1", "a/f=1", True),
        (RemoveFlow("f"), "a/f=absent", "a/f=1", "a/f=1 b/g=1", True),
        (RemoveFlow("f"), "a/f=absent", "a/f=1", "a/f=1 b/f=1", False),
        (RemoveFlow("f"), "a/f=absent b/f=1", "a/f=1", "a/f=1", False),
        (RemoveFlow("f"), "a/f=absent b/g=1", "a/f=1", "a/f=1 c/f=->1", True),
    ],
)
def test_still_sound(request_: Wildcard, wanted: str, before: str, now: str, expected: bool) -> None:
    assert sound(request_, wanted, live(now), before) is expected


def test_an_unknown_bundle_that_appears_forbids_a_replace() -> None:
    assert not sound(Replace("f", "1", "2"), "a/f=2", live("a/f=1 x/", unknown=["x"]), "a/f=1")
    assert sound(Replace("f", "1", "2"), "a/f=2 x/f=2", live("a/f=1 x/", unknown=["x"]))
    assert sound(Replace("f", "1", None), "a/f=absent", live("a/f=1 x/g=1", unknown=["x"]))


@pytest.mark.parametrize(
    ("request_", "covered"),
    [
        (Replace("f", "1", "2"), False),
        (RemoveDevice("a"), False),
        (RemoveFlow("f"), True),
        (RemoveFlow("g"), False),
    ],
)
def test_a_restricted_read_covers_only_the_flow(request_: Wildcard, covered: bool) -> None:
    assert was_read(request_, live("a/f=1", only_flow="f")) is covered
    assert was_read(request_, live("a/f=1"))
    assert sound(request_, "a/f=absent a/g=absent", live("a/f=1 a/g=1", only_flow="f"), "a/f=1 a/g=1") is covered


@pytest.mark.parametrize("kind", Kind)
def test_the_rule_for_one_call_is_the_rule_of_the_worlds(kind: Kind) -> None:
    for spec in Size(2, 2, 2, kind).some(400, seed=11):
        wanted, seen = build(spec, kind)
        changes = compare(wanted, seen).changes
        moves = {change.row: change.to_version for change in changes}
        for request in wildcards(seen, moves, ["1", "2"]):
            assert still_sound(request, seen, moves_of(changes)) == allowed(request, seen, moves)


def test_overlay_replaces_the_rows_of_one_flow() -> None:
    whole = live("a/f=1 a/g=1 b/f=1 c/g=3", unknown=["c"], flow_names={"f": "old", "g": "gps"})
    fresh = live("a/f=2 d/f=4", offline=["a"], unknown=["d"], flow_names={"f": "new"}, only_flow="f")
    laid = overlay(whole, fresh)
    assert {(device, flow): entry for device, flow, entry in laid.rows()} == {
        ("a", "f"): Entry("2", "2"),
        ("a", "g"): Entry("1", "1"),
        ("c", "g"): Entry("3", "3"),
        ("d", "f"): Entry("4", "4"),
    }
    assert laid.devices["a"].connected is False
    assert {device_id for device_id, device in laid.devices.items() if device.unknown_bundle} == {"c", "d"}
    assert set(laid.devices) == {"a", "b", "c", "d"}
    assert laid.flow_names == {"f": "new", "g": "gps"}
    assert laid.only_flow is None
    assert laid.devices["c"] is whole.devices["c"]


def test_evidence_in_an_overlay_is_never_older_than_the_rows() -> None:
    """Else a device that was just released to would be judged by what it ran before."""

    def seen(updated: float, *rows: str, only_flow: str | None = None) -> Live:
        bare = live(*rows, only_flow=only_flow)
        devices = {key: device._replace(evidence=Evidence(updated=updated)) for key, device in bare.devices.items()}
        return bare._replace(devices=devices)

    whole = seen(1, "a/f=1 a/g=1 b/f=1 b/g=1 c/g=3")
    laid = overlay(whole, seen(2, "a/f=2", only_flow="f"))
    assert {key: device.evidence.updated for key, device in laid.devices.items()} == {"a": 2, "b": -inf, "c": 1}
    assert overlay(whole, live("a/f=2", only_flow="f")).devices["a"].evidence is NO_EVIDENCE


def test_overlay_of_a_whole_read_is_that_read() -> None:
    fresh = live("a/f=2")
    assert overlay(live("a/f=1 b/f=1"), fresh) is fresh


def plan(wanted: str, seen: str, *, chunk: int = 1) -> Plan:
    return make_plan(world(desired(wanted), live(seen)), limits=Limits(), manifests=(), options=Options(chunk=chunk))


def again(
    made: Plan, seen: Live, *, mode: CallMode = CallMode.FEWEST, chunk: int = 1000
) -> tuple[Remaining, tuple[PlannedCall, ...]]:
    rest = remaining(made, read(seen))
    return rest, calls_for(rest, mode=mode, chunk=chunk)


def test_what_is_left_of_a_plan() -> None:
    made = plan("a/f=2 b/f=2 c/f=2 d/f=absent e/f=1 g/f=9", "a/f=1 b/f=1 c/f=1 d/f=1")
    rest, _ = again(made, live("a/f=2>1 b/f=1>0 c/f=7 e/f=- g/f=->3"))
    assert rest.done == 2  # a and d
    assert [(change.device_id, change.from_version, change.reported) for change in rest.left] == [
        ("b", "1", "0"),
        ("e", None, None),
        ("g", None, "3"),
    ]
    assert [(change.device_id, entry) for change, entry in rest.moved] == [("c", Entry("7", "7"))]


def test_calls_are_made_again_from_what_is_left_on_the_newer_read_alone() -> None:
    made = plan("a/f=2 b/f=2 c/f=2", "a/f=1 b/f=1 c/f=1")
    assert [call.request for call in made.calls] == [Replace("f", "1", "2")]
    rest, calls = again(made, live("a/f=1 b/f=1 c/f=2 x/f=1"), chunk=1)
    assert [change.device_id for change in rest.left] == ["a", "b"]
    assert [call.request for call in calls] == [Release("f", "2", ("a",)), Release("f", "2", ("b",))]
    _, calls = again(made, live("a/f=1 b/f=1 c/f=2"), chunk=1)
    assert [call.request for call in calls] == [Replace("f", "1", "2")]
    _, calls = again(made, live("a/f=1 b/f=1 c/f=2"), mode=CallMode.EXPLICIT)
    assert [call.request for call in calls] == [Release("f", "2", ("a", "b"))]


def test_calls_that_are_made_again_are_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    made = plan("a/f=2", "a/f=1")
    monkeypatch.setattr("reconciler.planner.replan.cover", lambda changes, live, mode, chunk: ())
    with pytest.raises(PlanUnsound):
        again(made, live("a/f=1"))


def test_a_release_names_a_thousand_devices_unless_told_otherwise() -> None:
    rows = " ".join(f"d{number:04}/f=2" for number in range(1001))
    seen = rows.replace("=2", "=1") + " x/f=1"
    made = plan(rows, seen, chunk=1000)
    assert [len(call.rows) for call in made.calls] == [1000, 1]
    assert again(made, live(seen))[1] == made.calls
    assert cover(made.changes, live(seen)) == made.calls
