"""Carries out a plan in rounds: each sends the calls that are ready, then confirms them by reads.

A call is *accepted* when the API returns 201 and *confirmed* when a read that began later shows every change at its
`to`. A call is ready when all calls that it waits for are confirmed. Calls that share a device are never in flight
together, and a call of unknown outcome counts as in flight until reads have settled it.

How an unknown outcome (a timeout, a reset, a 5xx) is handled:

- An explicit call names every row that it can reach and sets it to a fixed version, so resending it for the rows that
  have not moved is harmless.
- A wildcard reaches whatever matches when it takes effect, which may be late. It is never resent: releases finish its
  rows, and calls that wait for it are skipped, because they move rows to the version that a late effect would replace.
  Every row that it could still reach ends this plan at the wildcard's own outcome, so a late effect changes nothing.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Protocol

from reconciler.executor.call import Call
from reconciler.executor.confirm import Confirmation
from reconciler.executor.control import RetryBudget, RunControl
from reconciler.executor.dispatch import Sender
from reconciler.executor.journal import Journal, Observer
from reconciler.executor.live_view import LiveView
from reconciler.executor.preflight import Preflight
from reconciler.model.changes import Change
from reconciler.model.plan import Plan, Warning
from reconciler.model.requests import RemoveDevice, outcome
from reconciler.model.result import Moved, Result, named, not_started
from reconciler.model.state import DeviceId, Read, Row, Version
from reconciler.ports import Clock, Reader, Writer


class Api(Reader, Writer, Protocol):
    """Both ports of one application."""


class Execution:
    """Carries out one plan. `result()` is valid at any time, even after `carry_out` was cancelled or raised."""

    def __init__(
        self,
        plan: Plan,
        read: Read,
        api: Api,
        *,
        clock: Clock,
        parallelism: int = 4,
        dry_run: bool = False,
        observe: Observer | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """Prepare; nothing is sent.

        Args:
            plan: the plan to carry out, computed from `read`.
            read: a read of everything, or of the only flow that changes.
            api: the application to change.
            clock: the run's only source of time.
            parallelism: maximum requests in flight; a 429 halves it for the rest of the run.
            dry_run: stop before the first write.
            observe: called as the run proceeds.
            rng: source of the jitter.
        """
        self._plan = plan
        self._dry_run = dry_run
        self._interrupted = False
        self._not_started = not_started(plan)
        retries = RetryBudget(len(plan.calls), rng=rng or random.Random())  # noqa: S311 - jitter is no secret
        self._control = RunControl(clock, parallelism, retries)
        self._view = LiveView(read, api, self._control)
        self._journal = Journal(plan, view=self._view, clock=clock, observe=observe or Observer())
        preflight = Preflight(plan, clock=clock, journal=self._journal)
        self._sender = Sender(api, journal=self._journal, control=self._control, preflight=preflight)
        self._confirmation = Confirmation(journal=self._journal, control=self._control)

    async def carry_out(self) -> None:
        """Send the calls and confirm them.

        Errors of calls and reads are in the result, not raised.

        Raises:
            asyncio.CancelledError: the run was interrupted; the result shows how far it got.
        """
        if self._dry_run or not self._journal.calls:
            return
        try:
            await self._rounds()
            await self._confirmation.confirm_run()
        except (asyncio.CancelledError, KeyboardInterrupt):
            self._interrupted = True
            raise
        except Exception as error:
            self._control.stop(f"an unexpected {type(error).__name__}; this is a bug in reconciler")
            raise

    def result(self) -> Result:
        """The result so far."""
        confirmed, total = self._journal.progress()
        deleted = self._journal.deleted
        collateral, meanwhile = self._moved()
        failed = [f"the last read failed: {self._control.read_error}"] if self._control.read_error else []
        return replace(
            not_started(self._plan, without=deleted) if deleted else self._not_started,
            calls=tuple(call.snapshot() for call in sorted(self._journal.calls, key=lambda call: call.id)),
            total=total,
            confirmed=confirmed,
            unconfirmed=named(self._journal.unconfirmed(), self._plan),
            collateral=named(collateral, self._plan),
            moved_meanwhile=named(meanwhile, self._plan),
            dry_run=self._dry_run,
            interrupted=self._interrupted,
            stopped_by=self._control.stopped_by,
            warnings=tuple(_deleted_devices(self._plan, deleted)),
            notes=(*self._plan.notes, *failed),
        )

    @property
    def deleted_devices(self) -> frozenset[DeviceId]:
        """The devices whose changes were dropped because they do not exist any more."""
        return frozenset(device_id for device_id, _ in self._journal.deleted)

    async def _rounds(self) -> None:
        while True:
            self._journal.skip_dependents()
            if self._control.stopped_by:
                self._journal.abandon_due(f"not sent: {self._control.stopped_by}")
            if not (due := self._journal.due()):
                return
            await self._sender.send(due)
            await self._confirmation.confirm_round()

    def _moved(self) -> tuple[list[Moved], list[Moved]]:
        """Rows outside the plan that moved since its read: those that this run could have moved, and the others."""
        collateral: list[Moved] = []
        meanwhile: list[Moved] = []
        if self._view.is_newer:
            planned = {change.row for change in self._plan.sent}
            acted = [call for call in self._journal.calls if call.acted_at is not None]
            for row, before, now in self._view.moved():
                if row not in planned:
                    blocker = next((call.id for call in acted if _could_move(call, row, now)), None)
                    (meanwhile if blocker is None else collateral).append(Moved(*row, before, now, blocker))
        return collateral, meanwhile


def _deleted_devices(plan: Plan, dropped: Mapping[Row, Change]) -> Iterator[Warning]:
    """A warning for each device that does not exist any more, at the first place that decided a change of it."""
    rows: dict[DeviceId, list[Change]] = {}
    for change in sorted(dropped.values()):
        rows.setdefault(change.device_id, []).append(change)
    for device_id, changes in rows.items():
        name = plan.device_names.get(device_id)
        message = f"device {f'{name} ({device_id})' if name else device_id} was deleted: "
        message += "its change was left out" if len(changes) == 1 else f"its {len(changes)} changes were left out"
        yield Warning(message, min(change.source for change in changes), "remove what names it from the manifests")


def _could_move(call: Call, row: Row, now: Version | None) -> bool:
    """Whether a wildcard may have moved the row to its current version, whatever its version was before.

    This is wider than the call's reach as read: somebody may have moved a row into it between the read and the call.
    """
    if call.is_explicit or outcome(call.request) != now:
        return False
    if isinstance(call.request, RemoveDevice):
        return call.request.device_id == row[0]
    return call.request.flow_id == row[1]
