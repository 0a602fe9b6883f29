"""Sends one round of calls: concurrently, but never two for the same device."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable

from reconciler.errors import (
    ApiError,
    AuthenticationFailed,
    ConnectionFailed,
    NotFound,
    RateLimited,
    ReconcilerError,
    RequestRefused,
)
from reconciler.executor.call import DUE, IN_FLIGHT, REFUSED, Call, CallPhase
from reconciler.executor.control import RunControl
from reconciler.executor.journal import Journal
from reconciler.executor.preflight import Preflight
from reconciler.model.requests import RemoveFlow, Replace
from reconciler.model.state import DeviceId
from reconciler.ports import Writer


class Sender:
    """Sends calls and records how each request ended. Unknown outcomes are resolved later by reads."""

    def __init__(self, api: Writer, *, journal: Journal, control: RunControl, preflight: Preflight) -> None:
        self._api = api
        self._journal = journal
        self._control = control
        self._preflight = preflight

    async def send(self, due: Iterable[Call]) -> None:
        """Send these calls, which wait for no others, in order of their ids, each as soon as its devices are free.

        Some may stay due: those that share a device with a call of unknown outcome, and all once the run stops.
        """
        queue = sorted(due, key=lambda call: call.id)
        in_flight: dict[asyncio.Task[None], Call] = {}
        blocked: set[DeviceId] = set()
        async with asyncio.TaskGroup() as group:
            while True:
                while not self._control.stopped_by and (pause_s := self._control.pause_s) > 0:
                    await self._control.clock.sleep(pause_s)
                for task in [task for task in in_flight if task.done()]:
                    self._settle(in_flight.pop(task), queue, blocked)
                call = self._next(queue, in_flight.values(), blocked)
                if call is None and not in_flight:
                    return
                if call is None:
                    await asyncio.wait(in_flight, return_when=asyncio.FIRST_COMPLETED)
                    continue
                ready = await self._preflight.prepare(call)
                if ready != [call]:
                    queue.remove(call)
                    queue[:0] = ready
                elif not self._must_wait(in_flight):
                    queue.remove(call)
                    in_flight[group.create_task(self._deliver(call))] = call

    def _must_wait(self, in_flight: Collection[object]) -> bool:
        control = self._control
        return control.stopped_by is not None or control.pause_s > 0 or len(in_flight) >= control.limit

    def _next(self, queue: list[Call], in_flight: Collection[Call], blocked: set[DeviceId]) -> Call | None:
        """The first call whose devices are free, so that calls for the same device follow each other closely."""
        if self._must_wait(in_flight):
            return None
        reach = self._preflight.reach
        busy = blocked.union(*map(reach, in_flight))
        return next((call for call in queue if busy.isdisjoint(reach(call))), None)

    def _settle(self, call: Call, queue: list[Call], blocked: set[DeviceId]) -> None:
        if call.is_in_doubt:
            blocked.update(self._preflight.reach(call))
        elif call.is_due:
            queue.insert(0, call)

    async def _deliver(self, call: Call) -> None:
        self._journal.move(call, *IN_FLIGHT)
        try:
            await self._api.send(call.request)
        except ApiError as error:
            await self._fail(call, error)
        except BaseException:
            self._journal.move(call, CallPhase.IN_DOUBT, error="interrupted before the response came")
            raise
        else:
            self._journal.move(call, CallPhase.ACCEPTED)
        self._control.unseen = self._control.unseen or call.acted_at is not None

    async def _fail(self, call: Call, error: ApiError) -> None:
        match error:
            case RateLimited():
                # A 429 during a pause does not lower the limit again.
                if self._control.pause_s <= 0:
                    self._control.limit = max(1, self._control.limit // 2)
                self._postpone(call, error)
            case _ if error.outcome_unknown:
                self._journal.move(call, CallPhase.IN_DOUBT, error=error.problems[0].text)
                call.failure = error
            case ConnectionFailed():
                self._postpone(call, error)
            case NotFound() | RequestRefused() if error.status in (400, 404):
                await self._try_without_deleted(call, error)
            case _:
                self._journal.move(call, *REFUSED, error=error.problems[0].text)
        if isinstance(error, AuthenticationFailed):
            self._control.stop(error.problems[0].text)

    async def _try_without_deleted(self, call: Call, error: ApiError) -> None:
        """A rejected call goes again without the devices that were deleted; if there are none, it has failed.

        Each look drops at least one device, so this ends.
        """
        text = error.problems[0].text
        names_devices = not isinstance(call.request, Replace | RemoveFlow)
        try:
            device_ids = {change.device_id for change in call.open}
            deleted = await self._journal.view.deleted(device_ids) if names_devices else ()
        except BaseException:
            self._journal.move(call, *REFUSED, error=text)
            raise
        if isinstance(deleted, ReconcilerError):
            text += f"; whether its devices still exist could not be read: {deleted.problems[0].text}"
        elif self._journal.drop(call, deleted):
            self._journal.move(call, *DUE)
            return
        self._journal.move(call, *REFUSED, error=text)

    def _postpone(self, call: Call, error: ApiError) -> None:
        """Retry later: the request certainly had no effect (429, or never sent), so even a wildcard is safe."""
        delay_s = self._control.retries.delay_s(call.attempts, error)
        if isinstance(delay_s, str):
            self._journal.move(call, *REFUSED, error=f"{error.problems[0].text}; {delay_s}")
            return
        self._journal.move(call, *DUE, error=error.problems[0].text)
        self._control.hold(delay_s)
        self._journal.observe.note(
            f"{error.problems[0].text}: next request in {delay_s:.0f} s, {self._control.limit} at a time"
        )
