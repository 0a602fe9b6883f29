"""What the API tells of workflows and their versions."""

from __future__ import annotations

from reconciler.simulator.api import shapes
from reconciler.simulator.api.pages import (
    COLUMNS,
    NAME_ORDER,
    VERSION_ORDER,
    Params,
    Where,
    filter_text,
    page_ids,
    page_of,
    the_one,
)
from reconciler.simulator.api.problems import not_found
from reconciler.simulator.api.query import FLOW_FIELDS, compile_query
from reconciler.simulator.api.schemas import DEFAULT_FLOW_CLASS
from reconciler.simulator.api.shapes import Entity
from reconciler.simulator.world.store import World

_VERSION_TABLE = (
    "(select v.id, v.flow_id, v.name as version, v.created_ms, v.updated_ms, f.application_id, f.name, f.flow_class, "
    "f.enabled from versions v join flows f on f.id = v.flow_id)"
)


def flows_list(world: World, params: Params) -> Entity:
    """flows.get. Without `flowClass` only cloud workflows; `query` overrides the plain filters."""
    where = _flow_conditions(params)
    page = page_of(world, params, NAME_ORDER)
    ids, total = page_ids(world, "flows", where.sql, page, COLUMNS[page.sort_field])
    return {**page.envelope(shapes.flows(world, ids), total), **_flow_echo(params)}


def flows_by_version(world: World, params: Params) -> Entity:
    """flows.getByVersion: the versions of one name, across workflows."""
    where = _flow_conditions(params)
    where.also("version = ?", params["version"])
    page = page_of(world, params, NAME_ORDER)
    ids, total = page_ids(world, _VERSION_TABLE, where.sql, page, COLUMNS[page.sort_field])
    echo = {key: text for key, text in _flow_echo(params).items() if key != "flowClass"}
    return {**page.envelope(shapes.flow_versions(world, ids), total), **echo}


def _flow_conditions(params: Params) -> Where:
    where = Where("application_id = ?", (params["applicationId"],))
    if "query" in params:
        found = compile_query(params["query"], FLOW_FIELDS)
        where.also(f"({found.text})", *found.values)
    else:
        where.also("flow_class = ?", params.get("flowClass", DEFAULT_FLOW_CLASS))
        filter_text(params, where, "name")
    return where


def _flow_echo(params: Params) -> Entity:
    echo = {key: params[key] for key in ("filter", "filterField", "applicationId") if key in params}
    return echo if "query" in params else {**echo, "flowClass": params.get("flowClass", DEFAULT_FLOW_CLASS)}


def flow_get(world: World, params: Params) -> Entity:
    """flow.get."""
    return the_one(shapes.flows(world, [params["flowId"].lower()]), params, "Flow")


def versions_list(world: World, params: Params) -> Entity:
    """flowVersions.get."""
    flow_get(world, params)
    where = Where("flow_id = ?", (params["flowId"].lower(),))
    if "query" in params:
        found = compile_query(params["query"], FLOW_FIELDS)
        where.also(f"({found.text})", *found.values)
    else:
        filter_text(params, where, "version")
    page = page_of(world, params, VERSION_ORDER)
    ids, total = page_ids(world, _VERSION_TABLE, where.sql, page, COLUMNS[page.sort_field])
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
