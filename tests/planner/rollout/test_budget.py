"""The budget: how many of a set are sent at once, and whom that holds."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from reconciler.model.rollout import Withheld
from reconciler.model.rules import Budget
from reconciler.model.state import Kind
from tests.planner.rollout.explore import Size
from tests.planner.rollout.fleet import Fleet, given
from tests.planner.rollout.worlds import STEP

KINDS = pytest.mark.parametrize("kind", [*Kind])


def pair(kind: Kind) -> Fleet:
    """The two halves of a redundant pair in wave 1, with two flows; version 2 of the first is merged."""
    return Size((1, 1), flows=2, kind=kind, budget=1).fleet()


def sent(fleet: Fleet) -> list[int]:
    """The devices that the next step sends something."""
    rollouts = fleet.plan().rollouts
    assert rollouts is not None
    return sorted({fleet.ids.index(change.device_id) for change in rollouts.sent})


def reasons(fleet: Fleet) -> set[Withheld | None]:
    rollouts = fleet.plan().rollouts
    assert rollouts is not None
    return {hold.withheld for holds in rollouts.holds.values() for hold in holds}


def release(fleet: Fleet, index: int, flow: int = 0, version: str = "2") -> Fleet:
    return fleet.with_machine(index, given(fleet.machines[index], flow, version, fleet.now, fleet.kind))


def gone(fleet: Fleet) -> Fleet:
    return fleet.toggle(0)


def loading(fleet: Fleet) -> Fleet:
    return release(fleet, 0).passes(STEP * 2)


def late(fleet: Fleet) -> Fleet:
    return release(fleet, 0).passes(STEP * 2 + 1)


def broken(fleet: Fleet) -> Fleet:
    return release(fleet, 0)._replace(bad=frozenset({(0, "2", "fails")})).passes().take(0)


def loading_another_flow(fleet: Fleet) -> Fleet:
    return release(fleet, 0, flow=1)


def loaded(fleet: Fleet) -> Fleet:
    return release(fleet, 0).take(0)


@KINDS
@pytest.mark.parametrize(
    ("befalls", "expected"),
    [(gone, False), (loading, False), (loading_another_flow, False), (late, True), (broken, True), (loaded, True)],
)
def test_the_other_half_is_sent_only_when_the_first_is_not_away(
    kind: Kind, befalls: Callable[[Fleet], Fleet], expected: bool
) -> None:
    fleet = befalls(pair(kind))
    fleet = fleet._replace(
        policy=fleet.policy._replace(gate=fleet.policy.gate._replace(converged=Decimal(0), sample=0))
    )
    assert (1 in sent(fleet)) is expected
    assert expected or Withheld.BUDGET in reasons(fleet)


@pytest.mark.parametrize(
    ("count", "percent", "expected"),
    [
        (1, None, 1),
        (3, None, 3),
        (9, None, 5),
        (0, None, 0),
        (None, 10, 1),
        (None, 50, 2),
        (None, 60, 3),
        (None, 100, 5),
    ],
)
def test_so_many_of_five_are_sent(count: int | None, percent: int | None, expected: int) -> None:
    fleet = Size((1,) * 5)._replace(waves=(1, 1, 1, 1, 1, 2)).fleet()
    own = Budget(("site",), count, None if percent is None else Decimal(percent))
    fleet = fleet._replace(policy=fleet.policy._replace(budget=own), sets=(*"aaaaa", "b"))
    assert len(sent(fleet)) == expected


@KINDS
def test_what_goes_back_is_not_held_but_counted(kind: Kind) -> None:
    """Device 0 goes back in one flow, and so holds the turn of device 1, though that comes first by its hash."""
    for back, other in ((0, 1), (1, 0)):
        fleet = release(pair(kind), back, flow=1, version="3").passes(STEP * 9)
        assert other not in sent(fleet)
        assert back in sent(fleet)


@KINDS
def test_a_pin_is_counted_too(kind: Kind) -> None:
    for pinned, other in ((0, 1), (1, 0)):
        fleet = pair(kind)
        fleet = fleet.merge(fleet.git._replace(pins=frozenset({(fleet.ids[pinned], 1, "3")})))
        assert sent(fleet) == [pinned]
        assert other not in sent(fleet)
