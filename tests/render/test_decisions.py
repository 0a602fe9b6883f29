"""`plan -v` tells who decided each row."""

from __future__ import annotations

from reconciler.model.state import Decision, Desired, Kind, Live, Place
from reconciler.model.world import World
from reconciler.render.decisions import LISTED, decisions_text
from tests.builders import APPLICATION, hex_id, read

FLOW, OTHER = hex_id(1, "f"), hex_id(2, "f")


def world(desired: Desired) -> World:
    return World(
        APPLICATION,
        Kind.EMBEDDED,
        desired,
        read(Live({})),
        device_names={hex_id(n): f"pump-{n}" for n in range(3)} | {hex_id(3): "::error::\x1b"},
        flow_names={OTHER: "alarms"},
        aliases={"telemetry": FLOW},
    )


def test_a_line_names_the_place_what_it_overrode_and_devices() -> None:
    low = Decision("v1.2.3", Place("m.yaml", 11), "group leeds")
    high = Decision("v1.3.0", Place("m.yaml", 14), "group canary", (low,))
    gone = Decision(None, Place("m.yaml", 20), "pin", (high, low))
    shared = {FLOW: low, OTHER: low}
    desired = Desired({hex_id(n): shared for n in range(1, 6)} | {hex_id(0): {FLOW: gone}, hex_id(9): {FLOW: high}})
    leeds = "v1.2.3 by group leeds (m.yaml:11)"
    canary = "v1.3.0 by group canary (m.yaml:14)"
    others = rf"{hex_id(4)}, {hex_id(5)}, \x3a:error::\x1b and 2 more"
    assert decisions_text(world(desired)).splitlines() == [
        f"Decisions for {APPLICATION.id} (embedded):",
        f"  alarms {leeds}: {others}",
        f"  telemetry {leeds}: {others}",
        f"  telemetry {canary}, over {leeds}: {hex_id(9)}",
        f"  telemetry absent by pin (m.yaml:20), over {canary}, over {leeds}: pump-0",
    ]


def test_devices_that_a_manifest_names_one_by_one_are_one_kind() -> None:
    low = Decision("v0", Place("m.yaml", 2), "group all")
    rows = {hex_id(n): {FLOW: Decision("v1", Place("m.yaml", n + 10), "device", (low,))} for n in range(1_600)}
    rows[hex_id(7)] = {FLOW: Decision("v2", Place("m.yaml", 17), "device", (low,))}
    rows[hex_id(8)] = {FLOW: Decision("v1", Place("other.yaml", 3), "device", (low,))}
    rows[hex_id(9)] = {FLOW: Decision("v1", Place("m.yaml", 19), "pin", (low,))}
    others = f"{hex_id(4)}, {hex_id(5)}, {hex_id(6)} and 1,594 more"
    assert decisions_text(world(Desired(rows))).splitlines()[1:] == [
        f"  telemetry v1 by device (m.yaml:10-1609), over v0 by group all (m.yaml:2): {others}",
        f"  telemetry v2 by device (m.yaml:17), over v0 by group all (m.yaml:2): {hex_id(7)}",
        f"  telemetry v1 by pin (m.yaml:19), over v0 by group all (m.yaml:2): {hex_id(9)}",
        f"  telemetry v1 by device (other.yaml:3), over v0 by group all (m.yaml:2): {hex_id(8)}",
    ]


def test_many_kinds_are_cut() -> None:
    rows = {hex_id(n): {FLOW: Decision(f"v{n}", Place("m.yaml", n + 1), "device")} for n in range(LISTED + 7)}
    lines = decisions_text(world(Desired(rows))).splitlines()
    assert len(lines) == LISTED + 2
    assert lines[-1] == "  and 7 more decisions"
