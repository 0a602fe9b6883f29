"""The port that takes one file: sound against whatever else comes to it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import io
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from reconciler.errors import UsageError
from reconciler.operations.export.listener import Limits, Listener, Received
from tests.support.waiting import LIMIT_S

QUICK = Limits(body=100_000, idle_s=0.2, connections=3)  # for who is to be cut off
PATIENT = Limits(body=100_000, idle_s=3600, connections=3)


async def say(listener: Listener, data: bytes, *, end: bool = False) -> bytes:
    """What the port answers to bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    try:
        writer.write(data)
        if end:
            writer.write_eof()
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def post(listener: Listener, body: bytes, *, path: str | None = None, more: str = "", method: str = "POST") -> bytes:
    path = path or urlsplit(listener.url).path
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


Story = Callable[[Listener], Awaitable[None]]


def play(
    folder: Path, story: Story, *, limits: Limits = PATIENT, seen: list[tuple[int, int | None]] | None = None
) -> list[tuple[int, int | None]]:
    seen = [] if seen is None else seen

    async def run() -> None:
        async with Listener(folder, limits=limits, observe=lambda *progress: seen.append(progress)) as listener:
            async with asyncio.timeout(LIMIT_S):
                await story(listener)

    asyncio.run(run())
    assert list(folder.iterdir()) == []  # whatever nobody took is gone
    return seen


async def take(listener: Listener, content: bytes) -> Received:
    received = await listener.file()
    assert received.size == len(content)
    assert received.sha256 == hashlib.sha256(content).hexdigest()
    assert received.path.read_bytes() == content
    return received


def test_a_posted_file_is_taken(tmp_path: Path) -> None:
    content = bytes(range(256)) * 300

    async def story(listener: Listener) -> None:
        assert status(await say(listener, post(listener, content))) == 200
        await take(listener, content)

    seen = play(tmp_path, story)
    assert seen[0][1] == seen[-1][0] == len(content)


def test_chunks_and_put_and_a_question_first(tmp_path: Path) -> None:
    async def story(listener: Listener) -> None:
        path = urlsplit(listener.url).path
        head = f"PUT {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n".encode()
        answer = await say(listener, head + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        assert b" 200 " in answer
        await take(listener, b"abcde")

    assert play(tmp_path, story)[0] == (3, None)


def test_foreign_callbacks_are_turned_away_and_the_right_one_is_still_taken(tmp_path: Path) -> None:
    async def story(listener: Listener) -> None:
        secret = urlsplit(listener.url).path
        for path in ("/", "/hook", secret[:-1], secret + "x", secret + "?a=b", secret.upper()):
            assert status(await say(listener, post(listener, b"evil", path=path))) == 404
        for method in ("GET", "DELETE", "HEAD"):
            assert status(await say(listener, post(listener, b"", method=method))) == 405
        assert status(await say(listener, post(listener, b""))) == 400
        assert status(await say(listener, post(listener, b"good"))) == 200
        await take(listener, b"good")
        assert status(await say(listener, post(listener, b"late"))) == 409
        await take(listener, b"good")

    play(tmp_path, story)


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03garbage",
        b"GET\r\n\r\n",
        b"POST / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nA: " + b"x" * 40_000,
        b"\r\n" * 20_000,
    ],
)
def test_garbage_is_refused(data: bytes, tmp_path: Path) -> None:
    async def story(listener: Listener) -> None:
        answer = await say(listener, data, end=True)
        assert answer == b"" or 400 <= status(answer) < 500
        assert status(await say(listener, post(listener, b"good"))) == 200
        await take(listener, b"good")

    play(tmp_path, story)


def test_too_large_a_body_is_refused(tmp_path: Path) -> None:
    async def story(listener: Listener) -> None:
        path = urlsplit(listener.url).path
        claimed = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100001\r\n\r\n".encode()
        assert status(await say(listener, claimed)) == 413
        chunk = b"186a1\r\n" + b"x" * 100_001 + b"\r\n"
        chunked = f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        answer = await say(listener, chunked + chunk)
        assert answer == b"" or status(answer) == 413
        assert status(await say(listener, post(listener, b"x" * 100_000))) == 200
        await take(listener, b"x" * 100_000)

    play(tmp_path, story)


def test_a_body_that_breaks_off_is_no_file(tmp_path: Path) -> None:
    async def story(listener: Listener) -> None:
        answer = await say(listener, post(listener, b"x" * 5_000)[:-1], end=True)
        assert answer == b"" or status(answer) == 400
        assert status(await say(listener, post(listener, b"whole"))) == 200
        await take(listener, b"whole")

    play(tmp_path, story)


def half(listener: Listener) -> bytes:
    """A post whose rest does not come."""
    return post(listener, b"halfanhour")[:-6]


def test_slow_clients_are_cut_off_and_hold_nobody_up(tmp_path: Path) -> None:
    async def story(listener: Listener) -> None:
        assert [
            status(answer) for answer in await asyncio.gather(say(listener, half(listener)), say(listener, b""))
        ] == [408, 408]
        assert status(await say(listener, post(listener, b"good"))) == 200
        await take(listener, b"good")

    play(tmp_path, story, limits=QUICK)


def test_one_file_at_a_time(tmp_path: Path) -> None:
    async def story(listener: Listener) -> None:
        _, first = await asyncio.open_connection("127.0.0.1", listener.port)
        first.write(half(listener))
        while not seen:
            await asyncio.sleep(0)
        assert status(await say(listener, post(listener, b"second"))) == 409
        first.write(b"anhour")
        await take(listener, b"halfanhour")
        first.close()

    seen: list[tuple[int, int | None]] = []
    play(tmp_path, story, limits=PATIENT, seen=seen)


def test_idle_connections_do_not_shut_the_rightful_sender_out(tmp_path: Path) -> None:
    async def story(listener: Listener) -> None:
        idle = [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(70)]
        assert status(await say(listener, post(listener, b"good"))) == 200
        await take(listener, b"good")
        for _, writer in idle:
            writer.close()

    play(tmp_path, story, limits=Limits(idle_s=3600))


def test_the_oldest_connection_that_has_not_shown_the_path_makes_room(tmp_path: Path) -> None:
    async def story(listener: Listener) -> None:
        _, sender = await asyncio.open_connection("127.0.0.1", listener.port)
        sender.write(half(listener))
        while not seen:
            await asyncio.sleep(0)
        idle = [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(5)]
        for reader, _ in idle[:2]:
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""  # of five, three are held
        for _, writer in idle[2:]:
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert [status(await reader.read()) for reader, _ in idle[2:]] == [404, 404, 404]
        sender.write(b"anhour")
        await take(listener, b"halfanhour")
        for _, writer in [*idle, (None, sender)]:
            writer.close()

    seen: list[tuple[int, int | None]] = []
    play(tmp_path, story, limits=PATIENT, seen=seen)


def test_a_sender_that_leaves_before_the_answer_has_delivered(tmp_path: Path) -> None:
    async def story(listener: Listener) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(post(listener, b"good"))
        await writer.drain()
        writer.transport.abort()
        # The bytes may be lost with the connection, and then the next sender is heard; if they came, the file counts.
        assert status(await say(listener, post(listener, b"good"))) in (200, 409)
        await take(listener, b"good")

    play(tmp_path, story)


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()

    async def run() -> None:
        async with Listener(folder, limits=PATIENT) as listener:
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
            assert status(await say(listener, post(listener, b"good"))) == 507
            async with asyncio.timeout(LIMIT_S):
                await listener.file()

    with pytest.raises(FileNotFoundError):
        asyncio.run(run())


def test_a_disk_that_fills_up_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, data: Any, /) -> int:
            if self.tell() + len(data) > 5:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(bytes(data)[:2])

    monkeypatch.setattr(Path, "open", lambda *_, **__: Full())

    async def run() -> None:
        async with Listener(tmp_path, limits=PATIENT) as listener:
            assert status(await say(listener, post(listener, b"123456"))) == 507
            async with asyncio.timeout(LIMIT_S):
                await listener.file()

    with pytest.raises(OSError, match="No space left"):
        asyncio.run(run())
    assert list(tmp_path.iterdir()) == []


def test_leaving_cuts_everybody_off(tmp_path: Path) -> None:
    async def run() -> None:
        async with Listener(tmp_path, limits=PATIENT) as listener:
            streams = [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(2)]
            streams[0][1].write(b"POST ")
            assert status(await say(listener, post(listener, b"evil", path="/"))) == 404  # so those before are heard
        async with asyncio.timeout(LIMIT_S):
            for reader, writer in streams:
                with contextlib.suppress(ConnectionError):
                    assert await reader.read() == b""
                writer.close()

    asyncio.run(run())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    async def run() -> None:
        async with Listener(tmp_path / "no"):
            pass

    with pytest.raises(UsageError, match="No such file"):
        asyncio.run(run())
