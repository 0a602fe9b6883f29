"""The newest known state of each row, combined from reads of everything and reads of single flows."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from math import inf

from reconciler.errors import AuthenticationFailed, ReconcilerError
from reconciler.executor.control import RunControl
from reconciler.model.state import NO_RECORD, NOTHING, DeviceId, FlowId, Live, Read, Row, Version
from reconciler.planner.calls.reach import overlay
from reconciler.ports import Reader


class LiveView:
    """The live state as known to the run. Reads are sequential, never concurrent.

    Attributes:
        full: the newest read of the run's whole scope: everything, or `only_flow`.
        only_flow: the flow that the first read, and therefore every other, is restricted to.
        is_newer: whether anything was read since the first read.
    """

    def __init__(self, first: Read, api: Reader, control: RunControl) -> None:
        self.full = first
        self.only_flow = first.live.only_flow
        self.is_newer = False
        self._first = first.live
        self._api = api
        self._control = control
        self._flows: dict[FlowId, Read] = {}
        self._view: Live | None = None

    async def read(self, flow_id: FlowId | None, *, within_s: float = inf) -> ReconcilerError | None:
        """Read the run's whole scope again, or one flow. Returns the error if it failed; a 401 stops the run.

        A newer read of the whole scope replaces everything known before.
        """
        try:
            read = await self._live(flow_id or self.only_flow, within_s)
        except ReconcilerError as error:
            self._control.read_error = error.problems[0].text
            if isinstance(error, AuthenticationFailed):
                self._control.stop(self._control.read_error)
            return error
        self._control.read_error = None
        self.is_newer = True
        self._view = None
        if read.live.only_flow in (None, self.only_flow):
            self.full = read
            self._flows.clear()
        else:
            self._flows[read.live.only_flow] = read
        return None

    async def deleted(self, device_ids: Collection[DeviceId]) -> frozenset[DeviceId] | ReconcilerError:
        """Which of these devices do not exist any more, or the error if that could not be read; a 401 stops the run."""
        try:
            there = await self._api.devices(ids=device_ids, any_class=True)
        except ReconcilerError as error:
            if isinstance(error, AuthenticationFailed):
                self._control.stop(error.problems[0].text)
            return error
        return frozenset(device_ids).difference(device.id for device in there)

    async def _live(self, flow_id: FlowId | None, within_s: float) -> Read:
        try:
            async with self._control.clock.deadline(within_s):
                return await self._api.live(flow_id=flow_id)
        except TimeoutError:
            raise ReconcilerError(f"a read did not end within {within_s:.0f} s") from None

    @property
    def is_patched(self) -> bool:
        """Whether a single flow was read after the newest full read."""
        return bool(self._flows)

    def newest(self, flow_id: FlowId | None) -> Read:
        """The newest read that covers every row of the flow, or every row of all flows."""
        return self.full if flow_id is None else self._flows.get(flow_id, self.full)

    def released(self, row: Row) -> Version | None:
        """The row's released version, as last read."""
        return self.newest(row[1]).live.entry(*row).released

    def view(self) -> Live:
        """The newest known state of every row, as one `Live`."""
        if self._view is None:
            self._view = self.full.live
            for read in self._flows.values():
                self._view = overlay(self._view, read.live)
        return self._view

    def moved(self) -> Iterator[tuple[Row, Version | None, Version | None]]:
        """Rows whose released version differs from the first read: row, before, now. Unordered."""
        then, now = self._first.devices, self.view().devices
        for device_id in then.keys() | now.keys():
            before, after = (devices.get(device_id, NO_RECORD).flows for devices in (then, now))
            if before == after:
                continue
            for flow_id in before.keys() | after.keys():
                was, is_now = (flows.get(flow_id, NOTHING).released for flows in (before, after))
                if was != is_now:
                    yield (device_id, flow_id), was, is_now
