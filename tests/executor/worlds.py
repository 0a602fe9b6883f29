"""Small worlds with a plan for them, ready to be carried out."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from reconciler.executor import Execution, Observer
from reconciler.model.plan import Plan, PlannedCall
from reconciler.model.requests import Request
from reconciler.model.result import CallResult, Result
from reconciler.model.rules import Limits
from reconciler.model.state import Desired, Entry, Kind, Live, Read, Row
from reconciler.model.world import CallMode, Options
from reconciler.planner.planner import make_plan
from tests.builders import desired, live, world
from tests.fakes import FakeApi

NO_LIMITS = Limits(removals_count=None, removals_percent=None)


def plan_for(
    wanted: Desired,
    seen: Live,
    *,
    calls: CallMode = CallMode.EXPLICIT,
    chunk: int = 1000,
    kind: Kind = Kind.EMBEDDED,
) -> Plan:
    """The plan that makes `seen` what is wanted."""
    options = Options(calls=calls, chunk=chunk, allow_empty=True)
    return make_plan(world(wanted, seen, kind=kind), limits=NO_LIMITS, manifests=(), options=options)


@dataclass
class Witness(Observer):
    """An observer that remembers."""

    states: list[tuple[int, str]] = field(default_factory=list)
    counts: list[tuple[int, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def call(self, call: CallResult) -> None:
        self.states.append((call.id, str(call.state)))

    def rows(self, confirmed: int, total: int) -> None:
        self.counts.append((confirmed, total))

    def note(self, text: str) -> None:
        self.notes.append(text)


def row_of(text: str) -> Row:
    """`a/f`."""
    device_id, _, flow_id = text.partition("/")
    return device_id, flow_id


class Stage:
    """A fake API that holds a world, and what is wanted of it."""

    def __init__(
        self, seen: str, wanted: str, *, calls: CallMode = CallMode.EXPLICIT, chunk: int = 1000, **fake: Any
    ) -> None:
        self.api = FakeApi(**fake).load(live(seen))
        self.wanted = desired(wanted)
        for device_id in self.wanted.devices:
            if device_id not in self.api.devices_by_id:
                self.api.add_device(device_id)
        self.calls = calls
        self.chunk = chunk
        self.planned_calls: tuple[PlannedCall, ...] | None = None
        self.witness = Witness()
        self.before = self.api.rows()

    @property
    def clock(self) -> Any:
        return self.api.clock

    async def plan(self) -> tuple[Plan, Read]:
        read = await self.api.live()
        plan = plan_for(self.wanted, read.live, calls=self.calls, chunk=self.chunk, kind=self.api.kind)
        return (plan._replace(calls=self.planned_calls) if self.planned_calls else plan), read

    def by(self, *calls: tuple[Request, str, tuple[int, ...]]) -> Stage:
        """Fix the calls: each with the rows that it carries (`a/f b/f`) and the calls that it waits for."""
        self.planned_calls = tuple(
            PlannedCall(number, request, tuple(row_of(word) for word in rows.split()), after)
            for number, (request, rows, after) in enumerate(calls)
        )
        return self

    async def execution(self, **options: Any) -> Execution:
        plan, read = await self.plan()
        self.api.log.clear()
        options.setdefault("rng", random.Random(1))
        return Execution(plan, read, self.api, clock=self.clock, observe=self.witness, **options)

    async def apply(self, **options: Any) -> Result:
        execution = await self.execution(**options)
        await execution.carry_out()
        return execution.result()

    def released(self) -> dict[Row, str | None]:
        return {row: entry.released for row, entry in self.api.rows().items() if entry.released}

    def untouched(self, *rows: str) -> bool:
        """Whether these rows are as they were at first."""
        keys = [row_of(row) for row in rows]
        nothing = Entry(None, None)
        now = self.api.rows()
        return all(now.get(key, nothing).released == self.before.get(key, nothing).released for key in keys)
