"""Pre-flight check of wildcards: refuse one unless a read under 30 s old shows that it moves only planned rows."""

from __future__ import annotations

from reconciler.executor.call import Call
from reconciler.executor.journal import Journal
from reconciler.model.plan import Plan
from reconciler.model.requests import Release, RemoveFlow, RemoveRow
from reconciler.model.state import DeviceId
from reconciler.planner.calls.reach import moves_of, reach, still_sound
from reconciler.ports import Clock

FRESH_S = 30.0  # the maximum age of the read that a wildcard is checked against


class Preflight:
    """Checks calls right before they are sent, and computes the devices that each may touch."""

    def __init__(self, plan: Plan, *, clock: Clock, journal: Journal) -> None:
        self._changes = {change.row: change for change in plan.sent}
        self._moves = moves_of(plan.sent)
        self._clock = clock
        self._journal = journal
        self._view = journal.view
        self._devices: dict[int, tuple[object, frozenset[DeviceId]]] = {}

    def reach(self, call: Call) -> frozenset[DeviceId]:
        """The devices that the call may touch, under any reading of the API."""
        request, devices = self._devices.get(call.id, (None, frozenset()))
        if request is not call.request:
            rows = reach(call.request, self._view.full.live, self._moves)
            devices = frozenset(row[0] for row in rows).union(change.device_id for change in call.changes)
            self._devices[call.id] = call.request, devices
        return devices

    async def prepare(self, call: Call) -> list[Call]:
        """The calls to send for a call whose turn has come: itself, replacements, or none."""
        more: list[Call] = []
        if call.open and (reason := await self._why_not(call)):
            more = self._journal.break_up(call, f"sent as releases: {reason}")
        self._journal.trim(call)
        return [call, *more] if call.is_due else more

    async def _why_not(self, call: Call) -> str | None:
        """Why a wildcard must not be sent now, or None. Reads its reach again if the last read is too old.

        A `replace` also reaches devices with an unknown bundle, which only a read of everything shows.
        """
        if isinstance(call.request, Release | RemoveRow):
            return None
        only = call.request.flow_id if isinstance(call.request, RemoveFlow) else None
        age_s = self._clock.monotonic() - self._view.newest(only).ended
        if age_s >= FRESH_S and (error := await self._view.read(only)):
            return f"its reach could not be read again: {error.problems[0].message}"
        if not self._view.is_newer:
            return None  # the plan was proved on this read
        view = self._view.view()
        if not still_sound(call.request, view, self._moves):
            return "rows outside the plan are now within its reach"
        for row in reach(call.request, view, self._moves).union(change.row for change in call.open):
            change = self._changes.get(row)
            if change and self._view.released(row) not in (change.from_version, change.to_version):
                return "one of its rows was moved by somebody else"
        return None
