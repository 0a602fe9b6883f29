"""The API's reads: what each GET action answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from reconciler.simulator import shapes
from reconciler.simulator.clock import rfc3339
from reconciler.simulator.deployments import Kind
from reconciler.simulator.pages import glob, page_ids, page_of
from reconciler.simulator.problems import not_found
from reconciler.simulator.query import DEVICE_FIELDS, FLOW_FIELDS, Sql, compile_query
from reconciler.simulator.shapes import Entity
from reconciler.simulator.store import World

Params: TypeAlias = Mapping[str, Any]
TRUE_TEXTS = frozenset({"true", "1", "yes"})
_SUMMARY_LIMIT = 1000
_EDGE_TABLE = "(select record_id as id, * from entries where record_id is not null)"
_VERSION_TABLE = (
    "(select v.id, v.flow_id, v.name as version, v.created_ms, v.updated_ms, f.application_id, f.name, f.flow_class, "
    "f.enabled from versions v join flows f on f.id = v.flow_id)"
)
_COLUMNS = {
    "id": "id",
    "creationDate": "created_ms",
    "lastUpdated": "updated_ms",
    "deletedAt": "deleted_ms",
    "name": "name",
    "version": "version",
    "connectionStatus": "connected",
    "deviceId": "device_id",
    "flowId": "flow_id",
    "desiredVersion": "released",
    "currentVersion": "reported",
}


@dataclass(slots=True)
class _Where:
    """A condition that grows."""

    text: str
    values: tuple[Any, ...]

    def also(self, text: str, *values: Any) -> None:
        self.text = f"{self.text} and {text}"
        self.values += values

    @property
    def sql(self) -> Sql:
        return Sql(self.text, self.values)


def application_get(world: World, params: Params) -> Entity:
    """application.get."""
    own = params["applicationId"]
    row = world.db.execute("select name, created_ms from applications where id = ?", (own,)).fetchone()
    created = rfc3339(row[1])
    return {"id": own, "applicationId": own, "name": row[0], "creationDate": created, "lastUpdated": created}


def embedded_list(world: World, params: Params) -> Entity:
    """embeddedDeployments.get."""
    where = _Where("application_id = ?", (params["applicationId"],))
    _filter_device(world, params, where)
    if "flowId" in params:
        where.also("device_id in (select device_id from entries where flow_id = ?)", params["flowId"].lower())
    if "version" in params:
        condition, values = _version_condition(world, params)
        where.also(f"device_id in (select device_id from entries where {condition})", *values)
    page = page_of(world, params, sort_field="lastUpdated", sort_direction="desc", per_page=1000)
    ids, total = page_ids(world, "records", where.sql, page, _COLUMNS[page.sort_field])
    return {**page.envelope(shapes.embedded_records(world, ids), total), **_echo(params)}


def edge_list(world: World, params: Params) -> Entity:
    """edgeDeployments.get."""
    where = _Where("application_id = ?", (params["applicationId"],))
    if "deviceId" in params:
        where.also("device_id = ?", params["deviceId"].lower())
    if "flowId" in params:
        where.also("flow_id = ?", params["flowId"].lower())
    if "version" in params:
        condition, values = _version_condition(world, params)
        where.also(f"({condition})", *values)
    if params.get("filterEmpty") in TRUE_TEXTS:
        where.also("(released is not null or reported is not null)")
    page = page_of(world, params, sort_field="id", sort_direction="asc", per_page=100)
    ids, total = page_ids(world, _EDGE_TABLE, where.sql, page, _COLUMNS[page.sort_field])
    return {**page.envelope(shapes.edge_records(world, ids), total), **_echo(params)}


def _filter_device(world: World, params: Params, where: _Where) -> None:
    if "deviceId" not in params:
        return
    device_id = params["deviceId"].lower()
    known = world.db.execute(
        "select 1 from devices where id = ? and application_id = ? and deleted_ms is null",
        (device_id, params["applicationId"]),
    ).fetchone()
    if known is None:
        raise not_found("Device")
    where.also("device_id = ?", device_id)


def _version_condition(world: World, params: Params) -> tuple[str, tuple[str, ...]]:
    version = params["version"]
    match world.switches.version_filter:
        case "released" | "reported" as side:
            return f"{side} = ?", (version,)
        case "same_flow" if "flowId" in params:
            return "(released = ? or reported = ?) and flow_id = ?", (version, version, params["flowId"].lower())
        case _:
            return "released = ? or reported = ?", (version, version)


def _echo(params: Params) -> Entity:
    return {key: params[key] for key in ("applicationId", "deviceId", "flowId", "version") if key in params}


def embedded_get(world: World, params: Params) -> Entity:
    """embeddedDeployment.get."""
    own = params["embeddedDeploymentId"].lower()
    return _one(shapes.embedded_records(world, [own]), params, "Embedded deployment")


def edge_get(world: World, params: Params) -> Entity:
    """edgeDeployment.get."""
    return _one(shapes.edge_records(world, [params["edgeDeploymentId"].lower()]), params, "Edge deployment")


def _one(found: Sequence[Entity], params: Params, thing: str) -> Entity:
    for entity in found:
        if entity["applicationId"] == params["applicationId"]:
            return entity
    raise not_found(thing)


def devices_list(world: World, params: Params) -> Entity:
    """devices.get. `query` overrides the plain filters."""
    deleted = "not null" if params.get("queryDeleted") in TRUE_TEXTS else "null"
    where = _Where(f"application_id = ? and deleted_ms is {deleted}", (params["applicationId"],))
    if "query" in params:
        found = compile_query(params["query"], DEVICE_FIELDS)
        where.also(f"({found.text})", *found.values)
    else:
        _filter_devices(world, params, where)
    page = page_of(world, params, sort_field="name", sort_direction="asc", per_page=100)
    ids, total = page_ids(world, "devices", where.sql, page, _COLUMNS[page.sort_field])
    echo = {key: params[key] for key in ("filter", "filterField", "parentId", "tagFilter", "query") if key in params}
    if isinstance(params.get("deviceClass"), str):
        echo["deviceClass"] = params["deviceClass"]
    own = {"applicationId": params["applicationId"], **echo}
    return {**page.envelope(_device_entities(world, ids, params), total), **own}


def _filter_devices(world: World, params: Params, where: _Where) -> None:
    _filter_text(params, where, "name")
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


def _filter_text(params: Params, where: _Where, field: str) -> None:
    if params.get("filterField") == field and params.get("filter"):
        where.also(f"casefold({_COLUMNS[field]}) glob ?", glob(params["filter"]))


def _device_entities(world: World, ids: Sequence[str], params: Params) -> list[Entity]:
    return shapes.devices(
        world,
        ids,
        tags_as_object=params.get("tagsAsObject") in TRUE_TEXTS,
        attributes_as_object=params.get("attributesAsObject") in TRUE_TEXTS,
        with_connection=params.get("excludeConnectionInfo") not in TRUE_TEXTS,
    )


def device_get(world: World, params: Params) -> Entity:
    """device.get."""
    own = params["deviceId"].lower()
    found = [one for one in _device_entities(world, [own], params) if "deletedAt" not in one]
    return _one(found, params, "Device")


def _summary(params: Params) -> _Where:
    where = _Where("application_id = ? and deleted_ms is null", (params["applicationId"],))
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


def flows_list(world: World, params: Params) -> Entity:
    """flows.get. Without `flowClass` only cloud workflows; `query` overrides the plain filters."""
    where = _flow_conditions(params)
    page = page_of(world, params, sort_field="name", sort_direction="asc", per_page=100)
    ids, total = page_ids(world, "flows", where.sql, page, _COLUMNS[page.sort_field])
    return {**page.envelope(shapes.flows(world, ids), total), **_flow_echo(params)}


def flows_by_version(world: World, params: Params) -> Entity:
    """flows.getByVersion: the versions of one name, across workflows."""
    where = _flow_conditions(params)
    where.also("version = ?", params["version"])
    page = page_of(world, params, sort_field="name", sort_direction="asc", per_page=100)
    ids, total = page_ids(world, _VERSION_TABLE, where.sql, page, _COLUMNS[page.sort_field])
    echo = {key: text for key, text in _flow_echo(params).items() if key != "flowClass"}
    return {**page.envelope(shapes.flow_versions(world, ids), total), **echo}


def _flow_conditions(params: Params) -> _Where:
    where = _Where("application_id = ?", (params["applicationId"],))
    if "query" in params:
        found = compile_query(params["query"], FLOW_FIELDS)
        where.also(f"({found.text})", *found.values)
    else:
        where.also("flow_class = ?", params.get("flowClass", "cloud"))
        _filter_text(params, where, "name")
    return where


def _flow_echo(params: Params) -> Entity:
    echo = {key: params[key] for key in ("filter", "filterField", "applicationId") if key in params}
    return echo if "query" in params else {**echo, "flowClass": params.get("flowClass", "cloud")}


def flow_get(world: World, params: Params) -> Entity:
    """flow.get."""
    return _one(shapes.flows(world, [params["flowId"].lower()]), params, "Flow")


def versions_list(world: World, params: Params) -> Entity:
    """flowVersions.get."""
    flow_get(world, params)
    where = _Where("flow_id = ?", (params["flowId"].lower(),))
    if "query" in params:
        found = compile_query(params["query"], FLOW_FIELDS)
        where.also(f"({found.text})", *found.values)
    else:
        _filter_text(params, where, "version")
    page = page_of(world, params, sort_field="version", sort_direction="asc", per_page=100)
    ids, total = page_ids(world, _VERSION_TABLE, where.sql, page, _COLUMNS[page.sort_field])
    echo = {key: params[key] for key in ("filter", "filterField", "applicationId", "flowId") if key in params}
    return {**page.envelope(shapes.flow_versions(world, ids), total), **echo}


def version_get(world: World, params: Params) -> Entity:
    """flowVersion.get, by id or by name; a name wins."""
    flow_get(world, params)
    flow_id, wanted = params["flowId"].lower(), params["flowVersionId"]
    row = world.db.execute(
        "select id from versions where flow_id = ? and (name = ? or id = ?) order by name = ? desc limit 1",
        (flow_id, wanted, wanted.lower(), wanted),
    ).fetchone()
    if row is None:
        raise not_found("Flow version")
    return shapes.flow_versions(world, [row[0]])[0]


DEPLOYMENT_READS = {Kind.EMBEDDED: (embedded_list, embedded_get), Kind.EDGE: (edge_list, edge_get)}
