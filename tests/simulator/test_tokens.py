"""Who may do what."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reconciler.simulator.actions import ACTIONS, Action
from tests.simulator.wire import Api

FLEET = """
tokens:
  - {text: user, scopes: [all.User]}
applications:
  - name: A
    tokens:
      - {text: read, scopes: [all.Application.read]}
      - {text: bounded, scopes: [all.Application.bounded]}
      - {text: device, scopes: [all.Device]}
      - {text: list, scopes: [embeddedDeployments.get]}
      - {text: plural, scopes: ["embeddedDeployments.*"]}
      - {text: nothing, scopes: []}
      - {text: late, scopes: [all.Application], expires: 2026-03-02T09:00:10Z}
  - {name: B}
"""


@pytest.fixture
def api(start: Callable[..., Api]) -> Api:
    return start(FLEET)


def allowed(api: Api, token: str, action: Action) -> bool:
    """Whether the token gets past its scopes; what it asks for may then not exist."""
    values = dict.fromkeys(
        ("deviceId", "flowId", "flowVersionId", "embeddedDeploymentId", "edgeDeploymentId"), "0" * 24
    )
    path = action.path.format(applicationId=api.server.application_id, **values)
    body = {"flowId": "0" * 24, "version": None, "deviceIds": ["0" * 24]}
    if action.name.endswith("replace"):
        body = {"flowId": "0" * 24, "oldVersion": "v", "newVersion": None}
    if action.name.endswith("remove"):
        body = {"flowId": "0" * 24, "deviceId": None}
    if action.name.endswith("export"):
        body = {}
    answer = api.raw.request(
        action.method,
        path,
        json=body if action.method == "POST" else None,
        params={"version": "v", "key": "k"},
        headers={"Authorization": f"Bearer {token}"},
    )
    assert answer.status_code in (200, 201, 202, 403, 404), answer.text
    return answer.status_code != 403


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
def test_scopes_of_every_action(api: Api, action: Action) -> None:
    reads = action.method == "GET" or action.name.endswith("export")

    assert allowed(api, "read", action) is reads
    assert allowed(api, "bounded", action)
    assert allowed(api, "user", action)
    assert allowed(api, "device", action) is (action.name in ("devices.get", "device.get"))
    assert allowed(api, "list", action) is (action.name == "embeddedDeployments.get")
    assert allowed(api, "plural", action) is action.name.startswith("embeddedDeployments.")
    assert not allowed(api, "nothing", action)


def test_an_application_token_is_confined_to_its_application(api: Api) -> None:
    (other,) = api.control.world.db.execute("select id from applications where name = 'B'").fetchone()

    assert api.raw.get(f"/applications/{other}").status_code == 403
    assert api.raw.get(f"/applications/{other}", headers={"Authorization": "Bearer user"}).status_code == 200
    assert api.raw.get(f"/applications/{'0' * 24}").status_code == 404


def test_an_expired_token(api: Api) -> None:
    headers = {"Authorization": "Bearer late"}
    assert api.send("GET", "", headers=headers).status_code == 200

    api.control.advance(10)
    answer = api.send("GET", "", headers=headers)
    assert (answer.status_code, answer.json()["message"]) == (401, "Access token has expired")


@pytest.mark.parametrize("header", ["Bearer user", "bearer user", "JWT user"])
def test_schemes(api: Api, header: str) -> None:
    assert api.send("GET", "", headers={"Authorization": header}).status_code == 200


@pytest.mark.parametrize("header", ["", "user", "Basic user", "Bearer"])
def test_no_token(api: Api, header: str) -> None:
    answer = api.send("GET", "", headers={"Authorization": header})

    assert (answer.status_code, answer.json()) == (403, {"type": "Forbidden", "message": "Access is forbidden"})


def test_an_unknown_token(api: Api) -> None:
    answer = api.send("GET", "", headers={"Authorization": "Bearer stranger"})

    assert (answer.status_code, answer.json()["message"]) == (401, "Invalid access token")


@pytest.mark.parametrize("name", ["access_token", "jwt"])
def test_a_token_in_the_query_wins_and_is_not_logged(api: Api, name: str) -> None:
    assert api.send("GET", "", params={name: "stranger"}).status_code == 401
    assert api.send("GET", "", params={name: "user"}, headers={"Authorization": "Bearer stranger"}).status_code == 200

    assert "stranger" not in str(api.control.requests())


def test_the_status_without_a_token_is_a_switch(api: Api) -> None:
    api.control.switch(missing_token="401")

    assert api.send("GET", "", headers={"Authorization": ""}).status_code == 401
