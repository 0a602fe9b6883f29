"""Every body and every device query that the client sends keeps to the facts of the vendor's schemas."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.api.client import LosantApi
from reconciler.api.http.credentials import Token
from reconciler.model.requests import Release, RemoveDevice, RemoveFlow, RemoveRow, Replace, Request
from reconciler.model.state import Kind
from reconciler.simulator import Server, serve
from tests.builders import hex_id
from tests.support.api import open_api
from tests.support.cli import run_here
from tests.vendor.facts import schema_of_body, validator

APPLICATION = hex_id(1, "a")
ids = st.integers(0, 16**24 - 1).map(lambda number: f"{number:024x}") | st.sampled_from(["ABCDEF" * 4, hex_id(7, "d")])
versions = st.text(min_size=1, max_size=255)
many_ids = st.integers(1, 1000).flatmap(lambda count: ids.map(lambda first: (first, *map(hex_id, range(count - 1)))))
REQUESTS = (
    st.builds(Release, ids, st.none() | versions, many_ids),
    st.builds(Replace, ids, versions, st.none() | versions),
    st.builds(RemoveRow, ids, ids),
    st.builds(RemoveDevice, ids),
    st.builds(RemoveFlow, ids),
)


def sent(ask: Callable[[LosantApi], Awaitable[Any]], kind: Kind) -> list[httpx.Request]:
    """What the client sends to a server that accepts every write and has nothing to list."""
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        listing = {"items": [], "count": 0, "totalCount": 0}
        return httpx.Response(200, json=listing if request.method == "GET" else {"success": True})

    async def go() -> None:
        token, transport = Token("secret", source="test"), httpx.MockTransport(answer)
        async with open_api(
            url="https://api.example.test", token=token, application_id=APPLICATION, kind=kind, transport=transport
        ) as api:
            await ask(api)

    asyncio.run(go())
    return requests


@pytest.mark.parametrize("requests", REQUESTS, ids=["release", "replace", "remove row", "remove device", "remove flow"])
@given(data=st.data(), kind=st.sampled_from(Kind))
def test_a_write(requests: st.SearchStrategy[Request], data: st.DataObject, kind: Kind) -> None:
    request = data.draw(requests)

    (call,) = sent(lambda api: api.send(request), kind)

    action = f"{kind.value}Deployments.{call.url.path.rpartition('/')[2]}"
    validator(schema_of_body(action)).validate(json.loads(call.content))


def test_a_write_that_breaks_a_fact_is_noticed() -> None:
    (call,) = sent(lambda api: api.send(Release(hex_id(1, "f"), "v1", tuple(map(hex_id, range(1001))))), Kind.EDGE)

    assert not validator("edgeDeploymentRelease").is_valid(json.loads(call.content))


texts = st.text(max_size=255)
names = st.integers(0, 250).flatmap(lambda count: texts.map(lambda text: [text, *(f"{text}{n}" for n in range(count))]))
tag_values = st.none() | texts | st.fixed_dictionaries({"$in": st.lists(texts, max_size=3)})
queries = st.none() | st.dictionaries(st.sampled_from(["name", "deviceClass"]), st.none() | texts).map(json.dumps)
queries |= st.fixed_dictionaries({"tags": st.fixed_dictionaries({"$tagKey": tag_values})}).map(json.dumps)


@given(
    ids=st.none() | many_ids,
    names=st.none() | names,
    query=queries,
    any_class=st.booleans(),
    kind=st.sampled_from(Kind),
)
def test_a_query_of_devices(ids: Any, names: Any, query: str | None, any_class: bool, kind: Kind) -> None:
    """As many requests as ids or names need, each within the limits; what users write themselves stays as it is."""
    calls = sent(lambda api: api.devices(ids=ids, names=names, query=query, any_class=any_class), kind)
    calls += sent(lambda api: api.device_count(), kind)

    for call in calls:
        validator("advancedDeviceQuery").validate(json.loads(call.url.params["query"]))


@pytest.fixture(scope="module")
def plant() -> Iterator[Server]:
    flows = {"f": {"id": hex_id(1, "f"), "versions": ["v1"]}}
    devices = [{"id": hex_id(1, "d"), "name": "d", "deployed": {"f": "v1"}}]
    with serve({"applications": [{"id": APPLICATION, "name": "A", "flows": flows, "devices": devices}]}) as server:
        yield server


flags = st.lists(
    st.sampled_from(
        [
            *(
                "--device=d",
                f"--device={hex_id(1, 'd').upper()}",
                "--trace-level=0",
                "--trace-level=2",
                "--stack-size=1600",
            ),
            *("--stack-size=2147483648", "--disable-debug-message", "--enable-debug-message", "--debug-symbols"),
            *("--no-debug-symbols", "--export-memory", "--no-export-memory", "--gzip", "--no-gzip"),
            *("--callback-url=http://127.0.0.1:9/x", f"--callback-url=http://127.0.0.1:9/{'x' * 1004}"),
        ]
    )
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flags=flags, email=st.none() | st.emails().filter(lambda text: len(text) < 255))
def test_an_export(monkeypatch: pytest.MonkeyPatch, plant: Server, flags: list[str], email: str | None) -> None:
    """The command's flags in any combination."""
    monkeypatch.setenv("LOSANT_API_URL", plant.url)
    monkeypatch.setenv("LOSANT_API_TOKEN", plant.token)
    plant.control.forget_requests()
    plant.control.advance(300)  # the pause between exports

    address = [f"--email={email}"] if email else ["--email=me@example.com"]
    code = run_here("export", "--application", APPLICATION, *address, *flags).code

    bodies = [one["body"] for one in plant.control.requests() if one["action"] == "embeddedDeployments.export"]
    assert (code, len(bodies)) == (0, 1)
    validator("embeddedDeploymentExport").validate(bodies[0])
