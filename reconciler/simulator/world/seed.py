"""Fill a world with a fleet."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from itertools import islice
from typing import Any

from reconciler.simulator.world.fleet import Application, Device, Fleet, Flow, TakeUp, Token
from reconciler.simulator.world.ids import NO_BUNDLE, bundle_id, etag, object_id, record_id
from reconciler.simulator.world.releases import empty_bundle
from reconciler.simulator.world.store import World

_BATCH = 10_000


def default_token(application_id: str) -> str:
    """The text of the token that every application has: everything an application token may do."""
    return f"simulator-{application_id}"


def seed(world: World, fleet: Fleet) -> None:
    """Fill an empty world. Devices that are connected and behind begin to take up what is released."""
    with world.changing() as db:
        now = world.clock.now_ms()
        world.switch(fleet.switches)
        for fault in fleet.faults:
            world.faults.add(fault)
        for token in fleet.tokens:
            _seed_token(world, token, None)
        for application in fleet.applications:
            own = application.object_id
            db.execute("insert into applications (id, name, created_ms) values (?, ?, ?)", (own, application.name, now))
            for token in (*application.tokens, Token(text=default_token(own))):
                _seed_token(world, token, own)
            for flow in application.flows:
                _seed_flow(world, application, flow, now)
            for device in application.devices:
                _seed_devices(world, application, device, fleet.take_up_s, now)
        world.remember("first_application", fleet.applications[0].object_id)
        world.build_indexes()


def _seed_token(world: World, token: Token, application_id: str | None) -> None:
    expires_ms = None if token.expires is None else round(token.expires.timestamp() * 1000)
    world.db.execute(
        "insert or ignore into tokens values (?, ?, ?, ?, ?)",
        (object_id("token", token.text), token.text, application_id, json.dumps(token.scopes), expires_ms),
    )


def _seed_flow(world: World, application: Application, flow: Flow, now: int) -> None:
    own = application.flow_id(flow)
    world.db.execute(
        "insert into flows values (?, ?, ?, ?, ?, ?, ?)",
        (own, application.object_id, flow.name, flow.flow_class, flow.enabled, now, now),
    )
    world.db.executemany(
        "insert into versions values (?, ?, ?, ?, ?)",
        [(object_id(own, "version", version), own, version, now, now) for version in flow.versions],
    )


def seed_device(world: World, application_id: str, device: Device) -> list[str]:
    """Add devices to an application that is there already, with nothing deployed. Returns their ids.

    Raises:
        ValueError: an id is taken.
    """
    row = world.db.execute("select name from applications where id = ?", (application_id,)).fetchone()
    application = Application(id=application_id, name=row[0])
    try:
        _seed_devices(world, application, device, 1.0, world.clock.now_ms())
    except sqlite3.IntegrityError as error:
        raise ValueError(f"{device.name}: there is a device with this id already") from error
    return [application.device_id(name, device) for name in device.named()]


def _seed_devices(world: World, application: Application, device: Device, take_up_s: TakeUp, now: int) -> None:
    rows = _Rows(world, application, device, take_up_s, now)
    names = iter(device.named())
    while batch := [(application.device_id(name, device), name) for name in islice(names, _BATCH)]:
        batch.sort()
        rows.insert(batch)


class _Rows:
    """The rows of the devices that one line of a fleet stands for; they differ in id and name only."""

    def __init__(self, world: World, application: Application, device: Device, take_up_s: TakeUp, now: int) -> None:
        self.world, self.device, self.now = world, device, now
        self.application_id = application.object_id
        seconds = take_up_s if device.take_up_s is None else device.take_up_s
        self.take_up_ms = None if seconds == "never" else round(seconds * 1000)
        self.tags = [(key, text) for key, texts in device.tags.items() for text in texts]
        flow_id = {key: application.flow_id(flows[0]) for key, flows in application.flows_by_reference.items()}
        self.deployed = sorted((flow_id[key], one.released, one.reported) for key, one in device.deployed.items())
        self.fails = [
            (flow_id[key], version, error) for key, errors in device.fails.items() for version, error in errors.items()
        ]

    def insert(self, batch: list[tuple[str, str]]) -> None:
        db, now, device = self.world.db, self.now, self.device
        is_edge = device.device_class == "edgeCompute"
        behind = bool(device.connected) and not device.unknown_bundle and any(a != b for _, a, b in self.deployed)
        attempt_ms = now + self.take_up_ms if behind and self.take_up_ms is not None else None
        fixed = (
            *(self.application_id, device.device_class, device.description, device.parent, json.dumps(self.tags)),
            *(device.connected, None if device.connected is None else now, now if device.connected else None),
            *(now if device.connected is False else None, now, now, self.take_up_ms, attempt_ms),
        )
        db.executemany(
            "insert into devices (id, name, application_id, device_class, description, parent_id, tags, connected, "
            "connection_ms, connected_ms, disconnected_ms, created_ms, updated_ms, take_up_ms, attempt_ms) "
            "values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(*pair, *fixed) for pair in batch],
        )
        db.executemany(
            "insert into tags values (?, ?, ?, ?)",
            ((own, at, key, text) for own, _ in batch for at, (key, text) in enumerate(self.tags)),
        )
        db.executemany(
            "insert into failures values (?, ?, ?, ?)", ((own, *one) for own, _ in batch for one in self.fails)
        )
        if not is_edge and (self.deployed or device.unknown_bundle):
            db.executemany("insert into records values (?, ?, ?, ?, ?, ?, ?, ?)", self._records(batch))
        db.executemany(
            "insert into entries values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", self._entries(batch, is_edge=is_edge)
        )

    def _records(self, batch: list[tuple[str, str]]) -> Iterator[tuple[Any, ...]]:
        released = [(flow, version) for flow, version, _ in self.deployed if version is not None]
        reported = [(flow, version) for flow, _, version in self.deployed if version is not None]
        unknown = self.device.unknown_bundle
        for own, _ in batch:
            there = bundle_id(own, reported, 0) if reported else NO_BUNDLE
            if unknown:
                there = unknown if isinstance(unknown, str) else bundle_id(own, [("unknown", "bundle")], 0)
            wanted = bundle_id(own, released, 0) if released else empty_bundle(self.world)
            record = record_id(self.application_id, own)
            yield record, self.application_id, own, self.now, self.now, there, wanted, bool(unknown)

    def _entries(self, batch: list[tuple[str, str]], *, is_edge: bool) -> Iterator[tuple[Any, ...]]:
        for own, _ in batch:
            for flow, released, reported in self.deployed:
                row = (own, flow, self.application_id, released, reported)
                if is_edge:
                    etags = (released and etag(flow, released), reported and etag(flow, reported))
                    yield *row, record_id(self.application_id, own, flow), *etags, self.now, self.now
                else:
                    yield *row, None, None, None, None, None
