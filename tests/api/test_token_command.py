"""Tokens of a command in use: exchanged when they expire or are refused, by one request for all."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import httpx
import pytest

from reconciler.api.http.failures import TokenRenewed
from reconciler.api.http.token_command import _words, command_token
from reconciler.errors import AuthenticationFailed, UsageError
from reconciler.model.requests import Release
from tests.api.speaking import APPLICATION, SECRET, Pages, api_over, record
from tests.fakes import FakeClock
from tests.support.token_program import program, runs

NOW = "2026-06-01T12:00:00.000Z"


def test_of_many_requests_that_are_refused_together_one_runs_it(tmp_path: Path) -> None:
    command = program(tmp_path, "print('token-number-' + str(runs))")
    pages = Pages([record(number) for number in range(5000)])
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["authorization"])
        return httpx.Response(401) if seen[-1].endswith("1") and len(seen) > 1 else pages(request)

    async def go() -> None:
        async with api_over(answer, token=command_token(command, APPLICATION, now=NOW)) as api:
            assert len((await api.live()).live.devices) == 5000

    asyncio.run(go())
    assert len(runs(tmp_path)) == 2
    assert set(seen) == {"Bearer token-number-1", "Bearer token-number-2"}


def expiring(tmp_path: Path) -> str:
    """A command whose first token expires in a minute, the second in a day."""
    return program(
        tmp_path,
        """until = ['2026-06-01T12:01:00Z', '2026-06-02T12:00:00+00:00'][runs - 1]
print('{"token": "token-number-%d", "expires": "%s"}' % (runs, until))""",
    )


def test_a_token_that_expires_is_exchanged_before_it_is_refused(tmp_path: Path) -> None:
    clock = FakeClock(NOW)
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["authorization"][-1])
        return Pages([record(1)])(request) if request.method == "GET" else httpx.Response(201, json={"success": True})

    async def go() -> None:
        async with api_over(answer, clock=clock, token=command_token(expiring(tmp_path), APPLICATION, now=NOW)) as api:
            await api.live()
            await clock.sleep(61)
            with pytest.raises(TokenRenewed, match="not sent, because the token had expired; there is a new one"):
                await api.send(Release("f" * 24, "v1", ("d" * 24,)))
            await api.send(Release("f" * 24, "v1", ("d" * 24,)))
            await api.live()

    asyncio.run(go())
    assert seen == ["1", "2", "2"]
    assert len(runs(tmp_path)) == 2


def test_none_of_its_tokens_is_told(tmp_path: Path) -> None:
    """A server that repeats what it got, the token before included."""
    command = program(tmp_path, f"print({SECRET!r} + str(runs))")
    token = command_token(command, APPLICATION, now=NOW)

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(401, json={"message": f"{SECRET}1 or {SECRET}2"})

    async def go() -> None:
        async with api_over(answer, token=token) as api:
            await api.live()

    with pytest.raises(AuthenticationFailed) as raised:
        asyncio.run(go())
    assert "eyJ" not in str(raised.value)
    assert token.is_in(f"x{SECRET}1".encode())
    assert SECRET not in repr(token)


def test_a_run_that_is_cancelled_does_not_wait_for_the_command(tmp_path: Path) -> None:
    """Without an end of the process, this test would take the thirty seconds that the command has."""
    command = program(tmp_path, "import time\nprint('first-token'); time.sleep(0 if runs == 1 else 600)")

    async def go() -> None:
        async with api_over(lambda _: httpx.Response(401), token=command_token(command, APPLICATION, now=NOW)) as api:
            reading = asyncio.create_task(api.live())
            while len(runs(tmp_path)) < 2:
                await asyncio.sleep(0)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading

    asyncio.run(go())


@pytest.mark.parametrize(
    ("system", "text", "words"),
    [
        ("posix", r"""vault kv 'a b' "c d" e\ f # x""", ["vault", "kv", "a b", "c d", "e f", "#", "x"]),
        ("nt", r"""C:\bin\op.exe read "C:\a b\c" """, [r"C:\bin\op.exe", "read", r"C:\a b\c"]),
    ],
)
def test_the_words_of_a_command(system: str, text: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "name", system)
        found = _words(text)
    assert found == words


def test_in_python_it_is_an_error_like_others() -> None:
    with pytest.raises(UsageError):
        command_token("false", APPLICATION, now=NOW)
