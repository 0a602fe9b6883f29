"""The two subjects of the ports' contract in one world: the fake in memory, and the client against a simulator."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from reconciler.api.http.credentials import Token
from reconciler.model.log import unix_time
from reconciler.model.state import Application, Entry, Kind, Live, Row
from reconciler.ports import Reader, Writer
from reconciler.simulator import Clock, serve
from tests.builders import entry, hex_id
from tests.fakes import FakeApi, FakeClock, Match
from tests.field_tables import CheckedTransport
from tests.support.api import open_api

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
APPLICATION = hex_id(1, "a")
PUMP, FAN, LATE, OTHER_CLASS = hex_id(1, "f"), hex_id(2, "f"), hex_id(3, "f"), hex_id(4, "f")
FLOWS = {PUMP: ("pump", ["v1", "v2", "v3"]), FAN: ("fan", ["1.10", "v1"]), LATE: ("late", ["v1"])}
UNKNOWN = hex_id(99, "d")


@dataclass(frozen=True)
class Thing:
    """A device of the world; `rows` maps flow id to `released>reported`."""

    id: str
    name: str
    rows: dict[str, str]
    tags: dict[str, list[str]]
    connected: bool | None = True
    own_class: str | None = None


LEEDS, YORK = {"site": ["leeds"]}, {"site": ["york"], "role": ["a", "b"]}
THINGS = [
    Thing(hex_id(1, "d"), "pump-1", {PUMP: "v1", FAN: "1.10"}, LEEDS),
    Thing(hex_id(2, "d"), "pump-2", {PUMP: "v2>v1"}, LEEDS, connected=False),
    Thing(hex_id(3, "d"), "pump-3", {PUMP: "->v1", FAN: "v1>-"}, YORK, connected=False),
    Thing(hex_id(4, "d"), "bare", {}, YORK),
    Thing(hex_id(5, "d"), "pump-5", {PUMP: "v1"}, {}, connected=None),
    Thing(hex_id(6, "d"), "twin", {PUMP: "v3"}, {}),
    Thing(hex_id(7, "d"), "twin", {FAN: "v1"}, {}),
    Thing(hex_id(8, "d"), "shelf", {}, LEEDS, own_class="standalone"),
]


class Subject(Reader, Writer, Protocol):
    """Both ports of one application."""


class Side(Protocol):
    """A world with its ports, and the hands of the people and devices in it."""

    @property
    def api(self) -> Subject:
        """The ports under test."""
        ...

    @property
    def began(self) -> float:
        """What time it is there until something happens, in Unix time."""
        ...

    def settle(self) -> None:
        """Let connected devices take what is released."""
        ...

    def set_released(self, device_id: str, flow_id: str, version: str | None) -> None:
        """Somebody else releases a version."""
        ...

    def delete(self, device_id: str) -> None:
        """Somebody deletes a device; its record stays."""
        ...


class FakeSide:
    """The world in memory."""

    def __init__(self, kind: Kind, match: Match, *, skip_unknown: bool) -> None:
        self.api = FakeApi(
            clock=FakeClock(),
            application=Application(APPLICATION, "plant"),
            kind=kind,
            match=match,
            skip_unknown=skip_unknown,
        )
        self.began = unix_time(self.api.clock.utc_now())
        for flow_id, (name, versions) in FLOWS.items():
            self.api.add_flow(flow_id, name, versions)
        for thing in THINGS:
            self.api.add_device(
                thing.id,
                thing.name,
                tags={key: tuple(values) for key, values in thing.tags.items()},
                flows={flow_id: entry(text) for flow_id, text in thing.rows.items()} or None,
                connected=thing.connected,
                **({"device_class": thing.own_class} if thing.own_class else {}),
            )

    def settle(self) -> None:
        self.api.clock.advance(1)
        self.api.settle()
        self.api.clock.advance(1)

    def set_released(self, device_id: str, flow_id: str, version: str | None) -> None:
        reported = self.api.entry(device_id, flow_id).reported
        self.api.set_entry(device_id, flow_id, Entry(version, reported))

    def delete(self, device_id: str) -> None:
        self.api.delete_device(device_id, record=True)


class SimulatedSide:
    """The client over loopback HTTP. Pages hold three items, so that every listing has several."""

    def __init__(self, server: Any, api: Subject) -> None:
        self.api = api
        self._control = server.control

    @property
    def began(self) -> float:
        return START.timestamp()

    def settle(self) -> None:
        self._control.settle()

    def set_released(self, device_id: str, flow_id: str, version: str | None) -> None:
        self._control.set_released(device_id, flow_id, version)

    def delete(self, device_id: str) -> None:
        self._control.delete_device(device_id)


def fleet(kind: Kind) -> dict[str, Any]:
    """The world as a fleet of the simulator."""
    flow_class = "embedded" if kind is Kind.EMBEDDED else "edge"
    flows: dict[str, Any] = {
        name: {"id": flow_id, "class": flow_class, "versions": versions} for flow_id, (name, versions) in FLOWS.items()
    }
    flows["elsewhere"] = {"id": OTHER_CLASS, "class": "cloud", "versions": ["v1"]}
    devices = [
        {
            "id": thing.id,
            "name": thing.name,
            "class": thing.own_class or kind.device_class,
            "tags": thing.tags,
            "connected": thing.connected,
            "deployed": {FLOWS[flow_id][0]: _sides(text) for flow_id, text in thing.rows.items()},
        }
        for thing in THINGS
    ]
    return {"applications": [{"id": APPLICATION, "name": "plant", "flows": flows, "devices": devices}]}


def _sides(text: str) -> dict[str, str]:
    seen = entry(text)
    return {
        key: value for key, value in (("released", seen.released), ("reported", seen.reported)) if value is not None
    }


@contextlib.asynccontextmanager
async def open_side(
    name: str, kind: Kind, *, match: Match = Match.RELEASED, skip_unknown: bool = True
) -> AsyncIterator[Side]:
    """`fake` or `client`, in the same world."""
    if name == "fake":
        yield FakeSide(kind, match, skip_unknown=skip_unknown)
        return
    with serve(fleet(kind), clock=Clock(frozen_at=START)) as server:
        server.control.switch(
            per_page_cap=3, replace_matches=match.value, unknown_device="skip" if skip_unknown else "404"
        )
        async with open_api(
            url=server.url,
            token=Token(server.token, source="test"),
            application_id=APPLICATION,
            kind=kind,
            transport=CheckedTransport(verify=False),
        ) as api:
            yield SimulatedSide(server, api)


def rows(live: Live) -> dict[Row, Entry]:
    """What a read of live state comes down to."""
    return {(device_id, flow_id): seen for device_id, flow_id, seen in live.rows()}
