"""What planning a large fleet costs, in instructions of the interpreter: a number that is the same on every machine.

The measure is what touching each row once takes: look both sides up and compare. A fleet that is four times as large
may cost four times as much, not more.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any
from unittest.mock import Mock

import pytest

from reconciler.model.state import Decision, Desired, DeviceId, Entry, Live, LiveDevice
from reconciler.model.world import CallMode
from reconciler.planner import diff
from reconciler.planner.calls.cover import cover
from reconciler.planner.calls.prove import prove
from reconciler.planner.diff import compare
from reconciler.runtime import gc_paused
from tests.builders import PLACE, hex_id

DEVICES = 400
CHUNK = 100
FLOWS = [hex_id(number, "f") for number in range(3)]


def ids(devices: int) -> list[DeviceId]:
    return [hex_id(number) for number in range(devices)]


def fleet(entry: Entry, devices: int = DEVICES) -> tuple[Desired, Live]:
    """Every device wants version 2 of every flow, by one rule, and shows `entry`."""
    decisions = {flow: Decision("2", PLACE, "group all") for flow in FLOWS}
    rows = dict.fromkeys(FLOWS, entry)
    return Desired(dict.fromkeys(ids(devices), decisions)), Live({one: LiveDevice(dict(rows)) for one in ids(devices)})


def cost(work: Callable[[], object]) -> int:
    """How many instructions the work takes, those of C aside."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    with gc_paused():  # else what hypothesis does at each collection is counted too
        sys.settrace(trace)
        try:
            work()
        finally:
            sys.settrace(before)
    return count


def floor(devices: int = DEVICES) -> int:
    """Touching each row once."""
    desired, live = fleet(Entry("2", "2"), devices)
    records: Mapping[DeviceId, LiveDevice] = live.devices

    def touch() -> int:
        differing = 0
        for device_id, decisions in desired.devices.items():
            flows = records[device_id].flows
            for flow_id, decision in decisions.items():
                differing += flows[flow_id].released != decision.version
        return differing

    return cost(touch)


def test_the_measure_is_exact_and_linear() -> None:
    assert floor() == floor()
    assert 3.9 < floor(4 * DEVICES) / floor() < 4.1


def test_comparing_a_fleet_in_sync_costs_little_more_than_touching_its_rows() -> None:
    desired, live = fleet(Entry("2", "2"))
    assert cost(lambda: compare(desired, live)) < 2 * floor()


def test_devices_that_are_alike_are_judged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = Mock(side_effect=diff._judge)
    monkeypatch.setattr(diff, "_judge", judge)
    desired, live = fleet(Entry("1", "1"))
    odd = Live({**live.devices, "odd": LiveDevice({FLOWS[0]: Entry("7", "7")})})
    assert len(compare(desired, odd).changes) == 3 * DEVICES
    assert judge.call_count == 2


def whole_change(devices: int, mode: CallMode) -> tuple[int, int, int]:
    """What it costs to compare, cover and prove, where every row is to change."""
    desired, live = fleet(Entry("1", "1"), devices)
    changes = compare(desired, live).changes
    calls = cover(changes, live, mode=mode, chunk=CHUNK)
    assert len(changes) == 3 * devices
    assert len(calls) == (3 if mode is CallMode.FEWEST else 3 * devices // CHUNK)
    return (
        cost(lambda: compare(desired, live)),
        cost(lambda: cover(changes, live, mode=mode, chunk=CHUNK)),
        cost(lambda: prove(changes, calls, live)),
    )


@pytest.mark.parametrize("mode", CallMode)
def test_a_change_of_everything(mode: CallMode) -> None:
    small, large = whole_change(DEVICES, mode), whole_change(4 * DEVICES, mode)
    assert all(one < limit * floor() for one, limit in zip(small, (6, 10, 10), strict=True))
    assert all(more < 4.4 * less for more, less in zip(large, small, strict=True))


def test_proving_a_small_change_in_a_large_fleet_costs_next_to_nothing() -> None:
    desired, live = fleet(Entry("2", "2"))
    odd = {one: live.devices[one]._replace(flows=dict.fromkeys(FLOWS, Entry("1", "1"))) for one in ids(5)}
    live = Live({**live.devices, **odd})
    changes = compare(desired, live).changes
    calls = cover(changes, live)
    assert len(changes) == 15
    assert cost(lambda: cover(changes, live)) + cost(lambda: prove(changes, calls, live)) < floor()
