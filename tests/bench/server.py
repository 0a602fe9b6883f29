"""A loopback server that answers from memory, after a latency: `python server.py FOLDER LATENCY_S`.

FOLDER holds pages as files; the first line on stdout is the port. Writes are counted; once `release` has named every
device that has to move, the deployment list is the one after the apply. SIGTERM ends it, and it prints its counts.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections import Counter
from pathlib import Path
from urllib.parse import parse_qs, urlsplit


class Static:
    """Pages by listing, and what was asked."""

    def __init__(self, folder: Path, latency_s: float) -> None:
        self.latency_s = latency_s
        self.pages = {
            name: [path.read_bytes() for path in sorted((folder / name).iterdir())]
            for name in ("before", "after", "devices")
        }
        self.left = int((folder / "moves").read_text())
        self.counts: Counter[str] = Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                method, target = head.split(b" ", 2)[:2]
                length = next(
                    (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
                )
                body = await reader.readexactly(length)
                await asyncio.sleep(self.latency_s)
                status, answer = self.answer(method.decode(), target.decode(), body)
                writer.write(
                    b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                    % (status, len(answer))
                )
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def answer(self, method: str, target: str, body: bytes) -> tuple[bytes, bytes]:
        parts = urlsplit(target)
        query = parse_qs(parts.query)
        kind = parts.path.rpartition("/")[2]
        self.counts[f"{method} {kind}"] += 1
        if method == "POST":
            self.left -= len(json.loads(body).get("deviceIds", [None] * self.left))
            return b"201 Created", b'{"success":true}'
        if kind == "deployments":
            return b"200 OK", self.page("before" if self.left > 0 else "after", query)
        if kind == "devices":
            return b"200 OK", self.page("devices", query)
        if kind == "versions":
            items = [{"id": mark * 24, "version": f"v{mark}"} for mark in "12"]
            return b"200 OK", json.dumps({"items": items, "count": 2, "totalCount": 2, "perPage": 1000}).encode()
        return b"404 Not Found", b'{"type":"NotFound","message":"not here"}'

    def page(self, listing: str, query: dict[str, list[str]]) -> bytes:
        return self.pages[listing][int(query.get("page", ["0"])[0])]


async def main(folder: Path, latency_s: float) -> None:
    static = Static(folder, latency_s)
    server = await asyncio.start_server(static.serve, "127.0.0.1", 0, limit=2**20)
    print(server.sockets[0].getsockname()[1], flush=True)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    print(json.dumps(static.counts), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), float(sys.argv[2])))
