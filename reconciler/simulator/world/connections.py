"""When devices are reachable: they connect and disconnect, sleep and wake in turns, and die.

Call everything here within `world.changing()`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from reconciler.simulator.world.records import Author, Kind, log_entry, write_logs
from reconciler.simulator.world.releases import schedule_touched, touch
from reconciler.simulator.world.store import Row, World

_THESE = "id in (select value from json_each(:ids))"


def connect(world: World, device_ids: Sequence[str], at_ms: int) -> None:
    """Devices come online. After their take-up time they try whatever they lack, or failed to take up before."""
    world.db.execute(
        "update devices set connected = 1, connection_ms = :at_ms, connected_ms = :at_ms, "
        f"turn_ms = :at_ms + coalesce(awake_ms, :awake_ms) where {_THESE}",
        _values(world, device_ids, at_ms),
    )
    if world.switches.reconnect == "log":
        _say_hello(world, device_ids, at_ms)
    for kind in Kind:
        own = world.db.execute(
            f"select id, '' from devices where device_class = :device_class and {_THESE}",
            {"device_class": kind.device_class, "ids": json.dumps(device_ids)},
        ).fetchall()
        touch(world, own)
        schedule_touched(world, kind, at_ms)


def disconnect(world: World, device_ids: Sequence[str], at_ms: int) -> None:
    """Devices go offline; a take-up in progress is aborted."""
    world.db.execute(
        "update devices set connected = 0, connection_ms = :at_ms, disconnected_ms = :at_ms, attempt_ms = null, "
        f"turn_ms = :at_ms + coalesce(asleep_ms, :asleep_ms) where {_THESE}",
        _values(world, device_ids, at_ms),
    )


def begin_turns(world: World, device_ids: Sequence[str], at_ms: int) -> None:
    """The turns of devices begin anew, by their own schedules or the fleet's; without one they end."""
    world.db.execute(
        "update devices set turn_ms = case when connected = 1 then :at_ms + coalesce(awake_ms, :awake_ms) "
        "when connected = 0 and not is_dead and deleted_ms is null then :at_ms + coalesce(asleep_ms, :asleep_ms) end "
        f"where {_THESE}",
        _values(world, device_ids, at_ms),
    )


def take_turns(world: World, at_ms: int) -> None:
    """Devices whose turn ends at this time fall asleep or wake up."""
    found = world.db.execute("select id, connected from devices where turn_ms = ?", (at_ms,)).fetchall()
    disconnect(world, [own for own, connected in found if connected], at_ms)
    connect(world, [own for own, connected in found if not connected], at_ms)


def die(world: World, until_ms: int) -> None:
    """Devices whose time has come by then go offline for ever, if they still run what they die of."""
    runs = (
        "exists (select 1 from entries e join outcomes o on o.device_id in (e.device_id, '') and o.flow_id = e.flow_id "
        "and o.version = e.reported and o.kind = 'dies' where e.device_id = devices.id)"
    )
    world.db.execute(
        "update devices set is_dead = 1, connected = 0, connection_ms = iif(connected, death_ms, connection_ms), "
        "disconnected_ms = iif(connected, death_ms, disconnected_ms), attempt_ms = null, turn_ms = null "
        f"where death_ms <= :until and (:every or {runs})",
        {"until": until_ms, "every": world.switches.take_up == "dies"},
    )
    world.db.execute("update devices set death_ms = null where death_ms <= ?", (until_ms,))


def delete(world: World, device_id: str, at_ms: int) -> None:
    """A device is deleted; its records remain."""
    world.db.execute(
        "update devices set deleted_ms = ?, connected = 0, attempt_ms = null, turn_ms = null, death_ms = null "
        "where id = ?",
        (at_ms, device_id),
    )


def _values(world: World, device_ids: Sequence[str], at_ms: int) -> Row:
    schedule = world.switches.sleeps
    awake_ms, asleep_ms = (None, None) if schedule is None else schedule.turns_ms
    return {"ids": json.dumps(device_ids), "at_ms": at_ms, "awake_ms": awake_ms, "asleep_ms": asleep_ms}


def _say_hello(world: World, device_ids: Sequence[str], at_ms: int) -> None:
    """Devices report what they run, and it is logged."""
    values = {"ids": json.dumps(device_ids), "at_ms": at_ms}
    logs: list[tuple[str, Row]] = []
    own = "device_id in (select value from json_each(:ids))"
    for device_id, record, bundle, is_unknown in world.db.execute(
        f"update records set updated_ms = :at_ms where {own} returning device_id, id, reported_bundle, unknown_bundle",
        values,
    ):
        told: dict[str, Any] = {"updateType": "unknownBundle" if is_unknown else "device", "newBundle": bundle}
        logs.append((record, log_entry(Author("device", device_id), at_ms, "current", **told)))
    for device_id, record, version, tag in world.db.execute(
        f"update entries set updated_ms = :at_ms where {own} and record_id is not null and reported is not null "
        "returning device_id, record_id, reported, reported_etag",
        values,
    ):
        told = {"newValue": version, "previousValue": version, "newEtag": tag, "previousEtag": tag}
        logs.append((record, log_entry(Author("device", device_id), at_ms, "current", **told)))
    write_logs(world, sorted(logs, key=lambda one: one[0]))
