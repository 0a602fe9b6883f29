"""What becomes of a version that a device takes up: by its own rule, by a rule for all devices, or by the switch.

The kinds, the worst first: it `fails` with an error; the device goes `silent` and reports nothing; it reports something
`unknown` to the platform; it reports the version and then `dies`; it `loads`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from reconciler.simulator.world.store import World

KINDS: Final = ("fails", "silent", "unknown", "dies", "loads")
EVERY_DEVICE: Final = ""
ERROR: Final = "the version cannot be loaded"


class Outcome(NamedTuple):
    """A kind, and for `fails` the error, for `dies` the milliseconds that the device lives on."""

    kind: str
    detail: str = ""


def rule(kind: str, *, error: str = ERROR, after_s: float = 60.0) -> Outcome:
    """The outcome of this kind."""
    return Outcome(kind, {"fails": error, "dies": str(round(after_s * 1000))}.get(kind, ""))


def of_fleet(world: World) -> Outcome:
    """The outcome where there is no rule."""
    return rule(world.switches.take_up, after_s=world.switches.dies_after_s)


def of_touched(world: World) -> Mapping[str, Mapping[str, Outcome]]:
    """The rules for what is released to the touched devices, by device and flow. A device's own rule wins."""
    found = world.db.execute(
        "select e.device_id, e.flow_id, o.kind, o.detail from touched t join entries e on e.device_id = t.device_id "
        "join outcomes o on o.device_id in (e.device_id, '') and o.flow_id = e.flow_id and o.version = e.released "
        "order by e.device_id, e.flow_id, o.device_id"
    )
    rules: dict[str, dict[str, Outcome]] = {}
    for device_id, flow_id, *outcome in found:
        rules.setdefault(device_id, {})[flow_id] = Outcome(*outcome)
    return rules


def worst(outcomes: Iterable[Outcome], otherwise: Outcome) -> Outcome:
    """The outcome of a bundle with these flows."""
    return min(outcomes, key=lambda one: KINDS.index(one.kind), default=otherwise)
