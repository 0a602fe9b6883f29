"""A loopback server that answers from memory, after a latency: `python server.py FOLDER LATENCY_S POLLS`.

FOLDER holds pages as files; the first line on stdout is the port. Once `release` has named every device that has to
move, the deployment list shows them as released, and after POLLS more listings as reported. A query for devices by
their ids is answered with those. SIGTERM ends it, and it prints its counts and what was fetched, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from collections import Counter
from functools import cached_property
from pathlib import Path
from urllib.parse import parse_qs, urlsplit


class Static:
    """Pages by listing, and what was asked."""

    def __init__(self, folder: Path, latency_s: float, polls: int) -> None:
        self.latency_s = latency_s
        self.pages = {
            name: [path.read_bytes() for path in sorted((folder / name).iterdir())]
            for name in ("before", "released", "reported", "devices")
        }
        self.left = int((folder / "moves").read_text())
        self.polls = polls
        self.counts: Counter[str] = Counter()
        self.fetched: list[str] = []

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
        self.fetched.append(target)
        if kind == "deployments":
            return b"200 OK", self.page(self.listing(query), query)
        if kind == "devices":
            return b"200 OK", self.named(query) or self.page("devices", query)
        if kind == "versions":
            items = [{"id": mark * 24, "version": f"v{mark}"} for mark in "12"]
            return b"200 OK", json.dumps({"items": items, "count": 2, "totalCount": 2, "perPage": 1000}).encode()
        return b"404 Not Found", b'{"type":"NotFound","message":"not here"}'

    def listing(self, query: dict[str, list[str]]) -> str:
        """Which of the deployment lists is the one by now."""
        if self.left > 0:
            return "before"
        if query.get("page", ["0"]) == ["0"]:
            self.polls -= 1
        return "reported" if self.polls < 0 else "released"

    def named(self, query: dict[str, list[str]]) -> bytes | None:
        """A page of the devices that a query names by id; None when it names none."""
        wanted = re.findall(r"[0-9a-f]{24}", query.get("query", [""])[0])
        if not wanted:
            return None
        items = b",".join(self.devices[one] for one in wanted)
        return b'{"items":[%s],"totalCount":%d,"perPage":1000}' % (items, len(wanted))

    @cached_property
    def devices(self) -> dict[str, bytes]:
        """Each device's record by its id."""
        items = [item for page in self.pages["devices"] for item in json.loads(page)["items"]]
        return {item["id"]: json.dumps(item, separators=(",", ":")).encode() for item in items}

    def page(self, listing: str, query: dict[str, list[str]]) -> bytes:
        return self.pages[listing][int(query.get("page", ["0"])[0])]


async def main(folder: Path, latency_s: float, polls: int) -> None:
    static = Static(folder, latency_s, polls)
    server = await asyncio.start_server(static.serve, "127.0.0.1", 0, limit=2**20)
    print(server.sockets[0].getsockname()[1], flush=True)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    print(json.dumps({"counts": static.counts, "fetched": static.fetched}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])))
