"""The workflow and version entities, and the handlers of their reads."""

from __future__ import annotations

import json
from dataclasses import replace

from reconciler.simulator.api.collection import Collection, Entity, Params, echoed, selected
from reconciler.simulator.api.query import Sql
from reconciler.simulator.api.schemas import DEFAULT_FLOW_CLASS
from reconciler.simulator.api.validation import not_found
from reconciler.simulator.world.store import World


def _complete_flows(_: World, __: Params, flows: list[Entity]) -> None:
    for flow in flows:  # triggers and nodes are those of the develop version, which is empty
        flow |= {"enabled": bool(flow["enabled"]), "triggers": [], "nodes": [], "globals": []}


def _complete_versions(world: World, params: Params, versions: list[Entity]) -> None:
    _complete_flows(world, params, versions)
    for version in versions:
        del version["name"]
        version["notes"] = ""
        if definition := version.pop("definition"):
            version.update(json.loads(definition))


FLOWS = Collection(
    "flowId",
    "Flow",
    """
    select id, id as flowId, application_id as applicationId, created_ms as creationDate, updated_ms as lastUpdated,
        name, flow_class as flowClass, enabled
    from flows""",
    _complete_flows,
)
VERSIONS = Collection(
    "flowVersionId",
    "Flow version",
    """
    select v.id, v.id as flowVersionId, v.flow_id as flowId, f.application_id as applicationId, v.name as version,
        f.flow_class as flowClass, f.enabled, v.created_ms as creationDate, v.updated_ms as lastUpdated, f.name,
        d.definition
    from versions v join flows f on f.id = v.flow_id left join definitions d on d.version_id = v.id""",
    _complete_versions,
    "version",
)
"""Versions without `develop`."""
_ACROSS_FLOWS = replace(VERSIONS, sort_field="name")


def flows_list(world: World, params: Params) -> Entity:
    """flows.get. Without `flowClass` only cloud workflows; `query` overrides the plain filters."""
    echo = echoed(params, "filter", "filterField", "applicationId")
    if "query" not in params:
        echo["flowClass"] = params.get("flowClass", DEFAULT_FLOW_CLASS)
    return FLOWS.page(world, params, _flow_conditions(params), echo)


def flows_by_version(world: World, params: Params) -> Entity:
    """flows.getByVersion: the versions across workflows, those with one name if it is given."""
    conditions = _flow_conditions(params)
    if params.get("version"):
        conditions.append(Sql("version = ?", (params["version"],)))
    return _ACROSS_FLOWS.page(world, params, conditions, echoed(params, "filter", "filterField", "applicationId"))


def _flow_conditions(params: Params) -> list[Sql]:
    return selected(params, "name", Sql("flowClass = ?", (params.get("flowClass", DEFAULT_FLOW_CLASS),)))


def versions_list(world: World, params: Params) -> Entity:
    """flowVersions.get."""
    FLOWS.get(world, params)
    conditions = [Sql("flowId = ?", (params["flowId"].lower(),)), *selected(params, "version")]
    return VERSIONS.page(world, params, conditions, echoed(params, "filter", "filterField", "applicationId", "flowId"))


def version_get(world: World, params: Params) -> Entity:
    """flowVersion.get, by id or by name; a name wins."""
    FLOWS.get(world, params)
    flow_id, wanted = params["flowId"].lower(), params["flowVersionId"]
    where = Sql("flowId = ? and (version = ? or id = ?)", (flow_id, wanted, wanted.lower()))
    found = VERSIONS.read(world, params, where)
    if not found:
        raise not_found("Flow version")
    return max(found, key=lambda version: bool(version["version"] == wanted))
