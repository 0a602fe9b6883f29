"""The Python API: `Client`, `AsyncClient`, and functions that use a client configured by the environment."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Collection, Coroutine, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar

from reconciler.api.http.address import api_url as checked_url
from reconciler.api.http.credentials import find_token, read_token
from reconciler.errors import (
    ApiError,
    ExitCode,
    IncompleteRead,
    ManifestError,
    Problem,
    ReconcilerError,
    Refused,
    Stale,
    UsageError,
)
from reconciler.executor import Observer
from reconciler.model.health import Offline, Wait
from reconciler.model.plan import Plan
from reconciler.model.result import Result
from reconciler.model.rules import Rules
from reconciler.model.world import CallMode, Earlier, Filter, Options
from reconciler.operations.against import earlier
from reconciler.operations.applications import load
from reconciler.operations.apply import ApplyObserver, ApplyRequest, ApplyRun
from reconciler.operations.gateway import Gateway
from reconciler.operations.plan import NO_OPTIONS, Plans
from reconciler.operations.plan import plan as plan_rules
from reconciler.operations.status import Status
from reconciler.operations.status import status as status_of
from reconciler.runtime import DEFAULT_PARALLELISM

__all__ = [
    "ApiError",
    "ApplyFailed",
    "ApplyInterrupted",
    "ApplyObserver",
    "ApplyRequest",
    "ApplyRun",
    "AsyncClient",
    "CallMode",
    "Client",
    "Earlier",
    "ExitCode",
    "Filter",
    "IncompleteRead",
    "ManifestError",
    "Observer",
    "Offline",
    "Options",
    "Plan",
    "Plans",
    "Problem",
    "ReconcilerError",
    "Refused",
    "Result",
    "Rules",
    "Stale",
    "Status",
    "UsageError",
    "Wait",
    "apply",
    "earlier",
    "load",
    "plan",
    "status",
]

NO_REQUEST = ApplyRequest()
RulesOrPlans: TypeAlias = Iterable[Rules] | Iterable[Plan]
T = TypeVar("T")


class ApplyFailed(ReconcilerError):
    """An unexpected error (`__cause__`) ended an apply after its first write. `results` shows what was done."""

    def __init__(self, results: tuple[Result, ...]) -> None:
        self.results = results
        super().__init__("an unexpected error ended the apply after its first write; see `results`")


class ApplyInterrupted(KeyboardInterrupt):
    """Ctrl-C during an apply. `results` shows what was done."""

    def __init__(self, results: tuple[Result, ...]) -> None:
        self.results = results
        super().__init__("the apply was interrupted; see `results`")


class AsyncClient:
    """Plans, applies and inspects, for any number of applications. Keeps no connection between calls."""

    def __init__(
        self,
        token: str | None = None,
        *,
        api_url: str | None = None,
        parallelism: int = DEFAULT_PARALLELISM,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """Check the format of the URL and the token; nothing is sent.

        Args:
            token: for every application; by default each application's token is taken from the environment, as by the
                command line: `LOSANT_API_TOKEN_<APPLICATION ID>`, else `LOSANT_API_TOKEN`.
            api_url: base URL of the API; by default `LOSANT_API_URL` of the environment, else Losant's own.
            parallelism: maximum requests in flight, 1 to 32.
            environ: the environment; by default the process's.

        Raises:
            UsageError: a malformed token, an API URL that is not acceptable, or `parallelism` out of bounds.
        """
        self._environ = os.environ if environ is None else environ
        url = checked_url(api_url or self._environ.get("LOSANT_API_URL"))
        self._bare = Gateway({}, url=url, parallelism=parallelism)
        self._token = None if token is None else read_token(token, source="the client's token")

    async def plan(
        self, rules: Iterable[Rules], options: Options = NO_OPTIONS, *, against: Earlier | None = None
    ) -> Plans:
        """What would change. Sends GET only. Refusals of guards are in the plans, not raised.

        `against`: an earlier revision, as `earlier` reads it; the plans then tell what leaves management since.

        Raises:
            ManifestError: names, devices, flows or versions that an application does not have.
            ApiError, IncompleteRead: reading failed.
        """
        rules = _checked(rules, Rules)
        planned = await plan_rules(rules, self._gateway(rules), options, against=against)
        return Plans(tuple(one.plan for one in planned))

    def applying(self, changes: RulesOrPlans, request: ApplyRequest = NO_REQUEST) -> ApplyRun:
        """An apply that has not started: await its `carry_out`; its `results` can be read at any time."""
        parts: tuple[Rules | Plan, ...] = _checked(changes, Rules, Plan)
        plans = tuple(one for one in parts if isinstance(one, Plan))
        rules = tuple(one for one in parts if isinstance(one, Rules))
        return ApplyRun(Plans(plans) if plans else rules, self._gateway(parts), request)

    async def apply(self, changes: RulesOrPlans, request: ApplyRequest = NO_REQUEST) -> tuple[Result, ...]:
        """Carry out the changes. If the task may be cancelled, use `applying`, whose results survive that.

        Returns:
            The results, one per application and kind. They include errors of calls after the first write.

        Raises:
            Stale, Refused, ManifestError, ApiError: nothing was written.
            ApplyFailed: an unexpected error after the first write.
        """
        return await _results(self.applying(changes, request))

    async def status(self, rules: Iterable[Rules], *, devices: Collection[str] = ()) -> Status:
        """Sync and health of everything, or of some devices by id or name, with their logs. Sends GET only.

        Raises:
            UsageError: none of the applications has such a device.
            ManifestError, ApiError, IncompleteRead: as for `plan`.
        """
        rules = _checked(rules, Rules)
        return await status_of(rules, self._gateway(rules), devices=devices)

    def _gateway(self, parts: Iterable[Rules | Plan]) -> Gateway:
        ids = [part.application.id for part in parts]
        tokens = {one: self._token or find_token(self._environ, one) for one in ids}
        return replace(self._bare, tokens=tokens)


def _checked(parts: Iterable[T], *kinds: type[T]) -> tuple[T, ...]:
    """What a caller gave, all of it of one of these types."""
    made = tuple(parts) if isinstance(parts, Iterable) else None
    if made is None or not any(all(isinstance(one, kind) for one in made) for kind in kinds):
        words = " or ".join(f"`{kind.__name__}`" for kind in kinds)
        raise UsageError(f"expected an iterable of {words}", hint="give what `load` or `plan` returned")
    return made


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`, with a clear error where a loop is running."""
    with contextlib.suppress(RuntimeError):
        asyncio.get_running_loop()
        coroutine.close()
        raise UsageError("`Client` cannot block inside a running event loop", hint="use `AsyncClient`, and await it")
    return asyncio.run(coroutine)


async def _results(run: ApplyRun) -> tuple[Result, ...]:
    """Carry out; an unexpected error after a write is raised with the results."""
    try:
        await run.carry_out()
    except ReconcilerError:
        raise  # before the first write
    except Exception as error:
        if not any(one.wrote for one in run.results):
            raise
        raise ApplyFailed(run.results) from error
    return run.results


class Client:
    """`AsyncClient` with blocking methods. Takes the same arguments."""

    def __init__(
        self,
        token: str | None = None,
        *,
        api_url: str | None = None,
        parallelism: int = DEFAULT_PARALLELISM,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._client = AsyncClient(token, api_url=api_url, parallelism=parallelism, environ=environ)

    def plan(self, rules: Iterable[Rules], options: Options = NO_OPTIONS, *, against: Earlier | None = None) -> Plans:
        """See `AsyncClient.plan`."""
        return _run(self._client.plan(rules, options, against=against))

    def apply(self, changes: RulesOrPlans, request: ApplyRequest = NO_REQUEST) -> tuple[Result, ...]:
        """See `AsyncClient.apply`. Ctrl-C raises `ApplyInterrupted`, whose `results` show what was done."""
        run = self._client.applying(changes, request)
        try:
            return _run(_results(run))
        except KeyboardInterrupt:
            raise ApplyInterrupted(run.results) from None

    def status(self, rules: Iterable[Rules], *, devices: Collection[str] = ()) -> Status:
        """See `AsyncClient.status`."""
        return _run(self._client.status(rules, devices=devices))


def plan(rules: Iterable[Rules], options: Options = NO_OPTIONS, *, against: Earlier | None = None) -> Plans:
    """What would change; uses the token and URL of the environment, like `Client()`."""
    return Client().plan(rules, options, against=against)


def apply(changes: RulesOrPlans, request: ApplyRequest = NO_REQUEST) -> tuple[Result, ...]:
    """Carry out the changes; uses the token and URL of the environment, like `Client()`."""
    return Client().apply(changes, request)


def status(rules: Iterable[Rules], *, devices: Collection[str] = ()) -> Status:
    """Sync and health; uses the token and URL of the environment, like `Client()`."""
    return Client().status(rules, devices=devices)
