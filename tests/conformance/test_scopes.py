"""For each action, every scope there is, one token each: exactly those of the table are good for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import yaml

from reconciler.simulator import Server, serve
from reconciler.simulator.api.actions import ACTIONS, Action
from tests.conformance.rows import HERE

TABLE = yaml.safe_load((HERE / "scopes.yaml").read_text(encoding="utf-8"))
EVERY = sorted({
    *TABLE["families"]["read"],
    *(scope for one in TABLE["actions"].values() for scope in one["own"]),
    "embeddedDeployments.read", "all.Application.get", "all", "*",
})  # fmt: skip
NOBODY = "0" * 24
BODIES = {
    "release": {"flowId": NOBODY, "version": None, "deviceIds": [NOBODY]},
    "replace": {"flowId": NOBODY, "oldVersion": "v", "newVersion": None},
    "remove": {"flowId": NOBODY, "deviceId": None},
    "export": {"deviceId": NOBODY},
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    tokens = [{"text": scope, "scopes": [scope]} for scope in EVERY]
    with serve({"applications": [{"name": "A", "tokens": tokens}]}) as running:
        yield running


@pytest.fixture(scope="module")
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        yield client


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
def test_scopes_of_an_action(server: Server, http: httpx.Client, action: Action) -> None:
    """What it asks for is not there: 404 says that a token got as far as that, or 200 for an empty list."""
    segments = [part[1:-1] if part.startswith("{") else "" for part in action.path.split("/")]
    values = {**dict.fromkeys(filter(None, segments), NOBODY), "applicationId": server.application_id}
    body: dict[str, Any] = {"json": BODIES[action.name.partition(".")[2]]} if action.method == "POST" else {}

    def may(scope: str) -> bool:
        answer = http.request(
            action.method,
            action.path.format(**values),
            params={"version": "v", "key": "k"},
            headers={"Authorization": f"Bearer {scope}"},
            **body,
        )
        assert answer.status_code in (200, 403, 404), answer.text
        return answer.status_code != 403

    row = TABLE["actions"][action.name]
    assert {scope for scope in EVERY if may(scope)} == {*TABLE["families"][row["family"]], *row["own"]}


def test_the_table_has_every_action() -> None:
    assert set(TABLE["actions"]) == {action.name for action in ACTIONS}
