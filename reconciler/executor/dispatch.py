"""Sending one round of calls: side by side, but never two on one device."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import TypeAlias

from reconciler.errors import ApiError, AuthenticationFailed, ConnectionFailed, RateLimited
from reconciler.executor.call import Call, CallPhase
from reconciler.executor.control import RunControl, message
from reconciler.executor.journal import Journal
from reconciler.model.state import DeviceId
from reconciler.ports import Clock, Writer

Prepare: TypeAlias = Callable[[Call], Awaitable[list[Call]]]
Reach: TypeAlias = Callable[[Call], Collection[DeviceId]]


class Sender:
    """Sends calls and notes how each request ended. What became of an unknown outcome is for reads to tell."""

    def __init__(self, api: Writer, *, clock: Clock, journal: Journal, control: RunControl) -> None:
        self._api = api
        self._clock = clock
        self._journal = journal
        self._control = control

    async def send(self, due: Iterable[Call], *, prepare: Prepare, reach: Reach) -> None:
        """Send these calls in order of their ids, each as soon as its devices are free.

        Some may stay due: what shares a device with a call of unknown outcome, and everything once the run stops.

        Args:
            due: calls that wait for nothing.
            prepare: last look at a call before it goes; gives what to send in its stead, usually the call itself.
            reach: the devices that a call may touch.
        """
        queue = sorted(due, key=lambda call: call.id)
        flying: dict[asyncio.Task[None], Call] = {}
        doubtful: set[DeviceId] = set()
        async with asyncio.TaskGroup() as group:
            while True:
                await self._wait_out_pause()
                for task in [task for task in flying if task.done()]:
                    self._land(flying.pop(task), queue, doubtful, reach)
                call = self._next(queue, flying.values(), doubtful, reach)
                if call is None and not flying:
                    return
                if call is None:
                    await asyncio.wait(flying, return_when=asyncio.FIRST_COMPLETED)
                    continue
                ready = await prepare(call)
                if ready != [call]:
                    queue.remove(call)
                    queue[:0] = ready
                elif not self._is_held(flying):
                    queue.remove(call)
                    flying[group.create_task(self._deliver(call))] = call

    async def _wait_out_pause(self) -> None:
        while not self._control.stopped_by and (left := self._control.pause_until - self._clock.monotonic()) > 0:
            await self._clock.sleep(left)

    def _is_held(self, flying: Collection[object]) -> bool:
        paused = self._control.pause_until > self._clock.monotonic()
        return bool(self._control.stopped_by) or paused or len(flying) >= self._control.limit

    def _next(self, queue: list[Call], flying: Collection[Call], doubtful: set[DeviceId], reach: Reach) -> Call | None:
        """The first call whose devices are free, so that calls of one device follow each other closely."""
        if self._is_held(flying):
            return None
        busy = doubtful.union(*(reach(call) for call in flying))
        return next((call for call in queue if busy.isdisjoint(reach(call))), None)

    def _land(self, call: Call, queue: list[Call], doubtful: set[DeviceId], reach: Reach) -> None:
        if call.is_in_doubt:
            doubtful.update(reach(call))
        elif call.is_due:
            queue.insert(0, call)

    async def _deliver(self, call: Call) -> None:
        self._journal.sent(call)
        try:
            await self._api.send(call.request)
        except ApiError as error:
            self._fail(call, error)
        except BaseException:
            self._journal.move(call, CallPhase.IN_DOUBT, "interrupted before the answer came")
            raise
        else:
            self._journal.move(call, CallPhase.ACCEPTED)
        self._control.unseen = self._control.unseen or call.acted_at is not None

    def _fail(self, call: Call, error: ApiError) -> None:
        match error:
            case RateLimited():
                self._slow_down()
                self._postpone(call, error)
            case _ if error.outcome_unknown:
                self._journal.move(call, CallPhase.IN_DOUBT, message(error))
                call.failure = error
            case ConnectionFailed():
                self._postpone(call, error)
            case _:
                self._journal.refuse(call, message(error))
        if isinstance(error, AuthenticationFailed):
            self._control.stop(message(error))

    def _slow_down(self) -> None:
        """After a 429 fewer go at a time; those that come while the run pauses already are the same news."""
        if self._clock.monotonic() >= self._control.pause_until:
            self._control.limit = max(1, self._control.limit // 2)

    def _postpone(self, call: Call, error: ApiError) -> None:
        """The request was not carried out for sure (429, or never left): send it again later, whatever it is."""
        delay_s = self._control.retries.delay_s(call.attempts, error)
        if isinstance(delay_s, str):
            self._journal.refuse(call, f"{message(error)}; {delay_s}")
            return
        self._journal.postpone(call, message(error))
        self._control.hold(self._clock.monotonic() + delay_s)
        self._journal.observe.note(
            f"{message(error)}: next request in {delay_s:.0f} s, {self._control.limit} at a time"
        )
