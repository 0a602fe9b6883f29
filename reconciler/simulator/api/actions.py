"""Every action of the API that the simulator knows: its route, its parameters, its scopes, its code.

`ACTIONS` is the list; the router, the checks and the tests all read it. Routes are tried in its order, so a fixed
path stands before one with a parameter in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import unquote

from reconciler.simulator.api import device_reads, flow_reads, schemas
from reconciler.simulator.api.deployment_reads import DEPLOYMENT_READS, application_get
from reconciler.simulator.api.pages import EDGE_ORDER, EMBEDDED_ORDER, NAME_ORDER, VERSION_ORDER, Order
from reconciler.simulator.api.schemas import DIGITS, ID, NAME, QUERIES, TEXT, one_of
from reconciler.simulator.api.shapes import Entity
from reconciler.simulator.api.validation import Schema
from reconciler.simulator.world.records import Kind
from reconciler.simulator.world.store import World

Read: TypeAlias = Callable[[World, Mapping[str, Any]], Entity]
_LONGEST_PATH_PARAMETER = 100


@dataclass(frozen=True, slots=True)
class Deploy:
    """A write to deployments: its verb is release, replace, remove or export."""

    kind: Kind
    verb: str


@dataclass(frozen=True, slots=True)
class Action:
    """One action.

    Attributes:
        name: resource and action, e.g. `embeddedDeployments.get`; also the name of its scope.
        does: a read, or a write to deployments.
        entity: the `_type` of the answer, None for bare answers; `item` that of the items of a collection.
        query: schemas of the query parameters; those in `json_params` hold JSON text.
        body: name and schema of the body, which is required if the schema requires keys.
    """

    name: str
    method: str
    path: str
    does: Read | Deploy
    entity: str | None = None
    item: str | None = None
    query: Mapping[str, Schema] = field(default_factory=dict)
    json_params: Mapping[str, Schema] = field(default_factory=dict)
    body: tuple[str, Schema] | None = None
    status: int = 200
    serves_devices: bool = False

    @property
    def is_read(self) -> bool:
        """Whether the `.read` families of scopes cover it; an export changes nothing."""
        return self.method == "GET" or (isinstance(self.does, Deploy) and self.does.verb == "export")

    @property
    def answer(self) -> str:
        """The name of the schema of its answer, in `entities.yaml`."""
        match self.does:
            case Deploy(verb="export"):
                return "job"
            case Deploy():
                return "success"
            case _:
                return self.entity or self.name.partition(".")[2]

    def match(self, segments: list[str]) -> dict[str, str] | None:
        """The path parameters, decoded, if the (raw) segments are this action's."""
        own = self.path.split("/")[1:]
        if len(own) != len(segments):
            return None
        found = {}
        for pattern, segment in zip(own, segments, strict=True):
            text = unquote(segment)
            if pattern.startswith("{"):
                if not text or len(text) > _LONGEST_PATH_PARAMETER:
                    return None
                found[pattern[1:-1]] = text
            elif pattern != text:
                return None
        return found


_APPLICATION = "/applications/{applicationId}"


def _order(default: Order, *fields: str) -> dict[str, Schema]:
    return {
        "sortField": {**one_of(*fields), "default": default.sort_field},
        "sortDirection": {**one_of("asc", "desc"), "default": default.sort_direction},
        "page": {**DIGITS, "default": "0"},
        "perPage": {**DIGITS, "default": str(default.per_page)},
    }


def _filter(name: str) -> dict[str, Schema]:
    return {"filterField": one_of("", name), "filter": TEXT}


def _deployments(kind: Kind, plural: str, singular: str) -> list[Action]:
    base = f"{_APPLICATION}/{kind}/deployments"
    sort_fields = ["id", "creationDate", "lastUpdated"]
    order, own = EMBEDDED_ORDER, dict[str, Schema]()
    if kind is Kind.EDGE:
        order = EDGE_ORDER
        sort_fields += ["deviceId", "flowId", "desiredVersion", "currentVersion"]
        own = {"filterEmpty": {}}
    filters = {"deviceId": ID, "version": TEXT, "flowId": ID, **own}
    release = schemas.EMBEDDED_RELEASE if kind is Kind.EMBEDDED else schemas.EDGE_RELEASE
    listing, getting = DEPLOYMENT_READS[kind]
    bodies = {"release": release, "replace": schemas.REPLACE, "remove": schemas.REMOVE}
    return [
        Action(
            f"{plural}.get", "GET", base, listing, plural, singular, query={**_order(order, *sort_fields), **filters}
        ),
        *(
            Action(
                f"{plural}.{verb}",
                "POST",
                f"{base}/{verb}",
                Deploy(kind, verb),
                body=("deployment", schema),
                status=201,
            )
            for verb, schema in bodies.items()
        ),
        Action(f"{singular}.get", "GET", f"{base}/{{{singular}Id}}", getting, singular),
    ]


_DEVICE_FORM: dict[str, Schema] = dict.fromkeys(("excludeConnectionInfo", "tagsAsObject", "attributesAsObject"), TEXT)
# Accepted and without effect: versions with custom nodes, all versions, triggers.
_NODES: dict[str, Schema] = {"includeCustomNodes": TEXT}
_FLOW_FORM: dict[str, Schema] = {
    **_NODES,
    "allVersions": TEXT,
    "triggerFilter": {},
    **_order(NAME_ORDER, "name", "id", "creationDate", "lastUpdated"),
    **_filter("name"),
    "flowClass": {**one_of(*schemas.FLOW_CLASSES), "default": schemas.DEFAULT_FLOW_CLASS},
}
_DEVICE_QUERY: dict[str, Schema] = {"query": QUERIES["advancedDeviceQuery"]}

ACTIONS: tuple[Action, ...] = (
    *_deployments(Kind.EMBEDDED, "embeddedDeployments", "embeddedDeployment"),
    *_deployments(Kind.EDGE, "edgeDeployments", "edgeDeployment"),
    Action(
        "embeddedDeployments.export",
        "POST",
        f"{_APPLICATION}/embedded/deployments/export",
        Deploy(Kind.EMBEDDED, "export"),
        body=("options", schemas.EXPORT),
        status=202,
    ),
    Action(
        "devices.get",
        "GET",
        f"{_APPLICATION}/devices",
        device_reads.devices_list,
        "devices",
        "device",
        query={
            **_order(NAME_ORDER, "name", "id", "creationDate", "lastUpdated", "connectionStatus", "deletedAt"),
            **_filter("name"),
            "deviceClass": schemas.DEVICE_CLASS,
            "tagFilter": schemas.TAGS,
            "parentId": ID,
            "queryDeleted": TEXT,
            **_DEVICE_FORM,
        },
        json_params=_DEVICE_QUERY,
        serves_devices=True,
    ),
    Action(
        "devices.deviceNames",
        "GET",
        f"{_APPLICATION}/devices/deviceNames",
        device_reads.device_names,
        query={"startsWith": TEXT},
        json_params=_DEVICE_QUERY,
    ),
    Action(
        "devices.tagKeys",
        "GET",
        f"{_APPLICATION}/devices/tagKeys",
        device_reads.tag_keys,
        query={"startsWith": TEXT},
        json_params=_DEVICE_QUERY,
    ),
    Action(
        "devices.tagValues",
        "GET",
        f"{_APPLICATION}/devices/tagValues",
        device_reads.tag_values,
        query={"key": {**TEXT, "required": True}, "startsWith": TEXT},
        json_params=_DEVICE_QUERY,
    ),
    Action(
        "device.get",
        "GET",
        f"{_APPLICATION}/devices/{{deviceId}}",
        device_reads.device_get,
        "device",
        query=_DEVICE_FORM,
        serves_devices=True,
    ),
    Action(
        "flows.get",
        "GET",
        f"{_APPLICATION}/flows",
        flow_reads.flows_list,
        "flows",
        "flow",
        query=_FLOW_FORM,
        json_params={"query": QUERIES["advancedFlowQuery"]},
    ),
    Action(
        "flows.getByVersion",
        "GET",
        f"{_APPLICATION}/flows/version",
        flow_reads.flows_by_version,
        "flowVersions",
        "flowVersion",
        query={"version": {**NAME, "required": True}, **_FLOW_FORM},
        json_params={"query": QUERIES["advancedFlowByVersionQuery"]},
    ),
    Action("flow.get", "GET", f"{_APPLICATION}/flows/{{flowId}}", flow_reads.flow_get, "flow", query=_NODES),
    Action(
        "flowVersions.get",
        "GET",
        f"{_APPLICATION}/flows/{{flowId}}/versions",
        flow_reads.versions_list,
        "flowVersions",
        "flowVersion",
        query={**_order(VERSION_ORDER, "version", "id", "creationDate", "lastUpdated"), **_filter("version"), **_NODES},
        json_params={"query": QUERIES["advancedFlowVersionQuery"]},
    ),
    Action(
        "flowVersion.get",
        "GET",
        f"{_APPLICATION}/flows/{{flowId}}/versions/{{flowVersionId}}",
        flow_reads.version_get,
        "flowVersion",
    ),
    Action(
        "application.get",
        "GET",
        _APPLICATION,
        application_get,
        "application",
        query={"summaryInclude": TEXT, "summaryExclude": TEXT},
    ),
)
