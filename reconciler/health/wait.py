"""Waits for convergence: polls with growing pauses until every managed row is decided, or until the timeout."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Protocol

from reconciler.errors import NotFound, PermissionDenied, ReconcilerError
from reconciler.health.verdict import judge, open_rows, tally
from reconciler.model.health import Laggard, Offline, Verdict, Verdicts, Wait
from reconciler.model.log import DeviceLog
from reconciler.model.state import NO_RECORD, Decision, Desired, DeviceId, FlowId, Live, Read, Row
from reconciler.planner.rollout.look import Look
from reconciler.ports import Clock, Reader
from reconciler.runtime import PollPause

FIRST_POLL_S, POLL_GROWTH, LONGEST_POLL_S = 1.0, 1.6, 30.0
MANY = 1000  # devices; so many are looked for in the list of all, and less often
DELETED_EVERY_S, MANY_DELETED_EVERY_S = 10.0, 60.0  # how often to look whether open devices still exist
DRIFT_S = 60.0  # how long to tolerate a row that is not released as desired: reads may lag behind writes


class Rollouts(Protocol):
    """The rollouts of what is waited for."""

    def look(self, read: Read, deleted: Collection[DeviceId]) -> Look:
        """Judge them by a read, without devices that are known to be deleted."""

    def may_send_within(self, seconds: float) -> bool:
        """Whether more may be sent by then, as of the newest look."""


async def wait(
    desired: Desired,
    reader: Reader,
    *,
    clock: Clock,
    timeout_s: float,
    first: Read,
    offline: Offline = Offline.SKIP,
    observe: Callable[[Wait], None] | None = None,
    rollouts: Rollouts | None = None,
    began: float | None = None,
) -> Wait:
    """Wait for every managed row to converge. Raises nothing but cancellation.

    With rollouts, withheld rows are not waited for; but the wait goes on while a rollout may send more before the
    timeout, and ends when it may send something now.

    Args:
        desired: the managed rows.
        reader: reads the deployments, all or only those still open; never one request per device.
        clock: measures the wait.
        timeout_s: after this time the wait ends, whatever its state, even amid a read.
        first: the first read of the apply; devices not connected then, and never seen connected since, are offline.
        offline: how offline devices count.
        observe: called with the state of the wait after each read, and before an interrupt.
        rollouts: judges the rollouts by a read; everything is read then, with evidence.
        began: when the wait began, if this goes on with one.
    """
    watch = _Watch(desired, first.live, clock=clock, offline=offline, rollouts=rollouts, began=began)
    pause = PollPause(FIRST_POLL_S, POLL_GROWTH, LONGEST_POLL_S)
    while True:
        before = watch.open
        standing = await watch.look(reader, until_s=timeout_s)
        left_s = timeout_s - standing.elapsed_s
        over = standing.stopped_by is not None or watch.is_due() or not watch.is_open(left_s)
        standing = replace(standing, timed_out=standing.timed_out or (not over and left_s <= 0))
        if observe:
            observe(standing)
        if over or standing.timed_out:
            return standing
        if before != watch.open:
            pause.restart()
        await clock.sleep(pause.wait_s(took_s=watch.read_took_s, left_s=left_s))


class _Watch:
    """The rows that are still open, and what is known about them. Converged rows are only counted.

    The list of deployments does not show whether a device was deleted, so the list of devices is asked now and then. If
    the token may not read that, only a device that is read alone, and then is not found, is known to be deleted.
    """

    def __init__(
        self,
        desired: Desired,
        first: Live,
        *,
        clock: Clock,
        offline: Offline,
        rollouts: Rollouts | None,
        began: float | None,
    ) -> None:
        self._clock = clock
        self._offline = offline
        self._began = clock.monotonic() if began is None else began
        self._rollouts = rollouts
        self._looked: Look | None = None
        self._open = open_rows(desired, first)
        self._rows = self.open
        self._devices = len(self._open)
        self._reachable = {device_id for device_id, record in first.devices.items() if record.connected}
        self._laggards: list[Laggard] = []
        self._drifting: dict[Row, float] = {}
        self._standing = Wait(offline, 0.0)
        self._whole = False
        self._not_found: DeviceId | None = None  # read alone, and not read as a part of the whole list since
        self._deleted: set[DeviceId] = set()
        self._left: list[Laggard] = []  # the rows of deleted devices
        self._looked_at = self._began
        self._may_look = True
        self.read_took_s = 0.0

    @property
    def open(self) -> int:
        """How many rows are still open."""
        return sum(map(len, self._open.values()))

    def is_open(self, left_s: float) -> bool:
        """Whether waiting longer can change anything."""
        if self._standing.verdicts is None:
            return True
        now = self._clock.monotonic()
        if any(self._may_change(laggard, now) for laggard in self._laggards):
            return True
        return self._looked is not None and self._rollouts is not None and self._rollouts.may_send_within(left_s)

    def is_due(self) -> bool:
        """Whether a rollout may send something now."""
        return self._looked is not None and len(self._looked.step.sent) > 0

    def _may_change(self, laggard: Laggard, now: float) -> bool:
        match laggard.verdict:
            case Verdict.PENDING:
                return True
            case Verdict.OFFLINE:
                return self._offline == Offline.WAIT
            case Verdict.DRIFT:
                return now - self._drifting[laggard.row] < DRIFT_S
            case _:
                return False

    async def look(self, reader: Reader, *, until_s: float) -> Wait:
        """Read the open rows and update their verdicts. A read that fails, or does not end in time, changes none."""
        began = self._clock.monotonic()
        flow_id, device_id = (None, None) if self._whole else self._scope()
        verdicts = self._standing.verdicts
        error: ReconcilerError | None = None
        timed_out = False
        try:
            async with self._clock.deadline(max(0.0, self._began + until_s - began)):
                read = await self._read(reader, flow_id, device_id)
                verdicts = self._judge(read)
                if await self._find_deleted(reader):
                    verdicts = self._judge(read)
        except ReconcilerError as failure:
            error = failure
        except TimeoutError:
            error, timed_out = ReconcilerError("the last read did not end in time"), True
        now = self._clock.monotonic()
        self.read_took_s = now - began
        # Read individually, a deleted device is "not found"; in the list of all it is simply missing.
        self._whole = isinstance(error, NotFound) and (flow_id, device_id) != (None, None)
        self._not_found = device_id if self._whole else self._not_found
        text = error.problems[0].message if error else None
        self._standing = replace(
            self._standing,
            elapsed_s=now - self._began,
            verdicts=verdicts,
            timed_out=timed_out,
            tolerated=self._tolerated(),
            read_error=text,
            stopped_by=text if error and error.final and not self._whole else None,
        )
        return self._standing

    async def _read(self, reader: Reader, flow_id: FlowId | None, device_id: DeviceId | None) -> Read:
        """Rollouts are judged by whole reads."""
        if self._rollouts:
            return await reader.live(evidence=True)
        return await reader.live(flow_id=flow_id, device_id=device_id)

    def _tolerated(self) -> int:
        """The rows that failed on devices that may fail."""
        looked = self._looked
        failed = (one for one in self._laggards if one.verdict is Verdict.FAILED)
        return sum(looked.may_fail(one.row) for one in failed) if looked else 0

    def _scope(self) -> tuple[FlowId | None, DeviceId | None]:
        """The filter for the next read: the flow or the device that is still open, if there is only one.

        By flow only if every row wants a version: it is unknown whether that filter finds flows being removed.
        """
        if len(self._open) == 1:
            return None, next(iter(self._open))
        distinct = {id(rows): rows for rows in self._open.values()}.values()
        flows = {flow_id for rows in distinct for flow_id in rows}
        removes = any(decision.version is None for rows in distinct for decision in rows.values())
        return (flows.pop(), None) if len(flows) == 1 and not removes else (None, None)

    async def _find_deleted(self, reader: Reader) -> bool:
        """Look which devices with open rows were deleted, if it is time to. Returns whether there are any.

        A look that fails changes nothing; the next one may succeed.
        """
        open_devices = self._open.keys()
        not_found, self._not_found = open_devices & {self._not_found}, None
        every_s = DELETED_EVERY_S if len(open_devices) <= MANY else MANY_DELETED_EVERY_S
        is_time = bool(not_found) or self._clock.monotonic() - self._looked_at >= every_s
        if not (open_devices and is_time):
            return False
        self._looked_at = self._clock.monotonic()
        found = not_found
        if self._may_look:
            only = open_devices if len(open_devices) <= MANY else None
            try:
                there = await reader.devices(ids=only, any_class=only is not None)
            except PermissionDenied:
                self._may_look = False
            except ReconcilerError:
                return False
            else:
                found = open_devices - {device.id for device in there}
        self._deleted |= found
        return bool(found)

    def _judge(self, read: Read) -> Verdicts:
        live, now = read.live, self._clock.monotonic()
        self._looked = self._rollouts.look(read, self._deleted) if self._rollouts else None
        self._reachable |= {device_id for device_id, record in live.devices.items() if record.connected}
        self._laggards = []
        drifting: dict[Row, float] = {}
        for device_id, rows in list(self._open.items()):
            laggards = self._lagging(device_id, rows, live)
            if device_id in self._deleted:
                self._left += [laggard._replace(verdict=Verdict.DEVICE_DELETED) for laggard in laggards]
                laggards = []
            if not laggards:
                del self._open[device_id]
            elif len(laggards) < len(rows):
                self._open[device_id] = {laggard.flow_id: rows[laggard.flow_id] for laggard in laggards}
            for laggard in laggards:
                if laggard.verdict is Verdict.DRIFT:
                    drifting[laggard.row] = self._drifting.get(laggard.row, now)
            self._laggards += laggards
        self._drifting = drifting
        every = [*self._laggards, *self._left]
        return tally(every, rows=self._rows, devices=self._devices, has_rollouts=self._looked is not None)

    def _lagging(self, device_id: DeviceId, rows: Mapping[FlowId, Decision], live: Live) -> list[Laggard]:
        """The rows of a device that have not converged."""
        record = live.devices.get(device_id, NO_RECORD)
        log, names = DeviceLog(record.logs), live.flow_names
        reachable = device_id in self._reachable
        judged = [
            judge(
                (device_id, flow_id),
                decision.version,
                record,
                reachable=reachable,
                flow_name=names.get(flow_id),
                device_name=record.name,
                rollouts=self._looked,
                group=decision.group,
                log=log,
            )
            for flow_id, decision in rows.items()
        ]
        return [laggard for laggard in judged if laggard is not None]
