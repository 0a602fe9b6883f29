"""The control interface: changes that a test, or a person at a second terminal, makes without the API.

Every public method is also a command of the control endpoint, `POST /_simulator/<command>`, with the same name and the
same arguments as a JSON object. Devices and flows are given by id or by unique name.
"""

from __future__ import annotations

import inspect
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import TypeAdapter, ValidationError, validate_call

from reconciler.simulator.api.writes import bring_up_to_date, next_event_ms
from reconciler.simulator.faults import Fault
from reconciler.simulator.world import devices
from reconciler.simulator.world.fleet import Definition, Device, Text, Version
from reconciler.simulator.world.records import Author, Kind, bundle_id, log_entry, object_id, write_logs
from reconciler.simulator.world.releases import Change, rebundle, release, schedule_touched, touch
from reconciler.simulator.world.seed import publish, seed_device
from reconciler.simulator.world.store import Row, Switches, World

_LONGEST_S = 10**9
_KEPT_REQUESTS = 100_000
_PERSON = Author("user", object_id("user", "somebody at the web interface"))


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

    def advance(self, seconds: float) -> None:
        """Advance the time, and process whatever is due by then."""
        if not 0 <= seconds <= _LONGEST_S:
            raise ControlError(f"seconds must be between 0 and {_LONGEST_S:,}, not {seconds}")
        with self.world.lock:
            self.world.advance(seconds)
            bring_up_to_date(self.world)

    def settle(self) -> None:
        """Advance the time until no device is taking up a release and no write is outstanding."""
        with self.world.lock:
            bring_up_to_date(self.world)
            while (due_ms := next_event_ms(self.world)) is not None:
                self.world.advance(max(0.0, (due_ms - self.now_ms()) / 1000))
                bring_up_to_date(self.world)

    def connect(self, device: str) -> None:
        """A device comes online. After its take-up time it tries whatever it lacks, or failed to take up before."""
        with self._present():
            devices.connect(self.world, self._device(device), self.now_ms())

    def disconnect(self, device: str) -> None:
        """A device goes offline; a take-up in progress is aborted."""
        with self._present():
            devices.disconnect(self.world, self._device(device), self.now_ms())

    def report_unknown_bundle(self, device: str, bundle: Text | None = None) -> None:
        """A device reports a bundle that the platform does not know."""
        with self._present():
            own = self._device(device)
            name = bundle or bundle_id(own, [("unknown", "bundle")], self.now_ms())
            devices.report_unknown_bundle(self.world, own, name, self.now_ms())

    def fail(self, device: str, flow: str, version: Version, error: Text) -> None:
        """From now on the device fails to take up this version."""
        with self._present():
            row = (self._device(device), self._flow(flow), version, error)
            self.world.insert("failures", [row], "or replace")

    def heal(self, device: str) -> None:
        """Remove all failures of a device; it tries again when it next connects or gets a release."""
        with self._present() as db:
            db.execute("delete from failures where device_id = ?", (self._device(device),))

    def set_released(self, device: str, flow: str, version: Version | None) -> None:
        """A person releases (None: removes) a version in the web interface."""
        with self._present():
            own, flow_id = self._device(device), self._flow(flow)
            (row,) = self.world.rows("select device_class, application_id from devices where id = ?", (own,))
            if (kind := Kind.of_class(row["device_class"])) is None:
                raise ControlError(f"a device of class {row['device_class']} does not support deployments")
            change = Change(kind, row["application_id"], version, _PERSON, self.now_ms())
            release(self.world, change, [(own, flow_id)])

    def set_reported(self, device: str, flow: str, version: Version | None) -> None:
        """The device reports another version of a flow, without a release."""
        with self._present() as db:
            own, flow_id, now = self._device(device), self._flow(flow), self.now_ms()
            found = db.execute(
                "update entries set reported = ?, updated_ms = ? where device_id = ? and flow_id = ?",
                (version, now, own, flow_id),
            )
            if not found.rowcount:
                raise ControlError(f"{flow} was never deployed to {device}")
            db.execute("update records set updated_ms = ? where device_id = ?", (now, own))

    def change_globals(self, application: str | None = None) -> None:
        """A person changes the application's globals: every device gets a new bundle with the same versions."""
        with self._present() as db:
            own, now = self._application(application), self.now_ms()
            db.execute("update applications set globals_revision = globals_revision + 1 where id = ?", (own,))
            rows = db.execute("select device_id, id from records where application_id = ?", (own,)).fetchall()
            bundles = rebundle(self.world, [device_id for device_id, _ in rows], now)
            entry = log_entry(_PERSON, now, "desired", updateType="globals")
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
        with self._present() as db:
            db.execute(
                "update devices set deleted_ms = ?, connected = 0, attempt_ms = null where id = ?",
                (self.now_ms(), self._device(device)),
            )

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
        with self.world.lock:
            try:
                self.world.switch(Switches.model_validate({**self.world.switches.model_dump(), **values}))
            except ValidationError as error:
                raise ControlError(str(error)) from error
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
        text if it is not valid JSON), `status` (None if the connection was reset) and `faults` (the kinds).
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


_READS = frozenset({"counts", "faults", "jobs", "now_ms", "requests", "rows", "switch"})  # without arguments
COMMANDS = tuple(
    sorted(name for name, _ in inspect.getmembers(Control, inspect.isfunction) if not name.startswith("_"))
)


def carry_out(control: Control, command: str, *, method: str, body: bytes) -> tuple[int, Row]:
    """Carry out a command of the endpoint. Returns a status, and `{"result": ...}` or `{"error": ...}`."""
    if not command:
        return 200, {"result": {"commands": COMMANDS}}
    if command not in COMMANDS:
        return 404, {"error": f"there is no command {command}", "commands": COMMANDS}
    if method != "POST" and not (method == "GET" and command in _READS):
        return 405, {"error": "send POST with the arguments as a JSON object; GET is for what only reads"}
    try:
        arguments = TypeAdapter(Row).validate_json(body if method == "POST" and body else b"{}")
        return 200, {"result": validate_call(getattr(control, command))(**arguments)}
    except (ValueError, TypeError) as error:
        return 400, {"error": str(error)}
