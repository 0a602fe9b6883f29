"""Devices, flows, versions and the application."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.api.client import LosantApi
from reconciler.api.queries import MAX_IN, MAX_QUERY, queries
from reconciler.errors import IncompleteRead, NotFound, UnexpectedAnswer, UsageError
from reconciler.model.state import Application, Device, Flow, Kind
from reconciler.model.versions import Content, Published
from tests.api.speaking import APPLICATION, FLOW, Handler, Pages, api_over, listing
from tests.builders import hex_id

T = TypeVar("T")


def ask(handler: Handler, question: Callable[[LosantApi], Awaitable[T]], *, kind: Kind = Kind.EMBEDDED) -> T:
    async def go() -> T:
        async with api_over(handler, kind=kind) as api:
            return await question(api)

    return asyncio.run(go())


def device(number: int, **fields: Any) -> dict[str, Any]:
    return {"id": hex_id(number, "d"), "name": f"pump-{number}", "deviceClass": "embedded", **fields}


def asked(server: Pages) -> list[Any]:
    """The device queries that a server was asked."""
    return [json.loads(params["query"]) for params in server.asked]


def test_devices_with_their_tags() -> None:
    tags = [{"key": "site", "value": "leeds"}, {"key": "role", "value": "a"}, {"key": "site", "value": "york"}]
    server = Pages([device(1, tags=tags), device(2, name=None, tags=[]), device(3, id=hex_id(3, "D"))])
    assert ask(server, lambda api: api.devices()) == (
        Device(hex_id(1, "d"), "pump-1", "embedded", {"site": ("leeds", "york"), "role": ("a",)}),
        Device(hex_id(2, "d"), None, "embedded", {}),
        Device(hex_id(3, "d"), "pump-3", "embedded", {}),
    )


@pytest.mark.parametrize(
    ("arguments", "kind", "query"),
    [
        ({}, Kind.EMBEDDED, {"deviceClass": "embedded"}),
        ({}, Kind.EDGE, {"deviceClass": "edgeCompute"}),
        ({"any_class": True}, Kind.EMBEDDED, {}),
        (
            {"query": '{"name": "x"}'},
            Kind.EMBEDDED,
            {"$and": [{"deviceClass": "embedded"}, {"name": "x"}]},
        ),
        ({"query": "{}"}, Kind.EMBEDDED, {"deviceClass": "embedded"}),
        ({"query": '{"name": "x"}', "any_class": True}, Kind.EMBEDDED, {"name": "x"}),
        (
            {"ids": [hex_id(2), hex_id(1), hex_id(2)]},
            Kind.EMBEDDED,
            {"$and": [{"deviceClass": "embedded"}, {"id": {"$in": [hex_id(1), hex_id(2)]}}]},
        ),
        ({"names": ["b", "a*"], "any_class": True}, Kind.EMBEDDED, {"name": {"$in": ["a*", "b"]}}),
        (
            {"names": ["a"], "query": '{"id": "x"}', "any_class": True},
            Kind.EMBEDDED,
            {"$and": [{"name": {"$in": ["a"]}}, {"id": "x"}]},
        ),
    ],
)
def test_what_devices_asks_for(arguments: dict[str, Any], kind: Kind, query: object) -> None:
    server = Pages([])
    ask(server, lambda api: api.devices(**arguments), kind=kind)
    assert asked(server) == [query]


@pytest.mark.parametrize("text", ["", "name", "[]", "null", '{"a": ', "[" * 100_000])
def test_a_query_that_is_no_object(text: str) -> None:
    with pytest.raises(UsageError, match="must be a JSON object"):
        ask(Pages([]), lambda api: api.devices(query=text))


def test_nothing_asked_for_is_nothing_asked() -> None:
    server = Pages([device(1)])
    assert ask(server, lambda api: api.devices(ids=[])) == ()
    assert ask(server, lambda api: api.devices(names=())) == ()
    assert ask(server, lambda api: api.versions(FLOW, names=())) == ()
    assert server.asked == []


def test_ids_are_asked_for_a_hundred_at_a_time_and_sorted() -> None:
    ids = [hex_id(n, "d") for n in range(250)]

    def handle(request: httpx.Request) -> httpx.Response:
        wanted = json.loads(request.url.params["query"])["id"]["$in"]
        return httpx.Response(200, json=listing([{"id": key} for key in wanted]))

    found = ask(handle, lambda api: api.devices(ids=ids[::-1], any_class=True))
    assert [one.id for one in found] == ids


def test_a_server_that_ignores_the_query_selects_nobody() -> None:
    server = Pages([device(1), device(2), device(3, deviceClass="standalone")])
    assert [one.id for one in ask(server, lambda api: api.devices(ids=[hex_id(2, "d"), hex_id(3, "d")]))] == [
        hex_id(2, "d")
    ]
    assert ask(server, lambda api: api.devices(names=["pump-1", "pump-3"]))[0].name == "pump-1"


@given(st.lists(st.text(min_size=1, max_size=255), max_size=300))
def test_queries_hold_every_value_once_and_stay_short(values: list[str]) -> None:
    chunks = [query["name"]["$in"] for query in queries("name", values)]  # type: ignore[index]
    assert [value for chunk in chunks for value in chunk] == sorted(set(values))
    for chunk in chunks:
        assert 0 < len(chunk) <= MAX_IN
        assert len(chunk) == 1 or len(quote(json.dumps(chunk, separators=(",", ":")), safe="")) <= MAX_QUERY + 10


def test_the_count_needs_one_small_request() -> None:
    server = Pages([device(n) for n in range(30)])
    assert ask(server, lambda api: api.device_count()) == 30
    (params,) = server.asked
    assert params["perPage"] == "1"
    assert json.loads(params["query"]) == {"deviceClass": "embedded"}


@pytest.mark.parametrize(("kind", "flow_class"), [(Kind.EMBEDDED, "embedded"), (Kind.EDGE, "edge")])
def test_flows_are_asked_for_by_class(kind: Kind, flow_class: str) -> None:
    server = Pages(
        [{"id": hex_id(n, "f"), "name": "pump", "flowClass": flow_class, "nodes": [{}]} for n in range(3)], cap=2
    )
    found = ask(server, lambda api: api.flows(), kind=kind)
    assert found == tuple(Flow(hex_id(n, "f"), "pump", flow_class) for n in range(3))
    assert {params["flowClass"] for params in server.asked} == {flow_class}
    assert server.asked[0]["perPage"] == "100"


def version(number: int, name: str) -> dict[str, Any]:
    return {"id": hex_id(number, "a"), "version": name, "flowId": FLOW, "nodes": []}


def test_versions() -> None:
    server = Pages([version(1, "v2"), version(2, "1.10"), version(3, "a/b #")])
    assert ask(server, lambda api: api.versions(FLOW)) == ("1.10", "a/b #", "v2")
    assert "query" not in server.asked[0]
    assert ask(server, lambda api: api.versions(FLOW, names=["a/b #", "V2"])) == ("a/b #",)
    assert json.loads(server.asked[1]["query"]) == {"version": {"$in": ["V2", "a/b #"]}}


def test_versions_of_an_unknown_flow() -> None:
    with pytest.raises(NotFound, match="check the flow's id"):
        ask(lambda _: httpx.Response(404, json={"message": "Flow was not found"}), lambda api: api.versions(FLOW))


def test_the_application() -> None:
    answer = {"id": APPLICATION.upper(), "name": "plant", "_type": "application"}
    assert ask(lambda _: httpx.Response(200, json=answer), lambda api: api.application()) == Application(
        APPLICATION, "plant"
    )


@pytest.mark.parametrize("answer", [{}, {"id": "x"}, {"id": APPLICATION, "name": 5}, []])
def test_an_application_that_is_none(answer: object) -> None:
    with pytest.raises(UnexpectedAnswer, match=f"GET /applications/{APPLICATION}: "):
        ask(lambda _: httpx.Response(200, json=answer), lambda api: api.application())


@pytest.mark.parametrize(
    ("item", "error", "problem"),
    [
        ({"name": "x"}, IncompleteRead, "page=0: record 0 has no id"),
        ({"id": None}, IncompleteRead, "page=0: record 0 has no id"),
        ({"id": "x"}, UnexpectedAnswer, "page=0: record 0: id: "),
        ({"id": hex_id(1), "name": 5}, UnexpectedAnswer, "page=0: record 0: name: "),
        (5, UnexpectedAnswer, "page=0: record 0 is not an object"),
    ],
)
def test_odd_items_of_any_listing(item: object, error: type[Exception], problem: str) -> None:
    for question in (LosantApi.devices, LosantApi.flows):
        with pytest.raises(error, match=problem):
            ask(lambda _: httpx.Response(200, json=listing([item])), question)


@pytest.mark.parametrize("tags", ["x", {"site": "leeds"}, [{"key": "site"}], [{"key": "site", "value": 5}]])
def test_odd_tags(tags: object) -> None:
    with pytest.raises(UnexpectedAnswer, match="record 0: tags"):
        ask(Pages([device(1, tags=tags)]), lambda api: api.devices())


def test_the_deployments_of_one_device() -> None:
    server = Pages(
        [{"deviceId": hex_id(1, "d"), "flows": {FLOW: {"desiredVersion": "v1"}}}, {"deviceId": hex_id(2, "d")}]
    )
    found = ask(server, lambda api: api.live(device_id=hex_id(1, "d"))).live.devices
    assert {device_id: list(device.flows) for device_id, device in found.items()} == {hex_id(1, "d"): [FLOW]}
    assert server.asked[0]["deviceId"] == hex_id(1, "d")
    assert ask(server, lambda api: api.live(device_id=hex_id(3, "d"))).live.devices == {}


PUBLISHED = Published("v1", hex_id(1, "e"), "2026-01-02T03:04:05.678Z")
DEFINITION = {
    "triggers": [{"id": "t"}],
    "nodes": [{"id": "n", "x": 1, "y": 2.5}],
    "globals": [],
    "minimumAgentVersion": "1.0.0",
}
VERSION = {"id": PUBLISHED.id, "version": "v1", "creationDate": PUBLISHED.created, **DEFINITION}


def content(body: str, published: Published = PUBLISHED) -> Content:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path == f"/applications/{APPLICATION}/flows/{FLOW}/versions/{published.id}"
        assert request.url.params["includeCustomNodes"] == "true"
        return httpx.Response(200, content=body.encode())

    return ask(answer, lambda api: api.content(FLOW, published))


def test_the_hash_of_a_version_is_that_of_its_definition() -> None:
    """The example is worked out here, so that others can check a lock by the same rule."""
    text = json.dumps(DEFINITION, sort_keys=True, separators=(",", ":"))
    expected = hashlib.sha256(text.encode()).hexdigest()
    assert content(json.dumps(VERSION)) == Content(FLOW, "v1", PUBLISHED.id, PUBLISHED.created, expected)
    alike = {
        "more": {**VERSION, "notes": "x", "enabled": False, "lastUpdated": "y", "stats": {}, "_links": {}},
        "order": dict(reversed([*VERSION.items()])),
        "floats": {**VERSION, "nodes": [{"y": 2.50, "x": 1.0, "id": "n"}]},
    }
    assert {key: content(json.dumps(body)).sha256 for key, body in alike.items()} == dict.fromkeys(alike, expected)
    other = {
        "node": {**VERSION, "nodes": [{"id": "n", "x": 1, "y": 2.6}]},
        "order": {**VERSION, "globals": [1, 2]},
        "order again": {**VERSION, "globals": [2, 1]},
        "type": {**VERSION, "globals": ["1", 2]},
        "truth": {**VERSION, "globals": [True, 2]},
        "trigger": {**VERSION, "triggers": []},
        "agent": {**VERSION, "minimumAgentVersion": None},
    }
    hashes = {content(json.dumps(body)).sha256 for body in other.values()}
    assert len(hashes) == len(other)
    assert expected not in hashes
    without = {key: value for key, value in VERSION.items() if key != "minimumAgentVersion"}
    assert content(json.dumps(without)).sha256 == content(json.dumps(other["agent"])).sha256


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({**VERSION, "version": "v2"}),
        json.dumps({**VERSION, "id": hex_id(2, "e")}),
        json.dumps({**VERSION, "creationDate": None}),
        json.dumps({**VERSION, "nodes": "x"}).replace('"x"', "1e999"),
        json.dumps({**VERSION, "nodes": "x"}).replace('"x"', '"\\ud800"'),
        json.dumps({**VERSION, "nodes": "x"}).replace('"x"', '[{"a": 1, "a": 2}]'),
        json.dumps({**VERSION, "nodes": "x"}).replace('"x"', "[" * 2000 + "]" * 2000),
        "[]",
        "<html>",
    ],
    ids=["version", "id", "date", "infinite", "surrogate", "twice", "deep", "list", "html"],
)
def test_a_definition_that_cannot_be_told_is_an_error(body: str) -> None:
    with pytest.raises(UnexpectedAnswer):
        content(body)
