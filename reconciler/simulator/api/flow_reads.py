"""What the API says about workflows and their versions."""

from __future__ import annotations

from reconciler.simulator.api import shapes
from reconciler.simulator.api.pages import NAME_ORDER, VERSION_ORDER, Params, Where, echoed, listing, the_one
from reconciler.simulator.api.problems import not_found
from reconciler.simulator.api.query import FLOW_FIELDS
from reconciler.simulator.api.schemas import DEFAULT_FLOW_CLASS
from reconciler.simulator.api.shapes import Entity
from reconciler.simulator.world.store import World

_VERSIONS = (
    "(select v.id, v.flow_id, v.name as version, v.created_ms, v.updated_ms, f.application_id, f.name, f.flow_class, "
    "f.enabled from versions v join flows f on f.id = v.flow_id)"
)


def flows_list(world: World, params: Params) -> Entity:
    """flows.get. Without `flowClass` only cloud workflows; `query` overrides the plain filters."""
    where, echo = _flow_conditions(params), echoed(params, "filter", "filterField", "applicationId")
    if "query" not in params:
        echo["flowClass"] = params.get("flowClass", DEFAULT_FLOW_CLASS)
    return listing(world, params, order=NAME_ORDER, table="flows", where=where, entities=shapes.flows, echo=echo)


def flows_by_version(world: World, params: Params) -> Entity:
    """flows.getByVersion: the versions of one name, across workflows."""
    where, echo = _flow_conditions(params), echoed(params, "filter", "filterField", "applicationId")
    where.also("version = ?", params["version"])
    entities = shapes.flow_versions
    return listing(world, params, order=NAME_ORDER, table=_VERSIONS, where=where, entities=entities, echo=echo)


def _flow_conditions(params: Params) -> Where:
    where = Where("application_id = ?", params["applicationId"])
    if "query" in params:
        where.also_query(params["query"], FLOW_FIELDS)
    else:
        where.also("flow_class = ?", params.get("flowClass", DEFAULT_FLOW_CLASS))
        where.also_filter(params, "name")
    return where


def flow_get(world: World, params: Params) -> Entity:
    """flow.get."""
    return the_one(shapes.flows(world, [params["flowId"].lower()]), params, "Flow")


def versions_list(world: World, params: Params) -> Entity:
    """flowVersions.get."""
    flow_get(world, params)
    where = Where("flow_id = ?", params["flowId"].lower())
    if "query" in params:
        where.also_query(params["query"], FLOW_FIELDS)
    else:
        where.also_filter(params, "version")
    echo, entities = echoed(params, "filter", "filterField", "applicationId", "flowId"), shapes.flow_versions
    return listing(world, params, order=VERSION_ORDER, table=_VERSIONS, where=where, entities=entities, echo=echo)


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
