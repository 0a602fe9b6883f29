"""Planning: from rules and the live state to plans."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from typing import NamedTuple

from reconciler.discovery import EVERYTHING, Extent, discover
from reconciler.errors import ManifestError, NotFound, Problem, Refused
from reconciler.model.digest import digest, digests
from reconciler.model.plan import Guard, Plan, Refusal, Warning
from reconciler.model.rules import Rules
from reconciler.model.state import Desired
from reconciler.model.versions import Lock
from reconciler.model.world import Earlier, Options, World
from reconciler.operations.gateway import Gateway
from reconciler.planner.planner import make_plan
from reconciler.planner.resolution.filters import scopes_of
from reconciler.runtime import gather_in_order, gc_paused, utc_today

NO_OPTIONS = Options()


class Planned(NamedTuple):
    """One application's plan and the world that it was made from.

    `desired`: the declared rows that the plan covers.
    """

    world: World
    plan: Plan
    desired: Desired


@dataclass(frozen=True, slots=True)
class Plans:
    """The plans of one run, one for each application and kind."""

    plans: tuple[Plan, ...]

    @property
    def digest(self) -> str:
        """The digest of all changes; the same as in the JSON document."""
        return digest(self.plans)

    @property
    def review_digest(self) -> str:
        """The digest of all changes and of what the manifests guard them with; the same as in the JSON document."""
        return digests(self.plans).review

    @property
    def refused(self) -> tuple[Refusal, ...]:
        """The refusals by guards. `apply` raises `Refused` for them."""
        return tuple(refusal for plan in self.plans for refusal in plan.refused)

    def __iter__(self) -> Iterator[Plan]:
        return iter(self.plans)


async def plan(
    rules: Sequence[Rules], gateway: Gateway, options: Options = NO_OPTIONS, *, against: Earlier | None = None
) -> tuple[Planned, ...]:
    """Read what each application's rules need, and plan it. Refusals by guards are in the plan, not raised.

    A plan for one flow is made from that flow's records alone. But limits are percentages of all managed rows,
    so if one is exceeded by what was read, everything is read. `against`: an earlier revision of the same manifests;
    what leaves management since is told, and limited.

    Raises:
        ManifestError: names, devices, flows or versions that an application does not have.
        ApiError, IncompleteRead: reading failed.
    """
    flow = _only_flow(options)
    planned = await _plan(rules, gateway, options, Extent(flow=flow), against)
    limited = {refusal.guard for one in planned for refusal in one.plan.refused} & {Guard.REMOVALS, Guard.CHANGES}
    return await _plan(rules, gateway, options, EVERYTHING, against) if flow and limited else planned


def _only_flow(options: Options) -> str | None:
    """The flow of a plan for a single flow. Excluded devices may have names found only in other flows' records."""
    targets = {one.text for one in options.targets if one.by == "flow"}
    one_flow = len(targets) == 1 and all(one.by == "flow" for one in options.targets)
    return targets.pop() if one_flow and all(one.by != "device" for one in options.excludes) else None


async def _plan(
    rules: Sequence[Rules], gateway: Gateway, options: Options, extent: Extent, against: Earlier | None
) -> tuple[Planned, ...]:
    excluded = tuple(one.text for one in options.excludes if one.by == "device")
    with gc_paused():
        worlds = await read(rules, gateway, excluded_devices=excluded, extent=extent, against=against)
        planned = []
        for one, world, scope in zip(rules, worlds, scopes_of(worlds, options), strict=True):
            made = make_plan(world, limits=one.limits, manifests=one.manifests, options=options, scope=scope)
            planned.append(Planned(world, made, scope.desired))
    return await _judged(planned, rules, gateway, options)


async def _judged(
    planned: Sequence[Planned], rules: Sequence[Rules], gateway: Gateway, options: Options
) -> tuple[Planned, ...]:
    """The plans judged by the locks beside their manifests. Without locks nothing is read."""
    if not options.frozen and not any(one.lock for one in rules):
        return tuple(planned)
    from reconciler.operations.lock.judging import judged, lock_for  # noqa: PLC0415 - most teams have no lock

    locked = [lock_for(one, frozen=options.frozen) for one in rules]
    async with gateway.open() as api_of:

        async def by(lock: Lock | None, one: Planned) -> Planned:
            plan = one.plan._replace(guards=one.plan.guards._replace(lock=lock))
            return one._replace(plan=await judged(plan, api_of(plan.application.id, plan.kind)))

        return tuple(await gather_in_order([*map(partial, repeat(by), locked, planned)]))


async def read(
    rules: Sequence[Rules],
    gateway: Gateway,
    *,
    excluded_devices: Sequence[str] = (),
    extent: Extent = EVERYTHING,
    against: Earlier | None = None,
) -> tuple[World, ...]:
    """The world of each application, all of which are read at once. What concerns all is told in the first.

    Raises:
        ManifestError: the problems of all applications' manifests.
        ApiError, IncompleteRead: reading failed; if it did of several applications, the first one's error.
    """
    today = utc_today()
    async with gateway.open() as api_of:

        async def world_of(one: Rules) -> World | ManifestError:
            try:
                return await discover(
                    one,
                    api_of(one.application.id, one.kind),
                    today=today,
                    excluded_devices=excluded_devices,
                    extent=extent,
                    former=against.of(one) if against else None,
                )
            except ManifestError as error:
                return error
            except NotFound as error:  # of the application itself: where it is declared
                raise error.at(*one.application.place) from None

        found = await gather_in_order([partial(world_of, one) for one in rules])
    if problems := [problem for one in found if isinstance(one, ManifestError) for problem in one.problems]:
        raise ManifestError(problems)
    worlds = [one for one in found if isinstance(one, World)]
    if against and worlds:
        told = (*against.concerns, *_gone_files(rules, worlds, against.revision))
        worlds[0] = worlds[0]._replace(warnings=(*worlds[0].warnings, *told))
    return tuple(worlds)


def _gone_files(rules: Sequence[Rules], worlds: Sequence[World], revision: str) -> Iterator[Warning]:
    """The files of an earlier revision that are gone, and whose rows leave management with them."""
    from reconciler.manifest.comparing.symbolic import gone_file, own_path  # noqa: PLC0415 - only where there is such a revision

    for one, world in zip(rules, worlds, strict=True):
        for path in sorted({row.source.path for row in world.leaving_rows}):
            if own_path(path, revision) not in one.paths:
                yield gone_file(path, one)


def refused(plans: Iterable[Plan]) -> Refused | None:
    """The error for the plans' refusals: place, numbers and remedy of each."""
    problems = []
    for refusal in (refusal for plan in plans for refusal in plan.refused):
        message, hint = f"refused ({refusal.guard}): {refusal.message}", refusal.hint
        problems.append(refusal.place.problem(message, hint) if refusal.place else Problem(message, hint=hint))
    return Refused(problems) if problems else None
