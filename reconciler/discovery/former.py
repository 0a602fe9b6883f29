"""Resolves an earlier revision of the rules on the read of the present ones, and finds what leaves management.

That revision is history, which nobody can correct any more. So what the token may not read for it, and what it names
that does not exist any more, is left out with one warning; only failures of the connection end the run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple, TypeVar

from reconciler.discovery.device_index import DeviceIndex
from reconciler.errors import PermissionDenied, RequestRefused
from reconciler.model.changes import LeavingRow
from reconciler.model.plan import Leaving, Warning
from reconciler.model.rules import Former, Rules
from reconciler.model.state import Desired, DeviceId, Live
from reconciler.model.text import and_more, counted
from reconciler.planner.leaving import left, without
from reconciler.planner.resolution.resolve import Resolution
from reconciler.planner.resolution.selector import needs_of

Queries = Mapping[str, frozenset[DeviceId]]
_TOLD = 3  # reasons in the warning
T = TypeVar("T")


class Lost(NamedTuple):
    """What leaves management, and what could not be compared."""

    leaving: Leaving
    rows: tuple[LeavingRow, ...] = ()
    warnings: tuple[Warning, ...] = ()


class Additions(NamedTuple):
    """How a discovery reads more, and resolves rules with all that it has read: with these answers to queries."""

    devices: DeviceIndex
    list_flows: Callable[[], Awaitable[None]]
    resolve: Callable[[Rules, Queries], Resolution]


async def lost(former: Former, additions: Additions, *, after: Desired, live: Live, queries: Queries) -> Lost:
    """Compare the declared rows of an earlier revision with those of now. `queries`: the answers that were read."""
    if former.rules is None:  # a new application: there is nothing that it could lose
        return Lost(Leaving(former.revision, 0, 0))
    index, unverified = additions.devices, list[str]()

    async def tried(read: Awaitable[T]) -> T | None:
        try:
            return await read
        except (PermissionDenied, RequestRefused) as error:
            unverified.append(error.problems[0].message)
            return None

    needs = needs_of(former.rules)
    if needs.listing:
        await tried(index.list_all())
    await tried(index.look_up(ids=needs.device_ids, names=needs.device_names))
    if needs.flow_names:
        await tried(additions.list_flows())
    answers = dict(queries)
    for query in sorted(needs.queries.keys() - answers.keys()):
        answers[query] = await tried(index.query(query)) or frozenset()
    resolution = additions.resolve(former.rules, answers)
    found = left(resolution.desired, after, live)
    device_ids = {row.device_id for row in found.rows}
    missing = await index.missing(device_ids - live.devices.keys(), device_ids & live.devices.keys())
    found = without(found, missing)
    unverified += [f"{counted(len(missing), 'device')} no longer in Losant"] if missing else []
    unverified += [problem.message for problem in resolution.problems]
    warnings = (_warning(former.revision, list(dict.fromkeys(unverified))),) if unverified else ()
    return Lost(Leaving(former.revision, found.managed, len(found.rows)), found.rows, warnings)


def _warning(revision: str, reasons: list[str]) -> Warning:
    more = and_more(max(0, len(reasons) - _TOLD), "")
    message = f"not verified: a part of what {revision} managed: {'; '.join(reasons[:_TOLD])}{more}"
    return Warning(message, hint="whether that leaves management is not known; the rest was compared")
