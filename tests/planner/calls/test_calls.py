"""Requests on the wire, the best mix for one group, the order of calls, and the sentence that explains each."""

from __future__ import annotations

import json
from itertools import product

import pytest

from reconciler.errors import PlanUnsound
from reconciler.model.plan import PlannedCall
from reconciler.model.requests import (
    Release,
    RemoveDevice,
    RemoveFlow,
    RemoveRow,
    Replace,
    Request,
    named_rows,
    outcome,
)
from reconciler.model.world import CallMode
from reconciler.planner.calls.cover import cover
from reconciler.planner.calls.flow_calls import Mix, best_mix
from reconciler.planner.calls.order import Draft, in_order
from reconciler.planner.diff import compare
from tests.builders import desired, live


def calls(wanted: str, seen: str, *, chunk: int = 1, mode: CallMode = CallMode.FEWEST) -> tuple[PlannedCall, ...]:
    read = live(seen)
    return cover(compare(desired(wanted), read).changes, read, chunk=chunk, mode=mode)


REQUESTS: list[tuple[Request, str, dict[str, object], str | None]] = [
    (Release("f", "2", ("a", "b")), "release", {"flowId": "f", "version": "2", "deviceIds": ["a", "b"]}, "2"),
    (Release("f", None, ("a",)), "release", {"flowId": "f", "version": None, "deviceIds": ["a"]}, None),
    (Replace("f", "1", "2"), "replace", {"flowId": "f", "oldVersion": "1", "newVersion": "2"}, "2"),
    (Replace("f", "1", None), "replace", {"flowId": "f", "oldVersion": "1", "newVersion": None}, None),
    (RemoveRow("f", "a"), "remove", {"flowId": "f", "deviceId": "a"}, None),
    (RemoveDevice("a"), "remove", {"flowId": None, "deviceId": "a"}, None),
    (RemoveFlow("f"), "remove", {"flowId": "f", "deviceId": None}, None),
]


@pytest.mark.parametrize(("request_", "action", "body", "version"), REQUESTS)
def test_requests_on_the_wire(request_: Request, action: str, body: dict[str, object], version: str | None) -> None:
    assert request_.action == action
    assert json.loads(json.dumps(request_.body)) == body
    assert outcome(request_) == version
    assert action != "remove" or any(body.values())


def test_explicit_requests_name_their_rows() -> None:
    assert named_rows(Release("f", "2", ("b", "a"))) == (("b", "f"), ("a", "f"))
    assert named_rows(RemoveRow("f", "a")) == (("a", "f"),)


@pytest.mark.parametrize(
    ("total", "sizes", "chunk", "mix"),
    [
        (0, [], 1000, Mix(0, 0)),
        (1000, [1000], 1000, Mix(1, 0)),
        (1001, [1001], 1000, Mix(1, 1)),
        (1001, [1000], 1000, Mix(2, 0)),
        (2001, [1001], 1000, Mix(2, 1)),
        (2001, [1000], 1000, Mix(3, 0)),
        (3000, [1500, 1500], 1000, Mix(2, 2)),
        (2700, [1500, 1200], 1000, Mix(2, 2)),
        (5, [3, 2], 1, Mix(2, 2)),
        (5, [3, 1, 1], 1, Mix(3, 1)),
    ],
)
def test_best_mix(total: int, sizes: list[int], chunk: int, mix: Mix) -> None:
    assert best_mix(total, sizes, chunk) == mix


def test_the_best_mix_is_the_minimum_over_all_choices_of_cohorts() -> None:
    for sizes in product(range(4), repeat=3):
        for rest, chunk in product(range(4), (1, 2, 3)):
            total = sum(sizes) + rest
            best = min(
                sum(chosen) - (-(total - sum(size for size, one in zip(sizes, chosen, strict=True) if one)) // chunk)
                for chosen in product((0, 1), repeat=3)
            )
            assert best_mix(total, sorted(sizes, reverse=True), chunk).calls == best


REASONS = [
    ("a/f=2", "a/f=1", 1, ["1 device by id; one call does"]),
    ("a/f=2 b/f=2", "a/f=1 b/f=1", 1000, ["2 devices by id; one call does"]),
    ("a/f=absent b/f=absent", "a/f=1 b/f=1", 1000, ["2 devices by id; one call does"]),
    ("a/f=2 b/f=2", "a/f=1 b/f=1", 1, ["every device on 1 is managed and wants 2 (2); saves 1 call"]),
    ("a/f=2 b/f=2 c/f=2", "a/f=1 b/f=1 c/f=1", 1, ["every device on 1 is managed and wants 2 (3); saves 2 calls"]),
    (
        "a/f=2 b/f=2 c/f=2",
        "a/f=1 b/f=1 c/f=1>0 x/f=2>1",
        1,
        [
            "every device on 1 is to run 2 (2 surely, 2 maybe); saves 1 call",
            "1 device by id; no wildcard saves a call",
        ],
    ),
    ("a/f=absent b/f=absent", "a/f=1 b/f=1", 1, ["every device on 1 is managed and wants absent (2); saves 1 call"]),
    (
        "a/f=absent b/f=absent",
        "a/f=1 b/f=1 x/f=->1 y/f=2",
        1,
        ["every device on 1 is to run nothing (2 surely, 1 maybe); saves 1 call"],
    ),
    ("a/f=absent b/f=absent", "a/f=1 b/f=2", 1, ["no device is to run the flow (2 lose it); saves 1 call"]),
    (
        "a/f=absent a/g=absent a/h=absent",
        "a/f=1 a/g=2 a/h=3",
        1,
        ["the device is to run nothing (3 flows go); saves 2 calls"],
    ),
    (
        "a/f=2 b/f=2 c/f=2",
        "a/f=1 b/f=3 c/f=4",
        2,
        ["2 devices by id; no wildcard saves a call", "1 device by id; no wildcard saves a call"],
    ),
    (
        "a/f=2 b/f=2",
        "a/f=1 b/f=1 y/f=1 x/f=1",
        1,
        ["1 device by id; a replace of 1 could move 2 rows that end elsewhere (first: device x at 1)"] * 2,
    ),
    (
        "a/f=2 b/f=2 x/f=absent",
        "a/f=1 b/f=1 x/f=3>1",
        1,
        [
            *["1 device by id; a replace of 1 could move 1 row that ends elsewhere (first: device x at nothing)"] * 2,
            "1 device by id; one call does",
        ],
    ),
    (
        "a/f=2 b/f=2 c/f=2 d/f=2 e/f=2",
        "a/f=1 b/f=1 c/f=1 d/f=3 e/f=4 x/f=1",
        3,
        [
            "3 devices by id; a replace of 1 could move 1 row that ends elsewhere (first: device x at 1)",
            "2 devices by id; a replace of 1 could move 1 row that ends elsewhere (first: device x at 1)",
        ],
    ),
    (
        "a/f=2 b/f=2 c/f=1 d/f=1 e/f=1",
        "a/f=1 b/f=1 c/f=2 d/f=2 e/f=2",
        1,
        [
            "every device on 2 is managed and wants 1 (3); saves 2 calls",
            *["1 device by id; a replace of 1 and those that it waits for would wait for each other"] * 2,
        ],
    ),
    (
        "a/f=9 b/f=9 c/f=9 d/f=9 e/f=9 g/f=9 h/f=9",
        "a/f=1 b/f=1 c/f=1 d/f=1 e/f=2 g/f=2 h/f=2",
        2,
        [
            "every device on 1 is managed and wants 9 (4); saves 2 calls, together with 1 other wildcard",
            "every device on 2 is managed and wants 9 (3); saves 2 calls, together with 1 other wildcard",
        ],
    ),
    (
        "a/f=absent a/g=absent a/h=absent b/f=absent",
        "a/f=1 a/g=1 a/h=1 b/f=2",
        1,
        ["the device is to run nothing (3 flows go); saves 2 calls", "1 device by id; no wildcard saves a call"],
    ),
    (
        "a/f=absent a/g=absent a/h=absent b/f=absent b/g=absent b/h=absent x/f=absent y/f=absent",
        "a/f=1 a/g=1 a/h=1 b/f=1 b/g=1 b/h=1 x/f=1 y/f=1 z/f=2 x/g=1 y/g=1",
        1,
        [
            "the device is to run nothing (3 flows go); saves 5 calls, together with 2 other wildcards",
            "the device is to run nothing (3 flows go); saves 5 calls, together with 2 other wildcards",
            "every device on 1 is to run nothing (2 surely, 2 maybe); saves 5 calls, together with 2 other wildcards",
        ],
    ),
]


@pytest.mark.parametrize(("wanted", "seen", "chunk", "reasons"), REASONS)
def test_each_call_is_explained_in_one_sentence(wanted: str, seen: str, chunk: int, reasons: list[str]) -> None:
    assert [call.reason for call in calls(wanted, seen, chunk=chunk)] == reasons


def test_a_device_with_an_unknown_bundle_is_told_apart() -> None:
    read = live("a/f=1 b/f=1 x/g=1", unknown=["x"])
    made = cover(compare(desired("a/f=2 b/f=2"), read).changes, read, chunk=1)
    stray = "device x, whose bundle is unknown, at nothing"
    assert {call.reason for call in made} == {
        f"1 device by id; a replace of 1 could move 1 row that ends elsewhere (first: {stray})"
    }


def test_the_cohort_that_is_told_is_one_of_the_rows_to_be_moved() -> None:
    wanted = "a/f=2 b/f=2 c/f=3 d/f=3 e/f=3"
    made = calls(wanted, "a/f=1 b/f=1 x/f=1 c/f=5 d/f=5 e/f=5 y/f=5")
    assert [call.reason.partition("replace of ")[2][:1] for call in made] == ["1", "1", "5", "5", "5"]


def test_thousands_are_told_with_separators() -> None:
    wanted = " ".join(f"d{number:04}/f=2" for number in range(2500))
    (one,) = calls(wanted, wanted.replace("f=2", "f=1"), chunk=1000)
    assert one.reason == "every device on 1 is managed and wants 2 (2,500); saves 2 calls"


def test_where_one_flow_was_read_alone_that_is_why_devices_are_named() -> None:
    seen = live("a/f=1 b/f=1", only_flow="f")
    made = cover(compare(desired("a/f=2 b/f=2"), seen).changes, seen, mode=CallMode.FEWEST, chunk=1)
    why = "only the records of this flow were read, and a replace could reach others"
    assert [call.reason for call in made] == [f"1 device by id; {why}"] * 2


def test_explicit_calls_say_that_they_were_asked_for() -> None:
    (one, two) = calls("a/f=2 b/f=absent", "a/f=1 b/f=1", mode=CallMode.EXPLICIT)
    assert one.reason == two.reason == "1 device by id; as --calls explicit asks"
    assert two.request == Release("f", None, ("b",))


def test_in_a_cycle_the_replace_that_costs_least_is_cut() -> None:
    """Cutting the smaller cohort costs two calls, cutting the larger one only one: its rows fit a release."""
    wanted = "a/f=2 b/f=2 c/f=2 d/f=2 e/f=1 g/f=1 h/f=1 i/f=1 j/f=1 k/f=1"
    seen = "a/f=1 b/f=1 c/f=1 d/f=1 e/f=2 g/f=2 h/f=2 i/f=2 j/f=2 k/f=3"
    made = calls(wanted, seen, chunk=3)
    assert [call.request for call in made] == [
        Replace("f", "1", "2"),
        Release("f", "1", ("e", "g", "h")),
        Release("f", "1", ("i", "j", "k")),
    ]
    assert [call.after for call in made] == [(), (0,), (0,)]


def test_what_a_cut_costs_is_a_difference() -> None:
    """Where the group is dear anyway, a cut costs little: of 1 to 2 one call more, of 2 to 1 two more."""
    wanted = "a/f=2 b/f=2 c/f=2 d/f=2 e/f=2 g/f=1 h/f=1 i/f=1"
    made = calls(wanted, "a/f=1 b/f=1 c/f=7 d/f=8 e/f=9 g/f=2 h/f=2 i/f=2")
    assert [call.request for call in made if isinstance(call.request, Replace)] == [Replace("f", "2", "1")]
    assert len(made) == 6


def test_the_order_of_changes_does_not_matter() -> None:
    wanted = "a/g=absent a/h=absent a/k=absent b/f=absent b/g=absent b/h=absent c/z=absent d/z=absent e/z=3 h/z=3"
    read = live("a/g=1 a/h=1 a/k=1 b/f=1 b/g=1 b/h=1 c/z=1 d/z=2 e/z=4 h/z=4 k/z=5")
    changes = compare(desired(wanted), read).changes
    made = cover(changes, read, chunk=1)
    assert RemoveDevice("b") in [call.request for call in made]
    assert all(list(call.rows) == sorted(call.rows) for call in made)
    assert cover(changes[::-1], read, chunk=1) == made
    assert sorted(row for call in made for row in call.rows) == [change.row for change in changes]
    retired = live("a/f=1 b/f=2 c/f=3")
    changes = compare(desired("a/f=absent b/f=absent c/f=absent"), retired).changes
    (one,) = cover(changes[::-1], retired, chunk=1)
    assert one.rows == (("a", "f"), ("b", "f"), ("c", "f"))
    (one,) = calls("a/f=2 b/f=2", "b/f=1 a/f=1")
    assert (type(one.request), one.rows) == (Replace, (("a", "f"), ("b", "f")))


def test_of_cycles_that_cost_the_same_the_smaller_cohort_is_cut_then_the_lower_version() -> None:
    smaller = calls("a/f=1 b/f=1 c/f=1 d/f=2 e/f=2 g/f=2 h/f=2", "a/f=2 b/f=2 c/f=2 d/f=1 e/f=1 g/f=1 h/f=1", chunk=2)
    assert smaller[0].request == Replace("f", "1", "2")
    even = calls("a/f=1 b/f=1 c/f=2 d/f=2", "a/f=2 b/f=2 c/f=1 d/f=1", chunk=1)
    assert even[0].request == Replace("f", "2", "1")


def test_cohorts_of_one_size_are_taken_by_version() -> None:
    made = calls("a/f=9 b/f=9 c/f=9 d/f=9 e/f=9", "a/f=2 b/f=2 c/f=1 d/f=1 e/f=3", chunk=3)
    assert [call.request for call in made] == [Release("f", "9", ("a", "b", "c")), Release("f", "9", ("d", "e"))]
    made = calls("a/f=9 b/f=9 c/f=9 d/f=9", "a/f=2 b/f=2 c/f=1 d/f=1", chunk=1)
    assert [call.request for call in made] == [Replace("f", "2", "9"), Replace("f", "1", "9")]


def test_calls_that_wait_in_a_cycle_are_our_bug() -> None:
    drafts = [Draft(Replace("f", "1", "2"), (("a", "f"),), ""), Draft(Replace("f", "2", "1"), (("b", "f"),), "")]
    with pytest.raises(PlanUnsound, match="cycle"):
        in_order(drafts)


def test_free_calls_go_by_device_then_flow_and_blocked_ones_as_soon_as_they_may() -> None:
    drafts = [
        Draft(Release("g", "1", ("a", "b")), (("a", "g"), ("b", "g")), "3"),
        Draft(Release("f", "2", ("a",)), (("a", "f"),), "6"),
        Draft(Replace("f", "2", "3"), (("c", "f"),), "5"),
        Draft(RemoveDevice("d"), (("d", "f"), ("d", "g")), "7"),
        Draft(Release("e", "1", ("a", "b")), (("a", "e"), ("b", "e")), "2"),
        Draft(Release("h", "2", ("a",)), (("a", "h"),), "1"),
        Draft(Release("f", "4", ("b",)), (("b", "f"),), "4"),
    ]
    made = in_order(drafts)
    assert [call.reason for call in made] == ["1", "2", "3", "4", "5", "6", "7"]
    assert [call.id for call in made] == list(range(7))
    assert [call.after for call in made] == [(), (), (), (), (), (4,), ()]


def test_after_names_every_replace_of_the_version_and_no_other() -> None:
    drafts = [
        Draft(Replace("f", "2", "3"), (("a", "f"),), ""),
        Draft(Replace("g", "2", "3"), (("b", "g"),), ""),
        Draft(Replace("f", "4", "2"), (("c", "f"),), ""),
        Draft(Release("f", "2", ("d",)), (("d", "f"),), ""),
        Draft(Release("f", "3", ("e",)), (("e", "f"),), ""),
        Draft(Release("f", None, ("h",)), (("h", "f"),), ""),
    ]
    assert [call.after for call in in_order(drafts)] == [(), (), (0,), (0,), (), ()]


def test_after_is_in_the_order_of_sending() -> None:
    drafts = [
        Draft(Replace("f", "2", "5"), (("a", "f"),), ""),
        Draft(Replace("f", "2", "6"), (("b", "f"),), ""),
        Draft(Replace("f", "5", "9"), (("c", "f"),), ""),
        Draft(Release("f", "2", ("d",)), (("d", "f"),), ""),
    ]
    made = in_order(drafts)
    assert [call.rows[0][0] for call in made] == ["b", "c", "a", "d"]
    assert [call.after for call in made] == [(), (), (1,), (0, 2)]


def test_three_devices_pay_off_only_together() -> None:
    """Four flows on three devices that differ elsewhere: one device or two of them would cost more than naming rows."""
    rows = (
        " ".join(f"{device}/{flow}=1" for device in "abc" for flow in "fghi") + " a/x=1 b/y=1 c/z=1 d/x=1 d/y=1 d/z=1"
    )
    wanted = " ".join(f"{device}/{flow}=absent" for device in "abc" for flow in "fghi")
    wanted += " a/x=absent b/y=absent c/z=absent d/x=1 d/y=1 d/z=1"
    made = calls(wanted, rows, chunk=1000)
    assert [call.request for call in made] == [RemoveDevice("a"), RemoveDevice("b"), RemoveDevice("c")]


def test_clearing_a_few_devices_can_spare_the_last_release_of_several_flows() -> None:
    """Five rows of each flow are three releases of two; without a's they are two."""
    wanted = " ".join(f"{device}/{flow}=absent" for device in "abcde" for flow in "fg") + " b/k=1 c/k=1 d/k=1 e/k=1"
    seen = wanted.replace("absent", "1") + " x/f=1 x/g=1"
    made = calls(wanted, seen, chunk=2)
    assert [type(call.request).__name__ for call in made] == ["RemoveDevice"] + ["Release"] * 4
    assert made[0].request == RemoveDevice("a")


def test_what_is_left_beside_a_cleared_device_is_removed_as_ever() -> None:
    made = calls("a/f=absent a/g=absent a/h=absent b/f=absent", "a/f=1 a/g=1 a/h=1 b/f=2")
    assert [call.request for call in made] == [RemoveDevice("a"), RemoveRow("f", "b")]


def test_no_device_is_cleared_where_flows_go_as_a_whole() -> None:
    """Two calls either way."""
    made = calls("a/f=absent a/g=absent b/f=absent b/g=absent", "a/f=1 a/g=1 b/f=2 b/g=2")
    assert [call.request for call in made] == [RemoveFlow("f"), RemoveFlow("g")]


def test_devices_are_cleared_for_the_rows_that_no_replace_takes() -> None:
    """Of five rows of each flow a replace does three; the release for the other two is spared three times."""
    loose = " ".join(f"{device}/{flow}=absent" for device in "ab" for flow in "fgh")
    cohort = " ".join(f"{device}/{flow}=absent" for device in "cde" for flow in "fgh")
    seen = loose.replace("absent", "7").replace("b/f=7 b/g=7 b/h=7", "b/f=8 b/g=8 b/h=8")
    seen += " " + cohort.replace("absent", "1") + " c/k=1 d/k=1 e/k=1 x/f=9 x/g=9 x/h=9"
    made = calls(f"{loose} {cohort}", seen, chunk=2)
    assert [call.request for call in made] == [
        RemoveDevice("a"), RemoveDevice("b"), Replace("f", "1", None), Replace("g", "1", None), Replace("h", "1", None)
    ]  # fmt: skip


def test_the_best_devices_are_cleared_first_and_none_for_nothing() -> None:
    """Clearing b and c would cost the two calls that it spares."""
    wanted = "a/f=absent a/g=absent a/h=absent a/k=absent b/m=absent b/n=absent c/m=absent c/n=absent"
    made = calls(wanted, wanted.replace("absent", "1"), chunk=1000)
    assert [call.request for call in made] == [
        RemoveDevice("a"), Release("m", None, ("b", "c")), Release("n", None, ("b", "c"))
    ]  # fmt: skip


def test_devices_that_tie_are_taken_in_a_definite_order_whatever_their_cohort() -> None:
    wanted = "a/f=absent a/g=absent b/f=absent b/g=absent"
    made = calls(wanted, "a/f=1>0 a/g=1>0 b/f=1 b/g=1 x/f=9 x/g=9")
    assert [call.request for call in made] == [RemoveDevice("a"), RemoveDevice("b")]


def test_a_device_that_its_neighbours_spare_no_call_for_is_not_cleared_with_them() -> None:
    """Clearing a, b and c spares four releases. Were d cleared, one call would be spared: naming it is as cheap."""
    wanted = " ".join(f"{device}/{flow}=absent" for device in "abc" for flow in "fghi") + " d/m=absent d/n=absent"
    made = calls(f"{wanted} e/m=absent", f"{wanted} e/m=absent".replace("absent", "1") + " e/z=1", chunk=1000)
    assert [call.request for call in made] == [
        RemoveDevice("a"), RemoveDevice("b"), RemoveDevice("c"), RemoveRow("n", "d"), Release("m", None, ("d", "e"))
    ]  # fmt: skip
