"""Whatever is sent, the simulator refuses or answers; it never fails itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from reconciler.simulator import parse_fleet
from reconciler.simulator.api.actions import ACTIONS
from reconciler.simulator.api.writes import Fate
from reconciler.simulator.http.handler import Request, answer, read_query
from reconciler.simulator.world.seed import seed
from reconciler.simulator.world.store import World
from tests.field_tables import check_answer
from tests.simulator.conftest import PUMPS

READS = [action for action in ACTIONS if action.method == "GET"]
WRITES = [action for action in ACTIONS if action.method == "POST"]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    world = World()
    seed(world, parse_fleet("tokens: [{text: user, scopes: [all.User]}]" + PUMPS))
    yield world
    world.close()


def send(world: World, method: str, path: str, query: str, body: bytes) -> int:
    request = Request(method, path, read_query(query), "Bearer user", "application/json", body)
    given = answer(world, request, Fate())
    json.dumps(given.body, ensure_ascii=False).encode()
    return given.status


NAMES = sorted({name for action in READS for name in (*action.query, *action.json_params)})
FLAGS = ["_actions", "_links", "access_token", "jwt"]
KEYS = st.builds(
    lambda name, tail: name + tail,
    st.sampled_from([*NAMES, *FLAGS]),
    st.sampled_from(["", "", "", "[]", "[0]", "[key]", "[0][key]", "[0][x][y][z][w]", "[", "]"]),
)
ORDINARY = st.sampled_from(
    [
        "",
        "0",
        "1",
        "9" * 30,
        "9" * 5000,
        "asc",
        "desc",
        "id",
        "name",
        "lastUpdated",
        "v1",
        "*",
        "a" * 24,
        "true",
        "\x00",
    ]
)
SCALARS = st.one_of(
    st.text(max_size=3),
    st.sampled_from(["\ud800", "1" * 40, "2026-01-01", "0001-01-01T00:00:00+23:59", "a" * 24]),
    st.integers(),
    st.floats(allow_nan=False),
    st.booleans(),
    st.none(),
)
QUERY_KEYS = st.sampled_from(
    ["$and", "$or", "name", "id", "tags", "lastUpdated", "enabled", "$eq", "$in", "$gt", "$contains", "$tagKey", "site"]
)
QUERIES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(QUERY_KEYS, inner, max_size=2), max_leaves=8
)
VALUES = st.one_of(ORDINARY, st.text(st.characters(exclude_categories=["Cs"]), max_size=5), QUERIES.map(json.dumps))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(action=st.sampled_from(READS), pairs=st.lists(st.tuples(KEYS, VALUES), max_size=4))
@example(action=READS[0], pairs=[("page", "9" * 5000)])
@example(action=READS[0], pairs=[("_actions", "1"), ("_actions", "2")])
@example(action=READS[0], pairs=[("access_token", "1"), ("access_token", "2")])
def test_any_query_string(world: World, action: Any, pairs: list[tuple[str, str]]) -> None:
    (own,) = world.db.execute("select id from applications").fetchone()
    path = action.path.replace("{applicationId}", own).replace("{flowVersionId}", quote("v1"))
    for parameter in ("flowId", "deviceId", "embeddedDeploymentId", "edgeDeploymentId"):
        path = path.replace(f"{{{parameter}}}", "a" * 24)

    assert send(world, "GET", path, urlencode(pairs), b"") in (200, 400, 401, 404)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(query=QUERIES, path=st.sampled_from(["devices", "flows", "flows/version", "devices/tagKeys"]))
@example(query={"lastUpdated": {"$gt": 10**400}}, path="devices")
@example(query={"name": "\ud800"}, path="devices")
def test_any_advanced_query(world: World, query: Any, path: str) -> None:
    (own,) = world.db.execute("select id from applications").fetchone()
    pairs = {"query": json.dumps(query), "version": "v1"}

    assert send(world, "GET", f"/applications/{own}/{path}", urlencode(pairs), b"") in (200, 400)


BODIES = st.one_of(
    st.binary(max_size=10),
    QUERIES.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        {},
        optional={
            "flowId": SCALARS,
            "version": SCALARS,
            "oldVersion": SCALARS,
            "newVersion": SCALARS,
            "deviceId": SCALARS,
            "deviceIds": st.lists(SCALARS, max_size=2) | SCALARS,
            "deviceTags": st.lists(st.dictionaries(st.sampled_from(["key", "value"]), SCALARS), max_size=2),
            "stackSize": SCALARS,
        },
    ).map(lambda value: json.dumps(value).encode()),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(action=st.sampled_from(WRITES), body=BODIES)
@example(action=WRITES[0], body=b'{"flowId": "%s", "version": "\\ud800"}' % (b"a" * 24))
def test_any_body(world: World, action: Any, body: bytes) -> None:
    (own,) = world.db.execute("select id from applications").fetchone()

    assert send(world, "POST", action.path.replace("{applicationId}", own), "", body) in (201, 202, 400, 404, 429)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(method=st.sampled_from(["GET", "POST", "PUT", ""]), path=st.text(st.characters(codec="latin-1"), max_size=30))
def test_any_path(world: World, method: str, path: str) -> None:
    assert send(world, method, path, "", b"") in (200, 400, 405)


def test_a_bug_of_the_simulator_is_said_and_not_hidden(
    pumps: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("reconciler.simulator.http.app.answer", broken)
    given = pumps.raw.get(pumps.root)

    assert given.status_code == 500
    check_answer("application.get", 500, given.json())
    assert "ZeroDivisionError" in caplog.text


def test_a_device_whose_record_is_gone_has_nothing_to_take_up(pumps: Any) -> None:
    pumps.control.switch(empty_records="dropped", empty_bundle="null")
    pumps.release("telemetry", "v1", "pump-4")
    pumps.release("telemetry", None, "pump-4")
    pumps.control.settle()

    assert ("pump-4", "telemetry") not in pumps.rows()
