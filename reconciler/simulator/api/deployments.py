"""The deployment entities, and the handlers of their reads."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.simulator.api.collection import Collection, Entity, Params, connection_info, is_true
from reconciler.simulator.api.query import Sql
from reconciler.simulator.api.validation import not_found
from reconciler.simulator.world.records import Kind
from reconciler.simulator.world.store import World


def _complete_embedded(world: World, _: Params, records: list[Entity]) -> None:
    flows, logs = _flows_by_device(world, [record["deviceId"] for record in records]), _logs(world, records)
    for record in records:
        record["deviceConnectionInfo"] = connection_info(record)
        record["unknownBundle"] = bool(record["unknownBundle"])
        record |= {"flows": flows[record["deviceId"]], "logs": logs[record["id"]]}


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


def _logs(world: World, records: Sequence[Entity]) -> Mapping[str, list[Any]]:
    found = world.db.execute(
        "select record_id, entry from logs where record_id in (select value from json_each(?)) order by sequence desc",
        (json.dumps([record["id"] for record in records]),),
    )
    logs: Mapping[str, list[Any]] = defaultdict(list)
    for record_id, entry in found:
        logs[record_id].append(json.loads(entry))
    return logs


def _complete_edge(world: World, _: Params, records: list[Entity]) -> None:
    logs = _logs(world, records)
    for record in records:
        record |= {"deviceConnectionInfo": connection_info(record), "logs": logs[record["id"]]}
        for name in ("flowName", "flowClass", "currentEtag", "desiredEtag"):  # no etag without a version
            if record[name] is None:
                del record[name]


EMBEDDED = Collection(
    "embeddedDeploymentId",
    "Embedded deployment",
    """
    select r.id, r.id as embeddedDeploymentId, r.application_id as applicationId, r.created_ms as creationDate,
        r.updated_ms as lastUpdated, r.device_id as deviceId, d.name as deviceName, d.connected, d.connection_ms,
        r.reported_bundle as currentBundleVersion, r.released_bundle as desiredBundleVersion,
        r.unknown_bundle as unknownBundle
    from records r left join devices d on d.id = r.device_id""",
    _complete_embedded,
    "lastUpdated",
    "desc",
    1000,
)
EDGE = Collection(
    "edgeDeploymentId",
    "Edge deployment",
    """
    select e.record_id as id, e.record_id as edgeDeploymentId, e.application_id as applicationId,
        e.created_ms as creationDate, e.updated_ms as lastUpdated, e.device_id as deviceId, d.name as deviceName,
        d.connected, d.connection_ms, e.flow_id as flowId, f.name as flowName, f.flow_class as flowClass,
        e.flow_id || '.json' as fileName, e.reported as currentVersion, e.released as desiredVersion,
        e.reported_etag as currentEtag, e.released_etag as desiredEtag
    from entries e left join devices d on d.id = e.device_id left join flows f on f.id = e.flow_id
    where e.record_id is not null""",
    _complete_edge,
    "lastUpdated",
)


def embedded_list(world: World, params: Params) -> Entity:
    """embeddedDeployments.get."""
    if "deviceId" in params:
        known = "select 1 from devices where id = ? and application_id = ? and deleted_ms is null"
        if not world.rows(known, (params["deviceId"].lower(), params["applicationId"])):
            raise not_found("Device")
    return EMBEDDED.page(world, params, _conditions(world, params, "deviceId", "device_id"), _echo(params))


def edge_list(world: World, params: Params) -> Entity:
    """edgeDeployments.get."""
    conditions = _conditions(world, params, "id", "record_id")
    if is_true(params.get("filterEmpty")):
        conditions.append(Sql("desiredVersion is not null or currentVersion is not null"))
    return EDGE.page(world, params, conditions, _echo(params))


def _conditions(world: World, params: Params, column: str, in_entries: str) -> list[Sql]:
    """The conditions of a list: on the device, and on the entries that make up a record."""
    conditions = [Sql("deviceId = ?", (params["deviceId"].lower(),))] if "deviceId" in params else []
    entries = [Sql("flow_id = ?", (params["flowId"].lower(),))] if "flowId" in params else []
    if params.get("version"):
        entries.append(_version_condition(world, params))
    return conditions + [
        Sql(f"{column} in (select {in_entries} from entries where {text})", values) for text, values in entries
    ]


def _version_condition(world: World, params: Params) -> Sql:
    version = params["version"]
    match world.switches.version_filter:
        case "released" | "reported" as side:
            return Sql(f"{side} = ?", (version,))
        case "same_flow" if "flowId" in params:
            return Sql("(released = ? or reported = ?) and flow_id = ?", (version, version, params["flowId"].lower()))
        case _:
            return Sql("released = ? or reported = ?", (version, version))


def _echo(params: Params) -> Entity:
    return {key: params[key] for key in ("applicationId", "deviceId", "flowId", "version") if params.get(key)}


DEPLOYMENTS = {Kind.EMBEDDED: (EMBEDDED, embedded_list), Kind.EDGE: (EDGE, edge_list)}
