"""Worlds with rollouts from short notation: devices by wave and where they stand.

    world("c1/1=proven c2/1=failed a/2=to_release", gate=Gate(sample=2))

is a group `leeds` with the policy `careful` that gives the flow `telemetry` v2. Every device ran v1 for a month before.
Where a device stands is made by its versions, its connection and its log, as of `NOW`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from reconciler.model.plan import Plan
from reconciler.model.rollout import Rollout
from reconciler.model.rules import Gate, Limits, Policy, Selector, Source, Wave
from reconciler.model.state import (
    Decision,
    Desired,
    Entry,
    Evidence,
    Kind,
    Live,
    LiveDevice,
    LogLine,
    Place,
    Read,
    Version,
)
from reconciler.model.world import Options, World
from reconciler.planner.planner import make_plan
from tests.builders import APPLICATION, hex_id

NOW = 1_772_445_600.0  # 2026-03-02 10:00Z
HOUR = 3600.0
FLOW, OLD, NEW = hex_id(1, "f"), "v1", "v2"
PLACE = Place("manifests/prod.yaml", 7)
AT = Place("manifests/prod.yaml", 12)
NO_LIMITS = Limits(removals_count=None, removals_percent=None)


def ident(name: str) -> str:
    """The id of a device of that name."""
    return f"d{name.encode().hex():0>23}"


def record(name: str, standing: str, *, target: Version | None = NEW, error: str = "bad flash") -> LiveDevice:
    """A device that ran v1 for a month and now stands so towards its target."""
    if standing == "on_new":  # it runs v2, whatever is desired
        return record(name, "proven")
    hours = {"proven": 48.0, "failed": 2.0, "silent": 5.0, "offline": 2.0}.get(standing, 0.25)
    released: Version | None
    reported: Version | None
    released, reported = (OLD, OLD) if standing == "to_release" else (target, OLD)
    log = [(720.0, _released(OLD, "B1")), (719.0, _reported("B1"))]
    bundle = "B1"
    if standing != "to_release":
        log.append((hours, _released(target, "B2")))
    if standing in ("proven", "soaking"):
        reported, bundle = target, "B2"
        log.append((hours, _reported("B2")))
    if standing == "failed":
        log.append((hours - 1, LogLine("current", error=error)))
    instants = tuple(NOW - ago * HOUR for ago, _ in log)
    return LiveDevice(
        flows={FLOW: Entry(released, reported)},
        name=name,
        connected=standing != "offline",
        connection_time="2026-02-20T10:00:00Z",
        evidence=Evidence(tuple(line for _, line in log), instants, instants[-1], bundle, None),
    )


def _released(version: Version | None, bundle: str) -> LogLine:
    return LogLine("desired", FLOW, version, bundle)


def _reported(bundle: str) -> LogLine:
    return LogLine("current", bundle=bundle)


def _parts(devices: str) -> Iterator[tuple[str, int, str]]:
    for word in devices.split():
        row, _, standing = word.partition("=")
        name, _, wave = row.partition("/")
        yield name, int(wave), standing


def policy(*tags: str, **keys: Any) -> Policy:
    """A policy with a wave for each ring, then 10 percent; the rest is the last wave."""
    selectors = [Selector(PLACE, tags={"ring": (tag,)}) for tag in tags or ("canary",)]
    selectors += [] if tags else [Selector(PLACE, percent=Decimal(10))]
    return Policy("careful", PLACE, tuple(Wave(one.place, one) for one in selectors), **{"gate": Gate(), **keys})


def world(
    devices: str,
    *,
    up_to: int | None = None,
    sets: Mapping[str, tuple[str, ...]] | None = None,
    target: Version | None = NEW,
    now: float | None = NOW,
    error: str = "bad flash",
    rules: Policy | None = None,
    more: Mapping[str, LiveDevice] | None = None,
    **keys: Any,
) -> World:
    """Devices of a group with a rollout, as `name/wave=standing`. `keys` are those of the policy."""
    parts = list(_parts(devices))
    records = {ident(name): record(name, standing, target=target, error=error) for name, _, standing in parts}
    records = {one: records[one] for one in sorted(records)} | dict(more or {})
    waves = {ident(name): wave for name, wave, _ in parts}
    rows, decisions = {FLOW: target}, {FLOW: Decision(target, AT, "group leeds")}
    rollout = Rollout(
        "leeds",
        AT,
        rules or policy(**keys),
        up_to,
        dict.fromkeys(waves, rows),
        waves,
        {ident(name): names for name, names in (sets or {}).items()},
    )
    return World(
        APPLICATION,
        Kind.EMBEDDED,
        Desired(dict.fromkeys(waves, decisions)),
        Read(Live(records, {FLOW: "telemetry"}), 0.0, 0.0, now),
        flow_names={FLOW: "telemetry"},
        groups=frozenset({"leeds"}),
        rollouts=(rollout,),
    )


def plan(devices: str, *, limits: Limits = NO_LIMITS, options: Options | None = None, **keys: Any) -> Plan:
    """The plan of such a world."""
    source = Source("manifests/prod.yaml", "0" * 64)
    return make_plan(world(devices, **keys), limits=limits, manifests=(source,), options=options or Options())
