"""JSON Schemas of what the API accepts: bodies, query parameters and advanced queries."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.simulator.api.validation import Schema
from reconciler.simulator.world.records import ID_PATTERN, TAG_KEY_PATTERN, Kind

ID: Schema = {"type": "string", "pattern": ID_PATTERN}
NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 255}
NAME_OR_NULL: Schema = {"type": ["string", "null"], "minLength": 1, "maxLength": 255}
ID_OR_NULL: Schema = {"type": ["string", "null"], "pattern": ID_PATTERN}
TEXT: Schema = {"type": "string"}
DIGITS: Schema = {"type": "string", "pattern": "^[0-9]*$"}
PATH_PARAMETERS: dict[str, Schema] = {
    **dict.fromkeys(("applicationId", "deviceId", "flowId", "embeddedDeploymentId", "edgeDeploymentId"), ID),
    "flowVersionId": NAME,
}
DEVICE_CLASSES = ["standalone", "gateway", "peripheral", "floating", "edgeCompute", "system", "embedded"]
FLOW_CLASSES = ["edge", "embedded", "cloud", "customNode", "experience"]
DEFAULT_FLOW_CLASS = "cloud"


def one_of(*values: str) -> Schema:
    """A string from a fixed set."""
    return {"type": "string", "enum": list(values)}


def _closed(properties: dict[str, Schema], required: list[str]) -> Schema:
    return {"type": "object", "properties": properties, "additionalProperties": False, "required": required}


TAGS: Schema = {
    "type": "array",
    "items": _closed({"key": {"type": "string", "pattern": TAG_KEY_PATTERN}, "value": NAME}, []),
    "maxItems": 100,
}
_RELEASE: dict[str, Schema] = {
    "flowId": ID,
    "version": NAME_OR_NULL,
    "deviceIds": {"type": "array", "items": ID, "maxItems": 1000},
    "deviceTags": TAGS,
}
_REPLACE = _closed(
    {"flowId": ID, "oldVersion": NAME, "newVersion": NAME_OR_NULL}, ["flowId", "oldVersion", "newVersion"]
)
_REMOVE = _closed({"flowId": ID_OR_NULL, "deviceId": ID_OR_NULL}, ["flowId", "deviceId"])
BODIES: Mapping[Kind, Mapping[str, Schema]] = {
    kind: {
        "release": _closed({**_RELEASE, **own}, ["flowId", "version"]),
        "replace": _REPLACE,
        "remove": _REMOVE,
    }
    for kind, own in ((Kind.EMBEDDED, {"releaseTag": NAME_OR_NULL}), (Kind.EDGE, {}))
}
"""The body schemas of writes to deployments, by kind and verb."""
EXPORT = _closed(
    {
        "email": {"type": "string", "format": "email", "maxLength": 1024},
        "callbackUrl": {"type": "string", "format": "uri", "maxLength": 1024},
        "embeddedDeploymentId": ID,
        "deviceId": ID,
        "traceLevel": {"enum": [0, 1, 2]},
        "disableDebugMessage": {"type": "boolean"},
        "stackSize": {"type": "integer", "minimum": 1600, "maximum": 2147483648},
        "debugSymbols": {"type": "boolean"},
        "exportMemory": {"type": "boolean"},
        "gzip": {"type": "boolean"},
    },
    [],
)
DEVICE_CLASS: Schema = {"oneOf": [one_of(*DEVICE_CLASSES), {"type": "array", "items": one_of(*DEVICE_CLASSES)}]}

# Advanced queries. An id takes exactly one operator, other fields any number of them.
_SCALAR: Schema = {"type": ["string", "number", "boolean", "null"]}
_ORDER = ("$eq", "$ne", "$gt", "$lt", "$gte", "$lte")
_SEARCH: Schema = {"type": "string", "minLength": 1}


def _set(item: Schema) -> Schema:
    return {"type": "array", "maxItems": 100, "items": item}


_ID_QUERY: Schema = {
    "oneOf": [
        ID_OR_NULL,
        {
            "type": "object",
            "properties": {**dict.fromkeys(_ORDER, ID_OR_NULL), "$in": _set(ID), "$nin": _set(ID)},
            "additionalProperties": False,
            "minProperties": 1,
            "maxProperties": 1,
        },
    ]
}
_FIELD_QUERY: Schema = {
    "oneOf": [
        _SCALAR,
        {
            "type": "object",
            "properties": {
                **dict.fromkeys(_ORDER, _SCALAR),
                **dict.fromkeys(("$startsWith", "$endsWith", "$contains"), _SEARCH),
                "$ci": {"type": "boolean"},
                **dict.fromkeys(("$in", "$nin"), _set({"type": ["string", "number", "boolean"]})),
            },
            "additionalProperties": False,
        },
    ]
}
_TAG_TEXT: Schema = {"type": "string", "maxLength": 255}
_TAG_VALUE: Schema = {
    "oneOf": [
        _TAG_TEXT,
        {"type": "null"},
        _closed({"$in": _set(_TAG_TEXT)}, ["$in"]),
        _closed({"$nin": _set(_TAG_TEXT)}, ["$nin"]),
    ]
}
_TAG_FORM: Schema = {
    "oneOf": [
        {"type": "null"},
        {
            "type": "object",
            "properties": {"$tagKey": _TAG_VALUE, "$tagValue": _TAG_VALUE},
            "additionalProperties": False,
            "minProperties": 1,
        },
        {
            "type": "object",
            "patternProperties": {r"^[0-9a-zA-Z_-]{1,255}": _TAG_VALUE},
            "additionalProperties": False,
        },
    ]
}
_TAG_QUERY: Schema = {"oneOf": [_TAG_FORM, _closed({"$eq": _TAG_FORM}, ["$eq"]), _closed({"$ne": _TAG_FORM}, ["$ne"])]}


def _query(own_name: str, ids: tuple[str, ...], fields: tuple[str, ...], extra: dict[str, Schema]) -> Schema:
    group: Schema = {"type": "array", "items": {"$ref": own_name}, "maxItems": 100}
    properties = {
        **dict.fromkeys(("$and", "$or", "$nor"), group),
        **dict.fromkeys(ids, _ID_QUERY),
        **dict.fromkeys(fields, _FIELD_QUERY),
        **extra,
    }
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _part_query(own: dict[str, Schema]) -> Schema:
    """A query for a trigger or node: what it is like, or what none is like."""
    config = {"type": "object", "patternProperties": {TAG_KEY_PATTERN: {**_SCALAR, "maxLength": 1024}}}
    form = _closed({"type": {"type": "string", "maxLength": 255}, **own, "config": config}, ["type"])
    return {"oneOf": [form, _closed({"$eq": form}, ["$eq"]), _closed({"$ne": form}, ["$ne"])]}


_FLOW_PARTS: dict[str, Schema] = {
    "triggers": _part_query({"key": {"type": "string", "pattern": TAG_KEY_PATTERN}}),
    "nodes": _part_query({}),
    "customNodeSupports": _FIELD_QUERY,
}
_FLOW_FIELDS = ("name", "creationDate", "lastUpdated", "flowClass", "enabled")
_DEVICE_IDS = ("id", "gatewayId", "parentId", "ancestorId", "experienceUserId", "experienceGroupId")
_DEVICE_FIELDS = (
    *("name", "deviceClass", "creationDate", "lastUpdated", "deletedAt", "attributeName"),
    *("connectionStatus", "connectedAt", "disconnectedAt"),
)
QUERIES: dict[str, Schema] = {
    name: _query(name, ids, fields, extra)
    for name, ids, fields, extra in (
        ("advancedDeviceQuery", _DEVICE_IDS, _DEVICE_FIELDS, {"tags": _TAG_QUERY}),
        ("advancedFlowQuery", ("id", "defaultVersion"), _FLOW_FIELDS, _FLOW_PARTS),
        ("advancedFlowVersionQuery", ("id",), (*_FLOW_FIELDS, "version"), _FLOW_PARTS),
        ("advancedFlowByVersionQuery", ("id", "flowId"), (*_FLOW_FIELDS, "version"), _FLOW_PARTS),
    )
}
