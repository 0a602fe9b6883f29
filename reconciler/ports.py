"""The interfaces to the API and to time that other packages depend on.

There are two implementations: `api.client` over HTTP, and the tests' fake. One contract suite tests both. Every
method may raise an `ApiError`; readers also `IncompleteRead`. Nothing is cached behind a port.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from reconciler.model.requests import Request
from reconciler.model.state import Application, Device, DeviceId, Flow, FlowId, Quiet, Read, Version
from reconciler.model.versions import Content, Published


class Reader(Protocol):
    """Reads one application, for one kind of deployment. Sends GET only."""

    async def application(self) -> Application:
        """The application's own record."""

    async def live(
        self,
        *,
        flow_id: FlowId | None = None,
        device_id: DeviceId | None = None,
        evidence: bool = False,
        quiet: Quiet | None = None,
    ) -> Read:
        """Read every deployment record, or those with that flow, or that device's.

        `evidence`: with what rollouts are judged by, of every device (`LiveDevice.evidence`). `quiet`: the logs of
        which only the date need be kept. The result is complete:
        pages are sorted by id, de-duplicated, and checked against `totalCount`.
        """

    async def devices(
        self,
        *,
        ids: Collection[DeviceId] | None = None,
        names: Collection[str] | None = None,
        query: str | None = None,
        any_class: bool = False,
        deleted: bool = False,
    ) -> tuple[Device, ...]:
        """Devices sorted by id: those with one of `ids` or `names`, those that `query` selects, or all.

        `query` is the JSON text of a Losant advanced device query. Only devices of the kind's class, unless
        `any_class`. Ids and names are requested 100 at a time, the API's limit for a `$in`. `deleted`: recently deleted
        devices instead of those that exist.
        """

    async def device_count(self) -> int:
        """The number of devices of the kind's class (one small request)."""

    async def flows(self) -> tuple[Flow, ...]:
        """Every flow of the kind's class, sorted by id."""

    async def versions(self, flow_id: FlowId, *, names: Collection[Version] | None = None) -> tuple[Version, ...]:
        """Version names of a flow, sorted: those of `names` that exist, or all. NotFound if there is no such flow."""

    async def published(self, flow_id: FlowId, *, names: Collection[Version] | None = None) -> tuple[Published, ...]:
        """The same versions with their ids and dates."""

    async def content(self, flow_id: FlowId, published: Published) -> Content:
        """What a version is now, with the hash of its definition. NotFound if it was deleted."""


class Writer(Protocol):
    """Changes one application's deployments of one kind."""

    async def send(self, request: Request) -> None:
        """Send one call, without retries.

        Returns when the API has accepted it, which does not mean that it has taken effect. Raises an `ApiError`; if its
        `outcome_unknown` is set, the call may have taken effect anyway.
        """


class Clock(Protocol):
    """Time, injected so that tests need not really wait."""

    def monotonic(self) -> float:
        """Monotonic seconds."""

    def utc_now(self) -> str:
        """The wall clock as RFC 3339 text in UTC, with milliseconds and `Z`."""

    async def sleep(self, seconds: float) -> None:
        """Wait; cancellation ends it at once."""

    def deadline(self, seconds: float) -> AbstractAsyncContextManager[object]:
        """What still runs inside after so many seconds is cancelled, and the block ends with a TimeoutError."""
