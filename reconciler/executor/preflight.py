"""What a wildcard stands on: a young read of its reach, by which it moves nothing but what the plan moves."""

from __future__ import annotations

from reconciler.errors import AuthenticationFailed, ReconcilerError
from reconciler.executor.course import Course, message
from reconciler.executor.journal import Call
from reconciler.executor.live_view import Picture
from reconciler.model.plan import Plan
from reconciler.model.requests import Release, RemoveFlow, RemoveRow
from reconciler.model.state import DeviceId, FlowId
from reconciler.planner.calls.reach import reach, still_sound
from reconciler.ports import Clock, Reader

FRESH_S = 30.0  # a wildcard is sent only on a read that ended less than this before (contract 6.2)


class Footing:
    """Checks wildcards right before they go, and knows the devices that a call may touch."""

    def __init__(self, api: Reader, plan: Plan, *, clock: Clock, picture: Picture, course: Course) -> None:
        self._api = api
        self._changes = {change.row: change for change in plan.changes}
        self._clock = clock
        self._picture = picture
        self._course = course
        self._devices: dict[int, tuple[object, frozenset[DeviceId]]] = {}

    def reach(self, call: Call) -> frozenset[DeviceId]:
        """The devices that the call may touch, under any reading of the API."""
        request, devices = self._devices.get(call.id, (None, frozenset()))
        if request is not call.request:
            rows = reach(call.request, self._picture.full.live)
            devices = frozenset(row[0] for row in rows).union(change.device_id for change in call.changes)
            self._devices[call.id] = call.request, devices
        return devices

    async def why_not(self, call: Call) -> str | None:
        """Why a wildcard must not be sent now, or None. Reads its reach again where the last read is too old.

        A `replace` also reaches devices with an unknown bundle, which only a read of everything shows.
        """
        if isinstance(call.request, Release | RemoveRow):
            return None
        only = call.request.flow_id if isinstance(call.request, RemoveFlow) else None
        if self._clock.monotonic() - self._picture.newest(only).ended >= FRESH_S:
            error = await read(self._api, only, picture=self._picture, course=self._course)
            if error:
                return f"its reach could not be read again: {error.problems[0].message}"
        if not self._picture.is_newer:
            return None  # the plan was proved on this very read
        view = self._picture.view()
        if not still_sound(call.request, self._changes.values(), view):
            return "rows outside the plan have come into its reach"
        for row in reach(call.request, view).union(change.row for change in call.open):
            change = self._changes.get(row)
            if change and self._picture.released(row) not in (change.from_version, change.to_version):
                return "one of its rows was moved by another"
        return None


async def read(api: Reader, only: FlowId | None, *, picture: Picture, course: Course) -> ReconcilerError | None:
    """Read all that the run is about, or one flow, into the picture. Gives the error; 401 stops the run."""
    try:
        newer = await api.live(flow_id=only or picture.only_flow)
    except ReconcilerError as error:
        course.read_error = message(error)
        if isinstance(error, AuthenticationFailed):
            course.stop(course.read_error)
        return error
    course.read_error = None
    picture.add(newer)
    return None
