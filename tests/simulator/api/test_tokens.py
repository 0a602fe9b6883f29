"""Tokens over time and in logs. Who may do what is in the conformance tables."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.simulator.wire import Api

FLEET = """
tokens:
  - {text: user, scopes: [all.User]}
applications:
  - name: A
    tokens:
      - {text: late, scopes: [all.Application], expires: 2026-03-02T09:00:10Z}
"""


@pytest.fixture
def api(start: Callable[..., Api]) -> Api:
    return start(FLEET)


def test_an_expired_token(api: Api) -> None:
    headers = {"Authorization": "Bearer late"}
    assert api.send("GET", "", headers=headers).status_code == 200

    api.control.advance(10)
    answer = api.send("GET", "", headers=headers)
    assert (answer.status_code, answer.json()["message"]) == (401, "Access token has expired")


@pytest.mark.parametrize("name", ["access_token", "jwt"])
def test_a_token_in_the_query_wins_and_is_not_logged(api: Api, name: str) -> None:
    assert api.send("GET", "", params={name: "stranger"}).status_code == 401
    assert api.send("GET", "", params={name: "user"}, headers={"Authorization": "Bearer stranger"}).status_code == 200

    assert "stranger" not in str(api.control.requests())


def test_the_status_without_a_token_is_a_switch(api: Api) -> None:
    api.control.switch(missing_token="401")

    assert api.send("GET", "", headers={"Authorization": ""}).status_code == 401
