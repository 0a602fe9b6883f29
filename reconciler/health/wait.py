"""Waits for devices: reads the list, less and less often, until every managed row is decided or time is up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from reconciler.errors import (
    AuthenticationFailed,
    NotFound,
    PermissionDenied,
    ReconcilerError,
    RequestRefused,
)
from reconciler.health.verdict import Expected, expected_rows, judge, tally
from reconciler.model.health import Laggard, Offline, Verdict, Wait
from reconciler.model.read import Read
from reconciler.model.state import Desired, DeviceId, FlowId, Live, Row
from reconciler.ports import Clock, Reader

FIRST_POLL_S, POLL_GROWTH, LONGEST_POLL_S = 1.0, 1.6, 30.0
DRIFT_S = 60.0  # how long a row that is not released as desired is waited for: a read may lag behind a write


async def wait(
    desired: Desired,
    reader: Reader,
    *,
    clock: Clock,
    timeout_s: float,
    first: Read,
    offline: Offline = Offline.SKIP,
    observe: Callable[[Wait], None] | None = None,
) -> Wait:
    """Wait for every managed row that is not converged. Raises nothing but cancellation.

    Args:
        desired: the managed rows.
        reader: where the list is read, all of it or what is still open; never one request per device.
        clock: measures the wait.
        timeout_s: after this long the wait ends as it stands.
        first: the first read of the apply; a device not connected there, and not seen connected since, is offline.
        offline: how devices that are offline count.
        observe: told where the wait stands after each read, also before an interrupt.
    """
    watch = _Watch(desired, first.live, clock=clock, offline=offline)
    pause_s = FIRST_POLL_S
    while True:
        before = watch.open_count
        standing = await watch.look(reader)
        left_s = timeout_s - standing.elapsed_s
        over = standing.stopped_by is not None or not watch.is_open()
        standing = replace(standing, timed_out=not over and left_s <= 0)
        if observe:
            observe(standing)
        if over or left_s <= 0:
            return standing
        pause_s = FIRST_POLL_S if before != watch.open_count else min(pause_s * POLL_GROWTH, LONGEST_POLL_S)
        # A read that takes long is not repeated at once: polling should not be most of the API's work.
        await clock.sleep(min(max(pause_s, watch.read_took_s), left_s))


class _Watch:
    """The rows that are still open, and what is known of them. Converged rows are forgotten, but for their number."""

    def __init__(self, desired: Desired, first: Live, *, clock: Clock, offline: Offline) -> None:
        rows = list(expected_rows(desired, first))
        self._clock = clock
        self._offline = offline
        self._began = clock.monotonic()
        self._rows = len(rows)
        self._devices = len({row.device_id for row in rows})
        self._open: dict[Row, Expected] = {(row.device_id, row.flow_id): row for row in rows}
        self._reachable = {device_id for device_id, record in first.devices.items() if record.connected}
        self._laggards: list[Laggard] = []
        self._drifting: dict[Row, float] = {}
        self._standing = Wait(offline, 0.0)
        self._whole = False
        self.read_took_s = 0.0

    @property
    def open_count(self) -> int:
        """Rows not known to be converged."""
        return len(self._open)

    def is_open(self) -> bool:
        """Whether waiting longer may change anything."""
        if self._standing.verdicts is None:
            return True
        now = self._clock.monotonic()
        return any(self._may_change(laggard, now) for laggard in self._laggards)

    def _may_change(self, laggard: Laggard, now: float) -> bool:
        match laggard.verdict:
            case Verdict.PENDING:
                return True
            case Verdict.OFFLINE:
                return self._offline is Offline.WAIT
            case Verdict.DRIFT:
                return now - self._drifting[laggard.row] < DRIFT_S
            case _:
                return False

    async def look(self, reader: Reader) -> Wait:
        """Read what is open and judge it. A read that fails leaves the verdicts as they were."""
        began = self._clock.monotonic()
        flow_id, device_id = (None, None) if self._whole else self._scope()
        error: ReconcilerError | None = None
        try:
            self._judge((await reader.live(flow_id=flow_id, device_id=device_id)).live)
        except ReconcilerError as failure:
            error = failure
        self.read_took_s = self._clock.monotonic() - began
        text = error.problems[0].message if error else None
        # A device that was deleted is "not found" by itself, and simply missing from the list of all.
        self._whole = isinstance(error, NotFound) and (flow_id, device_id) != (None, None)
        final = not self._whole and isinstance(
            error, AuthenticationFailed | PermissionDenied | NotFound | RequestRefused
        )
        self._standing = replace(
            self._standing,
            elapsed_s=self._clock.monotonic() - self._began,
            verdicts=self._standing.verdicts
            if error
            else tally(self._laggards, rows=self._rows, devices=self._devices),
            read_error=text,
            stopped_by=text if final else None,
        )
        return self._standing

    def _scope(self) -> tuple[FlowId | None, DeviceId | None]:
        """What to restrict the list to: the one flow or the one device that is still open, if it is one.

        By flow only where every row wants a version: whether the API lists a flow under removal by it is not known.
        """
        devices = {device_id for device_id, _ in self._open}
        if len(devices) == 1:
            return None, devices.pop()
        flows = {flow_id for _, flow_id in self._open}
        if len(flows) == 1 and all(row.version is not None for row in self._open.values()):
            return flows.pop(), None
        return None, None

    def _judge(self, live: Live) -> None:
        now = self._clock.monotonic()
        self._reachable |= {device_id for device_id, record in live.devices.items() if record.connected}
        laggards: list[Laggard] = []
        for key, row in list(self._open.items()):
            record = live.devices.get(row.device_id)
            reachable = row.device_id in self._reachable
            laggard = judge(row, record, reachable=reachable, flow_name=live.flow_names.get(row.flow_id))
            if laggard is None:
                del self._open[key]
                continue
            if laggard.verdict is Verdict.DRIFT:
                self._drifting.setdefault(key, now)
            else:
                self._drifting.pop(key, None)
            laggards.append(laggard)
        self._laggards = laggards
