"""What the API says about deployments, and about the application itself."""

from __future__ import annotations

from reconciler.simulator.api import shapes
from reconciler.simulator.api.pages import EDGE_ORDER, EMBEDDED_ORDER, Params, Where, is_true, listing, the_one
from reconciler.simulator.api.problems import not_found
from reconciler.simulator.api.shapes import Entity
from reconciler.simulator.world.clock import rfc3339
from reconciler.simulator.world.records import Kind
from reconciler.simulator.world.store import World

_EDGE_TABLE = "(select record_id as id, * from entries where record_id is not null)"


def application_get(world: World, params: Params) -> Entity:
    """application.get."""
    own = params["applicationId"]
    row = world.db.execute("select name, created_ms from applications where id = ?", (own,)).fetchone()
    created = rfc3339(row[1])
    return {"id": own, "applicationId": own, "name": row[0], "creationDate": created, "lastUpdated": created}


def embedded_list(world: World, params: Params) -> Entity:
    """embeddedDeployments.get."""
    where = Where("application_id = ?", params["applicationId"])
    if "deviceId" in params:
        _check_device(world, params)
        where.also("device_id = ?", params["deviceId"].lower())
    if "flowId" in params:
        where.also("device_id in (select device_id from entries where flow_id = ?)", params["flowId"].lower())
    if params.get("version"):
        condition, values = _version_condition(world, params)
        where.also(f"device_id in (select device_id from entries where {condition})", *values)
    order, entities = EMBEDDED_ORDER, shapes.embedded_records
    return listing(world, params, order=order, table="records", where=where, entities=entities, echo=_echo(params))


def edge_list(world: World, params: Params) -> Entity:
    """edgeDeployments.get."""
    where = Where("application_id = ?", params["applicationId"])
    for name, column in (("deviceId", "device_id"), ("flowId", "flow_id")):
        if name in params:
            where.also(f"{column} = ?", params[name].lower())
    if params.get("version"):
        condition, values = _version_condition(world, params)
        where.also(condition, *values)
    if is_true(params.get("filterEmpty")):
        where.also("released is not null or reported is not null")
    order, entities = EDGE_ORDER, shapes.edge_records
    return listing(world, params, order=order, table=_EDGE_TABLE, where=where, entities=entities, echo=_echo(params))


def _check_device(world: World, params: Params) -> None:
    known = world.db.execute(
        "select 1 from devices where id = ? and application_id = ? and deleted_ms is null",
        (params["deviceId"].lower(), params["applicationId"]),
    ).fetchone()
    if known is None:
        raise not_found("Device")


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
    return {key: params[key] for key in ("applicationId", "deviceId", "flowId", "version") if params.get(key)}


def embedded_get(world: World, params: Params) -> Entity:
    """embeddedDeployment.get."""
    own = params["embeddedDeploymentId"].lower()
    return the_one(shapes.embedded_records(world, [own]), params, "Embedded deployment")


def edge_get(world: World, params: Params) -> Entity:
    """edgeDeployment.get."""
    return the_one(shapes.edge_records(world, [params["edgeDeploymentId"].lower()]), params, "Edge deployment")


DEPLOYMENT_READS = {Kind.EMBEDDED: (embedded_list, embedded_get), Kind.EDGE: (edge_list, edge_get)}
