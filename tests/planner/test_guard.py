"""Guards: where exactly they refuse, with which numbers, rows and way out."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest

from reconciler.model.plan import Guard, Plan, Protected, Refusal, Warning
from reconciler.model.rules import Forbid, Limits, Prune
from reconciler.model.state import Live, Place
from reconciler.model.world import Filter, Options, World
from reconciler.planner import guards as guard
from reconciler.planner.diff import compare
from reconciler.planner.planner import make_plan
from reconciler.planner.resolution.prune import prune
from tests.builders import desired, live, read, world

PLACE = Place("prod.yaml", 40, 3)
OFF = Limits(removals_count=None, removals_percent=None, place=PLACE)


def fleet(removals: int, kept: int, updates: int = 0, adds: int = 0) -> World:
    """A world with that many managed rows of each sort."""
    rows = {"absent": removals, "1": kept, "2": updates, "3": adds}
    wanted, seen = [], []
    for version, number in rows.items():
        for index in range(number):
            wanted.append(f"{version}-{index:04}/f={version}")
            seen += [] if version == "3" else [f"{version}-{index:04}/f=1"]
    return world(desired(*wanted), live(*seen))


def refusals(at: World, limits: Limits, **options: object) -> tuple[Refusal, ...]:
    return make_plan(at, limits=limits, manifests=(), options=Options(**options)).refused  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("removals", "kept", "refused"),
    [
        (0, 5, False),
        (10, 90, False),  # ten, and ten percent: neither is crossed
        (11, 200, True),  # one too many
        (10, 89, True),  # a little more than ten percent
        (1, 0, True),
        (3, 0, True),
        (1, 9, False),
        (1, 8, True),
    ],
)
def test_default_limits_on_removals(removals: int, kept: int, refused: bool) -> None:
    found = refusals(fleet(removals, kept), Limits())
    assert [one.guard for one in found] == [Guard.REMOVALS] * refused


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        (Limits(removals_count=2, removals_percent=None), "more than 2"),
        (Limits(removals_count=None, removals_percent=Decimal("0.5")), "more than 0.5%"),
        (Limits(removals_count=2, removals_percent=Decimal("12.5")), "more than 2 and 12.5%"),
        (Limits(removals_count=0, removals_percent=Decimal(100)), "more than 0"),
    ],
)
def test_a_refusal_names_numbers_rows_place_and_way_out(limits: Limits, told: str) -> None:
    (found,) = refusals(fleet(3, 17, adds=5), limits._replace(place=PLACE))
    assert found == Refusal(
        Guard.REMOVALS,
        f"3 removals, 15.0% of the 20 managed rows with something released: {told}",
        "if they are meant, pass --allow-removals 3, or raise limits.removals in the same pull request",
        (("absent-0000", "f"), ("absent-0001", "f"), ("absent-0002", "f")),
        PLACE,
    )


def test_one_removal_is_one_removal() -> None:
    (found,) = refusals(fleet(1, 0), Limits())
    assert found.message == "1 removal, 100.0% of the 1 managed rows with something released: more than 10%"


@pytest.mark.parametrize(("allowed", "refused"), [(0, True), (2, True), (3, False), (4, False)])
def test_allow_removals_is_for_at_most_that_many(allowed: int, refused: bool) -> None:
    found = refusals(fleet(3, 0), Limits(), allow_removals=allowed)
    assert [one.guard for one in found] == [Guard.REMOVALS] * refused
    if refused and allowed:
        assert found[0].message.endswith("more than 10%; --allow-removals 2 is too few")
    elif refused:
        assert found[0].message.endswith("more than 10%")


def test_without_limits_anything_may_go() -> None:
    assert refusals(fleet(50, 0), OFF) == ()


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        (OFF._replace(changes_count=6), "more than 6"),
        (OFF._replace(changes_percent=Decimal(69)), "more than 69%"),
        (OFF._replace(changes_count=7, changes_percent=Decimal(70)), None),
    ],
)
def test_limits_on_changes_count_everything_together(limits: Limits, told: str | None) -> None:
    at = fleet(removals=2, kept=5, updates=3, adds=2)
    found = refusals(at, limits, allow_removals=99)
    assert len(found) == (told is not None)
    for one in found:
        assert one == Refusal(
            Guard.CHANGES,
            f"7 changes, 70.0% of the 10 managed rows with something released: {told}",
            "plan fewer rows at a time with --target, or raise limits.changes in the same pull request",
            tuple(change.row for change in compare(at.desired, at.live).changes),
            PLACE,
        )


def test_a_percentage_of_nothing_is_crossed_by_anything() -> None:
    (found,) = refusals(fleet(0, 0, adds=2), OFF._replace(changes_percent=Decimal(100)))
    assert found.message == "2 changes, of 0 managed rows with something released: more than 100%"


def protected(device: str | None, flow: str | None, forbid: Forbid, line: int = 1) -> Protected:
    return Protected(device, flow, forbid, Place("prod.yaml", line))


AT = world(desired("a/f=absent a/g=2 b/f=1 b/g=absent c/g=7"), live("a/f=1 a/g=1 b/g=1 c/g=7"))


@pytest.mark.parametrize(
    ("device", "flow", "forbid", "rows"),
    [
        ("a", None, Forbid.REMOVAL, "af"),
        ("a", None, Forbid.CHANGE, "af ag"),
        (None, "g", Forbid.REMOVAL, "bg"),
        (None, "g", Forbid.CHANGE, "ag bg"),
        ("b", "f", Forbid.CHANGE, "bf"),
        ("b", "f", Forbid.REMOVAL, ""),
        ("c", None, Forbid.CHANGE, ""),
    ],
)
def test_protection(device: str | None, flow: str | None, forbid: Forbid, rows: str) -> None:
    found = refusals(AT._replace(protected=(protected(device, flow, forbid, 9),)), OFF)
    assert [one.guard for one in found] == [Guard.PROTECT] * bool(rows)
    for one in found:
        assert " ".join(device + flow for device, flow in one.rows) == rows
        number, noun = len(one.rows), "change" if forbid is Forbid.CHANGE else "removal"
        s = "" if number == 1 else "s"
        assert one.message == f"{number} {noun}{s} of protected rows (protected at prod.yaml:9)"
        assert one.place == Place("prod.yaml", 9)
        assert one.hint == "lift that protection in the same pull request, or leave the rows out with --exclude"


def test_protections_are_told_in_the_order_of_the_file() -> None:
    both = (protected(None, "g", Forbid.REMOVAL, 12), protected("a", None, Forbid.REMOVAL, 3))
    assert [one.place for one in refusals(AT._replace(protected=both), OFF)] == [
        Place("prod.yaml", 3),
        Place("prod.yaml", 12),
    ]


def test_empty_is_refused_unless_allowed() -> None:
    empty = world(desired(), live("a/f=1"))
    (found,) = refusals(empty, OFF)
    assert found.guard is Guard.EMPTY
    assert f"declare no row for application {empty.application.id} (embedded)" in found.message
    assert "--allow-empty" in found.hint
    assert refusals(empty, OFF, allow_empty=True) == ()
    assert refusals(world(desired("a/f=absent"), live()), OFF) == ()


def test_a_device_without_rows_is_still_empty() -> None:
    at = world(desired(), live())._replace(desired=type(desired())({"a": {}}))
    assert [one.guard for one in refusals(at, OFF)] == [Guard.EMPTY]


def test_strict_turns_warnings_into_a_refusal() -> None:
    warnings = (Warning("pin 3 has expired", PLACE), Warning("group x selects nothing", Place("prod.yaml", 41)))
    at = fleet(0, 1)._replace(warnings=warnings)
    assert refusals(at, OFF) == ()
    assert refusals(fleet(0, 1), OFF, strict=True) == ()
    (found,) = refusals(at, OFF, strict=True)
    assert found == Refusal(
        Guard.STRICT,
        "2 warnings under --strict, the first: pin 3 has expired",
        "see to the warnings, or run without --strict",
        place=PLACE,
    )
    (single,) = refusals(at._replace(warnings=warnings[1:]), OFF, strict=True)
    assert single.message == "1 warning under --strict, the first: group x selects nothing"


def test_refusals_come_in_a_fixed_order() -> None:
    at = AT._replace(
        protected=(protected("a", None, Forbid.CHANGE),),
        warnings=(Warning("odd"),),
    )
    found = refusals(at, Limits(changes_count=0), strict=True)
    assert [one.guard for one in found] == [Guard.REMOVALS, Guard.CHANGES, Guard.PROTECT, Guard.STRICT]


def plan(at: World, **options: object) -> Plan:
    return make_plan(at, limits=Limits(), manifests=(), options=Options(**options))  # type: ignore[arg-type]


def test_a_refused_plan_is_whole() -> None:
    made = plan(fleet(3, 0))
    assert len(made.changes) == 3
    assert made.calls
    assert made.refused


def again(made: Plan, at: Live, **options: object) -> tuple[Refusal, ...]:
    """What judging a saved plan again gives, whatever refusals it was saved with."""
    guards = guard.guards_again(made, at, Options(**options))  # type: ignore[arg-type]
    return guard.check(made._replace(guards=guards, refused=()))


def kinds(found: Sequence[Refusal]) -> list[Guard]:
    return [one.guard for one in found]


def test_a_saved_plan_is_judged_again_by_what_it_was_judged_by() -> None:
    at = fleet(3, 0)._replace(protected=(protected(None, "f", Forbid.REMOVAL),))
    made = plan(at)
    assert again(made, at.live) == made.refused
    assert kinds(again(made, at.live)) == [Guard.REMOVALS, Guard.PROTECT]
    assert kinds(again(made, at.live, allow_empty=True)) == [Guard.REMOVALS, Guard.PROTECT]


def test_removals_are_allowed_at_planning_or_when_it_is_carried_out() -> None:
    at = fleet(3, 0)
    for planned, carried_out, refused in ((0, 0, True), (0, 2, True), (0, 3, False), (3, 0, False), (2, 2, True)):
        made = plan(at, allow_removals=planned)
        assert kinds(again(made, at.live, allow_removals=carried_out)) == [Guard.REMOVALS] * refused


def test_an_empty_desired_state_is_allowed_at_planning_or_when_it_is_carried_out() -> None:
    for planned, carried_out, refused in ((False, False, True), (False, True, False), (True, False, False)):
        made = plan(world(desired(), live()), allow_empty=planned)
        assert kinds(again(made, live(), allow_empty=carried_out, allow_removals=5)) == [Guard.EMPTY] * refused


def test_strict_at_planning_or_when_it_is_carried_out() -> None:
    warned = fleet(0, 1)._replace(warnings=(Warning("odd"),))
    for planned, carried_out in ((False, False), (False, True), (True, False), (True, True)):
        made = plan(warned, strict=planned)
        assert kinds(again(made, warned.live, strict=carried_out)) == [Guard.STRICT] * (planned or carried_out)
        assert kinds(again(plan(fleet(0, 1), strict=planned), warned.live, strict=carried_out)) == []


def test_percentages_are_of_what_is_released_now_where_that_is_less() -> None:
    """Ten removals of a hundred rows were allowed; of the seventy-five that are left they are too many."""
    at = fleet(10, 90)
    made = plan(at)
    assert made.refused == again(made, at.live) == ()
    fewer = live(*(f"absent-{index:04}/f=1 1-{index:04}/f=1" for index in range(10)), "1-0010/f=- 1-0011/f=->1")
    (found,) = again(made, fewer)
    assert found.message == "10 removals, 50.0% of the 20 managed rows with something released: more than 10%"


@pytest.mark.parametrize("target", [None, "flow", "device"])
def test_rows_that_nobody_manages_count_for_no_percentage(target: str | None) -> None:
    unmanaged = [f"other-{index:04}/f=1 1-{index:04}/g=1" for index in range(90)]
    at = fleet(10, 90)
    at = at._replace(read=read(live(*unmanaged, *(f"{device_id}/f=1" for device_id in at.live.devices))))
    targets = {"flow": (Filter("flow", "f"),), "device": tuple(Filter("device", f"absent-{n:04}") for n in range(10))}
    made = plan(at, targets=targets.get(target or "", ()))
    assert made.partial == bool(target)
    assert made.refused == again(made, at.live) == ()
    fewer = live(*unmanaged, *(f"absent-{index:04}/f=1" for index in range(10)), "1-0000/f=1")
    (found,) = again(made, fewer)
    assert found.message == "10 removals, 90.9% of the 11 managed rows with something released: more than 10%"


def test_a_plan_on_one_flow_alone_is_judged_again_on_that_flow() -> None:
    at = fleet(10, 90)
    at = at._replace(read=read(at.live._replace(only_flow="f")))
    made = plan(at)
    assert made.guards.only_flow == "f"
    others = [f"other-{index:04}/g=1" for index in range(90)]  # all is read when it is carried out
    assert made.refused == again(made, live(*others, *(f"{one}/f=1" for one in at.live.devices))) == ()
    (found,) = again(made, live(*others, *(f"absent-{index:04}/f=1" for index in range(10)), "1-0000/f=1 1-0001/g=1"))
    assert "of the 11 managed rows" in found.message


def test_more_rows_gone_than_were_managed_leaves_none() -> None:
    at = fleet(1, 9)
    at = at._replace(read=read(live("absent-0000/f=1", *(f"1-{n:04}/f=1 1-{n:04}/g=1" for n in range(9)))))
    (found,) = again(plan(at), live())
    assert found.message == "1 removal, of 0 managed rows with something released: more than 10%"


def test_rows_that_came_since_add_nothing_to_what_percentages_are_of() -> None:
    at = fleet(10, 89)
    made = plan(at)
    more = live(*(f"{device_id}/f=1" for device_id in at.live.devices), *(f"new-{index}/f=1" for index in range(500)))
    assert again(made, more) == made.refused != ()


def test_warnings_are_sorted_by_place_and_told_once() -> None:
    ordered = (
        Warning("z, no place"),
        Warning("z", Place("a.yaml", 9, 9)),
        Warning("z", Place("b.yaml", 2, 9)),
        Warning("z", Place("b.yaml", 10, 1)),
        Warning("z", Place("b.yaml", 10, 2)),
        Warning("a", PLACE),
        Warning("b", PLACE),
        Warning("b", PLACE, "a hint"),
        Warning("b", PLACE, "b hint"),
    )
    given = (*reversed(ordered), Warning("b", PLACE))
    assert plan(fleet(0, 1)._replace(warnings=given)).warnings == ordered


def test_what_only_omission_removes_is_not_declared() -> None:
    live_rows = live("a/f=1")
    pruned = prune(desired(), live_rows, Prune.APPLICATION, flows=(), place=Place("m.yaml", 2), existing=None)
    assert [one.guard for one in refusals(world(pruned, live_rows), OFF)] == [Guard.EMPTY]
    assert refusals(world(pruned, live_rows), OFF, allow_empty=True) == ()
    kept = prune(desired("b/f=1"), live_rows, Prune.APPLICATION, flows=(), place=Place("m.yaml", 2), existing=None)
    assert refusals(world(kept, live_rows), OFF) == ()
