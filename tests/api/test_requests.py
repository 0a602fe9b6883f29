"""What goes over the wire."""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from reconciler import __version__
from reconciler.api.client import LosantApi
from reconciler.api.http.request import ApiRequest, path
from reconciler.errors import ConnectionFailed, UsageError
from reconciler.model.requests import Release, RemoveDevice, RemoveFlow, RemoveRow, Replace, Request
from reconciler.model.state import Kind
from tests.api.speaking import APPLICATION, FLOW, SECRET, Pages, api_over, body_of, listing, record
from tests.builders import hex_id

DEVICE = hex_id(1, "d")
FLAGS = {"_actions": "false", "_links": "false", "_embedded": "false"}


def seen_by_server(kind: Kind = Kind.EMBEDDED, **options: Any) -> list[httpx.Request]:
    """The requests of one read of live state."""
    seen = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=listing([]))

    async def read() -> None:
        async with api_over(handle, kind=kind, **options) as api:
            await api.live()

    asyncio.run(read())
    return seen


def test_every_request_carries_the_headers_and_the_flags() -> None:
    (request,) = seen_by_server()
    assert request.headers["accept"] == "application/json"
    assert request.headers["accept-version"].startswith("^1.")
    assert request.headers["authorization"] == f"Bearer {SECRET}"
    assert request.headers["user-agent"] == f"reconciler/{__version__}"
    assert FLAGS.items() <= dict(request.url.params).items()


@pytest.mark.parametrize("kind", list(Kind))
def test_listings_are_asked_for_by_id(kind: Kind) -> None:
    (request,) = seen_by_server(kind)
    assert request.method == "GET"
    assert request.url.path == f"/applications/{APPLICATION}/{kind}/deployments"
    paging = {"sortField": "id", "sortDirection": "asc", "page": "0", "perPage": "1000"}
    assert paging.items() <= dict(request.url.params).items()


def test_a_base_url_may_have_a_path() -> None:
    (request,) = seen_by_server(url="https://losant.example.test/api/")
    assert request.url.path == f"/api/applications/{APPLICATION}/embedded/deployments"


@pytest.mark.parametrize(
    ("call", "action", "body"),
    [
        (
            Release(FLOW, "v1", (DEVICE,)),
            "release",
            {"flowId": FLOW, "version": "v1", "deviceIds": [DEVICE]},
        ),
        (Release(FLOW, None, (DEVICE,)), "release", {"flowId": FLOW, "version": None, "deviceIds": [DEVICE]}),
        (Replace(FLOW, "v1", "ü v2"), "replace", {"flowId": FLOW, "oldVersion": "v1", "newVersion": "ü v2"}),
        (RemoveRow(FLOW, DEVICE), "remove", {"flowId": FLOW, "deviceId": DEVICE}),
        (RemoveDevice(DEVICE), "remove", {"flowId": None, "deviceId": DEVICE}),
        (RemoveFlow(FLOW), "remove", {"flowId": FLOW, "deviceId": None}),
    ],
)
@pytest.mark.parametrize("kind", list(Kind))
def test_calls(kind: Kind, call: Request, action: str, body: dict[str, object]) -> None:
    seen = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(201, json={"success": True})

    async def send() -> None:
        async with api_over(handle, kind=kind) as api:
            await api.send(call)
            assert api.connection.counts == {f"{kind}Deployments.{action}": 1}

    asyncio.run(send())
    (request,) = seen
    assert request.method == "POST"
    assert request.url.path == f"/applications/{APPLICATION}/{kind}/deployments/{action}"
    assert request.headers["content-type"] == "application/json"
    assert body_of(request) == body


def test_names_in_paths_and_queries_are_encoded() -> None:
    assert path("a/b", "?x=1", "..x", "é#") == "/a%2Fb/%3Fx%3D1/..x/%C3%A9%23"
    for part in ("", ".", ".."):
        with pytest.raises(UsageError, match="is not a valid id"):
            path("applications", part)
    target = ApiRequest("x", "GET", "/p", {"query": '{"name":"a&b=c d"}'}).target
    assert dict(httpx.URL(f"https://h{target}").params) == {**FLAGS, "query": '{"name":"a&b=c d"}'}
    assert " " not in target


def test_an_export_sends_its_options_and_returns_the_job() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        assert request.url.path.endswith("/embedded/deployments/export")
        assert body_of(request) == {"deviceId": DEVICE, "gzip": True}
        return httpx.Response(202, json={"jobQueued": True, "jobId": "V1StGXR8_Z5jdHi6B-myT", "success": True})

    async def export() -> str | None:
        async with api_over(handle) as api:
            return await api.export({"deviceId": DEVICE, "gzip": True})

    assert asyncio.run(export()) == "V1StGXR8_Z5jdHi6B-myT"


def test_a_netrc_does_not_replace_our_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine api.example.test login somebody password else\ndefault login a password b\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    (request,) = seen_by_server()
    assert request.headers["authorization"] == f"Bearer {SECRET}"


def test_a_proxy_gets_a_tunnel_and_never_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = bytearray()

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.extend(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async def read() -> None:
        server = await asyncio.start_server(proxy, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        async with server, over_network("https://api.example.test") as api:
            with pytest.raises(ConnectionFailed, match="407") as raised:
                await api.application()
            assert not raised.value.outcome_unknown

    asyncio.run(read())
    assert heard.startswith(b"CONNECT api.example.test:443 ")
    assert SECRET.encode() not in heard


def test_loopback_is_never_asked_through_a_proxy(monkeypatch: pytest.MonkeyPatch, closed_port: int) -> None:
    for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port}")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = json.dumps({"id": APPLICATION, "name": "plant"}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    async def read() -> str | None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, over_network(f"http://127.0.0.1:{port}") as api:
            return (await api.application()).name

    assert asyncio.run(read()) == "plant"


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("HTTPS_PROXY", "carrier-pigeon://roof", "HTTPS_PROXY is not the URL of a proxy"),
        ("https_proxy", "http://", "https_proxy is not the URL of a proxy"),
        ("ALL_PROXY", "socks5://127.0.0.1:1", "ALL_PROXY is a SOCKS proxy, which needs the package socksio"),
        ("SSL_CERT_FILE", "/nowhere/ca.pem", "SSL_CERT_FILE /nowhere/ca.pem: No such file or directory"),
        ("SSL_CERT_FILE", "/", "SSL_CERT_FILE /: Is a directory"),
        ("SSL_CERT_FILE", __file__, f"SSL_CERT_FILE {__file__}: it holds no certificate in PEM format"),
        ("SSL_CERT_DIR", "/nowhere/certs", "SSL_CERT_DIR /nowhere/certs: there is no such folder"),
        ("SSLKEYLOGFILE", "/nowhere/keys.log", "SSLKEYLOGFILE /nowhere/keys.log: No such file or directory"),
    ],
)
def test_variables_that_make_no_sense(monkeypatch: pytest.MonkeyPatch, name: str, value: str, problem: str) -> None:
    monkeypatch.setenv(name, value)

    async def open_and_close() -> None:
        async with over_network("https://api.example.test"):
            pass

    with pytest.raises(UsageError) as raised:
        asyncio.run(open_and_close())
    assert str(raised.value).startswith(f"Error: {problem} (")
    other = {"SSLKEYLOGFILE": "SSL_CERT", "SSL_CERT_FILE": "KEYLOG"}
    assert other.get(name, "!") not in str(raised.value)


def over_network(url: str) -> AbstractAsyncContextManager[LosantApi]:
    """A client without a stand-in for the transport."""
    return api_over(lambda _: httpx.Response(500), url=url, transport=None)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of loopback where nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_requests_are_counted_by_action() -> None:
    async def read() -> dict[str, int]:
        async with api_over(Pages([record(n) for n in range(19)], cap=10)) as api:
            await api.live()
            return dict(api.connection.counts)

    assert asyncio.run(read()) == {"embeddedDeployments.get": 3}
