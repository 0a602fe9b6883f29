"""Rows of the database as the entities of the API, without the framework's underscore keys."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from reconciler.simulator.world.clock import rfc3339
from reconciler.simulator.world.store import World

Entity: TypeAlias = dict[str, Any]


def embedded_records(world: World, ids: Sequence[str]) -> list[Entity]:
    """Records of embedded deployments, in the order of `ids`."""
    found = world.db.execute(
        "select r.id, r.application_id, r.device_id, r.created_ms, r.updated_ms, r.reported_bundle, r.released_bundle, "
        "r.unknown_bundle, d.name, d.connected, d.connection_ms from records r join devices d on d.id = r.device_id "
        "where r.id in (select value from json_each(?))",
        (json.dumps(ids),),
    ).fetchall()
    flows = _flows_by_device(world, [row[2] for row in found])
    logs = _logs(world, ids)
    records = {}
    for own, application_id, device_id, created, updated, reported, released, unknown, *device in found:
        records[own] = {
            "id": own,
            "embeddedDeploymentId": own,
            "applicationId": application_id,
            "creationDate": rfc3339(created),
            "lastUpdated": rfc3339(updated),
            "deviceId": device_id,
            "deviceName": device[0],
            "deviceConnectionInfo": connection_info(device[1], device[2]),
            "flows": flows[device_id],
            "currentBundleVersion": reported,
            "desiredBundleVersion": released,
            "unknownBundle": bool(unknown),
            "logs": logs[own],
        }
    return [records[own] for own in ids if own in records]


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
    """Records of edge deployments, in the order of `ids`. An etag is left out where there is no version."""
    found = world.db.execute(
        "select e.record_id, e.application_id, e.device_id, d.name, d.connected, d.connection_ms, e.flow_id, f.name, "
        "f.flow_class, e.created_ms, e.updated_ms, e.reported, e.released, e.reported_etag, e.released_etag "
        "from entries e join devices d on d.id = e.device_id left join flows f on f.id = e.flow_id "
        "where e.record_id in (select value from json_each(?))",
        (json.dumps(ids),),
    ).fetchall()
    logs = _logs(world, ids)
    records = {}
    for own, application_id, device_id, device_name, connected, seen_ms, flow_id, *flow in found:
        flow_name, flow_class, created, updated, reported, released, reported_etag, released_etag = flow
        record = {
            "id": own,
            "edgeDeploymentId": own,
            "applicationId": application_id,
            "deviceId": device_id,
            "deviceName": device_name,
            "deviceConnectionInfo": connection_info(connected, seen_ms),
            "flowId": flow_id,
            "flowName": flow_name,
            "flowClass": flow_class,
            "fileName": f"{flow_id}.json",
            "creationDate": rfc3339(created),
            "lastUpdated": rfc3339(updated),
            "currentVersion": reported,
            "desiredVersion": released,
            "currentEtag": reported_etag,
            "desiredEtag": released_etag,
            "logs": logs[own],
        }
        nullable = ("currentVersion", "desiredVersion")
        records[own] = {key: value for key, value in record.items() if value is not None or key in nullable}
    return [records[own] for own in ids if own in records]


def connection_info(connected: int | None, since_ms: int | None) -> Entity:
    """`connected` is 1, 0, or null for a device that was never seen; then there is no time either."""
    return {"connected": connected} if since_ms is None else {"time": rfc3339(since_ms), "connected": connected}


def devices(
    world: World, ids: Sequence[str], *, tags_as_object: bool, attributes_as_object: bool, with_connection: bool
) -> list[Entity]:
    """Devices, in the order of `ids`."""
    found = world.db.execute(
        "select id, application_id, name, device_class, description, parent_id, tags, connected, connection_ms, "
        "created_ms, updated_ms, deleted_ms from devices where id in (select value from json_each(?))",
        (json.dumps(ids),),
    )
    entities = {}
    for own, application_id, name, device_class, description, parent_id, tags, connected, since, *dates in found:
        pairs = json.loads(tags)
        entities[own] = {
            "id": own,
            "deviceId": own,
            "applicationId": application_id,
            "creationDate": rfc3339(dates[0]),
            "lastUpdated": rfc3339(dates[1]),
            **({} if dates[2] is None else {"deletedAt": rfc3339(dates[2])}),
            "name": name,
            "description": description or "",
            "tags": dict(pairs) if tags_as_object else [{"key": key, "value": value} for key, value in pairs],
            "attributes": {} if attributes_as_object else [],
            "deviceClass": device_class,
            "parentId": parent_id,
            "ancestorIds": [] if parent_id is None else [parent_id],
            **({"connectionInfo": connection_info(connected, since)} if with_connection else {}),
        }
    return [entities[own] for own in ids if own in entities]


def flows(world: World, ids: Sequence[str]) -> list[Entity]:
    """Workflows, in the order of `ids`; their own triggers and nodes are the develop version, and empty."""
    found = world.db.execute(
        "select id, application_id, name, flow_class, enabled, created_ms, updated_ms from flows "
        "where id in (select value from json_each(?))",
        (json.dumps(ids),),
    )
    entities = {
        own: {
            "id": own,
            "flowId": own,
            "applicationId": application_id,
            "creationDate": rfc3339(created),
            "lastUpdated": rfc3339(updated),
            "name": name,
            "flowClass": flow_class,
            "enabled": bool(enabled),
            "triggers": [],
            "nodes": [],
            "globals": [],
        }
        for own, application_id, name, flow_class, enabled, created, updated in found
    }
    return [entities[own] for own in ids if own in entities]


def flow_versions(world: World, ids: Sequence[str]) -> list[Entity]:
    """Versions of workflows, in the order of `ids`. `develop` is not among them."""
    found = world.db.execute(
        "select v.id, v.flow_id, f.application_id, v.name, f.flow_class, f.enabled, v.created_ms, v.updated_ms "
        "from versions v join flows f on f.id = v.flow_id where v.id in (select value from json_each(?))",
        (json.dumps(ids),),
    )
    entities = {}
    for own, flow_id, application_id, version, flow_class, enabled, created, updated in found:
        entities[own] = {
            "id": own,
            "flowVersionId": own,
            "flowId": flow_id,
            "applicationId": application_id,
            "version": version,
            "flowClass": flow_class,
            "notes": "",
            "enabled": bool(enabled),
            "creationDate": rfc3339(created),
            "lastUpdated": rfc3339(updated),
            "triggers": [],
            "nodes": [],
            "globals": [],
        }
    return [entities[own] for own in ids if own in entities]
