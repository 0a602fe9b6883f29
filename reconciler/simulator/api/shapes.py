"""Rows of the database as the entities of the API, without the framework's underscore keys.

Each function answers in the order of `ids`, without those that are not there.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from reconciler.simulator.world.clock import rfc3339
from reconciler.simulator.world.store import World

Entity: TypeAlias = dict[str, Any]
_DATES = ("creationDate", "lastUpdated", "deletedAt")
_EMPTY: Entity = {"triggers": [], "nodes": [], "globals": []}

# What the tables hold, under the names of the API; `_read` ends each statement with the ids.
_EMBEDDED = """
select r.id, r.id as embeddedDeploymentId, r.application_id as applicationId, r.created_ms as creationDate,
    r.updated_ms as lastUpdated, r.device_id as deviceId, d.name as deviceName, d.connected, d.connection_ms,
    r.reported_bundle as currentBundleVersion, r.released_bundle as desiredBundleVersion,
    r.unknown_bundle as unknownBundle
from records r join devices d on d.id = r.device_id where r.id"""
_EDGE = """
select e.record_id as id, e.record_id as edgeDeploymentId, e.application_id as applicationId,
    e.created_ms as creationDate, e.updated_ms as lastUpdated, e.device_id as deviceId, d.name as deviceName,
    d.connected, d.connection_ms, e.flow_id as flowId, f.name as flowName, f.flow_class as flowClass,
    e.flow_id || '.json' as fileName, e.reported as currentVersion, e.released as desiredVersion,
    e.reported_etag as currentEtag, e.released_etag as desiredEtag
from entries e join devices d on d.id = e.device_id left join flows f on f.id = e.flow_id where e.record_id"""
_DEVICES = """
select id, id as deviceId, application_id as applicationId, created_ms as creationDate, updated_ms as lastUpdated,
    deleted_ms as deletedAt, name, coalesce(description, '') as description, tags, device_class as deviceClass,
    parent_id as parentId, connected, connection_ms
from devices where id"""
_FLOWS = """
select id, id as flowId, application_id as applicationId, created_ms as creationDate, updated_ms as lastUpdated, name,
    flow_class as flowClass, enabled
from flows where id"""
_VERSIONS = """
select v.id, v.id as flowVersionId, v.flow_id as flowId, f.application_id as applicationId, v.name as version,
    f.flow_class as flowClass, f.enabled, v.created_ms as creationDate, v.updated_ms as lastUpdated
from versions v join flows f on f.id = v.flow_id where v.id"""


def _read(world: World, sql: str, ids: Sequence[str]) -> Iterator[Entity]:
    """The rows that a statement finds, each as a new object in which moments are text; it ends in a test of ids."""
    found = world.db.execute(f"{sql} in (select value from json_each(?))", (json.dumps(ids),))
    names = [column[0] for column in found.description]
    rows = {row[0]: dict(zip(names, row, strict=True)) for row in found}
    for own in ids:
        if (entity := rows.get(own)) is not None:
            entity.update((name, rfc3339(entity[name])) for name in _DATES if entity.get(name) is not None)
            yield entity


def embedded_records(world: World, ids: Sequence[str]) -> list[Entity]:
    """Records of embedded deployments."""
    found = list(_read(world, _EMBEDDED, ids))
    flows = _flows_by_device(world, [record["deviceId"] for record in found])
    logs = _logs(world, ids)
    for record in found:
        record["deviceConnectionInfo"] = _connection_info(record)
        record["unknownBundle"] = bool(record["unknownBundle"])
        record |= {"flows": flows[record["deviceId"]], "logs": logs[record["id"]]}
    return found


def _flows_by_device(world: World, device_ids: Sequence[str]) -> Mapping[str, Entity]:
    names = dict(world.db.execute("select id, name from flows"))
    found = world.db.execute(
        "select device_id, flow_id, reported, released from entries "
        "where device_id in (select value from json_each(?)) order by device_id, flow_id",
        (json.dumps(device_ids),),
    )
    by_device: Mapping[str, Entity] = defaultdict(dict)
    for device_id, flow_id, reported, released in found:
        entry = {"currentVersion": reported, "desiredVersion": released}
        by_device[device_id][flow_id] = {"flowName": names[flow_id], **entry} if flow_id in names else entry
    return by_device


def _logs(world: World, record_ids: Sequence[str]) -> Mapping[str, list[Any]]:
    found = world.db.execute(
        "select record_id, entry from logs where record_id in (select value from json_each(?)) order by sequence desc",
        (json.dumps(record_ids),),
    )
    logs: Mapping[str, list[Any]] = defaultdict(list)
    for record_id, entry in found:
        logs[record_id].append(json.loads(entry))
    return logs


def edge_records(world: World, ids: Sequence[str]) -> list[Entity]:
    """Records of edge deployments. An etag is left out where there is no version."""
    logs = _logs(world, ids)
    records = []
    for record in _read(world, _EDGE, ids):
        record |= {"deviceConnectionInfo": _connection_info(record), "logs": logs[record["id"]]}
        optional = {"flowName", "flowClass", "currentEtag", "desiredEtag"}
        records.append({key: value for key, value in record.items() if value is not None or key not in optional})
    return records


def _connection_info(entity: Entity) -> Entity:
    """Out of the columns; `connected` is 1, 0, or null for a device that was never seen, and then there is no time."""
    connected, since_ms = entity.pop("connected"), entity.pop("connection_ms")
    return {"connected": connected} if since_ms is None else {"time": rfc3339(since_ms), "connected": connected}


def devices(
    world: World, ids: Sequence[str], *, tags_as_object: bool, attributes_as_object: bool, with_connection: bool
) -> list[Entity]:
    """Devices."""
    found = list(_read(world, _DEVICES, ids))
    for device in found:
        pairs, connection, parent_id = json.loads(device["tags"]), _connection_info(device), device["parentId"]
        device["tags"] = dict(pairs) if tags_as_object else [{"key": key, "value": value} for key, value in pairs]
        device["attributes"] = {} if attributes_as_object else []
        device["ancestorIds"] = [] if parent_id is None else [parent_id]
        if with_connection:
            device["connectionInfo"] = connection
        if device["deletedAt"] is None:
            del device["deletedAt"]
    return found


def flows(world: World, ids: Sequence[str]) -> list[Entity]:
    """Workflows; their own triggers and nodes are the develop version, and empty."""
    found = _read(world, _FLOWS, ids)
    return [{**flow, "enabled": bool(flow["enabled"]), **_EMPTY} for flow in found]


def flow_versions(world: World, ids: Sequence[str]) -> list[Entity]:
    """Versions of workflows. `develop` is not among them."""
    found = _read(world, _VERSIONS, ids)
    return [{**version, "notes": "", "enabled": bool(version["enabled"]), **_EMPTY} for version in found]
