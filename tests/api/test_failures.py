"""Every way in which a request can fail ends in one error of the tree: place, cause, remedy, and no token."""

import asyncio
import gzip
import json
import logging
import socket
import ssl
import traceback
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from reconciler.api.http import connection as connection_module
from reconciler.api.http.connection import Exchange, Timeouts
from reconciler.errors import (
    ApiError,
    AuthenticationFailed,
    ConnectionFailed,
    IncompleteRead,
    NotFound,
    PermissionDenied,
    RateLimited,
    ReconcilerError,
    RequestRefused,
    ServerFailed,
    UnexpectedAnswer,
)
from reconciler.model.requests import Release
from reconciler.model.state import Kind
from tests.api.speaking import APPLICATION, FLOW, SECRET, Handler, api_over, listing, record
from tests.builders import hex_id

PLACE = f"GET /applications/{APPLICATION}/embedded/deployments?page=0"
CALL = Release(FLOW, "v1", (hex_id(1),))


def failure(handler: Handler, **options: Any) -> ReconcilerError:
    """What reading live state from that server raises."""

    async def read() -> None:
        async with api_over(handler, **options) as api:
            await api.live()

    with pytest.raises(ReconcilerError) as raised:
        asyncio.run(read())
    return raised.value


def failed_call(handler: Handler, **options: Any) -> ApiError:
    """What sending a call to that server raises."""

    async def send() -> None:
        async with api_over(handler, **options) as api:
            await api.send(CALL)

    with pytest.raises(ApiError) as raised:
        asyncio.run(send())
    return raised.value


def answering(status: int = 200, **answer: Any) -> Handler:
    return lambda _: httpx.Response(status, **answer)


@pytest.mark.parametrize(
    ("status", "kind", "unknown", "remedy"),
    [
        (400, RequestRefused, False, None),
        (401, AuthenticationFailed, False, "the token from LOSANT_API_TOKEN is wrong, revoked or expired"),
        (403, PermissionDenied, False, "needs the scope embeddedDeployments.get"),
        (404, NotFound, False, "application's id in the manifest"),
        (405, RequestRefused, False, "API URL"),
        (409, RequestRefused, False, None),
        (413, RequestRefused, False, "too large"),
        (422, RequestRefused, False, None),
        (429, RateLimited, False, "--parallelism"),
        (500, ServerFailed, True, "try again later"),
        (503, ServerFailed, True, "try again later"),
    ],
)
def test_statuses(status: int, kind: type[ApiError], unknown: bool, remedy: str | None) -> None:
    error = failure(answering(status, json={"type": "X", "message": "The reason"}))
    assert type(error) is kind
    assert error.status == status
    assert error.outcome_unknown is unknown
    (problem,) = error.problems
    assert problem.message == f'{PLACE}: HTTP {status}, the server says "The reason"'
    assert (remedy is None) == (problem.hint is None)
    assert remedy is None or remedy in (problem.hint or "")


def test_a_refused_call_names_its_own_scope() -> None:
    assert "the scope embeddedDeployments.release," in str(failed_call(answering(403, json={})))
    assert "the scope edgeDeployments.release," in str(failed_call(answering(403, json={}), kind=Kind.EDGE))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>oops</html>",
        b"[]",
        b'{"message": 5}',
        b'{"message": " "}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"code":"X"}',
    ],
)
def test_an_error_without_a_message_still_has_its_status(body: bytes) -> None:
    error = failure(answering(400, content=body))
    assert error.problems[0].message == f"{PLACE}: HTTP 400"


def test_the_servers_words_are_inert_short_and_without_the_token() -> None:
    message = f"\x1b[31mred\n::error::x\u202eevil {SECRET} and {SECRET[:40]} " + "x" * 5000
    error = failure(answering(400, json={"message": message}))
    text = error.problems[0].message
    assert text.startswith(
        f'{PLACE}: HTTP 400, the server says "\\x1b[31mred\\n::error::x\\u202eevil [token removed] and'
    )
    assert text.isprintable()
    assert len(text) < len(PLACE) + 340
    assert text.endswith('…"')
    assert SECRET[:20] not in text


def test_an_endless_error_body_is_read_only_to_its_bound() -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 16_384
            yield b"x" * 16_384

    error = failure(lambda _: httpx.Response(400, content=endless()))
    assert isinstance(error, RequestRefused)
    assert sent <= 5 * 16_384


def test_an_endless_answer_is_read_only_to_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "MAX_BODY", 1 << 20)

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 65_536

    error = failure(lambda _: httpx.Response(200, content=endless()))
    assert isinstance(error, UnexpectedAnswer)
    assert "larger than 1 MiB" in str(error)


EMPTY = json.dumps(listing([])).encode()


def coded(content: bytes, coding: str = "gzip") -> dict[str, Any]:
    """An answer that is sent as it is; with `content`, httpx would decode it at once."""
    return {"stream": httpx.ByteStream(content), "headers": {"Content-Encoding": coding}}


@pytest.mark.parametrize("coding", ["gzip", "GZIP", " x-gzip ", "identity", ""])
def test_the_one_coding_that_is_asked_for(coding: str) -> None:
    seen: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Accept-Encoding"])
        return httpx.Response(200, **coded(gzip.compress(EMPTY) if "gzip" in coding.lower() else EMPTY, coding))

    async def read() -> int:
        async with api_over(handle) as api:
            return len((await api.live()).live.devices)

    assert asyncio.run(read()) == 0
    assert set(seen) == {"gzip"}


def bomb(size: int, times: int = 1) -> bytes:
    """That many spaces, compressed; and that again."""
    packer = zlib.compressobj(9, wbits=31)
    body = b"".join(packer.compress(b" " * (1 << 20)) for _ in range(size >> 20)) + packer.flush()
    return body if times == 1 else gzip.compress(body)


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize(("coding", "times"), [("gzip", 1), ("gzip, gzip", 2)])
def test_a_compressed_bomb_is_decoded_only_to_its_bound(
    status: int, coding: str, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "MAX_BODY", 1 << 20)
    answer = coded(bomb(300 << 20, times), coding)
    tracemalloc.start()
    try:
        error = failure(answering(status, **answer), retry_budget=0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20
    if status == 200:
        assert ("Content-Encoding" if times == 2 else "larger than 1 MiB") in str(error)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ({"content": b""}, "the response is empty"),
        ({"text": "<!DOCTYPE html><html>Sign in</html>"}, "the response is HTML"),
        ({"text": "hello"}, "the response is not JSON"),
        ({"text": "[]"}, "not a JSON object"),
        ({"text": "null"}, "not a JSON object"),
        ({"text": "{}"}, "no list of items"),
        ({"json": {"items": {}, "totalCount": 0}}, "no list of items"),
        ({"json": {"items": []}}, "no totalCount"),
        ({"json": {"items": [], "totalCount": None}}, "no totalCount"),
        ({"json": {"items": [], "totalCount": "0"}}, "no totalCount"),
        ({"json": {"items": [], "totalCount": True}}, "no totalCount"),
        ({"json": {"items": [], "totalCount": 0.0}}, "no totalCount"),
        ({"json": {"items": [], "totalCount": -1}}, "no totalCount"),
        ({"json": {"items": [], "totalCount": 0, "perPage": 0}}, "perPage"),
        ({"json": {"items": [], "totalCount": 0, "perPage": "many"}}, "perPage"),
        ({"text": '{"items": [], "totalCount": NaN}'}, "not JSON|NaN"),
        ({"text": '{"items": [], "totalCount": 0, "x": "\\ud800"}'}, "lone surrogate|not JSON"),
        ({"text": '{"items": [], "totalCount": 0'}, "not JSON"),
        ({"text": '{"items": [], "totalCount": 0}}'}, "not JSON"),
        ({"content": b'{"items": [], "totalCount": 0, "x": "\xff"}'}, "not UTF-8"),
        ({"text": '{"x":' + "[" * 100_000}, "nested too deeply|not JSON"),
        ({"text": '{"x":' + "[" * 100_000 + "]" * 100_000 + "}"}, "nested too deeply|not JSON"),
        ({"text": '{"items": [], "totalCount": ' + "9" * 10_000 + "}"}, "not JSON|not plausible"),
        (coded(b"\x1f\x8bnonsense"), "compressed body is corrupt"),
        (coded(gzip.compress(EMPTY)[:-12]), "compressed body is corrupt"),
        (coded(gzip.compress(EMPTY) + b"more"), "compressed body is corrupt"),
        (coded(zlib.compress(EMPTY), "deflate"), "Content-Encoding is not the one"),
        (coded(gzip.compress(gzip.compress(EMPTY)), "gzip, gzip"), "Content-Encoding is not the one"),
        (coded(EMPTY, "br"), "Content-Encoding is not the one"),
        ({"json": {"items": [], "totalCount": 0, "echo": SECRET}}, "repeats the API token"),
        ({"text": '{"items": [], "totalCount": 0, "echo": "\\u0065' + SECRET[1:] + '"}'}, "repeats the API token"),
    ],
)
def test_answers_that_are_none(answer: dict[str, Any], problem: str) -> None:
    error = failure(answering(200, **answer))
    assert isinstance(error, (UnexpectedAnswer, IncompleteRead))
    assert str(error).startswith(f"Error: {PLACE.removesuffix('?page=0')}")
    with pytest.raises(ReconcilerError, match=problem):
        raise error
    assert SECRET not in str(error)


@pytest.mark.parametrize("piece", [b"[]", b"{}", b"[[]]", b'{"a":{}}'])
def test_a_page_of_nothing_but_brackets_is_not_parsed(piece: bytes) -> None:
    """8 MiB of them take 200 MiB as objects."""
    pieces = b",".join([piece] * ((8 << 20) // (len(piece) + 1)))
    for body in (b'{"items":[' + pieces + b'],"totalCount":1}', b"[" + pieces + b"]"):
        tracemalloc.start()
        try:
            error = failure(answering(200, stream=httpx.ByteStream(body)), retry_budget=0)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert "more lists and objects than text" in str(error)
        assert peak < 4 * len(body)


def test_a_page_of_bare_records_is_parsed() -> None:
    """The smallest records that the API could send, and templates of flows, which are full of braces."""
    records: list[dict[str, Any]] = [
        {"id": hex_id(n, "e"), "deviceId": hex_id(n, "d"), "flows": {}, "logs": []} for n in range(1000)
    ]
    records[0]["logs"] = [{"details": {"error": "{{a}}" * 20_000}}]

    async def read() -> int:
        async with api_over(answering(200, json=listing(records, perPage=1000))) as api:
            return len((await api.live()).live.devices)

    assert asyncio.run(read()) == 1000


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 300, 304])
@pytest.mark.parametrize(
    ("location", "shown"),
    [
        (f"https://elsewhere.example/?token={SECRET}", "to host elsewhere.example,"),
        ("//elsewhere.example/x", "to host elsewhere.example,"),
        ("/login", "a redirect,"),
        ("https://host:port/", "a redirect,"),
        ("", "a redirect,"),
        (f"https://{SECRET[:30]}.example/", "a redirect,"),
    ],
)
def test_redirects_are_named_and_not_followed(status: int, location: str, shown: str) -> None:
    asked: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(status, headers={"Location": location})

    error = failure(handle)
    assert isinstance(error, UnexpectedAnswer)
    assert shown in str(error)
    assert SECRET[:25].lower() not in str(error).lower()
    assert asked == ["api.example.test"]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ({"content": b""}, "the response is empty"),
        ({"json": {}}, "does not have success"),
        ({"json": {"success": False}}, "does not have success"),
        ({"json": {"success": "true"}}, "success: "),
        ({"json": {"success": 1}}, "success: "),
        ({"json": []}, "the response: "),
        ({"text": '{"success": false, "success": true}'}, "duplicate key"),
    ],
)
def test_a_call_is_accepted_only_by_success_true(answer: dict[str, Any], problem: str) -> None:
    error = failed_call(answering(201, **answer))
    assert isinstance(error, UnexpectedAnswer)
    assert error.outcome_unknown
    assert problem in str(error)
    assert str(error).startswith(f"Error: POST /applications/{APPLICATION}/embedded/deployments/release: ")


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_2xx_accepts_a_call(status: int) -> None:
    async def send() -> None:
        async with api_over(answering(status, json={"success": True, "_type": "x"})) as api:
            await api.send(CALL)

    asyncio.run(send())


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_call_is_sent_once_whatever_happens(status: int) -> None:
    asked = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(status, headers={"Retry-After": "7"})

    error = failed_call(handle)
    assert isinstance(error, (RateLimited, ServerFailed))
    assert error.retry_after_s == 7
    assert len(asked) == 1


def raising(error: Exception, cause: BaseException | None = None) -> Handler:
    def handle(request: httpx.Request) -> httpx.Response:
        raise error from cause

    return handle


def verification_error() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    return error


@pytest.mark.parametrize(
    ("handler", "reason", "unknown"),
    [
        (
            raising(httpx.ConnectError("x"), socket.gaierror(-2, "Name or service not known")),
            "name does not resolve",
            False,
        ),
        (raising(httpx.ConnectError("x"), ConnectionRefusedError(111, "refused")), "connection refused", False),
        (raising(httpx.ConnectError("x"), ssl.SSLError(1, "[SSL] bad")), "TLS failed", False),
        (raising(httpx.ConnectError("All connection attempts failed")), "All connection attempts failed", False),
        (raising(httpx.ConnectTimeout("")), "connecting timed out", False),
        (raising(httpx.ProxyError("407 Who are you?")), "407 Who are you?", False),
        (raising(httpx.ReadTimeout("")), "timed out", True),
        (raising(httpx.WriteTimeout("")), "timed out", True),
        (raising(httpx.ReadError(""), ConnectionResetError(104, "reset")), "connection reset", True),
        (raising(httpx.ReadError("")), "ReadError", True),
        (raising(httpx.RemoteProtocolError("Server disconnected")), "Server disconnected", True),
        (raising(httpx.LocalProtocolError("odd")), "odd", True),
        (raising(OSError(24, "Too many open files")), "Too many open files", True),
    ],
)
def test_no_answer(handler: Handler, reason: str, unknown: bool) -> None:
    for error in (failure(handler), failed_call(handler)):
        assert type(error) is ConnectionFailed
        assert f"no response from api.example.test: {reason}" in str(error) or reason in str(error)
        assert "api.example.test" in str(error)
        assert error.outcome_unknown is unknown
        assert error.status is None


def test_a_bad_certificate_is_named_and_not_tried_again() -> None:
    asked = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        raise httpx.ConnectError("x") from verification_error()

    error = failure(handle)
    assert isinstance(error, ConnectionFailed)
    assert "the certificate of api.example.test is not trusted: self-signed certificate" in str(error)
    assert "SSL_CERT_FILE" in str(error)
    assert len(asked) == 1


def test_a_server_that_dribbles_is_given_up() -> None:
    async def dribble() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.005)
            yield b" "

    error = failure(lambda _: httpx.Response(200, content=dribble()), timeouts=Timeouts(total_s=0.05), retry_budget=0)
    assert isinstance(error, ConnectionFailed)
    assert "timed out" in str(error)


def test_an_error_body_that_breaks_off_still_has_its_status() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b'{"mess'
        raise httpx.ReadError("cut")

    error = failure(lambda _: httpx.Response(403, content=broken()))
    assert isinstance(error, PermissionDenied)


LEAKS: list[Callable[[httpx.Request], httpx.Response]] = [
    answering(400, json={"message": f"bad token {SECRET}"}),
    answering(500, json={"message": SECRET}),
    answering(200, json={"message": SECRET}),
    answering(302, headers={"Location": f"https://{SECRET[-20:]}/{SECRET}"}),
    answering(200, text=f"<html>{SECRET}"),
    raising(httpx.ReadError(f"cut after {SECRET}")),
    raising(httpx.RemoteProtocolError(SECRET), ValueError(SECRET)),
    raising(httpx.ConnectError("x"), ssl.SSLError(1, SECRET)),
]


@pytest.mark.parametrize("handler", LEAKS)
def test_the_token_is_in_no_text_no_traceback_and_no_log(handler: Handler, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shown = []
    for error in (failure(handler), failed_call(handler)):
        shown.append("".join(traceback.format_exception(error)))
        assert error.__context__ is None or error.__suppress_context__
        shown.append(repr(error) + repr(error.problems))
    shown += [record.getMessage() for record in caplog.records]
    assert not [text for text in shown if SECRET[-25:] in text or SECRET[:25] in text]


def test_the_observer_hears_of_every_request_and_of_every_pause() -> None:
    exchanges: list[Exchange] = []
    notes: list[str] = []
    answers = iter([httpx.Response(503, headers={"Retry-After": "2"}), httpx.Response(200, json=listing([record(1)]))])

    async def read() -> None:
        async with api_over(lambda _: next(answers), observe=exchanges.append, note=notes.append) as api:
            await api.live()

    asyncio.run(read())
    assert [(seen.action, seen.name, seen.status) for seen in exchanges] == [
        ("embeddedDeployments.get", PLACE, 503),
        ("embeddedDeployments.get", PLACE, 200),
    ]
    assert notes == [f"{PLACE}: HTTP 503; trying again in 2.0 s"]
