"""Random worlds with rollouts: logs with repeats, clears, equal, missing and future dates, of both kinds."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from reconciler.model.log import in_order
from reconciler.model.rollout import Rollout
from reconciler.model.rules import Budget, Gate, Policy, Selector, Wave, Window
from reconciler.model.state import (
    Decision,
    Desired,
    DeviceId,
    EdgeEvidence,
    Entry,
    Evidence,
    FlowId,
    Kind,
    Live,
    LiveDevice,
    LogLine,
    Read,
    Version,
)
from reconciler.model.world import World
from tests.builders import APPLICATION, PLACE

NOW = 1_772_323_200.0  # 2026-03-01, a Sunday
STEP = 600  # the clock of these worlds ticks every ten minutes
NEVER, LATER = float("-inf"), float("inf")
VERSIONS = ("1", "2", "3")


def text_of(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


def evidence_of(
    lines: Iterable[tuple[float, LogLine]],
    updated: float = NEVER,
    bundle: str | None = None,
    records: Mapping[FlowId, EdgeEvidence] | None = None,
) -> Evidence:
    """Evidence as a read has it: in order, and without dates where there are none."""
    dated = in_order(lines)
    return Evidence(tuple(line for _, line in dated), [at for at, _ in dated], updated, bundle, records)


def policy(
    waves: int = 1,
    *,
    converged: int = 50,
    soak: int = STEP * 2,
    sample: int = 1,
    patience: int = STEP * 2,
    budget: Budget | None = None,
    window: Window | None = None,
    name: str = "careful",
    selectors: Sequence[Selector] = (),
) -> Policy:
    some = [*selectors, *[Selector(PLACE, percent=Decimal(10))] * (waves - len(selectors))]
    gate = Gate(Decimal(converged), soak, sample)
    return Policy(name, PLACE, tuple(Wave(PLACE, one) for one in some), gate, patience, budget, window)


def _moment(dice: random.Random) -> float:
    return dice.choices([NOW + STEP * dice.randint(-12, 0), NOW + STEP * 2, NEVER], [30, 1, 1])[0]


def _line(dice: random.Random, kind: Kind, flows: Sequence[FlowId]) -> LogLine:
    flow, version, bundle = dice.choice(flows), dice.choice(VERSIONS), dice.choice("123")
    what = dice.choices(["release", "remove", "loaded", "error", "other", "clear"], [6, 1, 6, 2, 1, 1])[0]
    if kind is Kind.EDGE:
        previous = dice.choice([None, *VERSIONS])
        match what:
            case "release" | "other":
                return LogLine("desired", flow, version, bundle, previous=previous)
            case "remove" | "clear":
                return LogLine("desired", flow, None, None, previous=previous)
            case "loaded":
                return LogLine("current", flow, version, dice.choice([bundle, bundle, None]), previous=previous)
            case _:
                return LogLine("current", flow, error=dice.choice(["full", "broken"]))
    match what:
        case "release":
            update = dice.choice(["newFlow", "replaceFlow", "replaceFlow"])
            return LogLine("desired", flow, version, bundle, update=update)
        case "remove":
            return LogLine("desired", flow, None, bundle, update="removeFlow")
        case "clear":
            return LogLine("desired", None, None, bundle, update="clear")
        case "other":
            return LogLine("desired", None, None, bundle, update="globals")
        case "loaded":
            return LogLine("current", None, None, dice.choice([bundle] * 4 + [None]), update="device")
        case _:
            return LogLine("current", dice.choice([None, None, flow]), error=dice.choice(["full", "broken"]))


def _device(dice: random.Random, kind: Kind, flows: Sequence[FlowId]) -> LiveDevice:
    held: dict[FlowId, Entry] = {}
    for flow in flows:
        released = dice.choice([None, "1", "2", "2", "2"])
        held[flow] = Entry(released, released if dice.random() < 0.6 else dice.choice([None, *VERSIONS]))
    lines = [(_moment(dice), _line(dice, kind, flows)) for _ in range(dice.choice([0, 1, 2, 3, 4, 6, 8]))]
    records = None
    if kind is Kind.EDGE:
        records = {
            flow: EdgeEvidence(dice.choice([*"123", None]), _moment(dice)) for flow in flows if dice.random() < 0.95
        }
        held = {flow: entry for flow, entry in held.items() if flow in records}
    connected = dice.choices([True, False, None], [6, 5, 1])[0]
    moment = _moment(dice)
    return LiveDevice(
        held,
        connected=connected,
        connection_time=text_of(None if moment == NEVER else moment),
        unknown_bundle=kind is Kind.EMBEDDED and dice.random() < 0.1,
        evidence=evidence_of(lines, _moment(dice), dice.choice([*"123", None]), records),
    )


def random_world(dice: random.Random, most: int = 6) -> World:
    """Anything: several groups, pins, `devices`, `prune`, both kinds; nothing of it need be likely."""
    kind, flows = dice.choice([*Kind]), "fgh"[: dice.randint(1, 3)]
    ids = [f"{number:024x}" for number in range(dice.randint(1, most))]
    groups = ["leeds", "york"][: dice.randint(1, 2)]
    group_of = {one: dice.choice(groups) for one in ids}
    wanted_of = {name: {flow: dice.choice([None, "1", "2", "2", "3"]) for flow in flows} for name in groups}
    decided: dict[DeviceId, dict[FlowId, Decision]] = defaultdict(dict)
    for one in ids:
        for flow in flows:
            rule = dice.choices([f"group {group_of[one]}", "pin", "device", "prune", ""], [20, 1, 1, 2, 1])[0]
            if len(groups) == 2 and rule.startswith("group") and dice.random() < 0.1:
                rule = f"group {dice.choice(groups)}"
            if rule.startswith("group"):
                decided[one][flow] = Decision(wanted_of[rule[6:]][flow], PLACE, rule)
            elif rule:
                decided[one][flow] = Decision(None if rule == "prune" else dice.choice(VERSIONS), PLACE, rule)
    devices = {one: _device(dice, kind, flows) for one in ids if dice.random() < 0.95}
    read = Read(Live(devices), 0.0, 0.0, dice.choices([NOW, NOW + 8 * 86400, None], [13, 2, 1])[0])
    rollouts = tuple(_rollout(dice, name, ids, decided) for name in groups if dice.random() < 0.9)
    return World(APPLICATION, kind, Desired(decided), read, groups=frozenset(groups), rollouts=rollouts)


def rows_of(
    group: str, decided: Mapping[DeviceId, Mapping[FlowId, Decision]]
) -> dict[DeviceId, dict[FlowId, Version | None]]:
    found = {
        device_id: {flow: one.version for flow, one in flows.items() if one.group == group}
        for device_id, flows in decided.items()
    }
    return {device_id: rows for device_id, rows in found.items() if rows}


def _rollout(
    dice: random.Random, group: str, ids: Sequence[DeviceId], decided: Mapping[DeviceId, Mapping[FlowId, Decision]]
) -> Rollout:
    waves = dice.randint(1, 2)
    budget = dice.choice([None, Budget((), 1, None), Budget((), None, Decimal(50)), Budget(("site",), 2, None)])
    window = dice.choice([None, None, Window((0, 1, 2, 3, 4, 5, 6), 60, 300, "UTC"), Window((5,), 1320, 120, "UTC")])
    rows = rows_of(group, decided)
    by_tag = Selector(PLACE, tags={"ring": ("canary",)})
    sets: dict[DeviceId, tuple[str, ...]] = {}
    if budget:
        sets = (
            {one: dice.choice([("a",), ("b",), ("a", "b")]) for one in ids} if budget.by else dict.fromkeys(rows, ("",))
        )
    return Rollout(
        group,
        PLACE,
        policy(
            waves,
            converged=dice.choice([0, 50, 67, 100]),
            soak=dice.choice([0, STEP, STEP * 3]),
            sample=dice.choice([1, 2]),
            patience=dice.choice([STEP, STEP * 3]),
            budget=budget,
            window=window,
            selectors=[by_tag] if dice.random() < 0.3 else [],
        ),
        dice.choice([None, None, 0, 1, 2]),
        rows,
        {one: dice.randint(1, waves + 1) for one in rows},
        sets,
    )
