"""Goes through small worlds, all orders of events to a depth, and through random schedules of larger ones.

Run as a module, it says how many there were: `python -m tests.planner.rollout.explore [DEPTH [SCHEDULES]]`.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from reconciler.model.rules import Budget
from reconciler.model.state import Kind
from tests.planner.rollout.fleet import Fleet, Git, new_machine
from tests.planner.rollout.story import Event, Tale, check_moment, complete
from tests.planner.rollout.worlds import policy


class Size(NamedTuple):
    """A small world: the wave of each device, the flows, the kind, and what becomes of version 2 where."""

    waves: tuple[int, ...]
    flows: int = 1
    kind: Kind = Kind.EMBEDDED
    bad: tuple[tuple[int, str], ...] = ()
    converged: int = 100
    budget: int | None = None

    def fleet(self) -> Fleet:
        """Version 2 is merged where 1 has run for long."""
        versions = ("1",) * self.flows
        own = policy(max(self.waves) - 1, converged=self.converged, budget=self.own_budget)
        fleet = Fleet(
            tuple(new_machine(self.flows, kind=self.kind) for _ in self.waves),
            self.waves,
            own,
            Git(versions),
            frozenset((index, "2", what) for index, what in self.bad),
            self.kind,
            sets=tuple("ab"[index // 2 % 2] for index in range(len(self.waves))) if self.budget else (),
        )
        return fleet.merge(Git(("2", *versions[1:])))

    @property
    def own_budget(self) -> Budget | None:
        return Budget(("site",), self.budget, None) if self.budget else None

    def events(self, *, rare: bool = False) -> list[Event]:
        devices = range(len(self.waves))
        common = [Event("run"), Event("kill", 1), Event("passes"), Event("revert"), Event("cut", 1)]
        common += [Event(what, one) for what in ("take", "toggle") for one in devices]
        if rare:
            common += [Event(what) for what in ("save", "late", "apply", "remove", "unpin")]
            common += [Event("bump", 2), Event("bump", 1), Event("bump all", 2), Event("cut", 2), Event("cut", 3)]
            common += [Event("up to", one) for one in (0, 1, 2)] + [Event("pin", one) for one in devices]
        return common


SIZES = (
    Size((1, 2)),
    Size((1, 2), kind=Kind.EDGE, bad=((0, "fails"),)),
    Size((1, 2), bad=((0, "fails"),)),
    Size((1, 2), flows=2, bad=((0, "unknown"),)),
    Size((1, 2, 3)),
    Size((1, 1, 2), converged=50, bad=((1, "fails"),)),
    Size((1, 2, 2), flows=2, kind=Kind.EDGE, budget=1),
    Size((1, 2, 2, 3), converged=50, bad=((0, "silent"),), budget=1),
)


class Count(NamedTuple):
    """What was gone through: `moments` are distinct, `schedules` the orders of events that lead to them."""

    moments: int
    schedules: int


def explore(size: Size, depth: int) -> Count:
    """All orders of so many events from the merge of a version, and from when wave 1 has nearly soaked."""
    begun = begin = Tale(size.fleet())
    for event in (Event("run"), *(Event("take", one) for one in range(len(size.waves))), Event("passes")):
        begun = begun.after(event)
    known: dict[Tale, int] = {begin: 1, begun: 1}
    moments = schedules = 0
    for left in range(depth, -1, -1):
        following: dict[Tale, int] = {}
        for tale, ways in known.items():
            moments += 1
            schedules += ways
            check_moment(tale)
            if not left:
                continue
            for event in size.events():
                after = tale.after(event)
                following[after] = following.get(after, 0) + ways
        known = following
    return Count(moments, schedules)


def wander(seed: int, length: int = 30) -> int:
    """One random schedule; returns the number of its runs. It ends with a healthy fleet."""
    dice = random.Random(seed)
    devices = dice.randint(2, 6)
    size = Size(
        tuple(sorted(dice.randint(1, 3) for _ in range(devices))),
        dice.randint(1, 2),
        dice.choice([*Kind]),
        tuple((one, dice.choice(["fails", "silent", "unknown"])) for one in range(devices) if dice.random() < 0.3),
        dice.choice([0, 50, 80, 100]),
        dice.choice([None, None, 1, 2]),
    )
    size = size._replace(waves=tuple(min(wave, rank + 1) for rank, wave in enumerate(size.waves)))
    tale, events = Tale(size.fleet()), size.events(rare=True)
    often = [Event("run")] * 6 + [Event("passes")] * 6 + [one for one in events if one.what == "take"] * 2
    runs = 0
    for _ in range(length):
        event = dice.choice(often if dice.random() < 0.7 else events)
        tale = tale.after(event)
        if dice.random() < 0.5:
            tale = tale._replace(fleet=tale.fleet.passes(dice.randint(1, 5)))
        runs += event.what in ("run", "kill", "late", "apply")
        if dice.random() < 0.3:
            check_moment(tale)
    for _ in complete(tale):
        runs += 1
    return runs


def main(arguments: Sequence[str]) -> Iterator[str]:
    depth, schedules = (int(one) for one in [*arguments, *("4", "1000")[len(arguments) :]])
    total = Count(0, 0)
    for size in SIZES:
        found = explore(size, depth)
        total = Count(total.moments + found.moments, total.schedules + found.schedules)
        yield f"{size}: {found.moments:,} moments, {found.schedules:,} orders of up to {depth} events"
    yield f"all small worlds: {total.moments:,} moments, {total.schedules:,} orders"
    runs = sum(wander(seed) for seed in range(schedules))
    yield f"{schedules:,} random schedules with {runs:,} runs"


if __name__ == "__main__":
    for line in main(sys.argv[1:]):
        print(line)
