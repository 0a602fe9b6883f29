"""Advanced device queries: each operator, the limits, and an independent reading in Python over random queries."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.simulator import serve
from reconciler.simulator.api.schemas import QUERIES
from reconciler.simulator.api.validation import first_fault
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
        ({"id": {"$in": []}}, ()),
        ({"id": {"$eq": "0000000000000000000000a1"}}, ("Alpha",)),
        ({"id": {"$ne": "0000000000000000000000A1"}}, but("Alpha")),
        ({"id": {"$lt": "0000000000000000000000a2"}}, ("Alpha",)),
        ({"id": {"$lte": "0000000000000000000000a2"}}, ("Alpha", "alpha-2")),
        ({"id": {"$gte": "0000000000000000000000a4"}}, ("50%_x*?[", "straße")),
        ({"id": None}, ()),
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
        ({"connectionStatus": {"$nin": ["connected"]}}, ("Beta", "alpha-2")),
        ({"connectionStatus": {"$startsWith": "DIS", "$ci": True}}, ("alpha-2",)),
        ({"deviceClass": {"$ne": "embedded"}}, ("50%_x*?[", "straße")),
        ({"deviceClass": {"$nin": ["embedded", "gateway"]}}, ("straße",)),
        ({"experienceUserId": None}, EVERYTHING),
        ({"experienceGroupId": {"$in": ["0000000000000000000000a1"]}}, ()),
        ({"creationDate": {"$in": ["not a date"]}}, ()),
        ({"creationDate": {"$contains": "20"}}, ()),
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
        ({"tags": {"$eq": None}}, ("50%_x*?[",)),
        ({"tags": {"$eq": {"$tagKey": "line"}}}, ("straße",)),
        ({"tags": {"$ne": {"$tagValue": "leeds"}}}, ("50%_x*?[", "Beta")),
        ({"tags": {"$tagKey": {"$nin": ["site"]}}}, ("Alpha", "straße")),
        ({"tags": {"$tagValue": {"$in": ["pump", "york"]}}}, ("Alpha", "Beta", "alpha-2")),
        ({"tags": {"$tagValue": {"$nin": ["leeds", "york"]}}}, ("Alpha",)),
        ({"tags": {"$tagKey": "site", "$tagValue": None}}, ("50%_x*?[", "straße")),
    ],
)
def test_what_a_query_finds(api: Api, query: Any, names: tuple[str, ...]) -> None:
    assert found(api, query) == names


@pytest.mark.parametrize(
    "query",
    [
        {"serial": "x"},
        {"name": {"$startsWith": ""}},
        {"name": {"$startsWith": 5}},
        {"name": {"$ci": "yes"}},
        {"id": "x"},
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


ONE = "0000000000000000000000a1"
IDS = ("id", "gatewayId", "parentId", "ancestorId", "experienceUserId", "experienceGroupId")
FIELDS = (
    "name", "deviceClass", "creationDate", "lastUpdated", "deletedAt", "attributeName", "connectionStatus",
    "connectedAt", "disconnectedAt",
)  # fmt: skip
ORDER = ("$eq", "$ne", "$gt", "$lt", "$gte", "$lte")
SEARCH = ("$startsWith", "$endsWith", "$contains")
OPERATORS = {
    **dict.fromkeys(IDS, frozenset({*ORDER, "$in", "$nin"})),
    **dict.fromkeys(FIELDS, frozenset({*ORDER, *SEARCH, "$in", "$nin", "$ci"})),
}
"""Which operators a field takes. Ids take one at a time, other fields any number together."""
EVERY_OPERATOR = [*ORDER, *SEARCH, "$in", "$nin", "$ci", "$regex", "$exists", "$not", "$and", "$tagKey"]


def accepted(api: Api, query: Any) -> bool:
    answer = api.send("GET", "/devices", params={"query": json.dumps(query)})
    assert answer.status_code in (200, 400), answer.text
    return answer.status_code == 200


def operand(operator: str) -> Any:
    match operator:
        case "$in" | "$nin":
            return [ONE]
        case "$ci":
            return True
        case _:
            return ONE


def test_the_fields_of_a_query() -> None:
    schema = QUERIES["advancedDeviceQuery"]

    assert set(schema["properties"]) == {*OPERATORS, "tags", "$and", "$or", "$nor"}


@pytest.mark.parametrize("field", OPERATORS)
def test_the_operators_of_a_field(api: Api, field: str) -> None:
    assert {one for one in EVERY_OPERATOR if accepted(api, {field: {one: operand(one)}})} == OPERATORS[field]
    assert accepted(api, {field: ONE})
    assert accepted(api, {field: None})
    assert not accepted(api, {field: [ONE]})


@pytest.mark.parametrize("field", IDS)
def test_an_id_takes_exactly_one_operator(api: Api, field: str) -> None:
    assert not accepted(api, {field: {}})
    pairs = [(one, other) for one in OPERATORS[field] for other in OPERATORS[field] if one < other]
    assert not [pair for pair in pairs if accepted(api, {field: {one: operand(one) for one in pair}})]
    assert not accepted(api, {field: 5})
    assert not accepted(api, {field: {"$eq": "x"}})


@pytest.mark.parametrize("field", FIELDS)
def test_another_field_takes_all_of_them_together(api: Api, field: str) -> None:
    assert accepted(api, {field: {}})
    assert accepted(api, {field: {one: operand(one) for one in sorted(OPERATORS[field])}})
    assert all(accepted(api, {field: value}) for value in ("", 5, 0.5, True))


@pytest.mark.parametrize("count", [100, 101])
def test_a_hundred_values_and_no_more(api: Api, count: int) -> None:
    asked = [
        *({field: {one: [ONE] * count}} for field in OPERATORS for one in ("$in", "$nin")),
        *({"tags": {key: {one: ["x"] * count}}} for key in ("site", "$tagKey", "$tagValue") for one in ("$in", "$nin")),
        *({group: [{}] * count} for group in ("$and", "$or", "$nor")),
    ]

    assert {accepted(api, query) for query in asked} == {count == 100}


def test_what_a_set_holds(api: Api) -> None:
    assert accepted(api, {"name": {"$in": ["x", 5, True]}})
    assert not accepted(api, {"name": {"$in": [None]}})
    assert not accepted(api, {"id": {"$in": [None]}})
    assert not accepted(api, {"id": {"$nin": ["x"]}})
    assert not accepted(api, {"tags": {"site": {"$in": [5]}}})
    assert not accepted(api, {"tags": {"site": "x" * 256}})
    assert accepted(api, {"tags": {"site": "x" * 255}})


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
