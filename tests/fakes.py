"""Stand-ins for the ports: a world in memory, and a clock that nobody waits for.

`FakeApi` keeps `ports.Reader` and `ports.Writer`; `tests/contract` holds it to what the real client does.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum, StrEnum
from typing import Any

from reconciler.api.queries import parse_query
from reconciler.errors import ConnectionFailed, NotFound, RequestRefused
from reconciler.model.log import in_order, unix_time
from reconciler.model.requests import Release, RemoveDevice, RemoveFlow, RemoveRow, Replace, Request
from reconciler.model.state import (
    NO_EVIDENCE,
    Application,
    Device,
    EdgeEvidence,
    Entry,
    Evidence,
    Flow,
    Kind,
    Live,
    LiveDevice,
    LogEntry,
    LogLine,
    Quiet,
    Read,
    Row,
)
from reconciler.model.versions import Content, Published
from tests.builders import APPLICATION

TURNS = 10  # of the event loop before virtual time moves


class FakeClock:
    """Virtual time: a sleep moves it on and lets other tasks run. `slept` holds every wait, in seconds."""

    def __init__(self, start: str = "2026-06-01T12:00:00.000Z") -> None:
        self._start = datetime.fromisoformat(start)
        self._now = 0.0
        self.slept: list[float] = []
        self._sleepers: list[tuple[float, int]] = []
        self._tickets = itertools.count()
        self._alarms: list[tuple[float, Callable[[], None]]] = []
        self._deadlines: dict[asyncio.Timeout, float] = {}

    def monotonic(self) -> float:
        return self._now

    def utc_now(self) -> str:
        now = (self._start + timedelta(seconds=self._now)).astimezone(UTC)
        return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    async def sleep(self, seconds: float) -> None:
        """Return once virtual time has come to `now + seconds`; sleepers wake in the order of their times.

        Time moves on only after other tasks had their turn, so that whoever wants to sleep less gets to say so.
        """
        self.slept.append(seconds)
        ticket = (self._now + max(0.0, seconds), next(self._tickets))
        self._sleepers.append(ticket)
        try:
            await _let_others_run()
            while True:
                if min(self._sleepers) != ticket:
                    await asyncio.sleep(0)
                elif self._now_at_most(ticket[0]) >= ticket[0]:
                    break
                else:  # a deadline is over: whom it ends has to get to know that before time moves on
                    await _let_others_run()
        finally:
            self._sleepers.remove(ticket)

    @contextlib.asynccontextmanager
    async def deadline(self, seconds: float) -> AsyncIterator[None]:
        """Virtual time stops there once, for what runs inside to be cancelled."""
        async with asyncio.timeout(None) as limit:
            self._deadlines[limit] = self._now + seconds
            try:
                yield
            finally:
                self._deadlines.pop(limit, None)

    def _now_at_most(self, due: float) -> float:
        """Move on, but no further than to the next deadline, which expires. Returns the time that it is then."""
        self.advance_to(min([due, *self._deadlines.values()]))
        for limit in [limit for limit, end in self._deadlines.items() if end <= self._now]:
            del self._deadlines[limit]
            limit.reschedule(asyncio.get_running_loop().time())
        return self._now

    def advance(self, seconds: float) -> None:
        """Move on, ringing every alarm on the way."""
        self.advance_to(self._now + seconds)

    def advance_to(self, due: float) -> None:
        """Move to a monotonic time; a time that has passed already changes nothing."""
        self._alarms.sort(key=lambda alarm: alarm[0])
        while self._alarms and self._alarms[0][0] <= due:
            at, ring = self._alarms.pop(0)
            self._now = max(self._now, at)
            ring()
        self._now = max(self._now, due)

    def at(self, seconds_from_now: float, ring: Callable[[], None]) -> None:
        """Call something when virtual time gets there."""
        self._alarms.append((self._now + seconds_from_now, ring))


def hashed(*parts: str) -> str:
    """Any text as 64 hex digits."""
    return hashlib.sha256("/".join(parts).encode()).hexdigest()


async def _let_others_run() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


class Match(StrEnum):
    """What `replace` compares its old version with: the API does not say."""

    RELEASED = "released"
    REPORTED = "reported"
    EITHER = "either"
    BOTH = "both"

    def hits(self, old: str, seen: Entry) -> bool:
        """Whether a row shows the old version, under this reading."""
        match self:
            case Match.RELEASED:
                return seen.released == old
            case Match.REPORTED:
                return seen.reported == old
            case Match.EITHER:
                return old in seen
            case Match.BOTH:
                return seen == (old, old)


class Effect(Enum):
    """Whether a call that fails takes effect all the same."""

    NONE = "before the effect"
    DONE = "after the effect"
    LATE = "the effect comes later"


@dataclass(slots=True)
class Script:
    """A failure to come: the `skip` next calls of `action` go well, then `times` of them fail."""

    action: str
    error: BaseException
    effect: Effect = Effect.NONE
    times: int = 1
    skip: int = 0
    late_s: float = 5.0
    only: Callable[[Request], bool] | None = None


@dataclass(slots=True)
class FakeDevice:
    """A device of the fake world, with its deployment record (`flows` None: it has no record)."""

    id: str
    name: str | None = None
    device_class: str = "embedded"
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    flows: dict[str, Entry] | None = None
    connected: bool | None = True
    connection_time: str | None = None
    unknown_bundle: bool = False
    logs: list[LogEntry] = field(default_factory=list)
    updated: str | None = None
    unmanageable: frozenset[str] = frozenset()
    fails: frozenset[str] = frozenset()  # versions that it can not take


class FakeApi:
    """One application in memory.

    Attributes:
        devices_by_id: the world. Deleting from it is deleting the device.
        flows_by_id: flow id -> Flow, and `versions_of` flow id -> version names;
            `definitions` what a version is, where that matters.
        match: how `replace` finds its rows.
        skip_unknown: release to an unknown device is skipped (True) or refused with 404 (False).
        log: every call in order: `("live", {...})`, `("release", {...body})`, …; `writes` are the requests sent.
        forbidden: actions that answer with the given error, always.
        before: called with (action, details) at each call's start, to change the world at a chosen moment.
    """

    def __init__(
        self,
        *,
        clock: FakeClock | None = None,
        application: Application = APPLICATION,
        kind: Kind = Kind.EMBEDDED,
        match: Match = Match.RELEASED,
        skip_unknown: bool = True,
    ) -> None:
        self.clock = clock or FakeClock()
        self.kind = kind
        self.match = match
        self.skip_unknown = skip_unknown
        self.devices_by_id: dict[str, FakeDevice] = {}
        self.flows_by_id: dict[str, Flow] = {}
        self.versions_of: dict[str, set[str]] = {}
        self.definitions: dict[tuple[str, str], str] = {}
        self.log: list[tuple[str, dict[str, Any]]] = []
        self.writes: list[Request] = []
        self.forbidden: dict[str, BaseException] = {}
        self.before: Callable[[str, Mapping[str, Any]], None] | None = None
        self.latency_s: dict[str, float] = {}
        self.in_flight = 0
        self.most_in_flight = 0
        self.released_partly: Callable[[Release], Collection[str]] | None = None
        self.deleted: dict[str, FakeDevice] = {}
        self._application = application
        self._scripts: list[Script] = []

    # Building the world.

    def add_device(self, device_id: str, name: str | None = None, **traits: Any) -> FakeDevice:
        """A device; `flows` maps flow id to Entry, tags are tuples."""
        traits.setdefault("device_class", self.kind.device_class)
        made = FakeDevice(device_id, name, **traits)
        self.devices_by_id[device_id] = made
        return made

    def add_flow(self, flow_id: str, name: str | None = None, versions: Iterable[str] = ()) -> Flow:
        """A flow with versions."""
        made = Flow(flow_id, name, "embedded" if self.kind is Kind.EMBEDDED else "edge")
        self.flows_by_id[flow_id] = made
        self.versions_of[flow_id] = set(versions)
        return made

    def load(self, seen: Live) -> FakeApi:
        """Take over a whole live state, as `builders.live` makes it; flows and versions come with it."""
        for device_id, record in seen.devices.items():
            self.add_device(
                device_id,
                record.name,
                flows=dict(record.flows),
                connected=record.connected,
                unknown_bundle=record.unknown_bundle,
                logs=list(record.logs),
                unmanageable=record.unmanageable,
            )
            for flow_id, seen_entry in record.flows.items():
                if flow_id not in self.flows_by_id:
                    self.add_flow(flow_id, seen.flow_names.get(flow_id))
                self.versions_of[flow_id].update(version for version in seen_entry if version)
        return self

    def entry(self, device_id: str, flow_id: str) -> Entry:
        """A row as it stands."""
        return (self.devices_by_id[device_id].flows or {}).get(flow_id, Entry(None, None))

    def set_entry(self, device_id: str, flow_id: str, seen: Entry) -> None:
        """Somebody else moves a row."""
        owner = self.devices_by_id[device_id]
        owner.flows = {**(owner.flows or {}), flow_id: seen}

    def rows(self) -> dict[Row, Entry]:
        """Every row with something in it."""
        return {
            (owner.id, flow_id): seen
            for owner in self.devices_by_id.values()
            for flow_id, seen in (owner.flows or {}).items()
            if seen != (None, None)
        }

    def delete_device(self, device_id: str, *, record: bool = False) -> None:
        """Delete a device; with `record`, its deployment record stays, as the simulator has it."""
        gone = self.deleted[device_id] = self.devices_by_id.pop(device_id)
        gone.connected = False
        if not record:
            gone.flows = None

    def settle(self, *device_ids: str) -> None:
        """Connected devices (all, or those named) take what is released, or log why they can not."""
        for owner in self.devices_by_id.values():
            if owner.connected and owner.flows and (not device_ids or owner.id in device_ids):
                self._report(owner, owner.flows)

    def _report(self, owner: FakeDevice, flows: dict[str, Entry]) -> None:
        for flow_id, seen in list(flows.items()):
            if seen.released == seen.reported:
                continue
            owner.updated = self.clock.utc_now()
            if seen.released in owner.fails:
                note = f"{seen.released} failed to compile"
                owner.logs.append(LogEntry(self.clock.utc_now(), "current", flow_id, attempted="1", error=note))
                continue
            if seen.released is None:
                del flows[flow_id]
            else:
                flows[flow_id] = Entry(seen.released, seen.released)
            of_edge = {"flow_id": flow_id, "version": seen.released, "previous": seen.reported}
            own = of_edge if self.kind is Kind.EDGE else {}
            owner.logs.append(LogEntry(owner.updated, "current", bundle="1", source_type="device", **own))

    # Scripting failures.

    def fail(self, action: str, error: BaseException | None = None, **script: Any) -> None:
        """Make a call fail: `live`, `devices`, `flows`, …, `release`, `replace`, `remove`, or `send` for any write."""
        self._scripts.append(Script(action, error or ConnectionFailed(f"{action}: connection reset"), **script))

    def _script(self, action: str, request: Request | None = None) -> Script | None:
        for script in self._scripts:
            fits = script.action == action or (script.action == "send" and request is not None)
            if not fits or script.times == 0 or (script.only and request is not None and not script.only(request)):
                continue
            if script.skip:
                script.skip -= 1
                return None
            script.times -= 1
            return script
        return None

    async def _enter(self, action: str, **details: Any) -> None:
        self.log.append((action, details))
        if self.before:
            self.before(action, details)
        if action in self.forbidden:
            raise self.forbidden[action]
        await self._pause(action)
        if script := self._script(action):
            raise script.error

    async def _pause(self, action: str) -> None:
        seconds = self.latency_s.get(action)
        await (self.clock.sleep(seconds) if seconds else asyncio.sleep(0))

    def actions(self) -> list[str]:
        """The names of all calls so far."""
        return [action for action, _ in self.log]

    # ports.Reader

    async def application(self) -> Application:
        await self._enter("application")
        return self._application

    async def live(
        self,
        *,
        flow_id: str | None = None,
        device_id: str | None = None,
        evidence: bool = False,
        quiet: Quiet | None = None,
    ) -> Read:
        began, server_time = self.clock.monotonic(), float(int(unix_time(self.clock.utc_now())))
        await self._enter("live", flow_id=flow_id, device_id=device_id)
        if device_id is not None and device_id not in self.devices_by_id:
            raise NotFound("GET deployments: device was not found", status=404)
        owners = sorted([*self.devices_by_id.values(), *self.deleted.values()], key=lambda owner: owner.id)
        records = {
            owner.id: self._record(owner, owner.flows, keep_logs=device_id is not None, evidence=evidence)
            for owner in owners
            if owner.flows is not None and device_id in (None, owner.id)
        }
        if flow_id is not None:
            records = {
                key: value._replace(flows={flow_id: value.flows[flow_id]})
                for key, value in records.items()
                if flow_id in value.flows
            }
        named = {key for record in records.values() for key in record.flows}
        names = {key: known.name for key, known in self.flows_by_id.items() if known.name and key in named}
        return Read(Live(records, names, flow_id), began, self.clock.monotonic(), server_time)

    def _record(self, owner: FakeDevice, flows: Mapping[str, Entry], *, keep_logs: bool, evidence: bool) -> LiveDevice:
        unsettled = keep_logs or owner.unknown_bundle or any(seen.released != seen.reported for seen in flows.values())
        return LiveDevice(
            flows={flow_id: seen for flow_id, seen in sorted(flows.items()) if seen != (None, None)},
            name=owner.name,
            connected=owner.connected,
            connection_time=owner.connection_time,
            unknown_bundle=owner.unknown_bundle,
            logs=tuple(owner.logs) if unsettled else (),
            unmanageable=owner.unmanageable,
            evidence=_evidence(owner, flows if self.kind is Kind.EDGE else None) if evidence else NO_EVIDENCE,
        )

    async def devices(
        self,
        *,
        ids: Collection[str] | None = None,
        names: Collection[str] | None = None,
        query: str | None = None,
        any_class: bool = False,
        deleted: bool = False,
    ) -> tuple[Device, ...]:
        await self._enter("devices", ids=ids, names=names, query=query, any_class=any_class, deleted=deleted)
        wanted = parse_query(query) if query is not None else {}
        found = [
            Device(owner.id, owner.name, owner.device_class, owner.tags)
            for owner in (self.deleted if deleted else self.devices_by_id).values()
            if (any_class or owner.device_class == self.kind.device_class)
            and (ids is None or owner.id in ids)
            and (names is None or owner.name in names)
            and selects(wanted, owner)
        ]
        return tuple(sorted(found, key=lambda known: known.id))

    async def device_count(self) -> int:
        await self._enter("device_count")
        return sum(owner.device_class == self.kind.device_class for owner in self.devices_by_id.values())

    async def flows(self) -> tuple[Flow, ...]:
        await self._enter("flows")
        return tuple(sorted(self.flows_by_id.values(), key=lambda known: known.id))

    async def versions(self, flow_id: str, *, names: Collection[str] | None = None) -> tuple[str, ...]:
        await self._enter("versions", flow_id=flow_id, names=names)
        if flow_id not in self.versions_of:
            raise NotFound("GET versions: flow was not found", status=404)
        return tuple(sorted(name for name in self.versions_of[flow_id] if names is None or name in names))

    async def published(self, flow_id: str, *, names: Collection[str] | None = None) -> tuple[Published, ...]:
        await self._enter("published", flow_id=flow_id, names=names)
        if flow_id not in self.versions_of:
            raise NotFound("GET versions: flow was not found", status=404)
        found = sorted(name for name in self.versions_of[flow_id] if names is None or name in names)
        return tuple(Published(name, hashed(flow_id, name)[:24], "2026-06-01T12:00:00.000Z") for name in found)

    async def content(self, flow_id: str, published: Published) -> Content:
        await self._enter("content", flow_id=flow_id, version=published.version)
        if published.version not in self.versions_of.get(flow_id, ()):
            raise NotFound("GET version: flow version was not found", status=404)
        definition = self.definitions.get((flow_id, published.version), "")
        return Content(flow_id, published.version, published.id, published.created, hashed(definition))

    # ports.Writer

    async def send(self, request: Request) -> None:
        self.log.append((request.action, dict(request.body)))
        self.writes.append(request)
        if self.before:
            self.before(request.action, request.body)
        if request.action in self.forbidden:
            raise self.forbidden[request.action]
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await self._pause(request.action)
            self._answer(request)
        finally:
            self.in_flight -= 1

    def _answer(self, request: Request) -> None:
        script = self._script(request.action, request)
        if script is None:
            self.carry_out(request)
            return
        if script.effect is Effect.DONE:
            self.carry_out(request)
        elif script.effect is Effect.LATE:
            self.clock.at(script.late_s, lambda: self.carry_out(request))
        raise script.error

    def carry_out(self, request: Request) -> None:
        """The effect of a request on the world."""
        match request:
            case Release():
                self._release(request)
            case Replace(flow_id, old, new):
                self._set(flow_id, new, lambda _, seen: self.match.hits(old, seen))
            case RemoveRow(flow_id, device_id):
                self._set(flow_id, None, lambda owner, _: owner.id == device_id)
            case RemoveFlow(flow_id):
                self._set(flow_id, None, lambda _, __: True)
            case RemoveDevice(device_id):
                for flow_id in list(self.devices_by_id[device_id].flows or {}):
                    self._set(flow_id, None, lambda owner, _: owner.id == device_id)

    def _release(self, request: Release) -> None:
        unknown = [key for key in request.device_ids if key not in self.devices_by_id]
        if unknown and not self.skip_unknown:
            raise NotFound("POST release: device was not found", status=404)
        if not request.device_ids:
            raise RequestRefused("POST release: no devices", status=400)
        chosen = self.released_partly(request) if self.released_partly else request.device_ids
        for device_id in chosen:
            owner = self.devices_by_id.get(device_id)
            if owner is None or owner.device_class != self.kind.device_class:
                continue
            flows = owner.flows = owner.flows or {}
            seen = flows.get(request.flow_id, Entry(None, None))
            if request.version is not None or seen.released is not None:
                self._release_row(owner, request.flow_id, request.version)

    def _set(self, flow_id: str, version: str | None, chosen: Callable[[FakeDevice, Entry], bool]) -> None:
        for owner in self.devices_by_id.values():
            if owner.flows and flow_id in owner.flows and chosen(owner, owner.flows[flow_id]):
                self._release_row(owner, flow_id, version)

    def _release_row(self, owner: FakeDevice, flow_id: str, version: str | None) -> None:
        flows = owner.flows = owner.flows or {}
        reported = flows.get(flow_id, Entry(None, None)).reported
        flows[flow_id] = Entry(version, reported)
        if version is None and reported is None:
            del flows[flow_id]
        owner.updated = self.clock.utc_now()
        owner.logs.append(LogEntry(owner.updated, "desired", flow_id, version, bundle="1", source_type="apiToken"))


def _evidence(owner: FakeDevice, edge_flows: Mapping[str, Entry] | None) -> Evidence:
    dated = in_order((unix_time(log.date), log) for log in owner.logs)
    lines = tuple(
        LogLine(log.change, log.flow_id, log.version, log.bundle, log.error, log.update, log.previous)
        for _, log in dated
    )
    updated = unix_time(owner.updated)
    records = None if edge_flows is None else {flow_id: EdgeEvidence(None, updated) for flow_id in edge_flows}
    return Evidence(lines, tuple(at for at, _ in dated), updated, records=records)


def selects(query: Mapping[str, Any], owner: FakeDevice) -> bool:
    """A small part of Losant's advanced device query: $and, $or, $nor, id, name, deviceClass, tags."""
    return all(_selects_one(key, wanted, owner) for key, wanted in query.items())


def _selects_one(key: str, wanted: Any, owner: FakeDevice) -> bool:
    match key:
        case "$and":
            return all(selects(part, owner) for part in wanted)
        case "$or":
            return any(selects(part, owner) for part in wanted)
        case "$nor":
            return not any(selects(part, owner) for part in wanted)
        case "tags":
            key_test = wanted.get("$tagKey")
            return any(
                (key_test is None or _fits(name, key_test))
                and ("$tagValue" not in wanted or _fits(value, wanted["$tagValue"]))
                for name, values in owner.tags.items()
                for value in values
            )
        case "id" | "name" | "deviceClass":
            return _fits({"id": owner.id, "name": owner.name, "deviceClass": owner.device_class}[key], wanted)
        case _:
            raise RequestRefused(f"GET devices: query.{key} is not known to the fake", status=400)


_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": lambda value, wanted: value == wanted,
    "$ne": lambda value, wanted: value != wanted,
    "$in": lambda value, wanted: value in wanted,
    "$nin": lambda value, wanted: value not in wanted,
    "$startsWith": lambda value, wanted: str(value).startswith(wanted),
    "$endsWith": lambda value, wanted: str(value).endswith(wanted),
    "$contains": lambda value, wanted: wanted in str(value),
}


def _fits(value: str | None, wanted: Any) -> bool:
    if not isinstance(wanted, dict):
        return bool(value == wanted)
    return all(_TESTS[test](value, operand) for test, operand in wanted.items())
