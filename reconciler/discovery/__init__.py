"""Asks the API for what a set of rules needs, in the fewest requests, and resolves, prunes and checks with it.

Three rules keep the count low. A manifest that holds only ids asks for the deployments and nothing else. Where a
selector needs the whole device list, that one listing answers every other question about devices. Existence is
checked only for what would change or is new: what is released already was accepted by the platform once.

Where only a part of an application is in question (`Part`), only its rows are read and checked. The rules are resolved
whole all the same, since a row's version may come from any of them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date

from reconciler.discovery.device_index import Census, counted_devices
from reconciler.discovery.existence import Checks
from reconciler.errors import ManifestError, PermissionDenied, Problem, RequestRefused
from reconciler.model.plan import Warning
from reconciler.model.read import Read
from reconciler.model.rules import Prune, Rules
from reconciler.model.state import Application, Desired, DeviceId, Flow, FlowId, Live
from reconciler.model.world import World
from reconciler.planner.resolution.names import Inventory, is_id
from reconciler.planner.resolution.prune import omitted, prune
from reconciler.planner.resolution.resolve import Resolution, resolve, warning_key
from reconciler.planner.resolution.selector import Needs, needs_of, with_excludes
from reconciler.ports import Reader
from reconciler.runtime import gather

__all__ = ["WHOLE", "Part", "survey"]


@dataclass(frozen=True, slots=True)
class Part:
    """The rows that are in question; the world of a part tells nothing about others.

    Attributes:
        flow: an alias, id or name. The listing is restricted to that flow, and says so (`Live.only_flow`), where its
            id is known without reading more than the rules need; otherwise everything is read.
        devices: with `read`, which is of these devices.
    """

    flow: str | None = None
    devices: frozenset[DeviceId] | None = None
    read: Read | None = None


WHOLE = Part()


async def survey(
    rules: Rules,
    reader: Reader,
    *,
    today: date,
    exclude_devices: Collection[str] = (),
    part: Part = WHOLE,
) -> World:
    """Read, resolve, prune and check one application and kind.

    Args:
        rules: what the manifests say.
        reader: the API, for `rules.application` and `rules.kind`.
        today: the UTC date, for pins that have an end.
        exclude_devices: ids or names that may be unknown, and that are not checked (`--exclude device=`).
        part: what of it is in question.

    Raises:
        ManifestError: names, devices, flows or versions that the application does not have.
        ApiError, IncompleteRead: reading failed.
    """
    return await _Survey(rules, reader, today, exclude_devices, part).run()


class _Survey:
    def __init__(self, rules: Rules, reader: Reader, today: date, excluded: Collection[str], part: Part) -> None:
        self.rules = rules
        self.reader = reader
        self.today = today
        self.part = part
        self.excluded = frozenset(text.lower() if is_id(text.lower()) else text for text in excluded)
        self.census = Census(reader, rules.kind)
        self.flows: tuple[Flow, ...] | None = None
        self.warnings: list[Warning] = []

    async def run(self) -> World:
        application = await self.application()
        needs = needs_of(self.rules)
        read, queries = await self.read(needs)
        live = read.live
        self.census.at_least = len(live.devices)
        await self.look_up(needs)
        resolution = await self.resolution(queries)
        desired = await self.pruned(resolution, live)
        checks = Checks(self.rules, self.reader, self.census, live, self.flows)
        excluded = self.excluded | self.census.ids_named(self.excluded) | _ids_named(live, self.excluded)
        self.warnings += await checks.run(*self.in_question(desired, resolution, live), excluded)
        return World(
            application=application,
            kind=self.rules.kind,
            desired=desired,
            read=read,
            protected=resolution.protected,
            warnings=tuple(sorted({*resolution.warnings, *self.warnings}, key=warning_key)),
            device_names={**_device_names(live), **self.census.names()},
            flow_names={**live.flow_names, **{flow.id: flow.name for flow in self.flows or () if flow.name}},
            aliases=resolution.aliases,
            groups=frozenset(group.name for group in self.rules.groups),
            dropped=resolution.passed_over,
        )

    async def application(self) -> Application:
        """The application; its name is asked for only where the manifest wants it checked, and then before all else."""
        wanted = self.rules.application
        if wanted.name is None:
            return Application(wanted.id)
        try:
            found = await self.reader.application()
        except PermissionDenied:
            message = f'not verified: name of application {wanted.id}, "{wanted.name}" here'
            self.warnings.append(Warning(message, wanted.place, "the token needs the scope application.get"))
            return Application(wanted.id)
        if found.name != wanted.name:
            message = f'application {wanted.id} is named "{found.name}", not "{wanted.name}"'
            hint = "check that the id and the name are of the same environment"
            raise ManifestError([Problem(message, wanted.place.path, wanted.place.line, wanted.place.column, hint)])
        return found

    async def read(self, needs: Needs) -> tuple[Read, dict[str, frozenset[str]]]:
        """Whatever can be read at once: deployments, the device list, flows, queries."""
        flow_id = await self.only_flow(needs)
        read, _, _, *selected = await gather(
            self.live(flow_id),
            self.list_devices(needs),
            self.list_flows(needs),
            *(self.selected(query) for query in sorted(needs.queries)),
        )
        return read, dict(zip(sorted(needs.queries), selected, strict=True))

    async def selected(self, query: str) -> frozenset[DeviceId]:
        """The devices of a query. One that the API does not take is a mistake in a file."""
        try:
            return await self.census.query(query)
        except RequestRefused as error:
            selectors = (part for group in self.rules.groups for part in with_excludes(group.select))
            place = next(part.place for part in selectors if part.query == query)
            message = f"the API does not take this query: {error.problems[0].message}"
            hint = "see Losant's documentation of advanced device queries"
            raise ManifestError([Problem(message, place.path, place.line, place.column, hint)]) from None

    async def live(self, flow_id: FlowId | None) -> Read:
        return self.part.read or await self.reader.live(flow_id=flow_id)

    async def only_flow(self, needs: Needs) -> FlowId | None:
        """The flow in question, if there is one and its id can be told."""
        if self.part.flow is None:
            return None
        alias = self.rules.aliases.get(self.part.flow)
        text = alias.text if alias else self.part.flow
        if is_id(text.lower()):
            return text.lower()
        await self.list_flows(needs)
        ids = [flow.id for flow in self.flows or () if flow.name == text]
        return ids[0] if len(ids) == 1 else None

    def in_question(self, desired: Desired, resolution: Resolution, live: Live) -> tuple[Desired, Resolution]:
        """The declared rows that were read, and the devices that are written for them."""
        only, devices = live.only_flow, self.part.devices
        if only is None and devices is None:
            return desired, resolution
        narrowed = {
            device_id: {flow_id: flows[flow_id] for flow_id in flows if only in (None, flow_id)}
            for device_id, flows in desired.devices.items()
            if (only is None or only in flows) and (devices is None or device_id in devices)
        }
        written = {device_id: place for device_id, place in resolution.written.items() if device_id in narrowed}
        return Desired(narrowed), replace(resolution, written=written)

    async def list_devices(self, needs: Needs) -> None:
        if needs.listing:
            await self.census.list_all()

    async def list_flows(self, needs: Needs) -> None:
        if needs.flow_names and self.flows is None:
            try:
                self.flows = await self.reader.flows()
            except PermissionDenied as error:
                message = f"flows that are written by name cannot be found: {error.problems[0].message}"
                hint = "give the token the scope flows.get, or write flows by their ids"
                raise PermissionDenied(message, hint=hint, status=403) from None

    async def look_up(self, needs: Needs) -> None:
        if needs.device_names or needs.device_ids:
            await self.census.look_up(ids=needs.device_ids, names=needs.device_names)

    async def resolution(self, queries: dict[str, frozenset[str]]) -> Resolution:
        resolution = resolve(self.rules, self.inventory(queries), today=self.today, ignored=self.excluded)
        if resolution.unknown and await self.census.try_to_name(resolution.unknown):
            # Once more with every name in hand, for the problems to tell which are near.
            resolution = resolve(self.rules, self.inventory(queries), today=self.today, ignored=self.excluded)
        if resolution.problems:
            raise ManifestError(resolution.problems)
        return resolution

    def inventory(self, queries: dict[str, frozenset[str]]) -> Inventory:
        flows: dict[str, tuple[str, ...]] = {}
        for flow in self.flows or ():
            if flow.name is not None:
                flows[flow.name] = (*flows.get(flow.name, ()), flow.id)
        return Inventory(self.census.devices, flows, queries, self.census.other_classes())

    async def pruned(self, resolution: Resolution, live: Live) -> Desired:
        setting, place = self.rules.prune, self.rules.prune_place
        if setting is Prune.OFF or place is None:
            return resolution.desired
        existing = None
        if setting is not Prune.DEVICES:  # there only declared devices lose rows, and those are checked like any
            candidates = {device_id for device_id, _ in omitted(resolution.desired, live, setting, resolution.flows)}
            try:
                existing = await self.census.existing(candidates)
            except PermissionDenied:
                message = f"not verified: existence of {counted_devices(len(candidates))} with undeclared rows"
                self.warnings.append(Warning(message, place, "the token needs the scope devices.get"))
        flows = resolution.flows
        return prune(resolution.desired, live, setting, flows=flows, place=place, existing=existing)


def _device_names(live: Live) -> dict[str, str]:
    return {device_id: device.name for device_id, device in live.devices.items() if device.name}


def _ids_named(live: Live, names: Collection[str]) -> frozenset[str]:
    if not names:
        return frozenset()
    return frozenset(device_id for device_id, device in live.devices.items() if device.name in names)
