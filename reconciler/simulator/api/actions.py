"""Every API action that the simulator implements: its route, parameters, scopes and handler.

The router, the request checks and the tests all use the list `ACTIONS`. Routes are tried in its order, so a fixed path
must precede one with a parameter in the same position.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

from reconciler.simulator.api import devices, flows, schemas
from reconciler.simulator.api.collection import APPLICATIONS, Collection, Entity
from reconciler.simulator.api.deployments import DEPLOYMENTS
from reconciler.simulator.api.schemas import DIGITS, ID, QUERIES, TEXT, one_of
from reconciler.simulator.api.validation import Schema
from reconciler.simulator.world.records import Kind
from reconciler.simulator.world.store import World

Read: TypeAlias = Callable[[World, Mapping[str, Any]], Entity]
_LONGEST = 100  # maximum characters of a path parameter


@dataclass(frozen=True, slots=True)
class Deploy:
    """A write to deployments. `verb` is release, replace, remove or export."""

    kind: Kind
    verb: str


@dataclass(frozen=True)
class Action:
    """One API action.

    Attributes:
        name: resource and action, e.g. `embeddedDeployments.get`; also the name of its scope.
        does: a read, or a write to deployments.
        entity: the `_type` of the response, None for responses without one.
        query: schemas of the query parameters; those in `json_params` contain JSON text.
        body: name and schema of the body, which is required if the schema requires keys.
    """

    name: str
    method: str
    path: str
    does: Read | Deploy
    entity: str | None = None
    query: Mapping[str, Schema] = field(default_factory=dict)
    json_params: Mapping[str, Schema] = field(default_factory=dict)
    body: tuple[str, Schema] | None = None
    status: int = 200

    @property
    def item(self) -> str | None:
        """The `_type` of the items, if the response is a collection."""
        return self.entity.removesuffix("s") if self.entity and self.entity.endswith("s") else None

    @property
    def answer(self) -> str:
        """The name of the response's schema in `entities.yaml`."""
        if isinstance(self.does, Deploy):
            return "job" if self.does.verb == "export" else "success"
        return self.entity or self.name.partition(".")[2]

    @cached_property
    def path_parameters(self) -> tuple[str, ...]:
        """The names of the path's parameters."""
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))

    def match(self, segments: Sequence[str]) -> dict[str, str] | None:
        """The path parameters, if the decoded segments match this action's route."""
        own = self.path.split("/")[1:]
        if len(own) != len(segments):
            return None
        pairs = list(zip(own, segments, strict=True))
        if not all(0 < len(text) <= _LONGEST if part.startswith("{") else text == part for part, text in pairs):
            return None
        return {part[1:-1]: text for part, text in pairs if part.startswith("{")}


_APPLICATION = "/applications/{applicationId}"


def _get(path: str, does: Read, name: str, entity: str | None = None, **more: Any) -> Action:
    """A read below the application; an action called `<entity>.get` returns that entity."""
    resource, _, verb = name.partition(".")
    return Action(name, "GET", _APPLICATION + path, does, entity or (resource if verb == "get" else None), **more)


def _order(default: Collection, *fields: str) -> dict[str, Schema]:
    return {
        "sortField": {**one_of(*fields), "default": default.sort_field},
        "sortDirection": {**one_of("asc", "desc"), "default": default.sort_direction},
        "page": {**DIGITS, "default": "0"},
        "perPage": {**DIGITS, "default": str(default.per_page)},
    }


def _filter(name: str) -> dict[str, Schema]:
    return {"filterField": one_of("", name), "filter": TEXT}


def _deployments(kind: Kind, sort_fields: tuple[str, ...], **own: Schema) -> list[Action]:
    path, name = f"/{kind}/deployments", f"{kind}Deployment"
    collection, listing = DEPLOYMENTS[kind]
    query = {**_order(collection, *sort_fields), "deviceId": ID, "version": TEXT, "flowId": ID, **own}
    return [
        _get(path, listing, f"{name}s.get", query=query),
        *(_write(kind, verb, "deployment", schema) for verb, schema in schemas.BODIES[kind].items()),
        _get(f"{path}/{{{name}Id}}", collection.get, f"{name}.get"),
    ]


def _write(kind: Kind, verb: str, body: str, schema: Schema, status: int = 201) -> Action:
    path = f"{_APPLICATION}/{kind}/deployments/{verb}"
    return Action(f"{kind}Deployments.{verb}", "POST", path, Deploy(kind, verb), body=(body, schema), status=status)


_DATES = ("creationDate", "lastUpdated")
_DEVICE_FORM: dict[str, Schema] = dict.fromkeys(("excludeConnectionInfo", "tagsAsObject", "attributesAsObject"), TEXT)
_DEVICE_ORDER = _order(devices.DEVICES, "name", "id", *_DATES, "connectionStatus", "deletedAt")
_DEVICE_FILTERS: dict[str, Schema] = {
    **_filter("name"),
    "deviceClass": schemas.DEVICE_CLASS,
    "tagFilter": schemas.TAGS,
    "parentId": TEXT,
    "queryDeleted": TEXT,
}
# Accepted but ignored: versions with custom nodes, all versions, triggers.
_NODES: dict[str, Schema] = {"includeCustomNodes": TEXT}
_FLOW_FORM: dict[str, Schema] = {
    **_NODES,
    "triggerFilter": {},
    **_order(flows.FLOWS, "name", "id", *_DATES),
    **_filter("name"),
    "flowClass": {**one_of(*schemas.FLOW_CLASSES), "default": schemas.DEFAULT_FLOW_CLASS},
}
_VERSION_FORM = {**_order(flows.VERSIONS, "version", "id", *_DATES), **_filter("version"), **_NODES}
_ADVANCED = {
    thing: {"query": QUERIES[f"advanced{thing}Query"]} for thing in ("Device", "Flow", "FlowByVersion", "FlowVersion")
}

ACTIONS: tuple[Action, ...] = (
    *_deployments(Kind.EMBEDDED, ("id", *_DATES)),
    *_deployments(Kind.EDGE, ("id", *_DATES, "deviceId", "flowId", "desiredVersion", "currentVersion"), filterEmpty={}),
    _write(Kind.EMBEDDED, "export", "options", schemas.EXPORT, status=202),
    _get(
        "/devices",
        devices.devices_list,
        "devices.get",
        query={**_DEVICE_ORDER, **_DEVICE_FILTERS, **_DEVICE_FORM},
        json_params=_ADVANCED["Device"],
    ),
    *(
        _get(f"/devices/{name}", does, f"devices.{name}", query=query, json_params=_ADVANCED["Device"])
        for name, does, query in (
            ("deviceNames", devices.device_names, {"startsWith": TEXT}),
            ("tagKeys", devices.tag_keys, {"startsWith": TEXT}),
            ("tagValues", devices.tag_values, {"key": {**TEXT, "required": True}, "startsWith": TEXT}),
        )
    ),
    _get("/devices/{deviceId}", devices.DEVICES.get, "device.get", query=_DEVICE_FORM),
    _get(
        "/flows",
        flows.flows_list,
        "flows.get",
        query={**_FLOW_FORM, "allVersions": TEXT},
        json_params=_ADVANCED["Flow"],
    ),
    _get(
        "/flows/version",
        flows.flows_by_version,
        "flows.getByVersion",
        "flowVersions",
        query={"version": TEXT, **_FLOW_FORM},
        json_params=_ADVANCED["FlowByVersion"],
    ),
    _get("/flows/{flowId}", flows.FLOWS.get, "flow.get", query=_NODES),
    _get(
        "/flows/{flowId}/versions",
        flows.versions_list,
        "flowVersions.get",
        query=_VERSION_FORM,
        json_params=_ADVANCED["FlowVersion"],
    ),
    _get("/flows/{flowId}/versions/{flowVersionId}", flows.version_get, "flowVersion.get", query=_NODES),
    _get("", APPLICATIONS.get, "application.get", query={"summaryInclude": TEXT, "summaryExclude": TEXT}),
)
