"""A loopback server that answers from files, after a latency: `python server.py FOLDER LATENCY_S POLLS`.

FOLDER is what `fleet.lay_out` wrote; the first line on stdout is the port. Once `release` has named every row that has
to move, the deployment list shows them as released, and after POLLS more listings as reported. A query for devices by
their ids is answered with those. SIGTERM ends it, and it prints its counts and what was fetched, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import mmap
import re
import signal
import sys
from array import array
from collections import Counter
from email.utils import formatdate
from functools import cached_property
from pathlib import Path
from urllib.parse import parse_qs, urlsplit


class Listing:
    """The records of a list, cut into pages of any size."""

    def __init__(self, folder: Path, name: str) -> None:
        self.offsets = array("Q", (folder / f"{name}.offsets").read_bytes())
        with (folder / name).open("rb") as file:
            self.text = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def page(self, number: int, size: int) -> bytes:
        size = min(size, 1000)
        begin, end = (min(at * size, len(self)) for at in (number, number + 1))
        items = self.text[self.offsets[begin] : max(self.offsets[begin], self.offsets[end] - 1)]
        claims = b'"count":%d,"totalCount":%d,"perPage":%d,"page":%d' % (end - begin, len(self), size, number)
        return b'{"items":[%s],%s,"sortField":"id","sortDirection":"asc","_type":"list"}' % (items, claims)

    @cached_property
    def by_id(self) -> dict[str, bytes]:
        """Each record by its id."""
        parts = (self.text[begin : end - 1] for begin, end in zip(self.offsets, self.offsets[1:], strict=False))
        return {text[7:31].decode(): text for text in parts}


class Static:
    """The listings, and what was requested."""

    def __init__(self, folder: Path, latency_s: float, polls: int) -> None:
        self.latency_s = latency_s
        names = (path.stem for path in folder.glob("*.offsets"))
        self.listings = {name: Listing(folder, name) for name in names}
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
                asked = asyncio.get_running_loop().time()
                status, answer = self.answer(method.decode(), target.decode(), body)
                # What it takes to make the answer is part of the latency.
                await asyncio.sleep(asked + self.latency_s - asyncio.get_running_loop().time())
                writer.write(
                    b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nDate: %s\r\nContent-Length: %d\r\n\r\n"
                    % (status, formatdate(usegmt=True).encode(), len(answer))
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
        number, size = (int(query.get(name, ["0"])[0]) for name in ("page", "perPage"))
        if kind == "deployments":
            return b"200 OK", self.listings[self.listing(number)].page(number, size)
        if kind == "devices":
            return b"200 OK", self.named(query) or self.listings["devices"].page(number, size)
        if kind == "versions":
            items = [{"id": mark * 24, "version": f"v{mark}"} for mark in "12"]
            return b"200 OK", json.dumps({"items": items, "count": 2, "totalCount": 2, "perPage": size}).encode()
        if re.fullmatch(r"[0-9a-f]{24}", kind):
            return b"200 OK", json.dumps({"id": kind, "applicationId": kind, "name": "bench"}).encode()
        return b"404 Not Found", b'{"type":"NotFound","message":"not here"}'

    def listing(self, page: int) -> str:
        """Which of the deployment lists is the one by now."""
        if self.left > 0 or "released" not in self.listings:
            return "before"
        if page == 0:
            self.polls -= 1
        return "reported" if self.polls < 0 else "released"

    def named(self, query: dict[str, list[str]]) -> bytes | None:
        """A page of the devices that a query names by id; None when it names none."""
        wanted = re.findall(r"[0-9a-f]{24}", query.get("query", [""])[0])
        if not wanted:
            return None
        items = b",".join(self.listings["devices"].by_id[one] for one in wanted)
        return b'{"items":[%s],"totalCount":%d,"perPage":1000}' % (items, len(wanted))


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
