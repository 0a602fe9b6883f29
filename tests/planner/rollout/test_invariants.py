"""The invariants of rollouts: in every order of events of small worlds, in random schedules, each broken on purpose.

What they are is said in `story`. More of both: `python -m tests.planner.rollout.explore DEPTH SCHEDULES`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.model.changes import Changes
from reconciler.model.rollout import Hold, RolloutVerdict, Withheld
from reconciler.model.state import Evidence
from reconciler.model.world import Options
from reconciler.planner.calls.cover import cover
from reconciler.planner.diff import compare
from reconciler.planner.planner import make_plan
from reconciler.planner.rollout import budget, evidence, gates, position, withhold
from reconciler.planner.rollout.evidence import Judge, Judgement
from reconciler.planner.rollout.look import look
from tests.planner.rollout.explore import SIZES, Size, explore, wander
from tests.planner.rollout.fleet import NO_LIMITS
from tests.planner.rollout.story import Broken, Event, Tale, complete, demand
from tests.planner.rollout.worlds import random_world

DEPTH = 4


@pytest.mark.parametrize("size", SIZES, ids=[f"world-{number}" for number in range(len(SIZES))])
def test_small_worlds_hold_in_every_order_of_events(size: Size) -> None:
    found = explore(size, DEPTH)
    assert found.moments > 100
    assert found.schedules > 500


@settings(derandomize=True)  # `explore` looks for new ones
@given(st.integers(0, 2**32))
def test_random_schedules_hold(seed: int) -> None:
    wander(seed)


def test_the_healthy_way() -> None:
    """Two waves and the rest, one device each: each is released when the one before it has soaked."""
    moments = [*complete(Tale(Size((1, 2, 3)).fleet()))]
    seen = {tuple(one.released[0] for one in tale.fleet.machines) for tale in moments}
    assert seen == {("1", "1", "1"), ("2", "1", "1"), ("2", "2", "1")}
    assert len(moments) == 5  # two ticks of the clock for each soak, then the rest


@given(st.integers(0, 2**32))
def test_without_rollouts_evidence_and_time_change_nothing(seed: int) -> None:
    """Invariant 12, for what a plan is made of; the golden files have its bytes."""
    without_rollouts(seed)


def without_rollouts(seed: int) -> None:
    world = random_world(random.Random(seed))._replace(rollouts=())
    devices = {one: record._replace(evidence=Evidence()) for one, record in world.live.devices.items()}
    bare = world._replace(read=world.read._replace(live=world.live._replace(devices=devices), server_time=None))
    made, other = (make_plan(one, limits=NO_LIMITS, manifests=(), options=Options()) for one in (world, bare))
    demand(12, made == other and made.rollouts is None, "evidence or the time changes a plan without rollouts")
    changes = compare(world.desired, world.live).changes
    demand(12, made.changes == changes and made.calls == cover(changes, world.live), "something is withheld")


# Each invariant broken on purpose: what is broken, and that it is seen

Patch = Callable[[pytest.MonkeyPatch], None]


def _verdicts(patch: pytest.MonkeyPatch, change: Callable[[Judgement], RolloutVerdict]) -> None:
    judge = Judge.judge

    def changed(self: Judge, *arguments: Any) -> Judgement:
        found = judge(self, *arguments)
        return found._replace(verdict=change(found))

    patch.setattr(Judge, "judge", changed)


def waves_open_without_proof(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(gates.Gates, "proof", lambda *_: None)


def soaking_is_proof(patch: pytest.MonkeyPatch) -> None:
    _verdicts(patch, lambda one: RolloutVerdict.PROVEN if one.verdict is RolloutVerdict.SOAKING else one.verdict)


def failing_is_waiting(patch: pytest.MonkeyPatch) -> None:
    _verdicts(patch, lambda one: RolloutVerdict.WAITING if one.verdict is RolloutVerdict.FAILED else one.verdict)


def all_goes_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Judge, "goes_back", lambda *_: True)


def nothing_goes_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Judge, "goes_back", lambda *_: False)


def more_is_sent(patch: pytest.MonkeyPatch) -> None:
    step = withhold._Withholding.step

    def more(self: withhold._Withholding, full: Any) -> withhold.Step:
        made = step(self, full)
        changed = {
            tuple(one._replace(to_version="3") for one in moves): ids for moves, ids in made.sent.cohorts.items()
        }
        return made._replace(sent=Changes(changed, made.sent.decided))

    patch.setattr(withhold._Withholding, "step", more)


def nothing_is_proven(patch: pytest.MonkeyPatch) -> None:
    _verdicts(patch, lambda one: RolloutVerdict.SOAKING if one.verdict is RolloutVerdict.PROVEN else one.verdict)


def budgets_are_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(budget.Rooms, "has_room", lambda *_: True)


def lost_lines_are_offline(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(evidence, "was_offline", lambda device, rows: len(device.evidence.lines) < 3)


def first_come_first_served(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(budget, "turns", lambda rollout, hashes, ids: list(ids))
    patch.setattr(withhold, "turns", lambda rollout, hashes, ids: list(ids))


def what_is_withheld_is_called(patch: pytest.MonkeyPatch) -> None:
    """Wildcards are made for all changes, and what is withheld is left out of the rows alone."""
    from reconciler.planner import planner

    whole: list[Changes] = []

    def looked(rollouts: Any, changes: Changes, *rest: Any) -> Any:
        whole.append(changes)
        return look(rollouts, changes, *rest)

    patch.setattr("reconciler.planner.rollout.look.look", looked)
    patch.setattr(planner, "cover", lambda sent, live, **how: cover(whole[-1], live, **how))
    patch.setattr(planner, "prove", lambda *_: None)


def kills_are_remembered(patch: pytest.MonkeyPatch) -> None:
    """A device that was released anything in this instant makes the next run withhold the rest."""
    hold = position.Position.hold

    def held(self: position.Position, device_id: str, device: Any, move: Any) -> Hold:
        released = [Judge.judge(self.judge, device, self.rollout.rows[device_id]).released]
        fresh = self.judge.now in released
        return Hold(self.rollout.waves[device_id], Withheld.WAVE) if fresh else hold(self, device_id, device, move)

    patch.setattr(position.Position, "hold", held)


def proofs_expire(patch: pytest.MonkeyPatch) -> None:
    running = Judge._running

    def expiring(self: Judge, device: Any, released: float, since: float, oldest: float) -> Judgement:
        is_old = self.now is not None and self.now - since > 8 * self.policy.gate.soak_s
        return Judgement(RolloutVerdict.SOAKING) if is_old else running(self, device, released, since, oldest)

    patch.setattr(Judge, "_running", expiring)


def something_is_withheld(patch: pytest.MonkeyPatch) -> None:
    """Without any policy, the first change is not sent."""
    from reconciler.planner import planner

    patch.setattr(planner, "cover", lambda sent, live, **how: cover(Changes.of(sent[1:]), live, **how))
    patch.setattr(planner, "prove", lambda *_: None)


def second_runner(seed: int) -> None:
    """It read before anything was proven, and sends when the first one has."""
    tale = Tale(SIZES[seed].fleet())
    for event in (Event("save"), Event("late")):
        tale = tale.after(event)


Course = Callable[[int], object]
BROKEN: list[tuple[int, Patch, Course, int]] = [  # the last is a seed from which on it is soon seen
    (1, waves_open_without_proof, wander, 0),
    (1, soaking_is_proof, wander, 0),
    (1, all_goes_back, wander, 0),
    (2, waves_open_without_proof, second_runner, 0),
    (3, more_is_sent, wander, 0),
    (4, failing_is_waiting, wander, 88),
    (5, lost_lines_are_offline, wander, 0),
    (5, proofs_expire, wander, 0),
    (6, kills_are_remembered, wander, 0),
    (7, first_come_first_served, wander, 35),
    (8, what_is_withheld_is_called, wander, 0),
    (9, nothing_is_proven, wander, 0),
    (10, nothing_goes_back, wander, 76),
    (11, budgets_are_ignored, wander, 0),
    (12, something_is_withheld, without_rollouts, 0),
]


@pytest.mark.parametrize(
    ("number", "breaks", "course", "seed"), BROKEN, ids=[f"{one[0]}-{one[1].__name__}" for one in BROKEN]
)
def test_each_invariant_is_seen_to_break(
    number: int, breaks: Patch, course: Course, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaks(monkeypatch)
    for other in range(seed, seed + 400):
        try:
            course(other)
        except Broken as problem:
            if problem.number == number:
                return
    raise AssertionError(f"{breaks.__name__} breaks nothing")
