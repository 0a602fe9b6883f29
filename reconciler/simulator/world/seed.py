"""Fill a world with a fleet."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from reconciler.simulator.world.connections import begin_turns
from reconciler.simulator.world.devices import unknown_bundle
from reconciler.simulator.world.fleet import Application, Definition, Device, Fleet, Flow, Token
from reconciler.simulator.world.records import (
    NO_BUNDLE,
    PERSON,
    Author,
    Kind,
    bundle_id,
    etag_of,
    log_entry,
    object_id,
    record_id,
    write_logs,
)
from reconciler.simulator.world.releases import Change, Move, bundle_log, empty_bundle, etag_log
from reconciler.simulator.world.store import Row, World

_BATCH = 10_000
_BETWEEN_VERSIONS_MS = 24 * 3600 * 1000
_REPORTED_MS = 1000  # after a release that was long ago


def default_token(application_id: str) -> str:
    """The text of the default token of an application, which has all scopes of application tokens."""
    return f"simulator-{application_id}"


def seed(world: World, fleet: Fleet) -> None:
    """Fill an empty world. Connected devices that are behind start taking up what is released."""
    with world.changing():
        now = world.clock.now_ms()
        world.set_clock(now, world.clock.speed)
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
                _seed_devices(world, application, device, fleet, now)
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
        _seed_devices(world, application, device, Fleet(applications=()), world.clock.now_ms())
    except sqlite3.IntegrityError as error:
        raise ValueError(f"{device.name}: a device with this id already exists") from error
    return [application.device_id(name, device) for name in device.named()]


def _seed_devices(world: World, application: Application, device: Device, fleet: Fleet, now: int) -> None:
    rows = _Rows(world, application, device, fleet, now)
    names = iter(device.named())
    while batch := [(application.device_id(name, device), name) for name in islice(names, _BATCH)]:
        rows.insert(sorted(batch))


class _Deed(NamedTuple):
    at_ms: int
    flow_id: str
    before: str | None
    version: str | None


class _Rows:
    """The rows of the devices that one fleet entry describes; they differ only in id and name."""

    def __init__(self, world: World, application: Application, device: Device, fleet: Fleet, now: int) -> None:
        self.world, self.device, self.now = world, device, now
        self.application_id = application.object_id
        seconds = fleet.take_up_s if device.take_up_s is None else device.take_up_s
        self.take_up_ms = None if seconds == "never" else round(seconds * 1000)
        flow_id = {key: application.flow_id(flows[0]) for key, flows in application.flows_by_reference.items()}
        self.deployed = sorted((flow_id[key], one.released, one.reported) for key, one in device.deployed.items())
        self.outcomes = [(flow_id[key], version, *outcome) for _, key, version, outcome in device.outcomes()]
        since_s = fleet.deployed_for_s if device.deployed_for_s is None else device.deployed_for_s
        self.then = None if since_s is None else now - round(since_s * 1000)
        self.begin = now if self.then is None else self.then
        self.turns = device.sleeps.turns_ms if device.sleeps else (None, None)

    def insert(self, batch: list[tuple[str, str]]) -> None:
        device, ids = self.device, [own for own, _ in batch]
        tags = [(key, text) for key, texts in device.tags.items() for text in texts]
        self.world.insert("devices", (self._device(*one, json.dumps(tags)) for one in batch))
        self.world.insert("tags", ((own, at, *tag) for own in ids for at, tag in enumerate(tags)))
        self.world.insert("outcomes", ((own, *one) for own in ids for one in self.outcomes))
        if device.device_class != "edgeCompute" and (self.deployed or device.unknown_bundle):
            self.world.insert("records", map(self._record, ids))
        self.world.insert("entries", (self._entry(own, *one) for own in ids for one in self.deployed))
        if self.then is not None and self.deployed:
            write_logs(self.world, (log for own in ids for log in self._history(own)))
        if device.sleeps or self.world.switches.sleeps:
            begin_turns(self.world, ids, self.now)

    def _device(self, own: str, name: str, tags: str) -> tuple[Any, ...]:
        device, now = self.device, self.now
        behind = device.connected and not device.unknown_bundle and any(a != b for _, a, b in self.deployed)
        attempt_ms = now + self.take_up_ms if behind and self.take_up_ms is not None else None
        since = self.begin if device.connected else now
        connection = (None if device.connected is None else since, since if device.connected else None)
        return (
            *(own, self.application_id, name, device.device_class, device.description, device.parent, tags),
            *(device.connected, *connection, now if device.connected is False else None),
            *(self.begin, self.begin, None, self.take_up_ms, attempt_ms),
            *(*self.turns, None, None, False),
        )

    def _record(self, own: str) -> tuple[Any, ...]:
        _, there, wanted = self._bundles(own)
        record = record_id(self.application_id, own)
        updated = self._updated(is_behind=bool(self.device.unknown_bundle) or any(a != b for _, a, b in self.deployed))
        return record, self.application_id, own, self.begin, updated, there, wanted, bool(self.device.unknown_bundle)

    def _entry(self, own: str, flow: str, released: str | None, reported: str | None) -> tuple[Any, ...]:
        row = (own, flow, self.application_id, released, reported)
        if self.device.device_class != "edgeCompute":
            return *row, None, None, None, None, None
        etags = (etag_of(flow, released), etag_of(flow, reported))
        return (
            *row,
            record_id(self.application_id, own, flow),
            *etags,
            self.begin,
            self._updated(is_behind=released != reported),
        )

    def _updated(self, *, is_behind: bool) -> int:
        return self.now if self.then is None or is_behind else self.then + _REPORTED_MS

    def _history(self, own: str) -> Iterator[tuple[str, Row]]:
        """The log of a device: what it reports was released then, and reported; what else is released was just now.

        One flow after the other was released, a millisecond apart, and each bundle has what was released by then.
        """
        ran = [(flow, None, reported) for flow, _, reported in self.deployed if reported is not None]
        due = [(flow, before, after) for flow, after, before in self.deployed if after != before]
        deeds = [_Deed(self.begin + number, *one) for number, one in enumerate(ran)]
        there: dict[str, str | None] = {}
        yield from self._desired(own, deeds, there)
        yield from self._current(own, deeds)
        yield from self._desired(own, [_Deed(self.now - left, *one) for left, one in enumerate(due[::-1])][::-1], there)

    def _desired(self, own: str, deeds: list[_Deed], there: dict[str, str | None]) -> Iterator[tuple[str, Row]]:
        """`there`: the versions that are released before these, and after them."""
        is_edge = self.device.device_class == "edgeCompute"
        for at_ms, flow, before, version in deeds:
            there[flow] = version
            change = Change(Kind.EDGE if is_edge else Kind.EMBEDDED, self.application_id, version, PERSON, at_ms)
            move = Move(own, flow, before)
            if is_edge:
                yield record_id(self.application_id, own, flow), etag_log(change, move)
            else:
                bundle = self._bundle(own, sorted(there.items()))
                yield record_id(self.application_id, own), bundle_log(change, move, bundle)

    def _current(self, own: str, deeds: list[_Deed]) -> Iterator[tuple[str, Row]]:
        device, at_ms = Author("device", own), self.begin + _REPORTED_MS
        if self.device.device_class == "edgeCompute":
            for _, flow, _, version in deeds:
                told = {"newValue": version, "previousValue": None, "newEtag": etag_of(flow, version)}
                yield record_id(self.application_id, own, flow), log_entry(device, at_ms, "current", **told)
            return
        ran, there, _ = self._bundles(own)
        told = {"updateType": "device", "newBundle": ran}
        if deeds:
            yield record_id(self.application_id, own), log_entry(device, at_ms, "current", **told)
        if self.device.unknown_bundle:
            told = {"updateType": "unknownBundle", "newBundle": there}
            yield record_id(self.application_id, own), log_entry(device, self.now, "current", **told)

    def _bundles(self, own: str) -> tuple[str, str, str | None]:
        """The bundles of what the device reports, of what it runs, which may be unknown, and of what is released."""
        unknown = self.device.unknown_bundle
        reported = [(flow, version) for flow, _, version in self.deployed if version is not None]
        ran = there = bundle_id(own, reported, 0) if reported else NO_BUNDLE
        if unknown:
            there = unknown if isinstance(unknown, str) else unknown_bundle(own)
        return ran, there, self._bundle(own, ((flow, version) for flow, version, _ in self.deployed))

    def _bundle(self, own: str, versions: Iterable[tuple[str, str | None]]) -> str | None:
        """The bundle of these versions, when they are released."""
        released = [(flow, version) for flow, version in versions if version is not None]
        return bundle_id(own, released, 0) if released else empty_bundle(self.world)
