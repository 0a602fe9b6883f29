"""Selects the rows of a write, or refuses it.

Switches decide where the API's documentation is ambiguous.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from reconciler.simulator.api.query import Sql, compile_query, tag_queries
from reconciler.simulator.api.validation import Problem, invalid, not_found
from reconciler.simulator.world.records import RESERVED_VERSIONS, Author, Kind
from reconciler.simulator.world.store import World


class Write(NamedTuple):
    """One received call. `verb` is release, replace or remove; `body` has been validated."""

    kind: Kind
    verb: str
    application_id: str
    body: Mapping[str, Any]
    author: Author


@dataclass(frozen=True, slots=True)
class Selection:
    """Rows of (device id, flow id) and their new version; None removes.

    `problem` is the error of a write that still moves these rows; `is_clear` marks the removal of all flows of a
    device.
    """

    version: str | None
    rows: Sequence[tuple[str, str]]
    problem: Problem | None = None
    is_clear: bool = False


def _release(world: World, write: Write) -> Selection:
    body = write.body
    version = body["version"]
    _refuse_reserved(world, version, "version")
    names_ids, names_tags = bool(body.get("deviceIds")), bool(body.get("deviceTags"))
    is_empty = not (names_ids or names_tags) or {} in body.get("deviceTags", [])
    if is_empty and world.switches.empty_selector == "400":
        raise invalid("deployment must select devices by deviceIds or deviceTags")
    flow_id = _known_flow(world, write, body["flowId"], version)
    if is_empty:
        devices = _devices(world, write, Sql("1")) if world.switches.empty_selector == "everything" else []
        return Selection(version, [(device, flow_id) for device in devices])
    devices, problem = _named_devices(world, write)
    tagged = _devices(world, write, compile_query({"$or": tag_queries(body.get("deviceTags", []))}))
    if names_ids and names_tags and world.switches.selectors == "intersection":
        devices = [device for device in devices if device in set(tagged)]
    else:
        devices += tagged
    return Selection(version, [(device, flow_id) for device in devices], problem)


def _replace(world: World, write: Write) -> Selection:
    old, new = write.body["oldVersion"], write.body["newVersion"]
    _refuse_reserved(world, new, "newVersion")
    flow_id = _known_flow(world, write, write.body["flowId"], new)
    condition = {
        "released": "released = :old",
        "reported": "reported = :old",
        "either": ":old in (released, reported)",
        "both": "released = :old and reported = :old",
    }[world.switches.replace_matches]
    if world.switches.replace_unknown_bundles == "reached":
        condition = f"({condition} or device_id in (select device_id from records where unknown_bundle = 1))"
    return Selection(new, _rows(world, write, f"flow_id = :flow and {condition}", flow=flow_id, old=old))


def _remove(world: World, write: Write) -> Selection:
    flow_id, device_id = write.body["flowId"], write.body["deviceId"]
    if flow_id is None and device_id is None and world.switches.remove_all == "400":
        raise invalid("deployment must have a flowId or a deviceId")
    if flow_id is not None:
        flow_id = _known_flow(world, write, flow_id, None)
    if device_id is not None:
        device_id = device_id.lower()
        if not _devices(world, write, Sql("id = ?", (device_id,))) and world.switches.unknown_device == "404":
            raise not_found("Device")
    condition = (
        "flow_id = coalesce(:flow, flow_id) and device_id = coalesce(:device, device_id) "
        "and device_id in (select id from devices where device_class = :class)"
    )
    rows = _rows(world, write, condition, flow=flow_id, device=device_id, **{"class": write.kind.device_class})
    return Selection(None, rows, is_clear=flow_id is None)


def _rows(world: World, write: Write, condition: str, **values: str | None) -> list[tuple[str, str]]:
    statement = f"select device_id, flow_id from entries where application_id = :own and ({condition}) order by 1, 2"
    return world.db.execute(statement, {"own": write.application_id, **values}).fetchall()


def _refuse_reserved(world: World, version: str | None, name: str) -> None:
    if version in RESERVED_VERSIONS and world.switches.develop == "400":
        raise invalid(f"deployment.{name} cannot be {version}")


def _known_flow(world: World, write: Write, flow_id: str, version: str | None) -> str:
    """The flow's id as stored in the database, after checking that the flow and its version exist."""
    flow_id = flow_id.lower()
    row = world.db.execute(
        "select flow_class from flows where id = ? and application_id = ?", (flow_id, write.application_id)
    ).fetchone()
    if (row is None or row[0] not in write.kind.flow_classes) and world.switches.unknown_flow == "404":
        raise not_found("Flow")
    if version is None or version in RESERVED_VERSIONS or world.switches.unknown_version == "accept":
        return flow_id
    if not world.rows("select 1 from versions where flow_id = ? and name = ?", (flow_id, version)):
        raise not_found("Flow version")
    return flow_id


def _named_devices(world: World, write: Write) -> tuple[list[str], Problem | None]:
    """The known device ids of a release, in request order, and the error if unknown ones are not allowed."""
    wanted = [device_id.lower() for device_id in write.body.get("deviceIds", [])]
    known = set(_devices(world, write, Sql("id in (select value from json_each(?))", (json.dumps(wanted),))))
    if world.switches.unknown_device == "skip":
        return [device_id for device_id in wanted if device_id in known], None
    unknown = next((at for at, device_id in enumerate(wanted) if device_id not in known), None)
    if unknown is None:
        return wanted, None
    if world.switches.release == "atomic":
        raise not_found("Device")
    return wanted[:unknown], not_found("Device")


def _devices(world: World, write: Write, condition: Sql) -> list[str]:
    """The ids of the application's devices of the right class that match a condition."""
    found = world.db.execute(
        "select id from devices where application_id = ? and device_class = ? and deleted_ms is null "
        f"and ({condition.text}) order by id",
        (write.application_id, write.kind.device_class, *condition.values),
    )
    return [device_id for (device_id,) in found]


_VERBS = {"release": _release, "replace": _replace, "remove": _remove}


def select(world: World, write: Write) -> Selection:
    """The selection of a write in the current world.

    Raises:
        Problem: the write is refused.
    """
    return _VERBS[write.verb](world, write)
