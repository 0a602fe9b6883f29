"""The client against a simulator over real loopback HTTP, with everything on the way that can go wrong."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import socket
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest

from reconciler.api.client import LosantApi
from reconciler.api.http.connection import Timeouts
from reconciler.api.http.credentials import Token
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
from reconciler.model.state import Entry
from reconciler.simulator import Clock, Server, faults, serve
from tests.api.speaking import SECRET
from tests.builders import hex_id
from tests.fakes import FakeClock
from tests.support.api import open_api

T = TypeVar("T")
QUICK = Timeouts(connect_s=1.0, read_s=0.2, total_s=2.0)
APPLICATION, PUMP = hex_id(1, "a"), hex_id(1, "f")
NARROW, STALE = "narrow-token-that-reads-deployments", "stale-token-of-the-last-century"
FLEET = {
    "applications": [
        {
            "id": APPLICATION,
            "name": "plant",
            "flows": {"pump": {"id": PUMP, "versions": ["v1", "v2"]}},
            "devices": [{"count": 25, "name": "pump-{n:02}", "deployed": {"pump": "v1"}}],
            "tokens": [
                {"text": SECRET},
                {"text": NARROW, "scopes": ["embeddedDeployments.get"]},
                {"text": STALE, "expires": "2020-01-01T00:00:00Z"},
            ],
        }
    ]
}


@pytest.fixture
def server() -> Iterator[Server]:
    """25 devices, in pages of ten."""
    with serve(FLEET, clock=Clock(frozen_at=datetime(2026, 3, 2, 9, tzinfo=UTC))) as running:
        running.control.switch(per_page_cap=10)
        yield running


def ask(server: Server, question: Callable[[LosantApi], Awaitable[T]], **options: Any) -> T:
    """One question over a client of its own; waits between tries are virtual."""
    options = {
        "token": Token(server.token, source="LOSANT_API_TOKEN"),
        "url": server.url,
        "clock": FakeClock(),
        **options,
    }

    async def go() -> T:
        async with open_api(application_id=APPLICATION, rng=random.Random(1), timeouts=QUICK, **options) as api:
            return await question(api)

    return asyncio.run(go())


def failure(server: Server, question: Callable[[LosantApi], Awaitable[object]], **options: Any) -> ReconcilerError:
    with pytest.raises(ReconcilerError) as raised:
        ask(server, question, **options)
    return raised.value


LIST = faults.When(action="embeddedDeployments.get")
PAGE = faults.When(query={"page": "1"}, action="embeddedDeployments.get")
ALWAYS: list[tuple[faults.Fault, type[ReconcilerError]]] = [
    (faults.Status(status=429, when=PAGE), RateLimited),
    (faults.Status(status=429, retry_after="2", when=PAGE), RateLimited),
    (faults.Status(status=500, when=PAGE), ServerFailed),
    (faults.Status(status=502, body="html", when=PAGE), ServerFailed),
    (faults.Status(status=503, body="huge", when=PAGE), ServerFailed),
    (faults.Status(status=400, body="echo", when=PAGE), RequestRefused),
    (faults.Status(status=418, body="empty", when=PAGE), RequestRefused),
    (faults.Redirect(when=PAGE), UnexpectedAnswer),
    (faults.Reset(when=PAGE), ConnectionFailed),
    (faults.Reset(after_effect=True, when=PAGE), ConnectionFailed),
    (faults.Garble(how="html", when=PAGE), UnexpectedAnswer),
    (faults.Garble(how="text", when=PAGE), UnexpectedAnswer),
    (faults.Garble(how="array", when=PAGE), UnexpectedAnswer),
    (faults.Garble(how="truncated", when=PAGE), ConnectionFailed),
    (faults.Garble(how="gzip", when=PAGE), UnexpectedAnswer),
    (faults.Garble(how="utf8", when=PAGE), UnexpectedAnswer),
    (faults.Missing(when=LIST), IncompleteRead),
    (faults.Duplicate(instead=True, when=LIST), IncompleteRead),
    (faults.Damage(field="deviceId", when=PAGE), IncompleteRead),
    (faults.Damage(field="deviceId", absent=False, value=None, when=PAGE), IncompleteRead),
    (faults.Damage(field="deviceId", absent=False, value="pump", when=PAGE), UnexpectedAnswer),
    (faults.Total(delta=1, when=LIST), IncompleteRead),
]


@pytest.mark.parametrize("parallelism", [1, 8])
@pytest.mark.parametrize(("fault", "kind"), ALWAYS)
def test_no_fault_makes_a_shorter_list(
    server: Server, fault: faults.Fault, kind: type[ReconcilerError], parallelism: int
) -> None:
    server.control.fault(fault)
    error = failure(server, LosantApi.live, parallelism=parallelism)
    assert type(error) is kind
    assert f"/applications/{APPLICATION}/embedded/deployments" in str(error)
    assert server.token not in str(error)
    assert str(error).count("\n") == 0


PASSING: list[faults.Fault] = [
    faults.Status(status=429, retry_after="30", when=faults.When(every=2, times=3)),
    faults.Status(status=503, body="html", when=faults.When(times=2)),
    faults.Reset(when=faults.When(times=2)),
    faults.Garble(how="truncated", when=faults.When(times=2)),
    faults.Total(delta=5, when=faults.When(nth=2)),
    faults.Missing(when=PAGE),  # the next page begins with it
    faults.Duplicate(instead=True, when=PAGE),
    faults.Missing(when=faults.When(times=1)),
    faults.SlowHeaders(seconds=0.5, when=faults.When(times=1)),
    faults.Latency(seconds=0.5, when=faults.When(times=1)),
]


@pytest.mark.parametrize("fault", PASSING)
def test_what_passes_costs_only_time(server: Server, fault: faults.Fault) -> None:
    server.control.fault(fault)
    live = ask(server, LosantApi.live).live
    assert len(live.devices) == 25
    assert {seen for _, _, seen in live.rows()} == {Entry("v1", "v1")}


CALL_FAULTS: list[tuple[faults.Fault, type[ApiError], bool, bool]] = [
    # fault, error, is the outcome unknown to the client, did it take effect
    (faults.Status(status=400), RequestRefused, False, False),
    (faults.Status(status=429, retry_after="3"), RateLimited, False, False),
    (faults.Status(status=500), ServerFailed, True, False),
    (faults.Reset(), ConnectionFailed, True, False),
    (faults.Reset(after_effect=True), ConnectionFailed, True, True),
    (faults.Garble(how="html"), UnexpectedAnswer, True, True),
    (faults.Garble(how="array"), UnexpectedAnswer, True, True),
    (faults.Garble(how="truncated"), ConnectionFailed, True, True),
    (faults.Garble(how="duplicate_keys"), UnexpectedAnswer, True, True),
    (faults.Redirect(), UnexpectedAnswer, True, False),
]


@pytest.mark.parametrize(("fault", "kind", "unknown", "effect"), CALL_FAULTS)
def test_a_call_goes_out_once_and_says_whether_its_outcome_is_known(
    server: Server, fault: faults.Fault, kind: type[ApiError], unknown: bool, effect: bool
) -> None:
    owner = next(row["device_id"] for row in server.control.rows())
    server.control.fault(fault)
    error = failure(server, lambda api: api.send(Release(PUMP, "v2", (owner,))))
    assert type(error) is kind
    assert isinstance(error, ApiError)
    assert error.outcome_unknown is unknown
    assert server.control.counts() == {"embeddedDeployments.release": 1}
    released = {row["released"] for row in server.control.rows() if row["device_id"] == owner}
    assert released == {"v2" if effect else "v1"}


async def cut(call: Awaitable[object], turns: int) -> None:
    """Cancel a call after so many turns of the loop."""
    task = asyncio.ensure_future(call)
    for _ in range(turns):
        await asyncio.sleep(0)
    if task.cancel():
        with pytest.raises(asyncio.CancelledError):
            await task


def test_a_call_that_is_cancelled_while_it_connects_ends_and_leaves_nothing_open(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told: left.append(str(told.exc_value)))
    owner = next(row["device_id"] for row in server.control.rows())
    gc.freeze()  # what other tests left is not looked through
    try:
        for turns in range(30):  # connecting takes a dozen
            ask(server, lambda api, turns=turns: cut(api.send(Release(PUMP, "v2", (owner,))), turns))  # type: ignore[misc]
        gc.collect()
    finally:
        gc.unfreeze()
    assert left == []


def test_a_token_that_reads_deployments_only(server: Server) -> None:
    token = Token(NARROW, source="--token-file ci.token")
    assert len(ask(server, LosantApi.live, token=token).live.devices) == 25
    for question, scope in [
        (LosantApi.devices, "devices.get"),
        (LosantApi.flows, "flows.get"),
        (LosantApi.application, "application.get"),
        (lambda api: api.versions(PUMP), "flowVersions.get"),
        (lambda api: api.send(Release(PUMP, "v2", (hex_id(1),))), "embeddedDeployments.release"),
    ]:
        error = failure(server, question, token=token)  # type: ignore[arg-type]
        assert type(error) is PermissionDenied
        assert f"the token from --token-file ci.token needs the scope {scope}," in str(error)


def test_an_expired_token(server: Server) -> None:
    error = failure(server, LosantApi.live, token=Token(STALE, source="LOSANT_API_TOKEN"))
    assert type(error) is AuthenticationFailed
    assert "LOSANT_API_TOKEN is wrong, revoked or expired" in str(error)


def test_an_application_that_does_not_exist(server: Server) -> None:
    async def go() -> None:
        token = Token(server.token, source="LOSANT_API_TOKEN")
        async with open_api(application_id=hex_id(9), token=token, url=server.url, clock=FakeClock()) as api:
            await api.live()

    with pytest.raises(ApiError) as raised:
        asyncio.run(go())
    assert isinstance(raised.value, (NotFound, PermissionDenied))
    assert "manifest" in str(raised.value) or "application" in str(raised.value)


def test_nobody_listens(server: Server) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        error = failure(server, LosantApi.live, url=f"http://127.0.0.1:{port}")
    assert type(error) is ConnectionFailed
    assert "no response from 127.0.0.1: connection refused" in str(error)
    assert not error.outcome_unknown


def test_tls_to_a_plain_port(server: Server) -> None:
    error = failure(server, LosantApi.live, url=server.url.replace("http:", "https:"))
    assert type(error) is ConnectionFailed
    assert "TLS failed" in str(error)
    assert not error.outcome_unknown


def test_a_server_that_speaks_something_else() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await writer.drain()
        writer.close()

    async def go() -> None:
        listener = await asyncio.start_server(greet, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        async with (
            listener,
            open_api(application_id=APPLICATION, token=Token("x" * 30, source="t"), url=url, clock=FakeClock()) as api,
        ):
            await api.application()

    with pytest.raises(ConnectionFailed, match=r"no response from 127\.0\.0\.1"):
        asyncio.run(go())


@pytest.mark.parametrize(
    "fault",
    [
        None,
        faults.Status(status=400, body="echo"),
        faults.Status(status=500, body="echo"),
        faults.Redirect(location="https://elsewhere.invalid/?token=TOKEN"),
        faults.Reset(),
        faults.Garble(how="gzip"),
    ],
)
def test_at_the_loudest_the_token_is_in_no_log_and_no_traceback(
    server: Server, fault: faults.Fault | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    if isinstance(fault, faults.Redirect):
        fault = fault.model_copy(update={"location": fault.location.replace("TOKEN", SECRET)})
    if fault:
        server.control.fault(fault)
    said: list[str] = []
    try:
        ask(
            server,
            LosantApi.live,
            token=Token(SECRET, source="test"),
            observe=lambda seen: said.append(repr(seen)),
            note=said.append,
        )
    except ReconcilerError as error:
        said.append("".join(traceback.format_exception(error)))
    said += [record.getMessage() for record in caplog.records]
    assert said
    assert not [text for text in said if SECRET[:20] in text or SECRET[-20:] in text]


def test_reads_send_get_only(server: Server) -> None:
    async def everything(api: LosantApi) -> None:
        await api.application()
        await api.live()
        await api.live(flow_id=PUMP)
        await api.devices(names=["pump-01"])
        await api.device_count()
        await api.flows()
        await api.versions(PUMP, names=["v1"])

    ask(server, everything)
    assert {seen["method"] for seen in server.control.requests()} == {"GET"}


def test_a_read_of_many_pages_is_bounded_by_parallelism(server: Server) -> None:
    """Pages of one record cannot overlap, so all 25 are read twice; by eight workers as by one."""
    server.control.switch(per_page_cap=1)
    one, eight = (ask(server, LosantApi.live, parallelism=number) for number in (1, 8))
    assert one == eight
    assert server.control.counts() == {"embeddedDeployments.get": 2 * (1 + 2 * 25)}
