"""A client for the tests: it takes paths, and checks every answer against the action's schema on the way."""

from __future__ import annotations

from typing import Any

import httpx
from pydantic import TypeAdapter

from reconciler.simulator import Server
from reconciler.simulator.faults import Fault
from tests.field_tables import action_of, check_answer

FAULT: TypeAdapter[Fault] = TypeAdapter(Fault)


class Api:
    """The API of one application of a running simulator. `raw` gives answers unchecked."""

    def __init__(self, server: Server, *, token: str | None = None, application_id: str | None = None) -> None:
        self.server = server
        self.control = server.control
        self.root = f"/applications/{application_id or server.application_id}"
        headers = {} if token == "" else {"Authorization": f"Bearer {token or server.token}"}
        self.raw = httpx.Client(base_url=server.url, headers=headers, timeout=5, verify=False)

    def close(self) -> None:
        self.raw.close()

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """A checked answer; `path` is below the application."""
        answer = self.raw.request(method, self.root + path, **options)
        action = action_of(method, answer.request.url.raw_path.decode())
        check_answer(action.name if action else "", answer.status_code, answer.json())
        return answer

    def get(self, path: str, **params: Any) -> Any:
        """The body of a good answer."""
        answer = self.send("GET", path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def all(self, path: str, **params: Any) -> list[Any]:
        """The items of all pages."""
        first = self.get(path, **params)
        pages = -(-first["totalCount"] // first["perPage"])
        return [
            *first["items"],
            *(item for page in range(1, pages) for item in self.get(path, **params, page=page)["items"]),
        ]

    def post(self, path: str, body: Any) -> httpx.Response:
        return self.send("POST", path, json=body)

    def release(self, flow: str, version: str | None, *devices: str, kind: str = "embedded", **more: Any) -> None:
        body = {"flowId": self.flow(flow), "version": version, **more}
        if devices:
            body["deviceIds"] = [self.device(name) for name in devices]
        self._accepted(self.post(f"/{kind}/deployments/release", body))

    def replace(self, flow: str, old: str, new: str | None, *, kind: str = "embedded") -> None:
        body = {"flowId": self.flow(flow), "oldVersion": old, "newVersion": new}
        self._accepted(self.post(f"/{kind}/deployments/replace", body))

    def remove(self, flow: str | None, device: str | None, *, kind: str = "embedded") -> None:
        body = {"flowId": flow and self.flow(flow), "deviceId": device and self.device(device)}
        self._accepted(self.post(f"/{kind}/deployments/remove", body))

    @staticmethod
    def _accepted(answer: httpx.Response) -> None:
        assert (answer.status_code, answer.json()) == (201, {"success": True}), answer.text

    def flow(self, name: str) -> str:
        """A flow's id by its name."""
        row = self.control.world.db.execute("select id from flows where name = ?", (name,)).fetchone()
        return name if row is None else str(row[0])

    def device(self, name: str) -> str:
        """A device's id by its name."""
        row = self.control.world.db.execute("select id from devices where name = ?", (name,)).fetchone()
        return name if row is None else str(row[0])

    def record(self, device: str) -> Any:
        """The embedded record of a device."""
        (item,) = self.get("/embedded/deployments", deviceId=self.device(device))["items"]
        return item

    def rows(self) -> dict[tuple[str, str], tuple[str | None, str | None]]:
        """(device, flow) to (released, reported), by name."""
        return {(row["device"], row["flow"]): (row["released"], row["reported"]) for row in self.control.rows()}
