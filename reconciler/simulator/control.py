"""The control interface: changes that a test, or a person at a second terminal, makes without the API.

Every public method is also a command of the control endpoint, `POST /_simulator/<command>`, with the same name and the
same arguments as a JSON object. Devices and flows are given by id or by unique name.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ValidationError, validate_call

from reconciler.simulator.api.writes import bring_up_to_date, next_event_ms
from reconciler.simulator.faults import Fault
from reconciler.simulator.world import connections, devices
from reconciler.simulator.world.clock import FASTEST, LATEST_MS, rfc3339, to_ms
from reconciler.simulator.world.fleet import Definition, Device, Seconds, Text, Version
from reconciler.simulator.world.outcomes import EVERY_DEVICE, Outcome, rule
from reconciler.simulator.world.records import PERSON, Kind, log_entry, trim_logs, write_logs
from reconciler.simulator.world.releases import Change, rebundle, release, schedule_touched, touch
from reconciler.simulator.world.seed import publish, seed_device
from reconciler.simulator.world.store import Row, Sleeps, Switches, World

TakenUp: TypeAlias = Literal["loads", "fails", "dies", "silent", "unknown"]

_LONGEST_S = 10**9
_KEPT_REQUESTS = 100_000
_MOST_STEPS = 10_000


class ControlError(ValueError):
    """A command cannot be carried out: unknown device, ambiguous name or invalid value."""


class Control:
    """Changes and inspects a running simulator."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.log: deque[Row] = deque(maxlen=_KEPT_REQUESTS)

    def now_ms(self) -> int:
        """The current time in the simulated world."""
        return self.world.clock.now_ms()

    @validate_call
    def clock(self, at: datetime | None = None, speed: float | None = None) -> Row:
        """Set the time, or how many times as fast as the wall clock it runs (0: it stands still); returns both.

        Whatever is due by then is processed. Time does not go back.
        """
        with self.world.lock:
            now = self.now_ms()
            at_ms = now if at is None else to_ms(at)
            if not now <= at_ms <= LATEST_MS:
                raise ControlError(f"at must be from {rfc3339(now)} to {rfc3339(LATEST_MS)}: time does not go back")
            if speed is not None and not 0 <= speed <= FASTEST:
                raise ControlError(f"speed must be between 0 and {FASTEST:,}, not {speed}")
            self.world.set_clock(at_ms, self.world.clock.speed if speed is None else speed)
            bring_up_to_date(self.world)
            return {"now": rfc3339(at_ms), "speed": self.world.clock.speed}

    def advance(self, seconds: float = 0, hours: float = 0) -> None:
        """Advance the time, and process whatever is due by then."""
        passed_s = seconds + hours * 3600
        if not 0 <= passed_s <= _LONGEST_S:
            raise ControlError(f"seconds must be between 0 and {_LONGEST_S:,}, not {passed_s}")
        with self.world.lock:
            self.world.advance(passed_s)
            bring_up_to_date(self.world)

    def settle(self) -> None:
        """Advance the time until no device is taking up a release and no write is outstanding."""
        with self.world.lock:
            bring_up_to_date(self.world)
            for _ in range(_MOST_STEPS):
                if (due_ms := next_event_ms(self.world)) is None:
                    return
                self.world.advance(max(0.0, (due_ms - self.now_ms()) / 1000))
                bring_up_to_date(self.world)
        raise ControlError("this never ends: devices that wake up try again and again; use advance")

    def connect(self, device: str) -> None:
        """A device comes online. After its take-up time it tries whatever it lacks, or failed to take up before."""
        with self._present() as db:
            own = self._device(device)
            if db.execute("select is_dead from devices where id = ?", (own,)).fetchone()[0]:
                raise ControlError(f"{device} is dead: heal it before")
            connections.connect(self.world, [own], self.now_ms())

    def disconnect(self, device: str) -> None:
        """A device goes offline; a take-up in progress is aborted."""
        with self._present():
            connections.disconnect(self.world, [self._device(device)], self.now_ms())

    def sleep(self, device: str, awake_s: float | None = None, asleep_s: float | None = None) -> None:
        """From now on the device is awake and asleep in turns; without times, as the switch says."""
        with self._present() as db:
            own = self._device(device)
            turns: tuple[int | None, int | None] = (None, None)
            if (awake_s, asleep_s) != (None, None):
                turns = _checked(Sleeps, awake_s=awake_s, asleep_s=asleep_s).turns_ms
            db.execute("update devices set awake_ms = ?, asleep_ms = ? where id = ?", (*turns, own))
            connections.begin_turns(self.world, [own], self.now_ms())

    def report_unknown_bundle(self, device: str, bundle: Text | None = None) -> None:
        """A device reports a bundle that the platform does not know."""
        with self._present() as db:
            own = self._device(device)
            (device_class,) = db.execute("select device_class from devices where id = ?", (own,)).fetchone()
            if device_class != Kind.EMBEDDED.device_class:
                raise ControlError(f"a device of class {device_class} has no bundle")
            name = bundle or devices.unknown_bundle(own, self.now_ms())
            devices.report_unknown_bundle(self.world, own, name, self.now_ms())

    def fail(self, device: str | None, flow: str, version: Version, error: Text) -> None:
        """From now on the device (None: every device) fails to take up this version."""
        self._rule(device, flow, version, rule("fails", error=error))

    def take_up(
        self, device: str | None, flow: str, version: Version, outcome: TakenUp, after_s: Seconds = 60.0
    ) -> None:
        """From now on this becomes of a version that the device (None: every device) takes up.

        `after_s`: how long a device lives on that `dies`. `loads` exempts a device from the rest.
        """
        self._rule(device, flow, version, rule(outcome, after_s=after_s))

    def heal(self, device: str | None = None) -> None:
        """Remove the rules of a device for what it takes up (None: all rules), and let it live if it is dead.

        It tries again when it next connects or gets a release.
        """
        with self._present() as db:
            own = "%" if device is None else self._device(device)
            db.execute("delete from outcomes where device_id like ?", (own,))
            healed = "update devices set is_dead = 0, death_ms = null where id like ? returning id, turn_ms"
            without = [found for found, turn_ms in db.execute(healed, (own,)).fetchall() if turn_ms is None]
            connections.begin_turns(self.world, without, self.now_ms())

    def set_released(self, device: str, flow: str, version: Version | None) -> None:
        """A person releases (None: removes) a version in the web interface."""
        with self._present():
            own, flow_id = self._device(device), self._flow(flow)
            (row,) = self.world.rows("select device_class, application_id from devices where id = ?", (own,))
            if (kind := Kind.of_class(row["device_class"])) is None:
                raise ControlError(f"a device of class {row['device_class']} does not support deployments")
            change = Change(kind, row["application_id"], version, PERSON, self.now_ms())
            release(self.world, change, [(own, flow_id)])

    def set_reported(self, device: str, flow: str, version: Version | None) -> None:
        """The device reports another version of a flow, without a release."""
        with self._present() as db:
            own, flow_id, now = self._device(device), self._flow(flow), self.now_ms()
            where = "select 1 from entries where device_id = ? and flow_id = ?"
            if db.execute(where, (own, flow_id)).fetchone() is None:
                raise ControlError(f"{flow} was never deployed to {device}")
            devices.report(self.world, own, flow_id, version, now)

    def change_globals(self, application: str | None = None) -> None:
        """A person changes the application's globals: every device gets a new bundle with the same versions."""
        with self._present() as db:
            own, now = self._application(application), self.now_ms()
            db.execute("update applications set globals_revision = globals_revision + 1 where id = ?", (own,))
            rows = db.execute("select device_id, id from records where application_id = ?", (own,)).fetchall()
            bundles = rebundle(self.world, [device_id for device_id, _ in rows], now)
            entry = log_entry(PERSON, now, "desired", updateType="globals")
            write_logs(self.world, ((record, {**entry, "newBundle": bundles[device]}) for device, record in rows))
            touch(self.world, ((device_id, "") for device_id, _ in rows))
            schedule_touched(self.world, Kind.EMBEDDED, now)

    def add_device(self, device: Device, application: str | None = None) -> list[str]:
        """Add devices, given as in a fleet file but without deployments. Returns their ids."""
        if device.deployed or device.fails:
            raise ControlError("a new device must not have deployments; use set_released and fail afterwards")
        with self._present():
            return seed_device(self.world, self._application(application), device)

    def delete_device(self, device: str) -> None:
        """Delete a device; its deployment records remain."""
        with self._present():
            connections.delete(self.world, self._device(device), self.now_ms())

    def add_version(self, flow: str, version: Version, definition: Definition | None = None) -> None:
        """Add a version of a flow, as if a person had saved it; what is left out of its definition is empty.

        A version that was deleted comes back with another id.
        """
        with self._present():
            own = self._flow(flow)
            if not self._has(own, version):
                publish(self.world, own, version, self.now_ms(), definition)

    def republish_version(self, flow: str, version: Version, definition: Definition) -> None:
        """A person publishes a version again under its name, with other content: the old one is gone."""
        with self._present():
            own = self._flow(flow)
            if not self._has(own, version):
                raise ControlError(f"{flow} has no version {version}")
            publish(self.world, own, version, self.now_ms(), definition)

    def delete_version(self, flow: str, version: Version) -> None:
        """Delete a version; devices that run it are not affected."""
        with self._present() as db:
            db.execute("delete from versions where flow_id = ? and name = ?", (self._flow(flow), version))

    def rows(self) -> list[Row]:
        """Every entry of every deployment: the names and ids of device and flow, the released and reported version."""
        with self._present():
            return self.world.rows(
                "select d.name as device, coalesce(f.name, e.flow_id) as flow, e.released, e.reported, e.device_id, "
                "e.flow_id from entries e join devices d on d.id = e.device_id left join flows f on f.id = e.flow_id "
                "order by 1, 2"
            )

    def switch(self, **values: Any) -> Row:
        """Set switches by name; returns all of them."""
        with self._present() as db:
            before = self.world.switches
            self.world.switch(_checked(Switches, **{**before.model_dump(), **values}))
            trim_logs(self.world)
            if self.world.switches.sleeps != before.sleeps:
                without = db.execute("select id from devices where awake_ms is null").fetchall()
                connections.begin_turns(self.world, [own for (own,) in without], self.now_ms())
            return self.world.switches.model_dump()

    def fault(self, fault: Fault) -> int:
        """Enable a fault; returns its number."""
        with self.world.lock:
            return self.world.faults.add(fault)

    def clear_faults(self, number: int | None = None) -> None:
        """Disable one fault, or all of them."""
        with self.world.lock:
            armed = self.world.faults.armed
            if number is None:
                armed.clear()
            elif armed.pop(number, None) is None:
                raise ControlError(f"no fault has the number {number}")

    def faults(self) -> list[Row]:
        """The enabled faults: number, matching requests seen, times triggered, and the fault itself."""
        with self.world.lock:
            return [
                {"number": number, "seen": one.seen, "fired": one.fired, "fault": one.fault.model_dump(mode="json")}
                for number, one in self.world.faults.armed.items()
            ]

    def requests(self) -> list[Row]:
        """The requests so far, oldest first, without their tokens.

        Each has `method`, `path`, `action` (empty if none has this path and method), `query`, `body` (JSON data, or
        text if it is not valid JSON), `status` (None if the connection was reset), `faults` (the kinds) and `in_flight`
        (how many were being answered when it came, itself included; without a latency hardly more than one).
        """
        with self.world.lock:
            return list(self.log)

    def counts(self) -> dict[str, int]:
        """The number of requests by action so far."""
        with self.world.lock:
            return dict(Counter(one["action"] for one in self.log))

    def forget_requests(self) -> None:
        """Clear the request log."""
        with self.world.lock:
            self.log.clear()

    def jobs(self) -> list[Row]:
        """Export jobs: id, status (queued, done, failed) and outcome."""
        with self._present():
            return self.world.rows("select id, application_id, status, detail from jobs order by created_ms")

    def _rule(self, device: str | None, flow: str, version: str, outcome: Outcome) -> None:
        with self._present():
            own = EVERY_DEVICE if device is None else self._device(device)
            self.world.insert("outcomes", [(own, self._flow(flow), version, *outcome)], "or replace")

    @contextmanager
    def _present(self) -> Iterator[Any]:
        with self.world.changing() as db:
            bring_up_to_date(self.world)
            yield db

    def _has(self, flow_id: str, version: str) -> bool:
        return bool(self.world.rows("select 1 from versions where flow_id = ? and name = ?", (flow_id, version)))

    def _device(self, reference: str) -> str:
        return self._find("devices where deleted_ms is null and", reference)

    def _flow(self, reference: str) -> str:
        return self._find("flows where", reference)

    def _application(self, reference: str | None) -> str:
        if reference is None:
            return self.world.recall("first_application") or ""
        return self._find("applications where", reference)

    def _find(self, table: str, reference: str) -> str:
        found = self.world.db.execute(
            f"select id from {table} (id = ? or name = ?) limit 2", (reference.lower(), reference)
        ).fetchall()
        if len(found) != 1:
            raise ControlError(
                f'{"several" if found else "no"} {table.partition(" ")[0]} have the id or name "{reference}"'
            )
        return str(found[0][0])


Part = TypeVar("Part", bound=BaseModel)


def _checked(part: type[Part], **values: Any) -> Part:
    try:
        return part.model_validate(values)
    except ValidationError as error:
        raise ControlError(str(error)) from error
