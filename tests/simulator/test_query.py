"""Advanced device queries: each operator, the limits, and an independent reading in Python over random queries."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.simulator import serve
from reconciler.simulator.schemas import QUERIES
from reconciler.simulator.validation import first_fault
from tests.simulator.wire import Api

FLEET = """
applications:
  - name: A
    devices:
      - {id: 0000000000000000000000a1, name: Alpha, tags: {site: leeds, role: pump}}
      - {id: 0000000000000000000000a2, name: alpha-2, tags: {site: [leeds, york]}, connected: false}
      - {id: 0000000000000000000000a3, name: Beta, tags: {site: york}, connected: null}
      - {id: 0000000000000000000000a4, name: "50%_x*?[", class: gateway, parent: 0000000000000000000000a1}
      - {id: 0000000000000000000000a5, name: straße, class: edgeCompute, tags: {line: leeds}}
"""
EVERYTHING = ("50%_x*?[", "Alpha", "Beta", "alpha-2", "straße")


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with serve(FLEET) as server:
        client = Api(server)
        yield client
        client.close()


def found(api: Api, query: Any) -> tuple[str, ...]:
    return tuple(sorted(item["name"] for item in api.get("/devices", query=json.dumps(query))["items"]))


def but(*names: str) -> tuple[str, ...]:
    return tuple(name for name in EVERYTHING if name not in names)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({}, EVERYTHING),
        ({"name": "Alpha"}, ("Alpha",)),
        ({"name": "alpha"}, ()),
        ({"name": {"$eq": "alpha", "$ci": True}}, ("Alpha",)),
        ({"name": {"$eq": "STRASSE", "$ci": True}}, ("straße",)),
        ({"name": {"$ne": "Alpha"}}, but("Alpha")),
        ({"name": {"$ne": "ALPHA", "$ci": True}}, but("Alpha")),
        ({"name": {"$gt": "Alpha", "$lt": "alpha"}}, ("Beta",)),
        ({"name": {"$gte": "Alpha", "$lte": "Beta"}}, ("Alpha", "Beta")),
        ({"name": {"$startsWith": "al"}}, ("alpha-2",)),
        ({"name": {"$startsWith": "AL", "$ci": True}}, ("Alpha", "alpha-2")),
        ({"name": {"$endsWith": "a"}}, ("Alpha", "Beta")),
        ({"name": {"$endsWith": "x" * 50}}, ()),
        ({"name": {"$contains": "%_x*?["}}, ("50%_x*?[",)),
        ({"name": {"$contains": "PH", "$ci": True}}, ("Alpha", "alpha-2")),
        ({"name": {"$contains": "PH", "$ci": False}}, ()),
        ({"name": {"$in": ["Alpha", "Beta", "Gamma"]}}, ("Alpha", "Beta")),
        ({"name": {"$in": []}}, ()),
        ({"name": {"$nin": ["Alpha", "Beta"]}}, but("Alpha", "Beta")),
        ({"name": {"$nin": []}}, EVERYTHING),
        ({"name": {"$in": ["ALPHA"], "$ci": True}}, ("Alpha",)),
        ({"name": {}}, EVERYTHING),
        ({"name": 5}, ()),
        ({"name": {"$ne": 5}}, EVERYTHING),
        ({"name": {"$gt": 5}}, ()),
        ({"name": None}, ()),
        ({"id": "0000000000000000000000A1"}, ("Alpha",)),
        ({"id": {"$in": ["0000000000000000000000a1", "0000000000000000000000a3"]}}, ("Alpha", "Beta")),
        ({"id": {"$gt": "0000000000000000000000a3"}}, ("50%_x*?[", "straße")),
        ({"id": {"$nin": ["0000000000000000000000a1"]}}, but("Alpha")),
        ({"parentId": "0000000000000000000000a1"}, ("50%_x*?[",)),
        ({"parentId": None}, but("50%_x*?[")),
        ({"parentId": {"$ne": "0000000000000000000000a1"}}, but("50%_x*?[")),
        ({"parentId": {"$ne": None}}, ("50%_x*?[",)),
        ({"parentId": {"$gte": None}}, but("50%_x*?[")),
        ({"ancestorId": "0000000000000000000000a1"}, ("50%_x*?[",)),
        ({"gatewayId": None}, EVERYTHING),
        ({"gatewayId": "0000000000000000000000a1"}, ()),
        ({"deviceClass": "embedded"}, ("Alpha", "Beta", "alpha-2")),
        ({"deviceClass": {"$in": ["gateway", "edgeCompute"]}}, ("50%_x*?[", "straße")),
        ({"connectionStatus": "connected"}, but("alpha-2", "Beta")),
        ({"connectionStatus": "disconnected"}, ("alpha-2",)),
        ({"connectionStatus": None}, ("Beta",)),
        ({"connectedAt": {"$gt": 0}}, but("alpha-2", "Beta")),
        ({"disconnectedAt": {"$ne": None}}, ("alpha-2",)),
        ({"creationDate": {"$gt": "2020-01-01T00:00:00Z"}}, EVERYTHING),
        ({"creationDate": {"$lt": 1577836800000}}, ()),
        ({"creationDate": {"$gt": "1577836800000"}}, EVERYTHING),
        ({"lastUpdated": {"$gt": "not a date"}}, ()),
        ({"lastUpdated": {"$ne": True}}, EVERYTHING),
        ({"deletedAt": None}, EVERYTHING),
        ({"attributeName": "x"}, ()),
        ({"$and": [{"name": {"$contains": "a"}}, {"deviceClass": "embedded"}]}, ("Alpha", "Beta", "alpha-2")),
        ({"$or": [{"name": "Alpha"}, {"name": "Beta"}]}, ("Alpha", "Beta")),
        ({"$nor": [{"name": "Alpha"}, {"parentId": "0000000000000000000000a1"}]}, but("Alpha", "50%_x*?[")),
        ({"$or": []}, ()),
        ({"$and": []}, EVERYTHING),
        ({"name": "Alpha", "deviceClass": "gateway"}, ()),
        ({"tags": {"site": "leeds"}}, ("Alpha", "alpha-2")),
        ({"tags": {"site": "york", "role": "pump"}}, ()),
        ({"tags": {"site": "leeds", "role": "pump"}}, ("Alpha",)),
        ({"tags": {"$tagKey": "site"}}, ("Alpha", "Beta", "alpha-2")),
        ({"tags": {"$tagValue": "leeds"}}, ("Alpha", "alpha-2", "straße")),
        ({"tags": {"$tagKey": "line", "$tagValue": "leeds"}}, ("straße",)),
        ({"tags": {"$tagKey": "role", "$tagValue": "leeds"}}, ()),
        ({"tags": {"site": {"$in": ["york", "hull"]}}}, ("Beta", "alpha-2")),
        ({"tags": {"site": {"$nin": ["york"]}}}, ("Alpha", "alpha-2")),
        ({"tags": {"$tagKey": {"$in": ["role", "line"]}}}, ("Alpha", "straße")),
        ({"tags": None}, ("50%_x*?[",)),
        ({"tags": {"site": None}}, ("50%_x*?[", "straße")),
        ({"tags": {}}, EVERYTHING),
        ({"tags": {"$eq": {"site": "york"}}}, ("Beta", "alpha-2")),
        ({"tags": {"$ne": {"site": "york"}}}, but("Beta", "alpha-2")),
        ({"tags": {"$ne": None}}, but("50%_x*?[")),
    ],
)
def test_what_a_query_finds(api: Api, query: Any, names: tuple[str, ...]) -> None:
    assert found(api, query) == names


@pytest.mark.parametrize(
    "query",
    [
        {"serial": "x"},
        {"name": {"$regex": "x"}},
        {"name": ["x"]},
        {"name": {"$startsWith": ""}},
        {"name": {"$startsWith": 5}},
        {"name": {"$in": ["x"] * 101}},
        {"name": {"$in": [None]}},
        {"name": {"$ci": "yes"}},
        {"id": "x"},
        {"id": {}},
        {"id": {"$eq": "0" * 24, "$ne": "1" * 24}},
        {"id": {"$in": ["0" * 24] * 101}},
        {"id": {"$contains": "0"}},
        {"$and": [{}] * 101},
        {"$and": {}},
        {"$or": [{"serial": "x"}]},
        {"$not": {}},
        {"tags": "x"},
        {"tags": {"$tagKey": 5}},
        {"tags": {"site": {"$in": ["a"], "$nin": ["b"]}}},
        {"tags": {"site": {"$eq": "a"}}},
        {"tags": {"$eq": {}, "$ne": {}}},
        {"tags": {"$tagKey": "a", "site": "b"}},
        {"tags": {"*": "x"}},
    ],
)
def test_what_is_no_query(api: Api, query: Any) -> None:
    answer = api.send("GET", "/devices", params={"query": json.dumps(query)})

    assert (answer.status_code, answer.json()["type"]) == (400, "Validation")


def test_a_hundred_values_are_allowed(api: Api) -> None:
    assert found(api, {"name": {"$in": ["Alpha"] * 100}}) == ("Alpha",)


def test_deep_queries(api: Api) -> None:
    chain: Any = {"name": "Alpha"}
    tree: Any = {"name": "Alpha"}
    for _ in range(20):
        chain = {"$and": [chain]}
        tree = {"$and": [{"deviceClass": "embedded"}, tree]}
    assert found(api, chain) == found(api, tree) == ("Alpha",)


NAMES = st.sampled_from(["Alpha", "alpha", "alpha-2", "Beta", "a", "5", "", "%"])
SCALARS = st.one_of(NAMES, st.integers(0, 9), st.booleans(), st.none())
CONDITIONS = st.dictionaries(
    st.sampled_from(["$eq", "$ne", "$gt", "$lt", "$gte", "$lte"]), SCALARS, max_size=2
) | st.dictionaries(st.sampled_from(["$startsWith", "$endsWith", "$contains"]), NAMES.filter(bool), max_size=2)
LEAVES = st.one_of(
    st.fixed_dictionaries({"name": SCALARS | CONDITIONS}),
    st.fixed_dictionaries({"deviceClass": st.sampled_from(["embedded", "gateway", None])}),
    st.fixed_dictionaries({"tags": st.dictionaries(st.sampled_from(["site", "role"]), NAMES | st.none(), max_size=2)}),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.dictionaries(
        st.sampled_from(["$and", "$or", "$nor"]), st.lists(inner, max_size=3), min_size=1, max_size=2
    ),
    max_leaves=8,
)
DEVICES: list[dict[str, Any]] = [
    {"name": "Alpha", "deviceClass": "embedded", "tags": {("site", "leeds"), ("role", "pump")}},
    {"name": "alpha-2", "deviceClass": "embedded", "tags": {("site", "leeds"), ("site", "york")}},
    {"name": "Beta", "deviceClass": "embedded", "tags": {("site", "york")}},
    {"name": "50%_x*?[", "deviceClass": "gateway", "tags": set()},
    {"name": "straße", "deviceClass": "edgeCompute", "tags": {("line", "leeds")}},
]


def matches(query: dict[str, Any], device: dict[str, Any]) -> bool:
    """The same language, read naively."""
    return all(_matches_key(key, value, device) for key, value in query.items())


def _matches_key(key: str, value: Any, device: dict[str, Any]) -> bool:
    match key:
        case "$and":
            return all(matches(one, device) for one in value)
        case "$or":
            return any(matches(one, device) for one in value)
        case "$nor":
            return not any(matches(one, device) for one in value)
        case "tags":
            return all(
                (tag, text) in device["tags"] if text is not None else tag not in {one for one, _ in device["tags"]}
                for tag, text in value.items()
            )
        case _:
            conditions = value if isinstance(value, dict) else {"$eq": value}
            return all(_holds(device[key], op, operand) for op, operand in conditions.items())


def _holds(actual: str, operator: str, operand: Any) -> bool:
    if operator in ("$eq", "$ne"):
        return (actual == operand) is (operator == "$eq")
    if not isinstance(operand, str):
        return False
    return {
        "$gt": actual > operand,
        "$lt": actual < operand,
        "$gte": actual >= operand,
        "$lte": actual <= operand,
        "$startsWith": actual.startswith(operand),
        "$endsWith": actual.endswith(operand),
        "$contains": operand in actual,
    }[operator]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(query=TREES)
def test_random_queries_find_what_a_naive_reading_finds(api: Api, query: dict[str, Any]) -> None:
    if first_fault(query, QUERIES["advancedDeviceQuery"], "query", QUERIES):
        assert api.send("GET", "/devices", params={"query": json.dumps(query)}).status_code == 400
        return
    assert found(api, query) == tuple(sorted(one["name"] for one in DEVICES if matches(query, one)))
