"""Two applies at once: one state comes of it, and whoever lost rows to the other says so."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.errors import ExitCode
from reconciler.executor import Execution
from reconciler.model.plan import Plan
from reconciler.model.requests import Request
from reconciler.model.result import Result
from reconciler.model.state import Kind, Read
from reconciler.model.world import CallMode
from tests.builders import desired
from tests.executor.worlds import Stage, plan_for
from tests.fakes import FakeClock


class Side:
    """One of two runs on the same world; remembers when it last read and which versions it may have put where."""

    def __init__(self, stage: Stage, plan: Plan, read: Read, order: list[tuple[str, str]], name: str) -> None:
        self.stage = stage
        self.plan = plan
        self.order = order
        self.name = name
        self.clock: FakeClock = stage.clock
        self.execution = Execution(
            plan,
            read,
            cast("Any", self),
            clock=self.clock,
            rng=random.Random(0),
            parallelism=1,
        )

    async def live(self, **asked: Any) -> Read:
        read = await self.stage.api.live(**asked)
        self.order.append((self.name, "read"))
        return read

    async def send(self, request: Request) -> None:
        await asyncio.sleep(0)
        await self.stage.api.send(request)
        self.order.append((self.name, "write"))

    async def run(self, delay: int) -> Result:
        for _ in range(delay):
            await asyncio.sleep(0)
        await self.execution.carry_out()
        return self.execution.result()


ROWS = [f"{device}/{flow}" for device in "abc" for flow in "fg"]


@settings(max_examples=150, deadline=None)
@given(
    one=st.lists(st.sampled_from("123"), min_size=6, max_size=6),
    two=st.lists(st.sampled_from("123"), min_size=6, max_size=6),
    delay=st.integers(0, 40),
    mode=st.sampled_from(CallMode),
    kind=st.sampled_from(Kind),
)
def test_two_runs(one: list[str], two: list[str], delay: int, mode: CallMode, kind: Kind) -> None:
    stage = Stage(" ".join(f"{row}=1" for row in ROWS) + " z/z=7", "a/f=1", kind=kind)
    order: list[tuple[str, str]] = []

    async def story() -> tuple[list[Side], Sequence[Result]]:
        read = await stage.api.live()
        wanted = [" ".join(f"{row}={version}" for row, version in zip(ROWS, side, strict=True)) for side in (one, two)]
        plans = [plan_for(desired(text), read.live, calls=mode, chunk=2, kind=kind) for text in wanted]
        sides = [Side(stage, plan, read, order, name) for plan, name in zip(plans, "AB", strict=True)]
        return sides, await asyncio.gather(sides[0].run(0), sides[1].run(delay))

    sides, results = asyncio.run(story())
    released = stage.released()
    for row in ROWS:
        device_id, flow_id = row.split("/")
        place = ROWS.index(row)
        assert released[device_id, flow_id] in {"1", one[place], two[place]}
    assert released["z", "z"] == "7"
    for side, result in zip(sides, results, strict=True):
        lost = {change.row for change in side.plan.changes if released[change.row] != change.to_version}
        last_read = max((at for at, event in enumerate(order) if event == (side.name, "read")), default=-1)
        other_wrote_later = any(
            event == ("B" if side.name == "A" else "A", "write") for event in order[last_read + 1 :]
        )
        if lost and not other_wrote_later:
            assert result.exit_code is ExitCode.NOT_CONFIRMED
            assert lost <= {(row.device_id, row.flow_id) for row in result.unconfirmed}
        if not lost and result.exit_code is not ExitCode.DONE:
            assert result.unconfirmed or result.collateral or other_wrote_later


def test_two_runs_that_want_the_same_both_succeed() -> None:
    stage = Stage(" ".join(f"{row}=1" for row in ROWS), "a/f=1")
    order: list[tuple[str, str]] = []

    async def story() -> Sequence[Result]:
        read = await stage.api.live()
        plan = plan_for(desired(" ".join(f"{row}=2" for row in ROWS)), read.live)
        sides = [Side(stage, plan, read, order, name) for name in "AB"]
        return await asyncio.gather(sides[0].run(0), sides[1].run(2))

    results = asyncio.run(story())
    assert [result.exit_code for result in results] == [ExitCode.DONE] * 2
    assert set(stage.released().values()) == {"2"}
