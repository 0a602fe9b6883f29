"""The position of rollouts against a second transcription of the rules, on random worlds."""

from __future__ import annotations

import random
from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.model.rollout import Hold, RolloutReport, RolloutState, RolloutVerdict, WaveReport, Withheld
from reconciler.model.state import Row
from reconciler.model.world import World
from reconciler.planner.diff import compare
from reconciler.planner.rollout.look import Look, look
from reconciler.planner.rollout.position import Position
from tests.planner.rollout.oracle import Oracle, RolloutOracle
from tests.planner.rollout.worlds import random_world


def judged(world: World) -> tuple[Look, Oracle]:
    """What the code says, and the oracle, which takes the code's choice of what goes back where the rules leave one."""
    changes = compare(world.desired, world.live).changes
    code = look(world.rollouts, changes, world.read, {})
    rules = {(device_id, flow_id): decision.rule for device_id, flow_id, decision in world.desired.rows()}
    oracle = Oracle(world.rollouts, [*changes], rules, world.read, world.kind)
    for row, hold in holds(code).items():
        oracle.back[row] = hold.goes_back
    return code, oracle


def holds(code: Look) -> dict[Row, Hold]:
    """What the code says of each change."""
    return {
        (device_id, move.flow_id): hold
        for device_id, moves in code.changes.devices.items()
        for move, hold in zip(moves, code.step.holds.get(device_id) or (Hold(),) * len(moves), strict=True)
    }


def verdicts(position: Position) -> dict[str, RolloutVerdict]:
    """The verdicts on the devices that can be managed."""
    return {one: verdict for one in position.rollout.rows if (verdict := position.verdict(one))}


def differences(world: World) -> Iterator[str]:
    """What the code says otherwise than the oracle."""
    code, oracle = judged(world)
    for position, report in zip(code.positions, code.reports({}), strict=True):
        own = oracle.of_group[report.group]
        for device_id, verdict in verdicts(position).items():
            if verdict is not (expected := own.devices[device_id].verdict):
                yield f"{device_id} is {expected}, not {verdict}"
        if (position.stopped is not None) is not own.stopped:
            yield f"stopped: {own.stopped}, not {position.stopped}"
        yield from _of_report(report, own)
        if report.state is not oracle.state(report.group):
            yield f"state {oracle.state(report.group)}, not {report.state}"
    yield from _of_changes(code, oracle)


def _of_report(report: RolloutReport, own: RolloutOracle) -> Iterator[str]:
    for wave in report.waves:
        expected = (own.open(wave.wave), own.passed(wave.wave), counts(wave.wave, own))
        if (wave.open, wave.passed, _counted(wave)) != expected:
            yield f"open, passed and counts {expected}, not {wave}"


def counts(wave: int, own: RolloutOracle) -> dict[RolloutVerdict, int]:
    """The devices of a wave by verdict."""
    mine = [one.verdict for device_id, one in own.devices.items() if own.rollout.waves[device_id] == wave]
    return {verdict: mine.count(verdict) for verdict in RolloutVerdict}


def _counted(wave: WaveReport) -> dict[RolloutVerdict, int]:
    return {verdict: getattr(wave, verdict) for verdict in RolloutVerdict}


def _of_changes(code: Look, oracle: Oracle) -> Iterator[str]:
    found = holds(code)
    for change in code.changes:
        if found[change.row].goes_back is not oracle.goes_back(change):
            yield f"{change.row} goes back: {oracle.goes_back(change)}"
    withheld = {row: hold.withheld for row, hold in found.items() if hold.withheld is not None}
    if withheld != oracle.withheld:
        yield f"withheld {oracle.withheld}, not {withheld}"
    if {change.row for change in code.step.sent} != found.keys() - withheld.keys():
        yield "what is sent is not what is not withheld"


@settings(max_examples=1000)
@given(st.integers(0, 2**32), st.integers(1, 7))
def test_random_worlds_are_judged_as_the_rules_say(seed: int, devices: int) -> None:
    world = random_world(random.Random(seed), devices)
    assert [*differences(world)] == []


def test_the_random_worlds_have_everything() -> None:
    """Every verdict, state and reason to withhold comes up, stops and going back, and choices are few."""
    seen: set[object] = set()
    said: list[bool | None] = []
    for seed in range(1500):
        code, oracle = judged(random_world(random.Random(seed)))
        seen.update(verdict for position in code.positions for verdict in verdicts(position).values())
        seen.update(report.state for report in code.reports({}))
        seen.update(hold.withheld for hold in holds(code).values())
        oracle.back.clear()
        said += [oracle.goes_back(change) for change in code.changes]
    assert seen >= {*RolloutVerdict, *RolloutState, *Withheld}
    assert 10 * said.count(None) < len(said)
    assert said.count(True) > 300
