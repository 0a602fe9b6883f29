"""A run against the simulator over loopback HTTP, in the simulator's own time, which moves only when somebody waits."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from reconciler.api.client import LosantApi
from reconciler.api.http.connection import Timeouts
from reconciler.api.http.credentials import Token
from reconciler.executor import Execution
from reconciler.health import wait
from reconciler.model.health import Wait
from reconciler.model.plan import Plan
from reconciler.model.result import Result
from reconciler.model.rules import Limits
from reconciler.model.state import Decision, Desired, Kind, Place, Read
from reconciler.model.world import CallMode, Options
from reconciler.planner.planner import make_plan
from reconciler.simulator import Clock, serve
from reconciler.simulator.faults import Fault
from tests.builders import words, world
from tests.support.api import open_api
from tests.support.time import START, SimulatedTime

QUICK = Timeouts(connect_s=0.5, read_s=0.2, total_s=2.0)


class Site:
    """A simulator with one application of one kind, and what is wanted of it, by names: `"pump-1/telemetry=v2"`."""

    def __init__(self, fleet: Mapping[str, Any] | str, *, kind: Kind = Kind.EMBEDDED) -> None:
        self.server = serve(fleet, clock=Clock(frozen_at=START))
        self.control = self.server.control
        self.clock = SimulatedTime(self.server)
        self.kind = kind

    def __enter__(self) -> Site:
        self.server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop()

    def rows(self) -> dict[str, str | None]:
        """Released version of each row, by names."""
        return {f"{row['device']}/{row['flow']}": row["released"] for row in self.control.rows() if row["released"]}

    def api(self, **options: Any) -> AbstractAsyncContextManager[LosantApi]:
        return open_api(
            url=self.server.url,
            token=Token(self.server.token, source="test"),
            application_id=self.server.application_id,
            kind=self.kind,
            clock=self.clock,
            rng=random.Random(0),
            timeouts=QUICK,
            **options,
        )

    async def desired(self, api: LosantApi, text: str) -> Desired:
        devices = {device.name: device.id for device in await api.devices()}
        flows = {flow.name: flow.id for flow in await api.flows()}
        wanted: dict[str, dict[str, Decision]] = {}
        for device, flow, version in words([text]):
            decision = Decision(None if version == "absent" else version, Place("m.yaml", 1), "device")
            wanted.setdefault(devices[device], {})[flows[flow]] = decision
        return Desired(wanted)

    async def plan(self, api: LosantApi, wanted: Desired, **options: Any) -> tuple[Plan, Read]:
        read = await api.live()
        limits = Limits(removals_count=None, removals_percent=None)
        seen = world(wanted, read.live, kind=self.kind)
        plan = make_plan(seen, limits=limits, manifests=(), options=Options(allow_empty=True, **options))
        return plan, read

    def apply(
        self,
        text: str,
        *,
        faults: Sequence[Fault] = (),
        calls: CallMode = CallMode.FEWEST,
        chunk: int = 1000,
        age_s: float = 0.0,
    ) -> Result:
        """Plan and carry out `age_s` later. The faults strike what comes after the planning."""

        async def run() -> Result:
            async with self.api() as api:
                plan, read = await self.plan(api, await self.desired(api, text), calls=calls, chunk=chunk)
                for fault in faults:
                    self.control.fault(fault)
                self.control.advance(age_s)
                execution = Execution(plan, read, api, clock=self.clock, rng=random.Random(0))
                await execution.carry_out()
                self.control.clear_faults()
                return execution.result()

        return asyncio.run(run())

    def changes(self, text: str) -> int:
        """How many changes a fresh plan has."""

        async def run() -> int:
            async with self.api() as api:
                plan, _ = await self.plan(api, await self.desired(api, text))
                return len(plan.changes)

        return asyncio.run(run())

    def wait(self, text: str, **options: Any) -> Wait:
        async def run() -> Wait:
            async with self.api() as api:
                first = await api.live()
                wanted = await self.desired(api, text)
                return await wait(wanted, api, clock=self.clock, first=first, **options)

        return asyncio.run(run())
