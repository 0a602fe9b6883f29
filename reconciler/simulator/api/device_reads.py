"""What the API tells of devices."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.simulator.api import shapes
from reconciler.simulator.api.pages import (
    COLUMNS,
    NAME_ORDER,
    Params,
    Where,
    filter_text,
    glob,
    page_ids,
    page_of,
    the_one,
)
from reconciler.simulator.api.query import DEVICE_FIELDS, compile_query
from reconciler.simulator.api.shapes import Entity
from reconciler.simulator.http.querystring import is_true
from reconciler.simulator.world.store import World

_SUMMARY_LIMIT = 1000


def devices_list(world: World, params: Params) -> Entity:
    """devices.get. `query` overrides the plain filters."""
    deleted = "not null" if is_true(params.get("queryDeleted")) else "null"
    where = Where(f"application_id = ? and deleted_ms is {deleted}", (params["applicationId"],))
    if "query" in params:
        found = compile_query(params["query"], DEVICE_FIELDS)
        where.also(f"({found.text})", *found.values)
    else:
        _filter_devices(world, params, where)
    page = page_of(world, params, NAME_ORDER)
    ids, total = page_ids(world, "devices", where.sql, page, COLUMNS[page.sort_field])
    echo = {key: params[key] for key in ("filter", "filterField", "parentId", "tagFilter", "query") if key in params}
    if isinstance(params.get("deviceClass"), str):
        echo["deviceClass"] = params["deviceClass"]
    own = {"applicationId": params["applicationId"], **echo}
    return {**page.envelope(_device_entities(world, ids, params), total), **own}


def _filter_devices(world: World, params: Params, where: Where) -> None:
    filter_text(params, where, "name")
    match params.get("deviceClass"):
        case str(one):
            where.also("device_class = ?", one)
        case list(several):
            where.also(f"device_class in ({', '.join('?' * len(several))})", *several)
    if "parentId" in params:
        where.also("parent_id = ?", params["parentId"].lower())
    pairs = [{f"$tag{key.title()}": text for key, text in pair.items()} for pair in params.get("tagFilter", [])]
    if pairs:
        group = "$or" if world.switches.tag_filter == "any" else "$and"
        found = compile_query({group: [{"tags": pair} for pair in pairs]}, DEVICE_FIELDS)
        where.also(f"({found.text})", *found.values)


def _device_entities(world: World, ids: Sequence[str], params: Params) -> list[Entity]:
    return shapes.devices(
        world,
        ids,
        tags_as_object=is_true(params.get("tagsAsObject")),
        attributes_as_object=is_true(params.get("attributesAsObject")),
        with_connection=not is_true(params.get("excludeConnectionInfo")),
    )


def device_get(world: World, params: Params) -> Entity:
    """device.get."""
    own = params["deviceId"].lower()
    found = [one for one in _device_entities(world, [own], params) if "deletedAt" not in one]
    return the_one(found, params, "Device")


def _summary(params: Params) -> Where:
    where = Where("application_id = ? and deleted_ms is null", (params["applicationId"],))
    if "query" in params:
        found = compile_query(params["query"], DEVICE_FIELDS)
        where.also(f"({found.text})", *found.values)
    return where


def device_names(world: World, params: Params) -> Entity:
    """devices.deviceNames: at most 1000, unpaged."""
    where = _summary(params)
    where.also("casefold(name) glob ?", glob(params.get("startsWith", "")) + "*")
    found = world.db.execute(
        f"select id, name, device_class from devices where {where.text} order by name, id limit ?",
        (*where.values, _SUMMARY_LIMIT),
    )
    keys = ("id", "name", "deviceClass")
    return {"deviceSummary": [dict(zip(keys, row, strict=True)) for row in found]}


def tag_keys(world: World, params: Params) -> Entity:
    """devices.tagKeys: at most 1000, unpaged."""
    return {"tagKeys": _tag_texts(world, params, "key", "1", ())}


def tag_values(world: World, params: Params) -> Entity:
    """devices.tagValues of one key: at most 1000, unpaged."""
    return {"tagKey": params["key"], "tagValues": _tag_texts(world, params, "value", "tags.key = ?", (params["key"],))}


def _tag_texts(world: World, params: Params, column: str, condition: str, values: tuple[str, ...]) -> list[str]:
    where = _summary(params)
    found = world.db.execute(
        f"select distinct tags.{column} from tags where {condition} and casefold(tags.{column}) glob ? "
        f"and device_id in (select id from devices where {where.text}) order by 1 limit ?",
        (*values, glob(params.get("startsWith", "")) + "*", *where.values, _SUMMARY_LIMIT),
    )
    return [text for (text,) in found]
