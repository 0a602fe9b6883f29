"""Fill a world with a fleet."""

from __future__ import annotations

import json
import sqlite3
from itertools import islice
from typing import Any

from reconciler.simulator.world.fleet import Application, Definition, Device, Fleet, Flow, TakeUp, Token
from reconciler.simulator.world.records import NO_BUNDLE, bundle_id, etag_of, object_id, record_id
from reconciler.simulator.world.releases import empty_bundle
from reconciler.simulator.world.store import World

_BATCH = 10_000
_BETWEEN_VERSIONS_MS = 24 * 3600 * 1000


def default_token(application_id: str) -> str:
    """The text of the default token of an application, which has all scopes of application tokens."""
    return f"simulator-{application_id}"


def seed(world: World, fleet: Fleet) -> None:
    """Fill an empty world. Connected devices that are behind start taking up what is released."""
    with world.changing():
        now = world.clock.now_ms()
        world.switch(fleet.switches)
        for fault in fleet.faults:
            world.faults.add(fault)
        for token in fleet.tokens:
            _seed_token(world, token, None)
        for application in fleet.applications:
            own = application.object_id
            world.insert("applications", [(own, application.name, now, 0)])
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
    row = (object_id("token", token.text), token.text, application_id, json.dumps(token.scopes), expires_ms)
    world.insert("tokens", [row], "or ignore")


def _seed_flow(world: World, application: Application, flow: Flow, now: int) -> None:
    own = application.flow_id(flow)
    world.insert("flows", [(own, application.object_id, flow.name, flow.flow_class, flow.enabled, now, now)])
    for age, version in enumerate(reversed(flow.versions)):
        publish(world, own, version, now - age * _BETWEEN_VERSIONS_MS)


def publish(world: World, flow_id: str, version: str, now: int, definition: Definition | None = None) -> None:
    """Publish a version in place of one with its name, if there is one. It has an id that none had before."""
    own, key = object_id(flow_id, "version", version), f"published {flow_id} {version}"
    if number := int(world.recall(key) or 0):
        own = object_id(flow_id, "version", version, str(number))
    world.db.execute("delete from versions where flow_id = ? and name = ?", (flow_id, version))
    world.insert("versions", [(own, flow_id, version, now, now)])
    world.remember(key, str(number + 1))
    if definition:
        world.insert("definitions", [(own, definition.model_dump_json(exclude_none=True))])


def seed_device(world: World, application_id: str, device: Device) -> list[str]:
    """Add devices without deployments to an existing application. Returns their ids.

    Raises:
        ValueError: an id is already used.
    """
    row = world.db.execute("select name from applications where id = ?", (application_id,)).fetchone()
    application = Application(id=application_id, name=row[0])
    try:
        _seed_devices(world, application, device, 1.0, world.clock.now_ms())
    except sqlite3.IntegrityError as error:
        raise ValueError(f"{device.name}: a device with this id already exists") from error
    return [application.device_id(name, device) for name in device.named()]


def _seed_devices(world: World, application: Application, device: Device, take_up_s: TakeUp, now: int) -> None:
    rows = _Rows(world, application, device, take_up_s, now)
    names = iter(device.named())
    while batch := [(application.device_id(name, device), name) for name in islice(names, _BATCH)]:
        rows.insert(sorted(batch))


class _Rows:
    """The rows of the devices that one fleet entry describes; they differ only in id and name."""

    def __init__(self, world: World, application: Application, device: Device, take_up_s: TakeUp, now: int) -> None:
        self.world, self.device, self.now = world, device, now
        self.application_id = application.object_id
        seconds = take_up_s if device.take_up_s is None else device.take_up_s
        self.take_up_ms = None if seconds == "never" else round(seconds * 1000)
        flow_id = {key: application.flow_id(flows[0]) for key, flows in application.flows_by_reference.items()}
        self.deployed = sorted((flow_id[key], one.released, one.reported) for key, one in device.deployed.items())
        self.fails = [
            (flow_id[key], version, error) for key, errors in device.fails.items() for version, error in errors.items()
        ]

    def insert(self, batch: list[tuple[str, str]]) -> None:
        device, ids = self.device, [own for own, _ in batch]
        tags = [(key, text) for key, texts in device.tags.items() for text in texts]
        self.world.insert("devices", (self._device(*one, json.dumps(tags)) for one in batch))
        self.world.insert("tags", ((own, at, *tag) for own in ids for at, tag in enumerate(tags)))
        self.world.insert("failures", ((own, *one) for own in ids for one in self.fails))
        if device.device_class != "edgeCompute" and (self.deployed or device.unknown_bundle):
            self.world.insert("records", map(self._record, ids))
        self.world.insert("entries", (self._entry(own, *one) for own in ids for one in self.deployed))

    def _device(self, own: str, name: str, tags: str) -> tuple[Any, ...]:
        device, now = self.device, self.now
        behind = device.connected and not device.unknown_bundle and any(a != b for _, a, b in self.deployed)
        attempt_ms = now + self.take_up_ms if behind and self.take_up_ms is not None else None
        connection = (None if device.connected is None else now, now if device.connected else None)
        return (
            *(own, self.application_id, name, device.device_class, device.description, device.parent, tags),
            *(device.connected, *connection, now if device.connected is False else None),
            *(now, now, None, self.take_up_ms, attempt_ms),
        )

    def _record(self, own: str) -> tuple[Any, ...]:
        unknown = self.device.unknown_bundle
        released = [(flow, version) for flow, version, _ in self.deployed if version is not None]
        reported = [(flow, version) for flow, _, version in self.deployed if version is not None]
        there = bundle_id(own, reported, 0) if reported else NO_BUNDLE
        if unknown:
            there = unknown if isinstance(unknown, str) else bundle_id(own, [("unknown", "bundle")], 0)
        wanted = bundle_id(own, released, 0) if released else empty_bundle(self.world)
        record = record_id(self.application_id, own)
        return record, self.application_id, own, self.now, self.now, there, wanted, bool(unknown)

    def _entry(self, own: str, flow: str, released: str | None, reported: str | None) -> tuple[Any, ...]:
        row = (own, flow, self.application_id, released, reported)
        if self.device.device_class != "edgeCompute":
            return *row, None, None, None, None, None
        etags = (etag_of(flow, released), etag_of(flow, reported))
        return *row, record_id(self.application_id, own, flow), *etags, self.now, self.now
