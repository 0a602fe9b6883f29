"""What the stand-ins of forges' APIs have in common: requests over loopback, and what goes wrong with them."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.waiting import join


@dataclass
class Trouble:
    """What a stand-in does once to a request that matches, instead of answering; `before` is done first.

    With `acts` the request has its effect, and only the answer is lost.
    """

    request: str  # a pattern for "METHOD path"
    status: int = 0  # 0: the connection is cut
    text: str = "<html>Unicorn!</html>"
    headers: Mapping[str, str] = field(default_factory=dict)
    acts: bool = False
    before: Callable[[], object] | None = None


class Asked(NamedTuple):
    """A request. `path`: without what the paths of the forge begin with."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    headers: Mapping[str, str]

    @property
    def token(self) -> str:
        return (self.headers.get("Authorization") or "").removeprefix("Bearer ")


def due(troubles: list[Trouble], method: str, path: str) -> Trouble | None:
    """What goes wrong with this request, once."""
    for one in troubles:
        if re.fullmatch(one.request, f"{method} {path}"):
            troubles.remove(one)
            if one.before:
                one.before()
            return one
    return None


@contextmanager
def serve_forge(
    answer: Callable[[Asked], tuple[int, Any]], troubles: list[Trouble], prefix: re.Pattern[str]
) -> Iterator[str]:
    """The URL at which `answer` gives the status and the JSON, or the text, of each response.

    `prefix`: what is left out of the paths.
    """

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            parts = urlsplit(self.path)
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"null")
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            path = prefix.sub("", parts.path, count=1)
            trouble = due(troubles, self.command, unquote(path))
            if trouble and not trouble.acts:
                self._write(trouble.status, trouble.text, trouble.headers)
                return
            status, data = answer(Asked(self.command, path, query, body, dict(self.headers)))
            if trouble:
                self._write(trouble.status, trouble.text, trouble.headers)
            else:
                self._write(status, data if isinstance(data, str) else json.dumps(data), {})

        def _write(self, status: int, text: str, headers: Mapping[str, str]) -> None:
            if not status:
                self.close_connection = True
                return
            (self.send_response_only if "Date" in headers else self.send_response)(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_PATCH = do_PUT = _answer  # noqa: N815 - http.server's names

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        join(thread)
