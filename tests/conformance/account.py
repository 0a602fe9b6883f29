"""Where the rows are asked: an application of the simulator, or one of a real account."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from reconciler.simulator import Clock, Server, serve
from tests.conformance.rows import CASTS, HERE

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
_MANY = {"ids": "0" * 24, "tags": {"key": "site"}}


class NotThere(Exception):
    """The application has nothing of this name."""


@dataclass(frozen=True, slots=True)
class Live:
    """A real account that may be asked. It takes environment variables, so that no test does it by accident."""

    url: str
    token: str
    application_id: str
    may_write: bool

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Live | None:
        """The account of `RECONCILER_LIVE_TESTS=1`, or None without it.

        Raises:
            KeyError: the token or the application is not said.
        """
        if environ.get("RECONCILER_LIVE_TESTS") != "1":
            return None
        return cls(
            url=environ.get("LOSANT_API_URL", "https://api.losant.com"),
            token=environ["LOSANT_API_TOKEN"],
            application_id=environ["RECONCILER_LIVE_APPLICATION"],
            may_write=environ.get("RECONCILER_LIVE_WRITES") == "1",
        )


LIVE = Live.of(os.environ)


@dataclass(slots=True)
class Account:
    """An application and a way to it; `server` is None if it is a real one."""

    http: httpx.Client
    application_id: str
    server: Server | None
    _known: dict[str, str] = field(default_factory=dict)

    def send(
        self, method: str, path: str, *, query: Any = None, headers: Mapping[str, str | None], **body: Any
    ) -> httpx.Response:
        """An answer. A path is below the application, or after `^` from the root; a header of None is left out."""
        target = path[1:] if path.startswith("^") else f"/applications/{self.application_id}{path}"
        if isinstance(query, str):
            target, query = f"{target}?{query}", None
        request = self.http.build_request(method, target, params=query or None, **body)
        for name, text in headers.items():
            request.headers.pop(name, None)
            if text is not None:
                request.headers[name] = text
        return self.http.send(request)

    def fill(self, value: Any, kind: str) -> Any:
        """A value with what stands in angle brackets filled in (see `tests.conformance.rows`).

        Raises:
            NotThere: it names something that the application does not have.
        """
        match value:
            case str():
                if (many := re.fullmatch(r"<(\d+) (ids|tags)>", value)) is not None:
                    return [_MANY[many[2]]] * int(many[1])
                return re.sub(r"<([^<>]+)>", lambda found: self._text(found[1], CASTS[kind]), value)
            case list():
                return [self.fill(one, kind) for one in value]
            case dict():
                return {self.fill(key, kind): self.fill(one, kind) for key, one in value.items()}
            case _:
                return value

    def _text(self, name: str, cast: Mapping[str, str]) -> str:
        match name.split(" "):
            case [number, character] if number.isdigit():
                return character * int(number)
            case ["nobody"]:
                return "0" * 24
            case ["upper", *rest]:
                return self._text(" ".join(rest), cast).upper()
            case ["application"]:
                return self.application_id
            case ["offline", "name"]:
                return cast["offline"]
            case ["record", device]:
                return self._one("/embedded/deployments", {"deviceId": self._id(cast.get(device, device))}, name)
            case ["edge", device, flow]:
                ids = {"deviceId": self._id(cast.get(device, device)), "flowId": self._id(cast.get(flow, flow))}
                return self._one("/edge/deployments", ids, name)
            case ["version", flow, version]:
                return self._one(f"/flows/{self._id(flow)}/versions/{version}", {}, name)
            case _:
                return self._id(cast.get(name, name))

    def _one(self, path: str, query: Mapping[str, str], name: str) -> str:
        found = self.send("GET", path, query=dict(query), headers={}).json()
        items = found.get("items", [found])
        if len(items) != 1 or "id" not in items[0]:
            raise NotThere(name)
        return str(items[0]["id"])

    def _id(self, name: str) -> str:
        if not self._known:
            for path in ("/devices", "/flows"):
                listed = self.send("GET", path, query={"query": "{}", "perPage": "1000"}, headers={})
                self._known |= {item["name"]: item["id"] for item in listed.raise_for_status().json()["items"]}
            if self.server is not None:
                self._known |= dict(self.server.control.world.db.execute("select name, id from devices"))
                self._known |= dict(self.server.control.world.db.execute("select name, id from flows"))
                self._known |= dict(self.server.control.world.db.execute("select name, id from applications"))
        if name not in self._known:
            raise NotThere(name)
        return self._known[name]

    def state(self) -> dict[str, str]:
        """`device flow` to `released>reported`, of the simulator."""
        if self.server is None:
            raise RuntimeError("a real account is not looked into")
        return {
            f"{row['device']} {row['flow']}": f"{row['released'] or '-'}>{row['reported'] or '-'}"
            for row in self.server.control.rows()
        }


@contextmanager
def open_account(live: Live | None) -> Iterator[Account]:
    """The real account, or a fresh world of the simulator whose clock stands still."""
    if live is not None:
        with _client(live.url, live.token) as http:
            yield Account(http, live.application_id, None)
        return
    with (
        serve(HERE / "fleet.yaml", clock=Clock(frozen_at=START)) as server,
        _client(server.url, server.token, trust_env=False) as http,
    ):
        yield Account(http, server.application_id, server)


def _client(url: str, token: str, **options: Any) -> httpx.Client:
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    return httpx.Client(base_url=url, headers=headers, timeout=30, verify=url.startswith("https:"), **options)
