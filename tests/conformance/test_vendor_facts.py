"""What the simulator accepts and answers, against the facts of the vendor's JSON schemas (`tests/vendor/schemas.json`).

Requests must be equal, fact by fact, both ways. Answers may only promise more: a fixed set of fields, more of them
required, fewer values. What is left out or differs is listed here with its reason, and an exception that no longer
applies fails.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.simulator.api import schemas
from reconciler.simulator.api.actions import ACTIONS, Action
from reconciler.simulator.api.validation import first_fault
from reconciler.simulator.http.openapi import document
from tests.vendor.facts import SCHEMAS, schema_of_body, validator

Facts: TypeAlias = dict[tuple[str, str], Any]
"""Place in a schema and keyword, to the keyword's value. Places look like `logs[].date`."""

BODIES = {action.name: action.body[1] for action in ACTIONS if action.body}
REQUESTS: Mapping[str, Any] = {
    **{schema_of_body(name): schema for name, schema in BODIES.items()},
    "deviceClassFilter": schemas.DEVICE_CLASS,
    "deviceTagFilter": schemas.TAGS,
    "advancedDeviceQuery": schemas.QUERIES["advancedDeviceQuery"],
}
ANSWERS = {"job": "jobEnqueuedResult"} | {
    name: name
    for name in (
        *("embeddedDeployment", "embeddedDeployments", "edgeDeployment", "edgeDeployments", "device", "devices"),
        *("flow", "flows", "flowVersion", "flowVersions", "success", "error"),
    )
}
"""The simulator's names of answers to the vendor's, for those that the data file has."""

_AUTHORS = ("createdById", "createdByType", "lastUpdatedById", "lastUpdatedByType")
LEFT_OUT: Mapping[str, tuple[str, ...]] = {
    "device": ("gatewayId", "edgeAgentVersion", "systemInterval", "keepDuplicates"),
    "flow": (
        *_AUTHORS,
        *("description", "shortDescription", "iconData", "docsUrl", "category", "defaultVersionId", "stats"),
        *("minimumAgentVersion", "customNodeConfig", "customNodeSupports", "customNodeUseCount", "deletedInDevelop"),
    ),
    "flowVersion": (*_AUTHORS, "customNodeConfig", "stats"),
}
"""Fields that the vendor may send and the simulator never does: none of them says anything about a deployment."""

ADDED: Mapping[str, tuple[str, ...]] = {
    "embeddedDeployments": ("perPage", "page", "sortField", "sortDirection"),
    "edgeDeployments": ("perPage", "page", "sortField", "sortDirection"),
}
"""Fields that no schema of the vendor has. The published examples of these two collections have all of them."""

OTHERWISE: Mapping[tuple[str, str, str], str] = {
    (
        "device",
        "tags",
        "type",
    ): "with `tagsAsObject` they are an object, which the parameter promises and no schema says",
    ("device", "attributes", "type"): "with `attributesAsObject` they are an object",
}
"""Facts that the simulator does not keep: schema, place, keyword, and why."""


def flat(schema: Mapping[str, Any], known: Mapping[str, Any], place: str = "") -> Iterator[tuple[tuple[str, str], Any]]:
    """The facts of a schema; a reference to one of `known` is followed, any other is a fact."""
    for keyword, value in _plain(schema).items():
        match keyword:
            case "$ref" if value.rpartition("/")[2] in known:
                yield from flat(known[value.rpartition("/")[2]], known, place)
            case "properties" | "patternProperties" | "items" | "oneOf":
                for below, one in _inner(keyword, value, place):
                    yield from flat(one, known, below)
            case _:
                yield (place, keyword), _fact(keyword, value)
    if "properties" in schema:
        yield (place, "properties"), frozenset(schema["properties"])


def _inner(keyword: str, value: Any, place: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The schemas inside a schema, with their places."""
    match keyword:
        case "properties":
            yield from ((f"{place}.{name}" if place else name, one) for name, one in value.items())
        case "patternProperties":
            yield from ((f"{place}{{{_regex(pattern)}}}", one) for pattern, one in value.items())
        case "items":
            yield f"{place}[]", value
        case _:
            yield from ((f"{place}|{number}", one) for number, one in enumerate(value))


def _fact(keyword: str, value: Any) -> Any:
    match keyword:
        case "$ref":
            return value.rpartition("/")[2]
        case "type" | "enum" | "required":
            return frozenset([value] if isinstance(value, str) else value)
        case "pattern":
            return _regex(value)
        case _:
            return value


def _plain(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same rule in the one way in which it is compared: null as a type, one value as an enum, no empty lists."""
    match schema:
        case {"oneOf": [{"type": str(own)} as one, {"type": "null"}]}:
            return {**one, "type": [own, "null"]}
        case {"oneOf": [{"$ref": str()}, {"type": "null"}]}:
            return schema
        case {"const": value, **rest}:
            return {"enum": [value], **rest}
        case {"required": [], **rest}:
            return rest
        case _:
            return schema


def _regex(pattern: str) -> str:
    return pattern.replace(r"\d", "0-9")


@pytest.mark.parametrize("name", REQUESTS)
def test_the_simulator_accepts_what_the_vendor_accepts(name: str) -> None:
    assert dict(flat(REQUESTS[name], {})) == dict(flat(SCHEMAS[name], {}))


@pytest.mark.parametrize("action", [action for action in ACTIONS if action.body], ids=lambda action: action.name)
def test_the_published_document_says_the_same(action: Action) -> None:
    assert action.body is not None
    body = document()["paths"][action.path]["post"]["requestBody"]

    assert body["content"]["application/json"]["schema"] == action.body[1]
    assert body["required"] == ("required" in SCHEMAS[schema_of_body(action.name)])


ID, TEXT = "5" * 24, "x" * 255
VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [
        *(None, True, False, 0, 1, 2, 3, 1599, 1600, 1601.5, 2**31, 2**31 + 1, "", "v1", TEXT, TEXT + "x", "y" * 1025),
        *(ID, ID.upper(), ID[1:], ID + "5", "g" * 24, "me@example.com", "http://127.0.0.1/", "embedded", "cellular"),
        *([], [ID], [ID, "x"], [ID] * 1000, [ID] * 1001, ["embedded", "gateway"], [None]),
        *([{}], [{"key": "site"}], [{"key": "a b"}], [{"value": TEXT + "x"}], [{"x": "y"}], [{"key": "k"}] * 101),
        *({}, {"key": "site"}, {"$eq": ID}, {"$eq": ID, "$ne": ID}, {"$in": [ID] * 101}, {"$startsWith": ""}),
        *({"$ci": True}, {"$tagKey": "site", "$tagValue": {"$in": ["a"]}}, {"site": None}, {"$ne": {"site": "a"}}),
    ]
)


@pytest.mark.parametrize("name", REQUESTS)
@given(data=st.data())
def test_the_simulator_refuses_what_the_vendors_schema_refuses(name: str, data: st.DataObject) -> None:
    """Own validation and a well-known validator agree on whole bodies, good and bad."""
    required = SCHEMAS[name].get("required", [])
    fields = [*SCHEMAS[name].get("properties", {"key": {}}), "unknown"]
    optional = {field: VALUES for field in fields if field not in required}
    bodies = st.fixed_dictionaries(dict.fromkeys(required, VALUES), optional=optional)
    body = data.draw(VALUES | st.dictionaries(st.sampled_from(fields), VALUES, max_size=3) | bodies)

    fault = first_fault(body, REQUESTS[name], "body", schemas.QUERIES)

    assert (fault is None) == validator(name).is_valid(body), fault


ENTITIES = document()["components"]["schemas"]
PARTS = {name: schema for name, schema in ENTITIES.items() if name not in SCHEMAS}


@pytest.mark.parametrize("name", ANSWERS)
def test_the_simulator_answers_within_the_vendors_facts(name: str) -> None:
    theirs = SCHEMAS[ANSWERS[name]]
    if name == "flowVersion":
        theirs = theirs["oneOf"][0]  # the other is of experience workflows, which have no versions to deploy
    own, vendor = dict(flat(ENTITIES[name], PARTS)), dict(flat(theirs, {}))
    wider = {
        (name, place, keyword): f"{own.get((place, keyword))} where the vendor has {value}"
        for (place, keyword), value in vendor.items()
        if not _keeps(name, place, keyword, own, value)
    }

    assert set(wider) == {one for one in OTHERWISE if one[0] == name}, wider


def _keeps(name: str, place: str, keyword: str, own: Facts, value: Any) -> bool:
    """Whether what the simulator promises implies a fact of the vendor."""
    left_out, added = set(LEFT_OUT.get(name, ())), set(ADDED.get(name, ()))
    if re.split(r"[.\[{]", place)[0] in left_out:
        return True
    said, values = own.get((place, keyword)), own.get((place, "enum"))
    match keyword:
        case "properties" if not place:
            return bool(value - said == left_out and said - value == added)
        case "format":
            return bool(value == "date-time" and own[place, "pattern"] == _regex(ENTITIES["date"]["pattern"]))
        case "type" if said is None and values is not None:
            return bool(_types(values) <= value)
        case "type" | "enum":
            return said is not None and bool(said <= value)
        case "required":
            return said is not None and bool(said >= value)
        case "maxLength" | "maxItems":
            return said is not None and bool(said <= value)
        case _:
            return bool(said == value)


def _types(values: frozenset[Any]) -> set[str]:
    names = {str: "string", bool: "boolean", int: "integer", type(None): "null"}
    return {names[type(value)] for value in values}
