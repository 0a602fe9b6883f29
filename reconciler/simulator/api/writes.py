"""Release, replace and remove: which rows a body means, and when they change.

A write is checked when it arrives and takes effect then or, by a switch or a fault, later; which rows it means is
read at the moment of the effect.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from reconciler.simulator.api.deployments import Change, Kind, release
from reconciler.simulator.api.problems import Problem, invalid, not_found
from reconciler.simulator.world.logs import Author
from reconciler.simulator.world.store import World

Body: TypeAlias = Mapping[str, Any]
Row: TypeAlias = tuple[str, str]
RESERVED_VERSIONS = ("develop", "default")


@dataclass(frozen=True, slots=True)
class Write:
    """One call as it arrived. `verb` is release, replace or remove; `body` has passed its schema."""

    kind: Kind
    verb: str
    application_id: str
    body: Body
    author: Author


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of an accepted write: when it takes effect, whether at all, on all of its rows or half of them."""

    delay_ms: int = 0
    is_lost: bool = False
    is_halved: bool = False


@dataclass(frozen=True, slots=True)
class _Meaning:
    version: str | None
    rows: list[Row]
    problem: Problem | None = None
    is_clear: bool = False


def accept(world: World, write: Write, fate: Fate) -> None:
    """Take a call in.

    Raises:
        Problem: it is refused; a release that is not atomic may have moved devices all the same.
    """
    with world.changing():
        meaning = _read(world, write)
        if meaning.problem is None and fate.is_lost:
            return
        if meaning.problem is None and fate.delay_ms:
            _postpone(world, write, fate)
            return
        _carry_out(world, write, meaning, world.clock.now_ms(), is_halved=fate.is_halved)
    if meaning.problem is not None:
        raise meaning.problem


def _postpone(world: World, write: Write, fate: Fate) -> None:
    world.db.execute(
        "insert into late_writes (due_ms, action, application_id, body, author, keep) values (?, ?, ?, ?, ?, ?)",
        (
            world.clock.now_ms() + fate.delay_ms,
            f"{write.kind} {write.verb}",
            write.application_id,
            json.dumps(write.body),
            json.dumps([write.author.type, write.author.id]),
            50 if fate.is_halved else 100,
        ),
    )


def carry_out_next(world: World) -> None:
    """Let the late write that is due first take effect; what has become impossible since is passed over."""
    with world.changing() as db:
        sequence, due_ms, action, application_id, body, author, keep = db.execute(
            "select * from late_writes order by due_ms, sequence limit 1"
        ).fetchone()
        db.execute("delete from late_writes where sequence = ?", (sequence,))
        kind, verb = action.split()
        write = Write(Kind(kind), verb, application_id, json.loads(body), Author(*json.loads(author)))
        try:
            meaning = _read(world, write)
        except Problem:
            return
        _carry_out(world, write, meaning, due_ms, is_halved=keep < 100)


def _carry_out(world: World, write: Write, meaning: _Meaning, at_ms: int, *, is_halved: bool) -> None:
    rows = meaning.rows[: len(meaning.rows) // 2] if is_halved else meaning.rows
    change = Change(write.kind, write.application_id, meaning.version, write.author, at_ms, is_clear=meaning.is_clear)
    release(world, change, rows)


def _read(world: World, write: Write) -> _Meaning:
    match write.verb:
        case "release":
            return _read_release(world, write)
        case "replace":
            return _read_replace(world, write)
        case _:
            return _read_remove(world, write)


def _read_release(world: World, write: Write) -> _Meaning:
    body = write.body
    version = body["version"]
    _refuse_reserved(world, version, "version")
    names_ids, names_tags = bool(body.get("deviceIds")), bool(body.get("deviceTags"))
    is_empty = not (names_ids or names_tags) or {} in body.get("deviceTags", [])
    if is_empty and world.switches.empty_selector == "400":
        raise invalid("deployment must select devices by deviceIds or deviceTags")
    flow_id = _known_flow(world, write, body["flowId"])
    _check_version(world, flow_id, version)
    if is_empty:
        devices = _devices(world, write, "1 = 1", ()) if world.switches.empty_selector == "everything" else []
        return _Meaning(version, [(device, flow_id) for device in devices])
    devices, problem = _named_devices(world, write)
    tagged = _tagged_devices(world, write)
    if names_ids and names_tags and world.switches.selectors == "intersection":
        devices = [device for device in devices if device in set(tagged)]
    else:
        devices = [*devices, *tagged]
    return _Meaning(version, [(device, flow_id) for device in devices], problem)


def _read_replace(world: World, write: Write) -> _Meaning:
    old, new = write.body["oldVersion"], write.body["newVersion"]
    _refuse_reserved(world, new, "newVersion")
    flow_id = _known_flow(world, write, write.body["flowId"])
    _check_version(world, flow_id, new)
    condition = {
        "released": "released = :old",
        "reported": "reported = :old",
        "either": "(released = :old or reported = :old)",
        "both": "(released = :old and reported = :old)",
    }[world.switches.replace_matches]
    if world.switches.replace_unknown_bundles == "reached":
        condition = f"({condition} or device_id in (select device_id from records where unknown_bundle = 1))"
    found = world.db.execute(
        f"select device_id, flow_id from entries where application_id = :own and flow_id = :flow and {condition} "
        "order by device_id",
        {"own": write.application_id, "flow": flow_id, "old": old},
    )
    return _Meaning(new, found.fetchall())


def _read_remove(world: World, write: Write) -> _Meaning:
    flow_id, device_id = write.body["flowId"], write.body["deviceId"]
    if flow_id is None and device_id is None and world.switches.remove_all == "400":
        raise invalid("deployment must have a flowId or a deviceId")
    if flow_id is not None:
        flow_id = _known_flow(world, write, flow_id)
    conditions, values = ["application_id = ?"], [write.application_id]
    if flow_id is not None:
        conditions, values = [*conditions, "flow_id = ?"], [*values, flow_id]
    if device_id is not None:
        known = _devices(world, write, "id = ?", (device_id.lower(),))
        if not known and world.switches.unknown_device == "404":
            raise not_found("Device")
        conditions, values = [*conditions, "device_id = ?"], [*values, device_id.lower()]
    classes = f"(select id from devices where device_class = '{write.kind.device_class}')"
    found = world.db.execute(
        f"select device_id, flow_id from entries where {' and '.join(conditions)} and device_id in {classes} "
        "order by device_id, flow_id",
        values,
    )
    return _Meaning(None, found.fetchall(), is_clear=flow_id is None)


def _refuse_reserved(world: World, version: str | None, name: str) -> None:
    if version in RESERVED_VERSIONS and world.switches.develop == "400":
        raise invalid(f"deployment.{name} cannot be {version}")


def _known_flow(world: World, write: Write, flow_id: str) -> str:
    row = world.db.execute(
        "select flow_class from flows where id = ? and application_id = ?", (flow_id.lower(), write.application_id)
    ).fetchone()
    if (row is None or row[0] not in write.kind.flow_classes) and world.switches.unknown_flow == "404":
        raise not_found("Flow")
    return flow_id.lower()


def _check_version(world: World, flow_id: str, version: str | None) -> None:
    if version is None or version in RESERVED_VERSIONS or world.switches.unknown_version == "accept":
        return
    found = world.db.execute("select 1 from versions where flow_id = ? and name = ?", (flow_id, version)).fetchone()
    if found is None:
        raise not_found("Flow version")


def _named_devices(world: World, write: Write) -> tuple[list[str], Problem | None]:
    """The ids of a release in their order; with the problem, if some are unknown and that matters."""
    wanted = [device_id.lower() for device_id in write.body.get("deviceIds", [])]
    known = set(_devices(world, write, "id in (select value from json_each(?))", (json.dumps(wanted),)))
    if world.switches.unknown_device == "skip":
        return [device_id for device_id in wanted if device_id in known], None
    unknown = next((at for at, device_id in enumerate(wanted) if device_id not in known), None)
    if unknown is None:
        return wanted, None
    if world.switches.release == "atomic":
        raise not_found("Device")
    return wanted[:unknown], not_found("Device")


def _tagged_devices(world: World, write: Write) -> list[str]:
    tags = write.body.get("deviceTags", [])
    choices, values = [], []
    for tag in tags:
        columns = [column for column in ("key", "value") if column in tag]
        choices.append(" and ".join(f"{column} = ?" for column in columns))
        values += [tag[column] for column in columns]
    if not tags:
        return []
    condition = " or ".join(f"({choice})" for choice in choices)
    return _devices(world, write, f"id in (select device_id from tags where {condition})", values)


def _devices(world: World, write: Write, condition: str, values: list[Any] | tuple[Any, ...]) -> list[str]:
    found = world.db.execute(
        "select id from devices where application_id = ? and device_class = ? and deleted_ms is null "
        f"and {condition} order by id",
        (write.application_id, write.kind.device_class, *values),
    )
    return [device_id for (device_id,) in found]
