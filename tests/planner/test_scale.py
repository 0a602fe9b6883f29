"""What planning a large fleet may cost, as multiples of touching each row once in plain Python."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from functools import cache

import pytest

from reconciler.planner.calls import cover
from reconciler.planner.diff import compare
from reconciler.planner.plan import CallMode
from reconciler.planner.prove import prove
from reconciler.planner.state import Decision, Desired, DeviceId, Entry, Live, LiveDevice
from tests.builders import PLACE, hex_id

DEVICES = 20_000
FLOWS = [hex_id(number, "f") for number in range(3)]
IDS = [hex_id(number) for number in range(DEVICES)]


def fleet(entry: Entry) -> tuple[Desired, Live]:
    """Every device wants version 2 of every flow, by one rule, and shows `entry`."""
    decisions = {flow: Decision("2", PLACE, "group all") for flow in FLOWS}
    return Desired(dict.fromkeys(IDS, decisions)), Live({one: LiveDevice(dict.fromkeys(FLOWS, entry)) for one in IDS})


def cost_s(work: Callable[[], object]) -> float:
    """The least CPU time of three runs."""
    times = []
    for _ in range(3):
        gc.collect()
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


@cache
def floor_s() -> float:
    """Touching each row once: look both sides up and compare."""
    desired, live = fleet(Entry("2", "2"))
    devices: Mapping[DeviceId, LiveDevice] = live.devices

    def touch() -> int:
        differing = 0
        for device_id, decisions in desired.devices.items():
            flows = devices[device_id].flows
            for flow_id, decision in decisions.items():
                differing += flows[flow_id].released != decision.version
        return differing

    return cost_s(touch)


def test_comparing_a_fleet_in_sync_is_as_cheap_as_touching_its_rows() -> None:
    desired, live = fleet(Entry("2", "2"))
    assert cost_s(lambda: compare(desired, live)) < 6 * floor_s()


@pytest.mark.parametrize("mode", CallMode)
def test_covering_and_proving_a_change_of_everything(mode: CallMode) -> None:
    desired, live = fleet(Entry("1", "1"))
    changes = compare(desired, live).changes
    calls = cover(changes, live, mode=mode)
    assert len(changes) == 3 * DEVICES
    assert len(calls) == (3 if mode is CallMode.FEWEST else 60)
    assert cost_s(lambda: compare(desired, live)) < 30 * floor_s()
    assert cost_s(lambda: cover(changes, live, mode=mode)) < 20 * floor_s()
    assert cost_s(lambda: prove(changes, calls, live)) < 45 * floor_s()


def test_proving_a_small_change_in_a_large_fleet_costs_next_to_nothing() -> None:
    desired, live = fleet(Entry("2", "2"))
    odd = {one: live.devices[one]._replace(flows=dict.fromkeys(FLOWS, Entry("1", "1"))) for one in IDS[:10]}
    live = Live({**live.devices, **odd})
    changes = compare(desired, live).changes
    calls = cover(changes, live)
    assert len(changes) == 30
    assert cost_s(lambda: cover(changes, live)) + cost_s(lambda: prove(changes, calls, live)) < floor_s()
