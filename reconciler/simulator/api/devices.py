"""The device entities, and the handlers of their reads."""

from __future__ import annotations

import json
import re

from reconciler.simulator.api.collection import Collection, Entity, Params, connection_info, echoed, is_true, selected
from reconciler.simulator.api.query import Sql, compile_query, every, matches, tag_queries
from reconciler.simulator.world.records import ID_PATTERN
from reconciler.simulator.world.store import World

_SUMMARY_LIMIT = 1000


def _complete(_: World, params: Params, devices: list[Entity]) -> None:
    tags_as_object, attributes_as_object, excludes_connection = (
        is_true(params.get(name)) for name in ("tagsAsObject", "attributesAsObject", "excludeConnectionInfo")
    )
    for device in devices:
        pairs, connection, parent_id = json.loads(device["tags"]), connection_info(device), device["parentId"]
        device["tags"] = dict(pairs) if tags_as_object else [{"key": key, "value": value} for key, value in pairs]
        device["attributes"] = {} if attributes_as_object else []
        device["ancestorIds"] = [] if parent_id is None else [parent_id]
        if not excludes_connection:
            device["connectionInfo"] = connection
        for name in ("connectedAt", "disconnectedAt", *(["deletedAt"] if device["deletedAt"] is None else [])):
            del device[name]


DEVICES = Collection(
    "deviceId",
    "Device",
    """
    select id, id as deviceId, application_id as applicationId, created_ms as creationDate, updated_ms as lastUpdated,
        deleted_ms as deletedAt, name, coalesce(description, '') as description, tags, device_class as deviceClass,
        parent_id as parentId, connected, connection_ms, connected_ms as connectedAt,
        disconnected_ms as disconnectedAt
    from devices""",
    _complete,
)


def devices_list(world: World, params: Params) -> Entity:
    """devices.get. `query` overrides the plain filters."""
    deleted = Sql(f"deletedAt is {'not null' if is_true(params.get('queryDeleted')) else 'null'}")
    conditions = [deleted, *selected(params, "name", *_filters(world, params))]
    echo = echoed(params, "applicationId", "filter", "filterField", "parentId", "tagFilter", "query")
    if re.search(ID_PATTERN, echo.get("parentId", "")) is None:  # any text is taken, but the answer has ids only
        echo.pop("parentId", None)
    if isinstance(params.get("deviceClass"), str):
        echo["deviceClass"] = params["deviceClass"]
    return DEVICES.page(world, params, conditions, echo)


def _filters(world: World, params: Params) -> list[Sql]:
    conditions = []
    if "deviceClass" in params:
        classes = [params["deviceClass"]] if isinstance(params["deviceClass"], str) else params["deviceClass"]
        conditions.append(Sql(f"deviceClass in ({', '.join('?' * len(classes))})", tuple(classes)))
    if "parentId" in params:
        conditions.append(Sql("parentId = ?", (params["parentId"].lower(),)))
    if pairs := params.get("tagFilter"):
        group = "$or" if world.switches.tag_filter == "any" else "$and"
        conditions.append(compile_query({group: tag_queries(pairs)}))
    return conditions


def _queried_devices(params: Params) -> Sql:
    """The application's devices, restricted by the query if there is one."""
    return every(
        [Sql("deletedAt is null and applicationId = ?", (params["applicationId"],)), *selected(params, "name")]
    )


def device_names(world: World, params: Params) -> Entity:
    """devices.deviceNames: at most 1000, unpaged."""
    where = every([_queried_devices(params), matches("name", params.get("startsWith", "") + "*")])
    statement = f"select id, name, deviceClass from ({DEVICES.rows}) where {where.text} order by name, id limit ?"
    return {"deviceSummary": world.rows(statement, (*where.values, _SUMMARY_LIMIT))}


def tag_keys(world: World, params: Params) -> Entity:
    """devices.tagKeys: at most 1000, unpaged."""
    return {"tagKeys": _tag_texts(world, params, "key", Sql("1"))}


def tag_values(world: World, params: Params) -> Entity:
    """devices.tagValues of one key: at most 1000, unpaged."""
    return {"tagKey": params["key"], "tagValues": _tag_texts(world, params, "value", Sql("key = ?", (params["key"],)))}


def _tag_texts(world: World, params: Params, column: str, where: Sql) -> list[str]:
    devices = _queried_devices(params)
    within = Sql(f"device_id in (select id from ({DEVICES.rows}) where {devices.text})", devices.values)
    text, values = every([where, matches(column, params.get("startsWith", "") + "*"), within])
    found = world.db.execute(
        f"select distinct {column} from tags where {text} order by 1 limit {_SUMMARY_LIMIT}", values
    )
    return [text for (text,) in found]
