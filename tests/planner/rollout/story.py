"""What may happen to a fleet, and what must hold whenever reconciler runs: the invariants of rollouts, by number.

1. Nothing of a later wave is released before the waves before it have passed, unless it goes back.
2. A device of a wave meets a version only if each wave before it had passed for that version, on some read.
3. What is sent is part of the plan without rollouts; a healthy rollout sends all of it in the end.
4. While it is stopped, nothing is released to that target; a stop ends by devices, or by a merge.
5. Losing the oldest entries of a log opens nothing; time alone takes no proof away.
6. Killed at any request and run again: the same.
7. The same input, in any order, gives the same plan.
8. No wildcard can move a withheld row under any reading of the API.
9. A healthy fleet completes.
10. A revert sends every device that reports the former version, or ran it before, in one run.
11. No step leaves more devices of a set away than its budget has, but for those that were away without it.
12. Without rollouts nothing changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from reconciler.model.changes import Change
from reconciler.model.plan import Plan
from reconciler.model.rollout import RolloutState, RolloutVerdict, Withheld
from reconciler.model.state import Live, Read
from reconciler.model.world import Options
from reconciler.planner.diff import compare
from reconciler.planner.replan import calls_for, remaining
from reconciler.planner.rollout.look import Look, look
from tests.planner.model import astray
from tests.planner.rollout.fleet import FLOWS, Fleet, Git, Saved

VERSIONS = ("1", "2", "3")


class Broken(AssertionError):
    """An invariant does not hold."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(f"invariant {number}: {message}")
        self.number = number


def demand(number: int, condition: bool, message: str) -> None:
    if not condition:
        raise Broken(number, message)


class Event(NamedTuple):
    """`what` happens, to `which` device or with `which` number."""

    what: str
    which: int = 0

    def __str__(self) -> str:
        return f"{self.what} {self.which}"


class Tale(NamedTuple):
    """A fleet, and the waves that have passed so far, by what Git said."""

    fleet: Fleet
    passed: frozenset[tuple[object, int]] = frozenset()
    was_stopped: bool = False  # at the last run, and nothing but time and logs has moved since

    def after(self, event: Event) -> Tale:
        """The tale after an event. Raises `Broken` when what reconciler does in it breaks an invariant."""
        fleet = self.fleet
        match event.what:
            case "run":
                return self.run()
            case "kill":
                return self.run(upto=event.which)
            case "save":
                return self.saw()._replace(fleet=fleet._replace(saved=Saved(fleet.plan(), fleet.git)))
            case "late":
                return self.late()
            case "apply":
                return self.apply()
            case "passes":
                return self._replace(fleet=fleet.passes())
            case "cut":
                return self._replace(fleet=fleet.cut(event.which))
        return Tale(happen(fleet, event), self.passed)

    def saw(self, git: Git | None = None) -> Tale:
        """A read: it may see that waves have passed."""
        git = git or self.fleet.git
        seen = {(key(git), wave) for wave in range(1, 4) if self.fleet.has_passed(wave, git)}
        return self._replace(passed=self.passed | seen)

    def run(self, upto: int | None = None) -> Tale:
        """One step of one runner, killed after so many requests."""
        fleet, tale = self.fleet, self.saw()
        read = fleet.read()
        plan = fleet.plan(read)
        check_plan(tale, plan, read)
        calls = [call.request for call in plan.calls]
        assert plan.rollouts is not None
        is_stopped = plan.rollouts.reports[0].state is RolloutState.STOPPED
        if self.was_stopped:
            demand(4, is_stopped, "a stop ended by itself")
        after = fleet.send(calls[:upto])
        return Tale(after, tale.passed, is_stopped and after.machines == fleet.machines)

    def late(self) -> Tale:
        """A second runner sends what it had planned on an older read."""
        saved = self.fleet.saved
        if saved is None:
            return self
        assert saved.plan.rollouts is not None
        for device_id, holds in saved.plan.rollouts.holds.items():
            index = self.fleet.ids.index(device_id)
            if any(hold.withheld is None and hold.wave and not hold.goes_back for hold in holds):
                before = {(key(saved.git), wave) for wave in range(1, self.fleet.waves[index])}
                demand(2, before <= self.passed, f"{device_id} is sent, and {before} has not passed")
        fleet = self.fleet.send([call.request for call in saved.plan.calls])
        return Tale(fleet._replace(saved=None), self.passed)

    def apply(self) -> Tale:
        """A saved plan is applied, by a fresh read."""
        saved = self.fleet.saved
        if saved is None:
            return self
        read, tale = self.fleet.read(), self.saw(saved.git)
        rest = remaining(saved.plan, read, only={change.row for change in saved.plan.sent})
        calls = calls_for(rest, mode=Options().calls, chunk=Options().chunk)
        sent = [*rest.looked.step.sent]
        assert saved.plan.rollouts is not None
        marked = {change.row for change in saved.plan.rollouts.sent}
        demand(3, {change.row for change in sent} <= marked, "a saved plan sends what it did not mark as sent")
        for change in sent:
            tale.check_wave(saved.git, change, 1)
        if self.fleet.is_broken(saved.git):
            demand(4, all(self.fleet_back(saved.git, one) for one in sent), "a saved plan goes on though it is stopped")
        return Tale(self.fleet.send([call.request for call in calls])._replace(saved=None), tale.passed)

    def fleet_back(self, git: Git, change: Change) -> bool:
        """Whether a change goes back, or is no business of the rollout."""
        fleet, index = self.fleet, self.fleet.ids.index(change.device_id)
        flow = FLOWS.index(change.flow_id)
        return flow not in git.waved(change.device_id) or goes_back(fleet, index, flow, change.to_version)

    def check_wave(self, git: Git, change: Change, number: int) -> None:
        """Whether a change may be sent by its wave."""
        if self.fleet_back(git, change):
            return
        wave = self.fleet.waves[self.fleet.ids.index(change.device_id)]
        for before in range(1, wave):
            passed = self.fleet.has_passed(before, git) if number == 1 else (key(git), before) in self.passed
            demand(number, passed, f"{change.row} is sent in wave {wave} though wave {before} has not passed")


def key(git: Git) -> object:
    return git.versions, git.pins


def happen(fleet: Fleet, event: Event) -> Fleet:
    """What is not reconciler's doing."""
    git, which = fleet.git, event.which
    match event.what:
        case "take":
            return fleet.take(which)
        case "toggle":
            return fleet.toggle(which)
        case "bump":
            return fleet.merge(git._replace(versions=(VERSIONS[which], *git.versions[1:])))
        case "bump all":
            return fleet.merge(git._replace(versions=(VERSIONS[which],) * len(git.versions)))
        case "remove":
            return fleet.merge(git._replace(versions=(*git.versions[:-1], None)))
        case "revert":
            return fleet.merge(fleet.history[-1]) if fleet.history else fleet
        case "up to":
            return fleet.merge(git._replace(up_to=which or None))
        case "pin":
            pins = {(fleet.ids[which], flow, "1") for flow in range(len(git.versions))}
            return fleet.merge(git._replace(pins=frozenset(pins)))
        case "unpin":
            return fleet.merge(git._replace(pins=frozenset()))
    raise ValueError(event)


def goes_back(fleet: Fleet, index: int, flow: int, target: str | None) -> bool:
    """Whether a device reports a version, or ran it for the soak right before the one that is released, in truth."""
    one = fleet.machines[index]
    if one.reported[flow] == target and not one.is_unknown:
        return True
    last = one.last_given([flow])
    before = [(at, versions[flow] if versions else "?") for at, versions in one.ran if at <= last]
    begun = last
    for at, version in reversed(before):
        if version != target:
            break
        begun = at
    return last - begun >= fleet.policy.gate.soak_s


def judge(fleet: Fleet, read: Read) -> Look:
    world = fleet.world(read)
    return look(world.rollouts, compare(world.desired, world.live).changes, read, {})


def without_room(code: Look) -> set[tuple[str, str]]:
    """What open waves would send: a lost log that holds a device back leaves its room to another one of its set."""
    return {
        (device_id, move.flow_id)
        for device_id, holds in code.step.holds.items()
        for move, hold in zip(code.changes.devices[device_id], holds, strict=True)
        if hold.withheld is Withheld.BUDGET
    }


def opened(code: Look) -> set[int]:
    """The open waves, if the rollout is not stopped."""
    return {
        wave
        for position in code.positions
        for wave, is_open in enumerate(position.opened, 1)
        if is_open and position.stopped is None
    }


def check_plan(tale: Tale, plan: Plan, read: Read) -> None:
    """All that must hold of a plan by itself."""
    fleet, git = tale.fleet, tale.fleet.git
    assert plan.rollouts is not None
    sent = [*plan.rollouts.sent]
    whole = {change.row: change for change in compare(fleet.world(read).desired, read.live).changes}
    demand(3, all(whole.get(change.row) == change for change in sent), "something is sent that is no change")
    for change in sent:
        tale.check_wave(git, change, 1)
        tale.saw().check_wave(git, change, 2)
    forward = [change for change in sent if not tale.fleet_back(git, change)]
    if fleet.is_broken(git):
        demand(4, not forward, f"{forward} is sent though it is stopped")
    check_wildcards(plan, read, sent)
    check_revert(fleet, sent, whole)
    check_budget(fleet, forward, sent)


def check_wildcards(plan: Plan, read: Read, sent: Sequence[Change]) -> None:
    wanted = {change.row: change.to_version for change in sent}
    calls = [(call.request, frozenset(call.after)) for call in plan.calls]
    for problem in astray(read.live, wanted, calls, VERSIONS):
        raise Broken(8, problem)


def check_revert(fleet: Fleet, sent: Sequence[Change], whole: dict[tuple[str, str], Change]) -> None:
    """What goes back is sent, whatever is stopped; by a log as far as it has not lost what shows it."""
    rows = {change.row for change in sent}
    for row, change in whole.items():
        index, flow = fleet.ids.index(row[0]), FLOWS.index(row[1])
        one = fleet.machines[index]
        by_report = one.reported[flow] == change.to_version and not one.is_unknown
        if by_report or (not one.is_cut and goes_back(fleet, index, flow, change.to_version)):
            demand(10, row in rows, f"{row} goes back to {change.to_version} and is withheld")


def check_budget(fleet: Fleet, forward: Sequence[Change], sent: Sequence[Change]) -> None:
    budget = fleet.policy.budget
    if budget is None or not fleet.sets:
        return
    away = {device_id for index, device_id in enumerate(fleet.ids) if fleet.is_away(index)}
    away |= {change.device_id for change in sent}
    for name in set(fleet.sets):
        members = {one for one, other in zip(fleet.ids, fleet.sets, strict=True) if other == name}
        if members & {change.device_id for change in forward}:
            most = (
                budget.count if budget.count is not None else max(1, int((budget.percent or 0) * len(members) // 100))
            )
            demand(11, len(members & away) <= most, f"{sorted(members & away)} of {name} are away at once")


def check_moment(tale: Tale) -> None:
    """What must hold at any moment: of lost log lines, of time, of kills and of the order of the input."""
    fleet = tale.fleet
    read = fleet.read()
    code = judge(fleet, read)
    rows = {change.row for change in code.step.sent} | without_room(code)
    for keep in range(1, max((len(one.log) for one in fleet.machines), default=1)):
        lost = fleet.cut(keep)
        if any(fleet.was_given_again(index) for index in range(len(fleet.machines))):
            continue  # the one case in which a lost line may take a device out of the count: see `_lacked`
        cut = judge(lost, lost.read())
        found = {change.row for change in cut.step.sent}
        demand(5, found <= rows, f"with logs of {keep}, {found - rows} is sent")
        demand(5, opened(cut) <= opened(code), f"with logs of {keep}, {opened(cut) - opened(code)} is open")
    later = judge(fleet, read._replace(server_time=fleet.now + 10 * fleet.policy.gate.soak_s))
    demand(5, proven(code) <= proven(later), "time takes a proof away")
    mirrored = Live(dict([*read.live.devices.items()][::-1]))
    other = judge(fleet, read._replace(live=mirrored))
    demand(7, [*other.step.sent] == [*code.step.sent], "the order of devices matters")
    demand(7, other.reports({}) == code.reports({}), "the order of devices matters to what is said")
    calls = [call.request for call in fleet.plan(read).calls]
    whole = settled(fleet.send(calls)) if len(calls) > 1 else fleet
    for number in range(1, len(calls)):
        killed = settled(fleet.send(calls[:number]))
        demand(6, released(killed) == released(whole), f"killed after {number} requests")


def settled(fleet: Fleet) -> Fleet:
    """Run again until nothing more is sent at once: a wave that proves nothing passes as soon as it is released."""
    while calls := fleet.plan().calls:
        fleet = fleet.send([call.request for call in calls])
    return fleet


def proven(code: Look) -> set[str]:
    return {
        device_id
        for position in code.positions
        for device_id in position.rollout.rows
        if position.verdict(device_id) is RolloutVerdict.PROVEN
    }


def released(fleet: Fleet) -> list[object]:
    return [one.released for one in fleet.machines]


def complete(tale: Tale, steps: int = 60) -> Iterator[Tale]:
    """A healthy fleet from here on: everybody is there, takes up what is released, and time passes."""
    fleet = tale.fleet._replace(bad=frozenset())
    fleet = fleet.merge(fleet.git._replace(up_to=None, pins=frozenset()))
    for index, one in enumerate(fleet.machines):
        if not one.connected:
            fleet = fleet.toggle(index)
    tale = Tale(fleet, tale.passed)
    for _ in range(steps):
        yield tale
        tale = tale.run()
        for index in range(len(fleet.machines)):
            tale = tale.after(Event("take", index))
        tale = tale.after(Event("passes"))
        if not compare(tale.fleet.world().desired, tale.fleet.read().live).changes:
            return
    raise Broken(9, "a healthy fleet does not complete")
