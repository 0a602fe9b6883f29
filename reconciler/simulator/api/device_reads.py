"""What the API says about devices."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from reconciler.simulator.api import shapes
from reconciler.simulator.api.pages import NAME_ORDER, Params, Where, echoed, glob, is_true, listing, the_one
from reconciler.simulator.api.query import DEVICE_FIELDS, tag_queries
from reconciler.simulator.api.shapes import Entity
from reconciler.simulator.world.store import World

_SUMMARY_LIMIT = 1000


def devices_list(world: World, params: Params) -> Entity:
    """devices.get. `query` overrides the plain filters."""
    where = _devices(params, deleted=is_true(params.get("queryDeleted")))
    if "query" not in params:
        _filter_devices(world, params, where)
    echo = echoed(params, "applicationId", "filter", "filterField", "parentId", "tagFilter", "query")
    if isinstance(params.get("deviceClass"), str):
        echo["deviceClass"] = params["deviceClass"]
    entities = partial(_entities, params)
    return listing(world, params, order=NAME_ORDER, table="devices", where=where, entities=entities, echo=echo)


def _devices(params: Params, *, deleted: bool = False) -> Where:
    """Those of the application, and of the query if there is one."""
    where = Where("application_id = ?", params["applicationId"])
    where.also(f"deleted_ms is {'not null' if deleted else 'null'}")
    if "query" in params:
        where.also_query(params["query"], DEVICE_FIELDS)
    return where


def _filter_devices(world: World, params: Params, where: Where) -> None:
    where.also_filter(params, "name")
    match params.get("deviceClass"):
        case str(one):
            where.also("device_class = ?", one)
        case list(several):
            where.also(f"device_class in ({', '.join('?' * len(several))})", *several)
    if "parentId" in params:
        where.also("parent_id = ?", params["parentId"].lower())
    if pairs := params.get("tagFilter"):
        group = "$or" if world.switches.tag_filter == "any" else "$and"
        where.also_query({group: tag_queries(pairs)}, DEVICE_FIELDS)


def _entities(params: Params, world: World, ids: Sequence[str]) -> list[Entity]:
    return shapes.devices(
        world,
        ids,
        tags_as_object=is_true(params.get("tagsAsObject")),
        attributes_as_object=is_true(params.get("attributesAsObject")),
        with_connection=not is_true(params.get("excludeConnectionInfo")),
    )


def device_get(world: World, params: Params) -> Entity:
    """device.get."""
    found = _entities(params, world, [params["deviceId"].lower()])
    return the_one([one for one in found if "deletedAt" not in one], params, "Device")


def device_names(world: World, params: Params) -> Entity:
    """devices.deviceNames: at most 1000, unpaged."""
    where = _devices(params)
    where.also("casefold(name) glob ?", _beginning(params))
    found = world.db.execute(
        f"select id, name, device_class from devices where {where.text} order by name, id limit ?",
        (*where.values, _SUMMARY_LIMIT),
    )
    keys = ("id", "name", "deviceClass")
    return {"deviceSummary": [dict(zip(keys, row, strict=True)) for row in found]}


def _beginning(params: Params) -> str:
    return glob(params.get("startsWith", "")) + "*"


def tag_keys(world: World, params: Params) -> Entity:
    """devices.tagKeys: at most 1000, unpaged."""
    return {"tagKeys": _tag_texts(world, params, "key", Where("1"))}


def tag_values(world: World, params: Params) -> Entity:
    """devices.tagValues of one key: at most 1000, unpaged."""
    return {"tagKey": params["key"], "tagValues": _tag_texts(world, params, "value", Where("key = ?", params["key"]))}


def _tag_texts(world: World, params: Params, column: str, where: Where) -> list[str]:
    devices = _devices(params)
    where.also(f"casefold({column}) glob ?", _beginning(params))
    where.also(f"device_id in (select id from devices where {devices.text})", *devices.values)
    found = world.db.execute(
        f"select distinct {column} from tags where {where.text} order by 1 limit ?", (*where.values, _SUMMARY_LIMIT)
    )
    return [text for (text,) in found]
