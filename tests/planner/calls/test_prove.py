"""The proof of a plan: it passes what is sound, and no planted bug in the search for calls gets past it."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext

import pytest

from reconciler.errors import PlanUnsound
from reconciler.model.changes import Change
from reconciler.model.plan import PlannedCall
from reconciler.model.requests import Release, RemoveDevice, RemoveFlow, RemoveRow, Replace, Request
from reconciler.model.state import Kind, Live, Row, Version
from reconciler.planner.calls import cover as calls_module
from reconciler.planner.calls import removals
from reconciler.planner.calls.prove import prove
from reconciler.planner.calls.reach import Alike, Cohort, FlowRows, flow_rows
from reconciler.planner.diff import compare
from tests.builders import desired, live
from tests.planner.model import astray
from tests.planner.worlds import Size, build, sure, wildcards
from tests.support.cases import load


def call(number: int, request: Request, rows: str = "", after: tuple[int, ...] = ()) -> PlannedCall:
    """A call that carries `device/flow` rows."""
    pairs = [row.partition("/") for row in rows.split()]
    return PlannedCall(number, request, tuple((device, flow) for device, _, flow in pairs), after)


def changes(wanted: str, seen: Live) -> Sequence[Change]:
    return compare(desired(wanted), seen).changes


def test_sound_calls_pass() -> None:
    seen = live("a/f=1 b/f=2 c/f=1>0 x/f=3")
    replaces = call(0, Replace("f", "2", "3"), "b/f"), call(1, Release("f", "2", ("a", "c")), "a/f c/f", (0,))
    prove(changes("a/f=2 b/f=3 c/f=2", seen), replaces, seen)


MANY = tuple(f"d{number}" for number in range(1001))
UNSOUND = {
    "a replace that takes an unmanaged row along": (
        "a/f=2", live("a/f=1 x/f=1"), [call(0, Replace("f", "1", "2"), "a/f")], "device x",
    ),
    "a replace that an unmanaged device only reports": (
        "a/f=2", live("a/f=1 x/f=7>1"), [call(0, Replace("f", "1", "2"), "a/f")], "replace matches reported",
    ),
    "a replace that an unmanaged device has only released": (
        "a/f=2", live("a/f=1 x/f=1>7"), [call(0, Replace("f", "1", "2"), "a/f")], "replace matches released",
    ),
    "a replace next to an unknown bundle": (
        "a/f=2", live("a/f=1 x/g=1", unknown=["x"]), [call(0, Replace("f", "1", "2"), "a/f")], "device x",
    ),
    "a replace that is to move a row that is not reported": (
        "a/f=2", live("a/f=1>0"), [call(0, Replace("f", "1", "2"), "a/f")], "might not move",
    ),
    "a replace that is to move a row that is not released": (
        "a/f=2", live("a/f=0>1"), [call(0, Replace("f", "1", "2"), "a/f")], "might not move",
    ),
    "a replace that is to move a row of an unknown bundle": (
        "a/f=2", live("a/f=1", unknown=["a"]), [call(0, Replace("f", "1", "2"), "a/f")], "might not move",
    ),
    "a release that does not wait for the replace of its version": (
        "a/f=2 b/f=3", live("a/f=1 b/f=2"),
        [call(0, Replace("f", "2", "3"), "b/f"), call(1, Release("f", "2", ("a",)), "a/f")], "device a",
    ),
    "a chain that does not wait": (
        "a/f=2 b/f=3", live("a/f=1 b/f=2"),
        [call(0, Replace("f", "2", "3"), "b/f"), call(1, Replace("f", "1", "2"), "a/f")], "device a",
    ),
    "a chain that waits the wrong way round": (
        "a/f=2 b/f=3", live("a/f=1 b/f=2"),
        [call(0, Replace("f", "1", "2"), "a/f"), call(1, Replace("f", "2", "3"), "b/f", (0,))], "device a",
    ),
    "a release of another version": (
        "a/f=2", live("a/f=1"), [call(0, Release("f", "3", ("a",)), "a/f")], "device a",
    ),
    "a release of another flow": (
        "a/f=2", live("a/f=1 a/g=1"), [call(0, Release("g", "2", ("a",)), "a/f")], "name exactly its rows",
    ),
    "a release that names one device more": (
        "a/f=2", live("a/f=1 b/f=1"), [call(0, Release("f", "2", ("a", "b")), "a/f")], "name exactly its rows",
    ),
    "a release that names a device twice": (
        "a/f=2", live("a/f=1"), [call(0, Release("f", "2", ("a", "a")), "a/f")], "name exactly its rows",
    ),
    "a release to nobody": (
        "a/f=2", live("a/f=1"), [call(0, Release("f", "2", ())), call(1, Release("f", "2", ("a",)), "a/f")], "its rows",
    ),
    "a release to too many": (
        " ".join(f"{device}/f=2" for device in MANY), live(" ".join(f"{device}/f=1" for device in MANY)),
        [call(0, Release("f", "2", MANY), " ".join(f"{device}/f" for device in MANY))], "1 to 1000 of them",
    ),
    "a change that no call carries": (
        "a/f=2 b/f=2", live("a/f=1"), [call(0, Release("f", "2", ("a",)), "a/f")], "once",
    ),
    "a change that two calls carry": (
        "a/f=2", live("a/f=1"),
        [call(0, Release("f", "2", ("a",)), "a/f"), call(1, Release("f", "2", ("a",)), "a/f")], "once",
    ),
    "a row carried that is no change": (
        "a/f=2", live("a/f=1 b/f=1"), [call(0, Release("f", "2", ("b",)), "b/f")], "once",
    ),
    "clearing a device that keeps a flow": (
        "a/f=absent a/g=absent", live("a/f=1 a/g=1 a/own=1"), [call(0, RemoveDevice("a"), "a/f a/g")], "flow own",
    ),
    "clearing a device that gets a flow": (
        "a/f=absent a/g=1", live("a/f=1"),
        [call(0, RemoveDevice("a"), "a/f"), call(1, Release("g", "1", ("a",)), "a/g")], "flow g",
    ),
    "clearing a device that gets a flow, before": (
        "a/f=absent a/g=1", live("a/f=1"),
        [call(0, Release("g", "1", ("a",)), "a/g"), call(1, RemoveDevice("a"), "a/f", (0,))], "flow g",
    ),
    "clearing another device": ("a/f=absent", live("a/f=1 b/f=1"), [call(0, RemoveDevice("b"), "a/f")], "device"),
    "removing a flow that an unmanaged device runs": (
        "a/f=absent b/f=absent", live("a/f=1 b/f=2 x/f=3"), [call(0, RemoveFlow("f"), "a/f b/f")], "device x",
    ),
    "removing a flow that is added elsewhere": (
        "a/f=absent b/f=1", live("a/f=1"),
        [call(0, RemoveFlow("f"), "a/f"), call(1, Release("f", "1", ("b",)), "b/f")], "device b",
    ),
    "removing another flow": ("a/f=absent", live("a/f=1 a/g=1"), [call(0, RemoveFlow("g"), "a/f")], "flow"),
    "removing a row and releasing it too": (
        "a/f=2 b/f=absent", live("a/f=1 b/f=1"),
        [call(0, Release("f", "2", ("a",)), "a/f"), call(1, RemoveRow("f", "a"), "b/f")], "name exactly its rows",
    ),
    "calls that are misnumbered": ("a/f=2", live("a/f=1"), [call(1, Release("f", "2", ("a",)), "a/f")], "out of order"),
    "a call that waits for itself": (
        "a/f=2", live("a/f=1"), [call(0, Release("f", "2", ("a",)), "a/f", (0,))], "out of order",
    ),
    "a call that waits for a later one": (
        "a/f=2 b/f=2", live("a/f=1 b/f=1"),
        [call(0, Release("f", "2", ("a",)), "a/f", (1,)), call(1, Release("f", "2", ("b",)), "b/f")], "out of order",
    ),
    "a call that waits for nothing there is": (
        "a/f=2", live("a/f=1"), [call(0, Release("f", "2", ("a",)), "a/f", (-1,))], "out of order",
    ),
    "a replace on a restricted read": (
        "a/f=2", live("a/f=1", only_flow="f"), [call(0, Replace("f", "1", "2"), "a/f")], "beyond what was read",
    ),
    "clearing a device on a restricted read": (
        "a/f=absent", live("a/f=1", only_flow="f"), [call(0, RemoveDevice("a"), "a/f")], "beyond what was read",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNSOUND)
def test_unsound_calls_are_found(name: str) -> None:
    wanted, seen, calls, told = UNSOUND[name]
    with pytest.raises(PlanUnsound) as raised:
        prove(changes(wanted, seen), calls, seen)
    assert told in str(raised.value)
    assert "please report" in str(raised.value)


def test_a_failed_proof_is_a_report_that_can_be_filed() -> None:
    seen = live("a/f=1 x/f=7>1", unknown=["x"])
    calls = [call(0, Release("f", "2", ("a",)), "a/f"), call(1, Replace("f", "1", "2"))]
    with pytest.raises(PlanUnsound) as raised:
        prove(changes("a/f=2", seen), calls, seen)
    (problem,) = raised.value.problems
    assert problem.message == (
        "the plan failed its own proof: call 1 could move device x, flow f (released 7, reported 1, unknown bundle), "
        "which must end at 7, elsewhere (if replace matches reported; calls: "
        "1 replace {'flowId': 'f', 'oldVersion': '1', 'newVersion': '2'})"
    )
    assert problem.hint == "nothing was sent; this is a bug in reconciler, please report it with this text"
    with pytest.raises(PlanUnsound) as raised:
        prove(changes("a/f=2", live("a/f=1")), [call(0, RemoveFlow("g"), "a/f")], live("a/f=1"))
    assert raised.value.problems[0].message == (
        "the plan failed its own proof: its calls might not move device a, flow f (released 1, reported 1), "
        "which must end at 2, (if replace matches released; calls: none)"
    )
    chain = live("a/f=1 b/f=2")
    calls = [call(0, Replace("f", "1", "2"), "a/f"), call(1, Replace("f", "2", "3"), "b/f", (0,))]
    with pytest.raises(PlanUnsound) as raised:
        prove(changes("a/f=2 b/f=3", chain), calls, chain)
    assert "'newVersion': '2'}, 1 replace {" in str(raised.value)


def test_a_report_of_many_calls_is_cut() -> None:
    row = live("a/f=1")
    calls = [
        *(call(number, Replace("f", "1", f"{number}")) for number in range(40)),
        call(40, RemoveRow("f", "a"), "a/f"),
    ]
    with pytest.raises(PlanUnsound) as raised:
        prove(changes("a/f=absent", row), calls, row)
    assert len(raised.value.problems[0].message.partition("; calls: ")[2]) == len(")") + 1000


def test_a_flow_may_be_removed_on_a_read_of_it() -> None:
    seen = live("a/f=1 b/f=2", only_flow="f")
    calls = [call(0, RemoveFlow("f"), "a/f b/f")]
    prove(changes("a/f=absent b/f=absent", seen), calls, seen)
    with pytest.raises(PlanUnsound, match="beyond"):
        prove(changes("a/f=absent b/f=absent", seen), calls, live("a/f=1 b/f=2", only_flow="g"))


def test_the_order_of_names_does_not_matter() -> None:
    seen = live("a/f=1 b/f=1")
    for ids, rows in (("ab", "b/f a/f"), ("ba", "a/f b/f")):
        prove(changes("a/f=2 b/f=2", seen), [call(0, Release("f", "2", tuple(ids)), rows)], seen)


def test_clearing_a_device_without_a_record_moves_nothing() -> None:
    seen = live("a/f=1")
    prove(changes("a/f=2", seen), [call(0, Release("f", "2", ("a",)), "a/f"), call(1, RemoveDevice("x"))], seen)


def test_two_calls_naming_one_row_are_followed_both() -> None:
    seen = live("a/f=1 b/f=1")
    calls = [call(0, Release("f", "2", ("a",)), "a/f"), call(1, Release("f", "2", ("b",)), "b/f")]
    wrong = [calls[0], call(1, RemoveDevice("b"), "b/f")]
    prove(changes("a/f=2 b/f=2", seen), calls, seen)
    with pytest.raises(PlanUnsound, match="device b"):
        prove(changes("a/f=2 b/f=2", seen), wrong, seen)


# Planted bugs: each breaks one thing in the search for calls, and some readable case must then fail its proof.


def _no_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.planner.calls.order._replaces", lambda drafts: {})


def _blind_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FlowRows, "may_replace", lambda self, old, new: True)


def _blind_to_flow_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls_module, "still_sound", lambda request, live, moves: True)


def _blind_to_other_flows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removals, "still_sound", lambda request, live, moves: True)


def _no_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls_module, "_break_cycles", lambda groups: groups)


def _altered(change: Callable[[FlowRows, Mapping[str, Version | None], Live], None]) -> Callable[..., FlowRows]:
    def altered(flow_id: str, fleet: Sequence[Alike], live: Live) -> FlowRows:
        rows = flow_rows(flow_id, fleet, live)
        moves = {one: group.targets[flow_id] for group in fleet for one in group.device_ids if flow_id in group.targets}
        change(rows, moves, live)
        return rows

    return altered


def _blind_to_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def forget(rows: FlowRows, moves: Mapping[str, Version | None], live: Live) -> None:
        for old, cohort in rows.cohorts.items():
            for end, devices in list(cohort.ends.items()):
                if all(live.entry(device, rows.flow_id).released != old for device in devices):
                    del cohort.ends[end]

    monkeypatch.setattr(calls_module, "flow_rows", _altered(forget))


def _blind_to_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls_module, "flow_rows", _altered(lambda rows, moves, live: rows.unknown_ends.clear()))


def _sure_of_pending(monkeypatch: pytest.MonkeyPatch) -> None:
    def trust(rows: FlowRows, moves: Mapping[str, Version | None], live: Live) -> None:
        for old, cohort in rows.cohorts.items():
            cohort.sure[:] = sorted(device for device in moves if live.entry(device, rows.flow_id).released == old)

    monkeypatch.setattr(calls_module, "flow_rows", _altered(trust))


def _sure_of_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def trust(rows: FlowRows, moves: Mapping[str, Version | None], live: Live) -> None:
        cohorts: Mapping[str, Cohort] = rows.cohorts
        for device in moves:
            entry = live.entry(device, rows.flow_id)
            if entry.released == entry.reported and entry.released and device not in cohorts[entry.released].sure:
                cohorts[entry.released].sure.append(device)

    monkeypatch.setattr(calls_module, "flow_rows", _altered(trust))


@pytest.mark.parametrize(
    "plant",
    [
        _no_order,
        _blind_to_others,
        _blind_to_flow_users,
        _blind_to_other_flows,
        _no_cut,
        _blind_to_reported,
        _blind_to_unknown,
        _sure_of_pending,
        _sure_of_unknown,
    ],
)
def test_planted_bugs_are_caught(plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    caught = []
    for case in load():
        try:
            case.plan()
        except PlanUnsound as error:
            caught.append((case.name, str(error)))
    assert caught


def _any_calls(dice: random.Random, seen: Live, wanted: Mapping[Row, Version | None]) -> list[PlannedCall]:
    """Well-formed calls that may be wrong: any wildcards, any order, releases for what they do not carry for sure."""
    pool = wildcards(seen, wanted, ["1", "2"])
    requests: list[tuple[Request, list[Row]]] = []
    left = dict(wanted)
    for request in dice.sample(pool, min(len(pool), dice.randint(0, 3))):
        rows = sorted(row for row in sure(request, seen, wanted) if row in left)
        requests.append((request, rows))
        for row in rows:
            del left[row]
    requests += [(Release(flow, to, (device,)), [(device, flow)]) for (device, flow), to in left.items()]
    dice.shuffle(requests)
    return [
        PlannedCall(number, request, tuple(rows), tuple(other for other in range(number) if dice.random() < 0.5))
        for number, (request, rows) in enumerate(requests)
    ]


@pytest.mark.parametrize(("kind", "count"), [(Kind.EMBEDDED, 1500), (Kind.EDGE, 500)])
@pytest.mark.parametrize("size", [Size(3, 1, 2), Size(2, 2, 2)], ids=lambda size: "x".join(map(str, size[:3])))
def test_the_proof_agrees_with_the_reference_model(size: Size, kind: Kind, count: int) -> None:
    dice, verdicts = random.Random(7), set()
    for spec in size._replace(kind=kind).some(count, seed=3):
        wanted_rows, seen = build(spec, kind)
        planned: Sequence[Change] = compare(wanted_rows, seen).changes
        wanted = {change.row: change.to_version for change in planned}
        calls = _any_calls(dice, seen, wanted)
        plain = [(call.request, frozenset(call.after)) for call in calls]
        wrong = list(astray(seen, wanted, plain, ["1", "2"]))
        with pytest.raises(PlanUnsound) if wrong else nullcontext():
            prove(planned, calls, seen)
        verdicts.add(bool(wrong))
    assert verdicts == {True, False}
