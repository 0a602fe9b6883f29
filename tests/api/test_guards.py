"""The guards around every test (tests/conftest.py): no network, nobody's environment."""

import asyncio
import os
import socket

import httpx
import pytest

from tests.conftest import NetworkRefused, is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost", b"localhost", "", None])
def test_loopback(host: object) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "example.com", "api.losant.com", "8.8.8.8", "::2", "localhost.example.com"]
)
def test_not_loopback(host: object) -> None:
    assert not is_loopback(host)


def test_names_are_not_looked_up() -> None:
    with pytest.raises(NetworkRefused):
        socket.getaddrinfo("api.losant.com", 443)


@pytest.mark.parametrize("method", ["connect", "connect_ex"])
def test_sockets_do_not_leave_the_machine(method: str) -> None:
    with socket.socket() as made, pytest.raises(NetworkRefused):
        getattr(made, method)(("192.0.2.1", 443))


@pytest.mark.parametrize("url", ["http://192.0.2.1/", "https://api.losant.com/"])
def test_httpx_does_not_either(url: str) -> None:
    async def go() -> None:
        async with httpx.AsyncClient() as http:
            await http.get(url)

    with pytest.raises(BaseException) as raised:  # noqa: PT011 - the refusal may come inside a group
        asyncio.run(go())
    assert "NetworkRefused" in repr(raised.value) or isinstance(raised.value, NetworkRefused)


def test_the_environment_is_scrubbed() -> None:
    kept = [name for name in os.environ if name.startswith("LOSANT_") or name.upper().endswith("_PROXY")]
    assert kept == []
    assert "NO_COLOR" not in os.environ
